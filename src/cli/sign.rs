//! `sign`: a bundle that machines follow.

use super::seal::program;
use super::{BAD_INPUT, Source, Verbosity, plan_of};
use crate::encode::signed;
use crate::load::{self, Input};
use crate::profile::model::{Profile, SecretValue};
use crate::resolve::Ask;
use crate::secret::Secret;
use crate::deliver;
use anyhow::{Context, Result};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

/// Write the stack's part of a profile as a signed bundle, for machines that `follow` it.
///
/// Put the file at the URL of the profile's `follow`; each machine of that name fetches it, checks the signature, applies what
/// is different, and goes back when it is not well with it. Users, SSH, the firewall and secrets are no part of it. The password of a key that has one is
/// read from MINISIGN_PASSWORD.
#[derive(Args)]
#[command(after_help = "Examples:\n  julia-bootstrap sign --new-key signing.key\n  julia-bootstrap sign my.yaml --key signing.key -o my.bundle")]
pub struct Sign {
    #[command(flatten)]
    source: Option<Source>,
    /// Make a new secret key in this file, and print the public one for the profile.
    #[arg(long, value_name = "FILE", exclusive = true)]
    new_key: Option<PathBuf>,
    /// The secret key, made by `--new-key` or by `minisign -G`.
    #[arg(long, value_name = "FILE", required_unless_present = "new_key")]
    key: Option<PathBuf>,
    /// Machines take no bundle whose number is not above that of the last; seconds since 1970, unless given.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    serial: Option<u64>,
    /// Bring the value of this secret, which the profile says comes later; it is taken from --env-file or the environment.
    #[arg(long, value_name = "NAME", requires = "to")]
    bring: Vec<String>,
    /// Encrypt what is brought for this machine: its SSH host key, `ssh-ed25519 AAAA…`, as `ssh-keyscan -t ed25519 HOST` prints it.
    #[arg(long, value_name = "KEY", requires = "bring", value_parser = host_key)]
    to: Option<String>,
    /// Write here instead of to standard output.
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
}

impl Sign {
    /// Runs the command.
    pub fn run(self, verbosity: Verbosity) -> Result<ExitCode> {
        let bad = |message: String| {
            crate::tell!("error: {message}");
            Ok(ExitCode::from(BAD_INPUT))
        };
        if let Some(path) = &self.new_key {
            return new_key(path, verbosity);
        }
        let (Some(source), Some(path)) = (&self.source, &self.key) else { return bad("say which profile, and which key".to_owned()) };
        let serial = match self.serial {
            Some(number) => number,
            None => SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?.as_secs(),
        };
        let input = Input { ask: Ask::Nothing, inputs: vec![path.clone()], ..source.input_for(self.output.as_deref()) };
        // Given secrets are no part of a bundle, and whoever signs need not have them.
        let (profile, plan) = match plan_of(&input, verbosity)? {
            Ok(both) => both,
            Err(code) => return Ok(code),
        };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => return bad(format!("{}: {error}", path.display())),
        };
        let key = match signed::secret_key(&text, std::env::var("MINISIGN_PASSWORD").ok()) {
            Ok(Some(key)) => key,
            Ok(None) => return bad(format!("{} has a password: write it in MINISIGN_PASSWORD", path.display())),
            Err(error) => return bad(format!("{}: {error:#}", path.display())),
        };
        let public = signed::public_key(&key)?;
        match &profile.follow {
            None => return bad(format!("the profile follows no bundle: add `follow: {{url: https://…, key: {public}}}`")),
            Some(follow) if follow.key != public => {
                return bad(format!("{} is not the key of the profile's `follow.key`: machines would refuse what it signs; its public key is {public}", path.display()));
            }
            Some(_) => {}
        }
        let secrets = match &self.to {
            None => None,
            Some(host) => match self.brought(&source.input(), &profile)? {
                Ok(text) => Some(program("age", &["-r", host], text.expose().as_bytes())?),
                Err(message) => return bad(message),
            },
        };
        let bundle = signed::sign(&signed::content(&plan, serial, secrets.as_deref())?, &key, &plan.name, serial)?;
        match &self.output {
            Some(path) => deliver::output(path, bundle.as_bytes(), 0o644)?,
            None => deliver::stdout(bundle.as_bytes())?,
        }
        if verbosity > Verbosity::Quiet {
            crate::tell!("{} bytes, serial number {serial}", bundle.len());
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Sign {
    /// What is brought, by its names; `Err` says what is wrong.
    fn brought(&self, input: &Input, profile: &Profile) -> Result<Result<Secret, String>> {
        let value = load::variables(input)?;
        let mut rows = serde_json::Map::new();
        for name in &self.bring {
            if !profile.secrets.iter().any(|secret| secret.name == *name && matches!(secret.value, SecretValue::Later | SecretValue::Sealed(_))) {
                return Ok(Err(format!("{name} is no secret that comes later: the profile must say `{name}: {{later: true}}`")));
            }
            match value(name) {
                Some(value) if !value.is_empty() && !value.contains('\0') => rows.insert(name.clone(), value.into()),
                _ => return Ok(Err(format!("{name} has no value: set it in the environment, or in a file for --env-file"))),
            };
        }
        Ok(Ok(Secret::new(serde_json::Value::Object(rows).to_string())))
    }
}

/// A machine's public key, with the host name that `ssh-keyscan` puts before it or without.
fn host_key(text: &str) -> Result<String, String> {
    let words: Vec<_> = text.split_whitespace().collect();
    let Some(place) = words.iter().position(|word| *word == "ssh-ed25519") else {
        return Err("write the whole line, `ssh-ed25519 AAAA…`; other kinds of keys are not taken".to_owned());
    };
    let key = words[place..].iter().take(2).copied().collect::<Vec<_>>().join(" ");
    ssh_key::PublicKey::from_openssh(&key).map(|_| key).map_err(|error| format!("this is no SSH public key: {error}"))
}

fn new_key(path: &Path, verbosity: Verbosity) -> Result<ExitCode> {
    if path.exists() {
        crate::tell!("error: {} is there already, and bundles may be signed with it: choose another name", path.display());
        return Ok(ExitCode::from(BAD_INPUT));
    }
    let (secret, public) = signed::new_key()?;
    deliver::file(path, secret.as_bytes(), 0o600)?;
    deliver::stdout(format!("{public}\n").as_bytes())?;
    if verbosity > Verbosity::Quiet {
        crate::tell!("The secret key is in {}: whoever has it decides what runs on machines that follow it.", path.display());
        crate::tell!("In the profile: `follow: {{url: https://…, key: {public}}}`");
    }
    Ok(ExitCode::SUCCESS)
}
