//! `seal`: the secrets that do not travel in the user-data.

use super::{BAD_INPUT, BadInput, Source, Verbosity, load_profile};
use crate::load::Input;
use crate::resolve::Ask;
use crate::{deliver, encode, plan};
use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// Encrypt the secrets with `sealed: true` into a file that the machine fetches once.
///
/// Upload the file to a URL that ends soon after the first boot, such as a presigned one, and write both into the profile:
/// `sealed: {url: …, file: FILE.json}`. The user-data then holds the key, and no secret; once the URL has ended, whoever reads
/// the user-data reads nothing. Needs the programs `age` and `age-keygen`.
#[derive(Args)]
#[command(after_help = "Examples:\n  julia-bootstrap seal my.yaml -o my.sealed            # writes my.sealed and, with the key, my.sealed.json\n  julia-bootstrap render my.yaml --set sealed.url=https://files.example.com/my.sealed?sig=… -o user-data")]
pub struct Seal {
    #[command(flatten)]
    source: Source,
    /// The file to upload; the one with the key is written beside it, with `.json` after its name.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

impl Seal {
    /// Runs the command.
    pub fn run(self, verbosity: Verbosity) -> Result<ExitCode> {
        if deliver::is_stdout(&self.output) {
            bail!(BadInput("-o: two files are written, the second beside the first: name a file instead of `-`".to_owned()));
        }
        let beside = PathBuf::from(format!("{}.json", self.output.display()));
        let input = Input { ask: Ask::Sealed, outputs: vec![self.output.clone(), beside.clone()], ..self.source.input() };
        let Some(profile) = load_profile(&input, verbosity) else { return Ok(ExitCode::from(BAD_INPUT)) };
        let (text, names) = plan::to_seal(&profile)?;
        if names.is_empty() {
            crate::tell!("error: no secret of the profile is sealed: write `sealed: true` beside its `env`, `file` or `command`");
            return Ok(ExitCode::from(BAD_INPUT));
        }
        let keys = program("age-keygen", &[], b"")?;
        let keys = String::from_utf8(keys).context("age-keygen prints no text")?;
        let line = |start: &str| keys.lines().find_map(|line| line.trim_start_matches("# public key: ").strip_prefix(start).map(|rest| format!("{start}{rest}")));
        let (Some(key), Some(public)) = (line("AGE-SECRET-KEY-1"), line("age1")) else { bail!("age-keygen prints no key that is known here") };
        let sealed = program("age", &["-r", &public], text.expose().as_bytes())?;
        let manifest = json!({"key": key, "sha256": encode::sha256(&sealed), "secrets": names});
        deliver::file(&beside, format!("{manifest:#}\n").as_bytes(), 0o600)?;
        deliver::file(&self.output, &sealed, 0o644)?;
        if verbosity > Verbosity::Quiet {
            crate::tell!("{} sealed: {}", names.len(), names.join(", "));
            crate::tell!("Upload {}, and write in the profile: `sealed: {{url: https://…, file: {}}}`", self.output.display(), name(&beside));
            crate::tell!("{} has the key: keep it as you keep the secrets, and out of the repository.", beside.display());
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// What a program makes of `input`.
pub(super) fn program(name: &str, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>> {
    let mut child = Command::new(name)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("`{name}` cannot be run: install age (Debian, Ubuntu: `apt-get install age`; macOS: `brew install age`)"))?;
    // It reads everything before it writes, or nothing at all.
    let sent = child.stdin.take().map(|mut stdin| stdin.write_all(input)).transpose();
    let output = child.wait_with_output()?;
    if !output.status.success() || sent.is_err() && !input.is_empty() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{name}` ended with {}: {}", output.status, said.lines().last().unwrap_or("it said nothing"));
    }
    Ok(output.stdout)
}
