//! Logging in with the throwaway key, by the `ssh` client.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::command::{self, Ended};
use super::interrupt;

/// A key pair made for one run.
#[derive(Debug)]
pub struct Key {
    /// What is removed at the end.
    folder: Option<tempfile::TempDir>,
    path: PathBuf,
    public: String,
}

impl Key {
    /// Makes a key pair in a folder that only we can read.
    pub fn generate() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("julia-bootstrap-key-").tempdir().context("creating a folder")?;
        let made = Self::at(&folder.path().join("key"))?;
        Ok(Key { folder: Some(folder), ..made })
    }

    /// The key pair whose private key lies here; made if there is none, and left there.
    pub fn at(path: &Path) -> Result<Self> {
        if !path.exists() {
            command::must(
                "ssh-keygen",
                &["-q", "-t", "ed25519", "-N", "", "-C", "julia-bootstrap-boot", "-f", &path.to_string_lossy()],
            )?;
        }
        let public = std::fs::read_to_string(path.with_extension("pub")).context("reading the public key")?;
        Ok(Key { folder: None, path: path.to_owned(), public: public.trim().to_string() })
    }

    /// The public key's line.
    pub fn public(&self) -> &str {
        &self.public
    }

    /// The private key's file.
    pub fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// Keeps the files after the end of this run.
    pub fn keep(&mut self) {
        if let Some(folder) = &mut self.folder {
            folder.disable_cleanup(true);
        }
    }
}

/// How to log in.
#[derive(Debug, Clone)]
pub struct Ssh {
    /// Who.
    pub user: String,
    /// Where.
    pub target: SocketAddr,
    /// With which private key.
    pub key: PathBuf,
    /// From which network namespace and source address.
    pub from: Option<(String, IpAddr)>,
    /// A machine that somebody runs, in place of `user` and `target`: their own configuration, keys and known hosts count.
    pub person: Option<Person>,
}

/// How a person logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// `user@host`, or a name of their configuration.
    pub destination: String,
    /// Where that is not what they configured.
    pub port: Option<u16>,
    /// A private key, where it is not what they configured.
    pub identity: Option<PathBuf>,
}

impl Person {
    fn words(&self, command: &mut Command) {
        command.args(["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=30", "-o", "ServerAliveInterval=5"]);
        if let Some(port) = self.port {
            command.args(["-p", &port.to_string()]);
        }
        if let Some(identity) = &self.identity {
            command.arg("-i").arg(identity);
        }
        command.arg("--").arg(&self.destination);
    }
}

/// Scripts wait for what a busy machine takes its time with.
const PATIENCE: Duration = Duration::from_secs(180);

impl Ssh {
    /// Nowhere to log in.
    pub fn nowhere() -> Self {
        Ssh { user: String::new(), target: SocketAddr::from(([0, 0, 0, 0], 0)), key: PathBuf::new(), from: None, person: None }
    }

    /// The way of a person.
    pub fn of(person: Person) -> Self {
        Ssh { person: Some(person), ..Self::nowhere() }
    }

    /// Whether there is somewhere to log in.
    pub fn is_somewhere(&self) -> bool {
        self.person.is_some() || self.target.port() != 0
    }

    fn command(&self, options: &[&str]) -> Command {
        if let Some(person) = &self.person {
            let mut command = Command::new("ssh");
            person.words(&mut command);
            return command;
        }
        let mut command = match &self.from {
            Some((netns, _)) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", netns, "ssh"]);
                command
            }
            None => Command::new("ssh"),
        };
        command.args(["-F", "/dev/null", "-T"]);
        // The first value wins, so the caller's come first.
        for option in options {
            command.args(["-o", option]);
        }
        for option in [
            "BatchMode=yes",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "LogLevel=ERROR",
            "ConnectTimeout=30",
            "ServerAliveInterval=5",
            "ServerAliveCountMax=24",
        ] {
            command.args(["-o", option]);
        }
        if let Some((_, address)) = &self.from {
            command.args(["-b", &address.to_string()]);
        }
        command.arg("-i").arg(&self.key).args(["-p", &self.target.port().to_string()]);
        command.arg(format!("{}@{}", self.user, self.target.ip()));
        command
    }

    /// The command line a person would use.
    pub fn invitation(&self) -> String {
        format!(
            "ssh -i {} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -p {} {}@{}",
            self.key.display(),
            self.target.port(),
            self.user,
            self.target.ip()
        )
    }

    /// Runs one program there, with each argument quoted; `options` are further `ssh -o` settings.
    pub fn run_with(&self, options: &[&str], words: &[&str], input: &[u8], limit: Duration) -> Result<Ended> {
        let mut command = self.command(options);
        command.arg(quoted(words));
        command::run(command, input, limit)
    }

    /// Runs one program there.
    pub fn run(&self, words: &[&str]) -> Result<Ended> {
        self.patient(words, b"", PATIENCE)
    }

    /// Runs one program there; a login that a busy machine did not answer in time, or whose sshd begins anew after an
    /// upgrade, is tried again, for nothing ran yet.
    fn patient(&self, words: &[&str], input: &[u8], limit: Duration) -> Result<Ended> {
        let mut ended = self.run_with(&[], words, input, limit)?;
        for _ in 0..10 {
            let refused = ended.stderr.contains("Connection refused");
            if ended.code != Some(255) || !refused && !ended.stderr.contains("timed out during banner exchange") {
                break;
            }
            if refused {
                interrupt::sleep(Duration::from_secs(1))?;
            }
            ended = self.run_with(&[], words, input, limit)?;
        }
        Ok(ended)
    }

    /// Runs one program there as root.
    pub fn sudo(&self, words: &[&str]) -> Result<Ended> {
        self.run(&[&["sudo", "-n"], words].concat())
    }

    /// Runs a Python script there as root; its output must be one JSON value.
    pub fn script(&self, script: &Script, arguments: &[&str]) -> Result<serde_json::Value> {
        let words = [&["sudo", "-n", "python3", "-"], arguments].concat();
        let ended = self.patient(&words, script.text.as_bytes(), script.limit)?;
        if !ended.ok() {
            bail!("{} failed on the machine: {}", script.name, ended.tail());
        }
        serde_json::from_str(ended.stdout.trim())
            .with_context(|| format!("understanding what {} printed: {}", script.name, ended.tail()))
    }

    /// True when a login works.
    pub fn answers(&self) -> bool {
        self.run_with(&["ConnectTimeout=3"], &["true"], b"", Duration::from_secs(15)).is_ok_and(|ended| ended.ok())
    }

    /// The private key's folder, for messages.
    pub fn key(&self) -> &Path {
        &self.key
    }
}

/// A script for the machine, compiled in from a file of its own.
#[derive(Debug, Clone, Copy)]
pub struct Script {
    /// File name, for messages.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
    /// How long it may take.
    pub limit: Duration,
}

/// One line for a POSIX shell that yields exactly these words.
pub fn quoted(words: &[&str]) -> String {
    let mut line = String::new();
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&byte);
        if !word.is_empty() && word.bytes().all(plain) {
            line.push_str(word);
        } else {
            let _ = write!(line, "'{}'", word.replace('\'', r"'\''"));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_a_shell() {
        let words = ["echo", "it's", "", "$HOME `x` \"y\"", "a b", "--ok=1"];
        let output = Command::new("sh").arg("-c").arg(format!("printf '%s\\n' {}", quoted(&words))).output().expect("sh");
        let lines: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_string).collect();
        assert_eq!(lines, words);
    }
}
