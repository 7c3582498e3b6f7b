//! What watches the machine: whether it sees everything, and whether somebody is told.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;

use super::{Context, MONITORING, Outcome};
use crate::lab::interrupt;
use crate::profile::model::Level;

/// Scrapes come twice a minute, and what is computed over five minutes needs two of them.
const SETTLING: Duration = Duration::from_secs(150);
/// How long an alert may take to arrive: a minute until it fires, and the waits of Prometheus and Alertmanager.
const ALERT: Duration = Duration::from_secs(300);

fn watched(context: &Context) -> std::result::Result<Level, Outcome> {
    context.expect.monitoring.ok_or_else(|| Outcome::Skipped("the profile has no monitoring".to_string()))
}

/// Asks until the answer is good, for as long as figures may take to come in.
fn settled(context: &Context, what: &str, judge: impl Fn(&[Value]) -> (Vec<String>, String)) -> Result<Outcome> {
    let end = Instant::now() + SETTLING;
    loop {
        let value = context.ssh.script(&MONITORING, &[&context.expect.name, what])?;
        let (wrong, told) = judge(value.as_array().map(Vec::as_slice).unwrap_or_default());
        if wrong.is_empty() {
            return Ok(Outcome::Pass(told));
        }
        if Instant::now() >= end {
            return Ok(Outcome::Fail(wrong.join("; ")));
        }
        interrupt::sleep(Duration::from_secs(10))?;
    }
}

fn text(row: &Value, index: usize) -> &str {
    row[index].as_str().unwrap_or("?")
}

/// Every target of Prometheus is up.
pub fn targets(context: &mut Context) -> Result<Outcome> {
    if let Err(skipped) = watched(context) {
        return Ok(skipped);
    }
    let wanted = context.expect.metrics.clone();
    settled(context, "targets", |rows| {
        let down = rows.iter().filter(|row| row[2] != "up");
        let wrong: Vec<String> = down.map(|row| format!("{} at {} is {}: {}", text(row, 0), text(row, 1), text(row, 2), text(row, 3))).collect();
        let names: Vec<&str> = rows.iter().map(|row| text(row, 0)).collect();
        let missing = wanted.iter().filter(|name| !names.contains(&name.as_str())).map(|name| format!("{name} is no target"));
        (wrong.into_iter().chain(missing).collect(), names.join(", "))
    })
}

/// Every query of every panel returns something.
pub fn panels(context: &mut Context) -> Result<Outcome> {
    if let Err(skipped) = watched(context) {
        return Ok(skipped);
    }
    settled(context, "panels", |rows| {
        let wrong: Vec<String> = rows
            .iter()
            .filter(|row| !text(row, 4).is_empty() || row[3].as_u64().unwrap_or(0) == 0)
            .map(|row| format!("{} / {}: `{}` has no answer {}", text(row, 0), text(row, 1), text(row, 2), text(row, 4)))
            .collect();
        let told = format!("{} queries", rows.len());
        if rows.is_empty() { (vec!["there are no panels".to_string()], told) } else { (wrong, told) }
    })
}

/// What a container logs is found by the name of its service.
pub fn logs(context: &mut Context) -> Result<Outcome> {
    match watched(context) {
        Err(skipped) => return Ok(skipped),
        Ok(Level::Lite) => return Ok(Outcome::Skipped("`monitoring: lite` keeps no logs".to_string())),
        Ok(Level::Full) => {}
    }
    let Some(service) = context.expect.public_service.clone() else {
        return Ok(Outcome::Skipped("the profile has no service with a route and metrics".to_string()));
    };
    let line = format!("a line for the lab {}", crate::lab::random::Random::fresh_seed());
    let value = context.ssh.script(&MONITORING, &[&context.expect.name, "logs", &service, &line])?;
    Ok(if value["found"] == true {
        Outcome::Pass(format!("labels {}", value["labels"]))
    } else {
        Outcome::Fail(format!("it did not arrive: {value}"))
    })
}

/// The dead man's switch is asked for as long as alerts work.
pub fn heartbeat(context: &mut Context) -> Result<Outcome> {
    if let Err(skipped) = watched(context) {
        return Ok(skipped);
    }
    let Some(log) = context.lab.and_then(|lab| lab.heartbeat_log.clone()) else {
        return Ok(Outcome::Skipped("without a lab there is no place for a heartbeat".to_string()));
    };
    let beats = || std::fs::read_to_string(&log).unwrap_or_default().lines().count();
    let container = format!("{}-alertmanager-1", context.expect.name);
    let first = beats();
    if first == 0 {
        return Ok(Outcome::Fail("there never was a heartbeat".to_string()));
    }
    context.ssh.sudo(&["docker", "stop", &container])?;
    let stopped = beats();
    interrupt::sleep(Duration::from_secs(90))?;
    let after = beats();
    context.ssh.sudo(&["docker", "start", &container])?;
    let again = interrupt::wait_until(ALERT, Duration::from_secs(2), || Ok(beats() > after))?;
    Ok(match (after == stopped, again) {
        (true, true) => Outcome::Pass(format!("{first} beats before; none in 90 s without Alertmanager; then again")),
        (false, _) => Outcome::Fail(format!("{} beats came although Alertmanager was stopped", after - stopped)),
        (_, false) => Outcome::Fail("it did not begin again with Alertmanager".to_string()),
    })
}
