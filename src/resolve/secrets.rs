//! Secrets: which are made on the machine, and the values of those that are given.

use super::read_beside;
use crate::dotenv;
use crate::profile::model::{Sealed, SecretPlace, SecretSpec, SecretValue};
use crate::profile::reader::{Spanned, shown};
use crate::profile::text::SecretName;
use crate::profile::written::{Command, SealedWritten, SecretFields, Secrets};
use crate::report::Report;
use crate::secret::Secret;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::Read;
use std::process::{ExitStatus, Stdio};
use std::sync::Mutex;

/// Largest value embedded as a secret; the whole user-data is 16 KiB at most providers.
const MAX_SECRET: usize = 8 * 1024;

/// Whose values are looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ask {
    /// Of all that the user-data holds.
    #[default]
    Embedded,
    /// The same, but no command is run: what it would say is not known.
    WithoutCommands,
    /// Of the sealed ones alone.
    Sealed,
    /// None at all.
    Nothing,
}

/// In place of a value that nobody asked for; as long as what password managers make.
pub const STAND_IN: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

/// Where values come from.
#[derive(Clone, Copy)]
pub struct Origin<'a> {
    /// The environment.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// Whose values are wanted.
    pub ask: Ask,
}

/// Resolves every secret; one that cannot be is a finding.
pub fn resolve(secrets: &Secrets, origin: Origin<'_>, report: &mut Report) -> Vec<SecretSpec> {
    secrets.0.iter().filter_map(|(name, written)| one(name, &written.0, origin, report)).collect()
}

fn one(name: &Spanned<SecretName>, written: &SecretFields, origin: Origin<'_>, report: &mut Report) -> Option<SecretSpec> {
    let place = place(name, written, report);
    let value = value(name, written, origin, report);
    let (place, value) = (place?, value?);
    if let SecretValue::Given(secret) | SecretValue::Sealed(Some(secret)) = &value
        && written.sealed == (origin.ask == Ask::Sealed)
    {
        if secret.expose().is_empty() {
            report.warning(name.span, "empty-secret", format!("the secret `{}` is empty", name.value.0));
        }
        if place == SecretPlace::Env && dotenv::dotenv_quote(secret.expose()).is_none() {
            let message = format!("the value of `{}` contains NUL, which `.env` cannot carry", name.value.0);
            report.error(name.span, "secret-value", message).help("add `as: credential` to embed it as a file");
        }
    }
    let variable = written.env.as_ref().map(|variable| format!("the variable {}", variable.value.0));
    let file = || Some(format!("the file {}", written.file.as_ref()?.value.0));
    let command = || Some(format!("what `{}` says", shown(written.command.as_ref()?.value.0.first()?)));
    Some(SecretSpec { name: name.value.0.clone(), place, value, origin: variable.or_else(file).or_else(command) })
}

fn place(name: &Spanned<SecretName>, written: &SecretFields, report: &mut Report) -> Option<SecretPlace> {
    let text = &name.value.0;
    if written.place.is_some_and(|place| place.credential) {
        return Some(SecretPlace::Credential(text.clone()));
    }
    if !dotenv::is_shell_name(text) {
        report
            .error(name.span, "secret-name", format!("`{text}` is not a variable's name, so it cannot stand in `.env`"))
            .help("use letters, digits and `_`, or add `as: credential` to make it a file");
        return None;
    }
    if dotenv::is_reserved(text) {
        report
            .error(name.span, "secret-name", format!("`{text}` steers Compose or the shell itself"))
            .help("choose another name and pass it on under `environment`");
        return None;
    }
    Some(SecretPlace::Env)
}

fn value(name: &Spanned<SecretName>, written: &SecretFields, origin: Origin<'_>, report: &mut Report) -> Option<SecretValue> {
    let shown = &name.value.0;
    let sources = [written.generate.is_some(), written.env.is_some(), written.file.is_some(), written.command.is_some(), written.later];
    match sources.iter().filter(|source| **source).count() {
        1 => {}
        count => {
            let what = if count == 0 { "no source" } else { "more than one source" };
            report
                .error(name.span, "secret-source", format!("the secret `{shown}` has {what}"))
                .help("write one of `generate`, `env`, `file`, `command` and `later`");
            return None;
        }
    }
    if written.sealed && (written.later || written.generate.is_some()) {
        report
            .error(name.span, "secret-source", format!("the secret `{shown}` has no value yet that could be sealed"))
            .help("take `sealed` out, or name where the value comes from: `env`, `file` or `command`");
        return None;
    }
    if written.later {
        return Some(SecretValue::Later);
    }
    if let Some(length) = &written.generate {
        return Some(SecretValue::Generate { length: length.0 });
    }
    written.file.as_ref().and_then(|file| super::place(file, report));
    if written.sealed != (origin.ask == Ask::Sealed) {
        return Some(if written.sealed { SecretValue::Sealed(None) } else { SecretValue::Given(Secret::new("")) });
    }
    let secret = if origin.ask == Ask::Nothing {
        STAND_IN.to_owned()
    } else if let Some(variable) = &written.env {
        let value = (origin.env)(&variable.value.0);
        if value.is_none() {
            report
                .error(variable.span, "no-variable", format!("the variable `{}` is not set", variable.value.0))
                .help("set it in the environment, or give a file with it by --env-file");
        }
        value?
    } else if let Some(file) = &written.file {
        read_beside(file, MAX_SECRET, report)?
    } else if let Some(command) = written.command.as_ref().filter(|_| origin.ask != Ask::WithoutCommands) {
        said(shown, command, report)?
    } else {
        STAND_IN.to_owned()
    };
    let secret = Secret::new(secret);
    Some(if written.sealed { SecretValue::Sealed(Some(secret)) } else { SecretValue::Given(secret) })
}

