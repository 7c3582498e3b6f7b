//! The stack's containers.

use anyhow::Result;
use serde_json::Value;

use super::{CONTAINERS, Context, Outcome};

fn rows(context: &Context) -> Result<Vec<Value>> {
    let value = context.ssh.script(&CONTAINERS, &[&context.expect.name])?;
    Ok(value.as_array().cloned().unwrap_or_default())
}

fn service(row: &Value) -> &str {
    row["service"].as_str().unwrap_or("?")
}

/// Every service runs, and is healthy where it has a health check.
pub fn healthy(context: &mut Context) -> Result<Outcome> {
    if context.expect.services.is_empty() {
        return Ok(Outcome::Skipped("the profile has no services".to_string()));
    }
    let rows = rows(context)?;
    let mut wrong = Vec::new();
    for expected in &context.expect.services {
        let Some(row) = rows.iter().find(|row| service(row) == expected.name) else {
            wrong.push(format!("{} has no container", expected.name));
            continue;
        };
        if expected.is_job {
            if row["state"] != "exited" || row["exit"] != 0 {
                wrong.push(format!("{} has not done its work: {}", expected.name, row["state"].as_str().unwrap_or("?")));
            }
            continue;
        }
        let health = row["health"].as_str();
        if row["state"] != "running" || (expected.has_healthcheck && health != Some("healthy")) {
            let state = row["state"].as_str().unwrap_or("?");
            wrong.push(format!("{} is {state}, {}", expected.name, health.unwrap_or("without a health check")));
        }
    }
    Ok(if wrong.is_empty() {
        let names: Vec<&str> = context.expect.services.iter().map(|service| service.name.as_str()).collect();
        Outcome::Pass(names.join(", "))
    } else {
        Outcome::Fail(wrong.join("; "))
    })
}

/// The user of each container's first process, as the machine's kernel sees it.
pub fn not_root(context: &mut Context) -> Result<Outcome> {
    if context.expect.services.is_empty() {
        return Ok(Outcome::Skipped("the profile has no services".to_string()));
    }
    let rows = rows(context)?;
    let (mut wrong, mut seen) = (Vec::new(), Vec::new());
    let job = |row: &&Value| context.expect.services.iter().any(|one| one.is_job && one.name == service(row));
    for row in rows.iter().filter(|row| !job(row)) {
        let name = service(row);
        let reason = context.expect.services.iter().find(|one| one.name == name).and_then(|one| one.root_reason.clone());
        match (row["uid"].as_u64(), reason) {
            (None, _) => wrong.push(format!("{name} does not run")),
            (Some(0), None) => wrong.push(format!("{name} runs as root, and the profile gives no reason")),
            (Some(0), Some(reason)) => seen.push(format!("{name} 0 ({reason})")),
            (Some(uid), _) => seen.push(format!("{name} {uid}")),
        }
    }
    if rows.is_empty() {
        wrong.push("there are no containers".to_string());
    }
    Ok(if wrong.is_empty() { Outcome::Pass(seen.join(", ")) } else { Outcome::Fail(wrong.join("; ")) })
}
