//! The provider's metadata service: for the machine, not for what runs in its containers.

use anyhow::Result;
use serde_json::Value;

use super::{Context, METADATA, Outcome, words};

fn ask(context: &mut Context) -> Result<std::result::Result<Value, Outcome>> {
    if let Some(known) = &context.metadata {
        return Ok(Ok(known.clone()));
    }
    let Some(metadata) = context.lab.and_then(|lab| lab.metadata.clone()) else {
        return Ok(Err(Outcome::Skipped("there is no metadata service without a lab".to_string())));
    };
    let image = context.lab.and_then(|lab| lab.canary.as_ref()).map(|canary| canary.image.clone()).unwrap_or_default();
    let (v4, v6) = (metadata.v4.to_string(), metadata.v6.to_string());
    let value = context.ssh.script(&METADATA, &[&v4, &v6, &metadata.body, &image])?;
    context.metadata = Some(value.clone());
    Ok(Ok(value))
}

fn got(answer: &Value, body: &Value) -> bool {
    match (answer.as_str(), body.as_str()) {
        (Some(answer), Some(body)) => answer.contains(body),
        _ => false,
    }
}

/// The machine itself gets the body.
pub fn host(context: &mut Context) -> Result<Outcome> {
    let value = match ask(context)? {
        Ok(value) => value,
        Err(skipped) => return Ok(skipped),
    };
    let silent: Vec<String> = ["v4", "v6"]
        .iter()
        .filter(|family| !got(&value["host"][**family], &value["body"]))
        .map(|family| format!("{family}: {}", value["host"][*family].as_str().unwrap_or("no answer")))
        .collect();
    Ok(if silent.is_empty() { Outcome::Pass("both answered".to_string()) } else { Outcome::Fail(silent.join("; ")) })
}

/// No container gets it, asked from inside each one's network.
pub fn containers(context: &mut Context) -> Result<Outcome> {
    let value = match ask(context)? {
        Ok(value) => value,
        Err(skipped) => return Ok(skipped),
    };
    if !got(&value["host"]["v4"], &value["body"]) {
        return Ok(Outcome::Fail("the machine itself gets no answer either, so this proves nothing".to_string()));
    }
    let rows = value["containers"].as_array().cloned().unwrap_or_default();
    let notes = words(&value["notes"]);
    let name = |row: &Value| row["name"].as_str().unwrap_or("?").to_string();
    let reached: Vec<String> = rows
        .iter()
        .filter(|row| got(&row["v4"], &value["body"]) || got(&row["v6"], &value["body"]))
        .map(name)
        .collect();
    let routed = |key: &str| rows.iter().filter(|row| row[key] == true).count();
    if !reached.is_empty() {
        return Ok(Outcome::Fail(format!("{} read it", reached.join(", "))));
    }
    if rows.is_empty() {
        return Ok(Outcome::Skipped(format!("no container ran: {}", notes.join("; "))));
    }
    if routed("routed4") == 0 {
        return Ok(Outcome::Fail("no container has a route there, so this proves nothing".to_string()));
    }
    let mut detail = format!(
        "{} containers tried, {} with a route by IPv4, {} by IPv6",
        rows.len(),
        routed("routed4"),
        routed("routed6")
    );
    if !notes.is_empty() {
        detail += &format!("; {}", notes.join("; "));
    }
    Ok(Outcome::Pass(detail))
}
