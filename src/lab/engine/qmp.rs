//! QEMU's machine protocol over a Unix socket: the few commands that are needed here.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// A connection to a running QEMU.
pub struct Qmp {
    stream: BufReader<UnixStream>,
}

impl Qmp {
    /// Connects and agrees on capabilities.
    pub fn connect(path: &Path) -> Result<Self> {
        let stream = UnixStream::connect(path).with_context(|| format!("connecting to {}", path.display()))?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).context("setting up QMP")?;
        let mut qmp = Qmp { stream: BufReader::new(stream) };
        qmp.message()?;
        qmp.command("qmp_capabilities")?;
        Ok(qmp)
    }

    /// Sends a command without arguments; gives what it returns.
    pub fn command(&mut self, name: &str) -> Result<Value> {
        let text = format!("{}\n", json!({ "execute": name }));
        self.stream.get_mut().write_all(text.as_bytes()).with_context(|| format!("sending `{name}` to QEMU"))?;
        loop {
            let message = self.message()?;
            if let Some(error) = message.get("error") {
                bail!("QEMU refused `{name}`: {}", error["desc"].as_str().unwrap_or("no reason given"));
            }
            if let Some(answer) = message.get("return") {
                return Ok(answer.clone());
            }
        }
    }

    /// The state QEMU says the machine is in, such as `running` or `internal-error`.
    pub fn status(&mut self) -> Result<String> {
        Ok(self.command("query-status")?["status"].as_str().unwrap_or_default().to_string())
    }

    fn message(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).context("listening to QEMU")? == 0 {
            bail!("QEMU closed its control socket");
        }
        serde_json::from_str(&line).context("understanding QEMU")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn answers_are_told_from_events() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("qmp");
        let listener = UnixListener::bind(&path).expect("a socket");
        let server = std::thread::spawn(move || {
            let (stream, _) = listener.accept().expect("a client");
            let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
            let mut writer = stream;
            let mut answer = |text: &str| writeln!(writer, "{text}").expect("writes");
            answer(r#"{"QMP":{}}"#);
            let mut line = String::new();
            reader.read_line(&mut line).expect("reads");
            answer(r#"{"return":{}}"#);
            reader.read_line(&mut line).expect("reads");
            answer(r#"{"event":"RESUME"}"#);
            answer(r#"{"return":{"status":"internal-error"}}"#);
            reader.read_line(&mut line).expect("reads");
            answer(r#"{"error":{"desc":"no"}}"#);
        });
        let mut qmp = Qmp::connect(&path).expect("connects");
        assert_eq!(qmp.status().expect("answers"), "internal-error");
        assert!(qmp.command("quit").is_err_and(|error| error.to_string().ends_with(": no")));
        server.join().expect("the server ends");
    }
}
