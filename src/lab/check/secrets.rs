//! Secrets: where they may be, and nowhere else.

use anyhow::Result;
use serde_json::{Value, json};

use super::{Context, Outcome, SECRETS};

fn look(context: &mut Context, generated_only: bool) -> Result<Value> {
    let wanted: Vec<Value> = context
        .expect
        .secrets
        .iter()
        .filter(|secret| secret.generated || !generated_only)
        .map(|secret| json!({"name": secret.name, "file": secret.file}))
        .collect();
    context.ssh.script(&SECRETS, &[&context.expect.directory(), &Value::from(wanted).to_string()])
}

/// `.env` 600, `credentials` 700, everything root's.
pub fn modes(context: &mut Context) -> Result<Outcome> {
    let value = look(context, false)?;
    let mut wrong = Vec::new();
    let mut hold = |what: &str, found: &Value, expected: &str| {
        let found = found.as_str().unwrap_or("?");
        if found != expected {
            wrong.push(format!("{what} has {found}, not {expected} (mode and owner)"));
        }
    };
    hold(".env", &value["env"], "600 0");
    hold("credentials", &value["credentials"], "700 0");
    for (path, mode) in value["files"].as_object().into_iter().flatten() {
        if !mode.as_str().is_some_and(|mode| mode.starts_with("600 ") || mode.starts_with("400 ")) {
            wrong.push(format!("{path} has mode {mode}"));
        }
    }
    for (name, text) in value["values"].as_object().into_iter().flatten() {
        if text.as_str().is_none_or(str::is_empty) {
            wrong.push(format!("{name} has no value"));
        }
    }
    Ok(if wrong.is_empty() {
        Outcome::Pass(format!("{} secrets in place", context.expect.secrets.len()))
    } else {
        Outcome::Fail(wrong.join("; "))
    })
}

/// The values of generated secrets turn up in none of the places that others can read or that are kept.
pub fn nowhere_else(context: &mut Context) -> Result<Outcome> {
    let value = look(context, true)?;
    let values = value["values"].as_object().cloned().unwrap_or_default();
    if values.is_empty() {
        return Ok(Outcome::Skipped("the profile generates no secret".to_string()));
    }
    let console = std::fs::read(context.engine.console()).unwrap_or_default();
    let mut finds: Vec<String> = value["finds"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|find| format!("{} in {}", find[0].as_str().unwrap_or("?"), find[1].as_str().unwrap_or("?")))
        .collect();
    let empty: Vec<&str> =
        values.iter().filter(|(_, text)| text.as_str().is_none_or(|text| text.len() < 12)).map(|(name, _)| name.as_str()).collect();
    if !empty.is_empty() {
        return Ok(Outcome::Fail(format!("no value on the machine for {}: nothing to look for", empty.join(", "))));
    }
    for (name, text) in &values {
        let text = text.as_str().unwrap_or_default().as_bytes();
        for (place, bytes) in [("the console", &console), ("user-data", &context.seed.user_data)] {
            if bytes.windows(text.len()).any(|window| window == text) {
                finds.push(format!("{name} in {place}"));
            }
        }
    }
    Ok(if finds.is_empty() {
        Outcome::Pass(format!(
            "{} values looked for in {} files, the journal, ps, status, console and user-data",
            values.len(),
            value["searched"]
        ))
    } else {
        Outcome::Fail(finds.join("; "))
    })
}
