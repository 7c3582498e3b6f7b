//! The machine's console: a file the engine writes, followed here for the stages' own lines.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Starts every line that the machine writes about itself.
const PREFIX: &str = "julia-bootstrap: ";

/// A line of the console contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A stage changed.
    Stage {
        /// Its name.
        name: String,
        /// `waiting`, `running`, `retrying`, `done` or `failed`.
        state: String,
        /// Which attempt this is, when the line tells.
        attempt: Option<u32>,
        /// What went wrong, when the line tells.
        error: Option<String>,
    },
    /// The whole machine changed: `provisioning`, `ready`, `degraded` or `failed`.
    State(String),
}

/// Reads one console line; `None` for anything that is not ours.
pub fn parse(line: &str) -> Option<Event> {
    let start = line.find(PREFIX)?;
    let text = line[start + PREFIX.len()..].trim_end_matches(['\r', '\n', ' ']);
    if let Some(state) = text.strip_prefix("state: ") {
        let word = state.split_whitespace().next()?;
        return word.bytes().all(|byte| byte.is_ascii_lowercase()).then(|| Event::State(word.to_string()));
    }
    let (name, rest) = text.strip_prefix("stage ")?.split_once(": ")?;
    let (head, error) = match rest.split_once(": ") {
        Some((head, error)) => (head, Some(error.to_string())),
        None => (rest, None),
    };
    let (state, attempt) = match head.split_once(" (attempt ") {
        Some((state, number)) => (state, number.trim_end_matches(')').parse().ok()),
        None => (head, None),
    };
    let plain = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (plain(name) && plain(state)).then(|| Event::Stage {
        name: name.to_string(),
        state: state.to_string(),
        attempt,
        error,
    })
}

/// Follows a growing console file.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    offset: u64,
    rest: Vec<u8>,
}

impl Follower {
    /// Follows `path` from `offset` on (0: from its start).
    pub fn new(path: &Path, offset: u64) -> Self {
        Follower { path: path.to_path_buf(), offset, rest: Vec::new() }
    }

    /// Follows `path` from its present end on.
    pub fn at_end(path: &Path) -> Self {
        let offset = std::fs::metadata(path).map(|data| data.len()).unwrap_or(0);
        Follower::new(path, offset)
    }

    /// The complete lines that came since the last call.
    pub fn lines(&mut self) -> Vec<String> {
        let mut bytes = Vec::new();
        if let Ok(mut file) = std::fs::File::open(&self.path)
            && file.seek(SeekFrom::Start(self.offset)).is_ok()
        {
            let _ = file.read_to_end(&mut bytes);
        }
        self.offset += bytes.len() as u64;
        self.rest.extend(bytes);
        let mut lines = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            lines.push(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_string());
        }
        lines
    }
}

/// The last lines of a console, for the message when a machine ends in silence.
pub fn tail(path: &Path, count: usize) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn contract_lines_are_read() {
        assert_eq!(parse("julia-bootstrap: state: ready\r"), Some(Event::State("ready".into())));
        assert_eq!(
            parse("[   12.3] julia-bootstrap: stage docker: retrying (attempt 2): apt: no network"),
            Some(Event::Stage {
                name: "docker".into(),
                state: "retrying".into(),
                attempt: Some(2),
                error: Some("apt: no network".into()),
            })
        );
        assert_eq!(
            parse("julia-bootstrap: stage host: done"),
            Some(Event::Stage { name: "host".into(), state: "done".into(), attempt: None, error: None })
        );
        for other in ["", "stage host: done", "julia-bootstrap: hello", "julia-bootstrap: stage : done", "julia-bootstrap: stage x"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_growing_file_is_followed_line_by_line() {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        let mut follower = Follower::new(file.path(), 0);
        assert!(follower.lines().is_empty());
        write!(file, "one\r\ntw").expect("writes");
        assert_eq!(follower.lines(), ["one"]);
        write!(file, "o\nthree\n").expect("writes");
        assert_eq!(follower.lines(), ["two", "three"]);
        assert_eq!(tail(file.path(), 1), "three");
    }
}