/// What commands have said: a password manager may ask a person, and a profile is read more than once where sizes are compared.
static SAID: Mutex<BTreeMap<Vec<String>, Secret>> = Mutex::new(BTreeMap::new());

/// What a command prints. It may ask on the terminal: what it says on standard error is for the person.
fn said(name: &str, command: &Spanned<Command>, report: &mut Report) -> Option<String> {
    if let Some(known) = SAID.lock().ok().and_then(|said| said.get(&command.value.0).cloned()) {
        return Some(known.expose().to_owned());
    }
    let [program, arguments @ ..] = &command.value.0[..] else { return None };
    let problem = match printed(program, arguments) {
        Err(error) => format!("`{}` cannot be run: {error}", shown(program)),
        Ok((_, stdout)) if stdout.len() > MAX_SECRET => format!("it printed more than {MAX_SECRET} bytes"),
        Ok((status, _)) if !status.success() => format!("it ended with {status}"),
        Ok((_, stdout)) => match String::from_utf8(stdout) {
            Ok(text) => {
                let text = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text)).to_owned();
                if let Ok(mut said) = SAID.lock() {
                    said.insert(command.value.0.clone(), Secret::new(text.as_str()));
                }
                return Some(text);
            }
            Err(_) => "what it printed is not UTF-8 text".to_owned(),
        },
    };
    report
        .error(command.span, "secret-command", format!("the command of the secret `{name}` gave no value: {problem}"))
        .help("run it by hand: it must print the value and nothing else, and end with 0");
    None
}

/// How a program ends and what it prints: no more than a secret may have and one byte, since there are programs that never stop.
fn printed(program: &str, arguments: &[String]) -> std::io::Result<(ExitStatus, Vec<u8>)> {
    let mut child = std::process::Command::new(program).args(arguments).stdout(Stdio::piped()).spawn()?;
    let mut stdout = Vec::new();
    // The pipe is closed here, at the latest: a program that goes on to write is ended by that.
    if let Some(pipe) = child.stdout.take() {
        pipe.take(MAX_SECRET as u64 + 1).read_to_end(&mut stdout)?;
    }
    if stdout.len() > MAX_SECRET {
        child.kill()?;
    }
    Ok((child.wait()?, stdout))
}

/// What `seal` writes beside the sealed file.
#[derive(Deserialize)]
struct Manifest {
    key: String,
    sha256: String,
    secrets: Vec<String>,
}

/// Where the sealed secrets lie, and what opens them. Whatever is missing is a finding.
pub fn sealed(secrets: &[SecretSpec], names: &Secrets, written: Option<&SealedWritten>, ask: Ask, report: &mut Report) -> Option<Sealed> {
    let mine: Vec<_> = secrets.iter().filter(|secret| matches!(secret.value, SecretValue::Sealed(_))).map(|secret| &secret.name).collect();
    let first = names.0.iter().find(|(name, _)| mine.contains(&&name.value.0))?.0.span;
    if ask == Ask::Sealed {
        return None;
    }
    let Some(written) = written else {
        report
            .error(first, "not-sealed", "the profile does not say where sealed secrets lie")
            .help("run `julia-bootstrap seal`, upload what it writes, and add `sealed: {url: …, file: …}`");
        return None;
    };
    let (url, file) = (written.url.as_ref()?, written.file.as_ref()?);
    let manifest: Manifest = match serde_json::from_str(&read_beside(file, 64 * 1024, report)?) {
        Ok(manifest) => manifest,
        Err(_) => {
            report.error(file.span, "not-sealed", "this is not what `seal` writes").help("name the `.json` file beside the sealed one");
            return None;
        }
    };
    let missing: Vec<_> = mine.iter().filter(|name| !manifest.secrets.contains(name)).map(|name| format!("`{name}`")).collect();
    if !missing.is_empty() {
        report
            .error(file.span, "not-sealed", format!("not sealed yet: {}", missing.join(", ")))
            .help("run `julia-bootstrap seal` again, and upload what it writes");
        return None;
    }
    let words = |text: &str, length: usize| text.len() == length && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    // The key stands in a file of its own, on a line of its own.
    if !words(&manifest.sha256, 64) || !words(&manifest.key, 74) || !manifest.key.starts_with("AGE-SECRET-KEY-1") {
        report.error(file.span, "not-sealed", "its key or its sum is damaged").help("run `julia-bootstrap seal` again");
        return None;
    }
    Some(Sealed { url: url.0.clone(), key: Secret::new(manifest.key), sha256: manifest.sha256.to_ascii_lowercase() })
}
