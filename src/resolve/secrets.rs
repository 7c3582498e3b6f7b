//! Secrets: which are made on the machine, and the values of those that are given.

use super::read_beside;
use crate::dotenv;
use crate::profile::model::{SecretPlace, SecretSpec, SecretValue};
use crate::profile::reader::Spanned;
use crate::profile::text::SecretName;
use crate::profile::written::{SecretFields, Secrets};
use crate::report::Report;
use crate::secret::Secret;

/// Largest file embedded as a secret; the whole user-data is 16 KiB at most providers.
const MAX_SECRET: usize = 8 * 1024;

/// Resolves every secret; one that cannot be is a finding.
pub fn resolve(secrets: &Secrets, env: &dyn Fn(&str) -> Option<String>, report: &mut Report) -> Vec<SecretSpec> {
    secrets.0.iter().filter_map(|(name, written)| one(name, &written.0, env, report)).collect()
}

fn one(
    name: &Spanned<SecretName>,
    written: &SecretFields,
    env: &dyn Fn(&str) -> Option<String>,
    report: &mut Report,
) -> Option<SecretSpec> {
    let place = place(name, written, report);
    let value = value(name, written, env, report);
    let (place, value) = (place?, value?);
    if let SecretValue::Given(secret) = &value {
        if secret.expose().is_empty() {
            report.warning(name.span, "empty-secret", format!("the secret `{}` is empty", name.value.0));
        }
        if place == SecretPlace::Env && dotenv::dotenv_quote(secret.expose()).is_none() {
            let message = format!("the value of `{}` contains NUL, which `.env` cannot carry", name.value.0);
            report.error(name.span, "secret-value", message).help("add `as: credential` to embed it as a file");
        }
    }
    Some(SecretSpec { name: name.value.0.clone(), place, value })
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
    if ["COMPOSE_", "DOCKER_", "BUILDKIT_", "LD_"].iter().any(|prefix| text.starts_with(prefix))
        || ["PATH", "HOME", "IFS", "PWD", "SHELL", "USER"].contains(&text.as_str())
    {
        report
            .error(name.span, "secret-name", format!("`{text}` steers Compose or the shell itself"))
            .help("choose another name and pass it on under `environment`");
        return None;
    }
    Some(SecretPlace::Env)
}

fn value(
    name: &Spanned<SecretName>,
    written: &SecretFields,
    env: &dyn Fn(&str) -> Option<String>,
    report: &mut Report,
) -> Option<SecretValue> {
    match (&written.generate, &written.env, &written.file) {
        (Some(length), None, None) => Some(SecretValue::Generate { length: length.0 }),
        (None, Some(variable), None) => {
            let value = env(&variable.value.0);
            if value.is_none() {
                report
                    .error(variable.span, "no-variable", format!("the variable `{}` is not set", variable.value.0))
                    .help("set it in the environment, or give a file with it by --env-file");
            }
            value.map(|value| SecretValue::Given(Secret::new(value)))
        }
        (None, None, Some(file)) => {
            read_beside(file, MAX_SECRET, report).map(|text| SecretValue::Given(Secret::new(text)))
        }
        (generate, variable, file) => {
            let many = generate.is_some() as u8 + variable.is_some() as u8 + file.is_some() as u8 > 1;
            let what = if many { "more than one source" } else { "no source" };
            report
                .error(name.span, "secret-source", format!("the secret `{}` has {what}", name.value.0))
                .help("write one of `generate`, `env` and `file`");
            None
        }
    }
}
