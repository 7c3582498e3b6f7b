//! Running other programs: output collected, errors as sentences.

use std::io::{Read, Write};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::interrupt;

/// How a program ended and what it said.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The exit code; `None` when a signal or our time limit ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ended {
    /// True for exit code 0.
    pub fn ok(&self) -> bool {
        self.code == Some(0)
    }

    /// The last lines of what it said, for messages.
    pub fn tail(&self) -> String {
        let text = if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(4)..].join(" | ")
    }
}

/// Runs a program that must succeed; gives its standard output.
pub fn must(program: &str, arguments: &[&str]) -> Result<String> {
    let output: Output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting {program}: is it installed?"))?;
    if !output.status.success() {
        bail!(
            "`{program} {}` failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a program whose failure does not matter (clearing up what may not exist).
pub fn may(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// True when `program` can be found in PATH.
pub fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).any(|folder| folder.join(program).is_file())
}

/// Runs `command` with `input` on its standard input, for at most `limit`; kills it after that.
pub fn run(mut command: Command, input: &[u8], limit: Duration) -> Result<Ended> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {name}: is it installed?"))?;
    let stdin = child.stdin.take();
    let stdout = child.stdout.take();
    let stderr = child.stderr.take();
    let end = Instant::now() + limit;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if let Some(mut stdin) = stdin {
                // A program that does not read its input is no error of ours.
                let _ = stdin.write_all(input);
            }
        });
        let out = scope.spawn(move || collect(stdout));
        let err = scope.spawn(move || collect(stderr));
        let code = loop {
            if let Some(status) = child.try_wait().with_context(|| format!("waiting for {name}"))? {
                break status.code();
            }
            if Instant::now() >= end || interrupt::asked() {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            std::thread::sleep(Duration::from_millis(15));
        };
        Ok(Ended { code, stdout: out.join().unwrap_or_default(), stderr: err.join().unwrap_or_default() })
    })
}

fn collect(stream: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        let _ = stream.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_fed_read_and_timed_out() {
        let ended = run(Command::new("cat"), b"hello", Duration::from_secs(5)).expect("cat runs");
        assert!(ended.ok());
        assert_eq!(ended.stdout, "hello");
        let mut slow = Command::new("sleep");
        slow.arg("30");
        let ended = run(slow, b"", Duration::from_millis(50)).expect("sleep runs");
        assert_eq!(ended.code, None);
        assert!(must("false", &[]).is_err());
        assert!(run(Command::new("no-such-program"), b"", Duration::from_secs(1)).is_err());
    }
}
