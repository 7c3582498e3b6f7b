//! A program beside the run that makes faults: it is told what the machine does and may ask for the power to go off.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::console::Event;

/// What an injector said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// Take the power away now, and switch the machine on again.
    Cut,
    /// A line for the person who watches.
    Say(String),
}

/// The running program.
#[derive(Debug)]
pub struct Injector {
    child: Child,
    /// Closed once it has ended.
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    ended: bool,
}

impl Injector {
    /// Starts `program`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(program: &Path) -> Result<Self> {
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting the injector {}", program.display()))?;
        let (send, lines) = channel();
        if let Some(output) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(std::result::Result::ok) {
                    if send.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Injector { input: child.stdin.take(), child, lines, ended: false })
    }

    /// Tells it something, as one line of JSON; `seconds` have passed since power-on.
    pub fn tell(&mut self, seconds: f64, mut what: Value) {
        what["seconds"] = json!((seconds * 100.0).round() / 100.0);
        if let Some(input) = &mut self.input
            && writeln!(input, "{what}").and_then(|()| input.flush()).is_err()
        {
            // Nobody listens any more: how it ended is asked for elsewhere.
            self.input = None;
        }
    }

    /// Tells it of a line of the console.
    pub fn event(&mut self, seconds: f64, event: &Event) {
        self.tell(seconds, match event {
            Event::State(state) => json!({"event": "state", "state": state}),
            Event::Stage { name, state, attempt, error } => {
                json!({"event": "stage", "name": name, "state": state, "attempt": attempt, "error": error})
            }
        });
    }

    /// The next thing that it said, if it said one.
    pub fn word(&mut self) -> Option<Word> {
        let line = self.lines.try_recv().ok()?;
        Some(if line.trim() == "cut" { Word::Cut } else { Word::Say(line) })
    }

    /// Whether it is through with the machine.
    ///
    /// # Errors
    /// When it ended with another status than 0.
    pub fn ended(&mut self) -> Result<bool> {
        if !self.ended
            && let Some(status) = self.child.try_wait().context("asking the injector")?
        {
            if !status.success() {
                bail!("the injector ended with {status}");
            }
            (self.ended, self.input) = (true, None);
        }
        Ok(self.ended)
    }
}

impl Drop for Injector {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    fn program(text: &str) -> tempfile::TempPath {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), text).expect("writes");
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o700)).expect("is made executable");
        file.into_temp_path()
    }

    fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
        for _ in 0..500 {
            if let Some(found) = look() {
                return found;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("nothing within ten seconds");
    }

    #[test]
    fn it_is_told_and_heard() {
        let path = program("#!/bin/sh\nread -r line\necho \"$line\"\necho cut\n");
        let mut injector = Injector::start(&path).expect("starts");
        injector.event(1.234, &Event::State("ready".to_owned()));
        let wanted = r#"{"event":"state","state":"ready","seconds":1.23}"#;
        assert_eq!(until(|| injector.word()), Word::Say(wanted.to_owned()));
        assert_eq!(until(|| injector.word()), Word::Cut);
        until(|| injector.ended().expect("ends well").then_some(()));
        injector.tell(2.0, json!({"event": "state"}));
    }

    #[test]
    fn its_failure_is_the_runs() {
        let path = program("#!/bin/sh\nexit 3\n");
        let mut injector = Injector::start(&path).expect("starts");
        let error = until(|| injector.ended().err());
        assert!(error.to_string().contains("exit status: 3"), "{error}");
        assert!(Injector::start(Path::new("/nonexistent")).is_err());
    }
}
