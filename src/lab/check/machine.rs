//! The machine as a whole: ready, as planned, and ready again after a reboot.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{Context, MEMORY, Outcome, RUNBOOK};
use crate::lab::console::{self, Event, Follower};
use crate::lab::interrupt;

/// It said so on its console.
pub fn ready(context: &mut Context) -> Result<Outcome> {
    Ok(match context.ready {
        Some(seconds) if context.until.is_empty() => Outcome::Pass(format!("{seconds:.0} s after power-on")),
        Some(seconds) => Outcome::Pass(format!("{} done {seconds:.0} s after power-on", context.until.join(", "))),
        None => Outcome::Fail(format!("it did not within {} s", context.timeout.as_secs())),
    })
}

/// Host name, time zone, swap.
pub fn settings(context: &mut Context) -> Result<Outcome> {
    let mut wrong = Vec::new();
    let expect = context.expect;
    let mut hold = |what: &str, expected: &str, found: &str| {
        if expected != found {
            wrong.push(format!("{what} is {found}, not {expected}"));
        }
    };
    hold("the host name", &expect.hostname, context.ssh.run(&["cat", "/etc/hostname"])?.stdout.trim());
    let link = context.ssh.run(&["readlink", "/etc/localtime"])?.stdout;
    let zone = link.trim().rsplit("zoneinfo/").next().unwrap_or_default();
    hold("the time zone", expect.timezone.trim_start_matches("Etc/"), zone.trim_start_matches("Etc/"));
    let swap_note = if expect.swap_mib > 0 && context.engine.name() == "qemu" {
        let swaps = context.ssh.run(&["cat", "/proc/swaps"])?.stdout;
        let kib: u64 = swaps.lines().skip(1).filter_map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok()).sum();
        hold("swap in MiB", &expect.swap_mib.to_string(), &kib.div_ceil(1024).to_string());
        ""
    } else if expect.swap_mib > 0 {
        "; swap was not looked at, a container has none"
    } else {
        ""
    };
    Ok(if wrong.is_empty() {
        Outcome::Pass(format!("{}, {}{swap_note}", expect.hostname, expect.timezone))
    } else {
        Outcome::Fail(wrong.join("; "))
    })
}

/// `bootstrapctl check` on the machine; it may still be settling after a restart.
pub fn own_check(context: &mut Context) -> Result<Outcome> {
    let patience = if context.live.is_some() { 0 } else { 60 };
    let end = Instant::now() + Duration::from_secs(patience);
    loop {
        let ended = context.ssh.sudo(&["bootstrapctl", "check", "--json"])?;
        let parsed: Result<Value, _> = serde_json::from_str(&ended.stdout);
        let outcome = match parsed {
            Ok(report) => judge(&report, ended.ok()),
            Err(_) => Outcome::Fail(format!("bootstrapctl printed no report: {}", ended.tail())),
        };
        if matches!(outcome, Outcome::Pass(_)) || Instant::now() >= end {
            return Ok(outcome);
        }
        interrupt::sleep(Duration::from_secs(3))?;
    }
}

fn judge(report: &Value, ok: bool) -> Outcome {
    let rows = report["checks"].as_array().cloned().unwrap_or_default();
    let failed: Vec<String> = rows
        .iter()
        .filter(|row| row["result"] == "fail")
        .map(|row| format!("{}: {}", row["id"].as_str().unwrap_or("?"), row["detail"].as_str().unwrap_or("")))
        .collect();
    match (failed.is_empty(), ok, rows.is_empty()) {
        (true, true, false) => Outcome::Pass(format!("{} checks", rows.len())),
        (true, ..) => Outcome::Fail("it ended with an error but named no failed check".to_string()),
        (false, ..) => Outcome::Fail(failed.join("\n")),
    }
}

/// Each command of the runbook is parsed, its programs are there, and what only looks is run.
pub fn runbook(context: &mut Context) -> Result<Outcome> {
    let value = context.ssh.script(&RUNBOOK, &[&context.expect.name, &context.expect.admin_user])?;
    let wrong: Vec<&str> = value["wrong"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    Ok(if wrong.is_empty() && value["run"].as_u64() > Some(0) {
        Outcome::Pass(format!("{} run, {} only parsed", value["run"], value["parsed"]))
    } else {
        Outcome::Fail(wrong.join("\n"))
    })
}

/// Nobody was killed for want of memory, and a tenth of it is to be had still.
pub fn memory(context: &mut Context) -> Result<Outcome> {
    if context.engine.name() != "qemu" {
        return Ok(Outcome::Skipped("a container's memory is the host's: boot in QEMU for this".to_string()));
    }
    let value = context.ssh.script(&MEMORY, &[])?;
    let figure = |key: &str| value[key].as_u64().unwrap_or(0);
    let (total, available) = (figure("total"), figure("available"));
    let mut rows: Vec<(u64, &str)> = value["containers"].as_object().into_iter().flatten()
        .map(|(name, size)| (size.as_u64().unwrap_or(0), name.as_str()))
        .collect();
    rows.sort_by(|a, b| b.cmp(a));
    let sum: u64 = rows.iter().map(|(size, _)| size).sum();
    let list: Vec<String> = rows.iter().map(|(size, name)| format!("{name} {size}")).collect();
    let told = format!(
        "{available} of {total} MiB available, {} MiB swapped out; containers {sum} MiB: {}", figure("swapped"), list.join(", ")
    );
    let killed: Vec<&str> = value["killed"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    Ok(if !killed.is_empty() {
        Outcome::Fail(format!("the kernel killed {}; {told}", killed.join(", ")))
    } else if available * 10 < total {
        Outcome::Fail(told)
    } else {
        Outcome::Pass(told)
    })
}

/// Reboots it and waits.
pub fn reboot(context: &mut Context) -> Result<Outcome> {
    let boot_id = || ["cat", "/proc/sys/kernel/random/boot_id"];
    let before = context.ssh.run(&["stat", "-c", "%Y %Z", "/proc/1"])?.stdout + &context.ssh.run(&boot_id())?.stdout;
    let mut follower = Follower::at_end(context.engine.console());
    let began = Instant::now();
    // The connection may break before an answer comes.
    let _ = context.ssh.sudo(&["systemctl", "reboot"]);
    let mut said = false;
    let timeout = context.timeout;
    let engine = &mut context.engine;
    let up = interrupt::wait_until(timeout, Duration::from_millis(500), || {
        engine.pulse()?;
        said |= follower.lines().iter().any(|line| console::parse(line) == Some(Event::State("ready".to_string())));
        Ok(said)
    })?;
    let seconds = began.elapsed().as_secs_f64();
    if !up {
        return Ok(Outcome::Fail(format!("it did not say that it is ready within {} s", timeout.as_secs())));
    }
    let again = interrupt::wait_until(Duration::from_secs(60), Duration::from_secs(1), || Ok(context.ssh.answers()))?;
    if !again {
        return Ok(Outcome::Fail("it said that it is ready, but SSH does not answer".to_string()));
    }
    let after = context.ssh.run(&["stat", "-c", "%Y %Z", "/proc/1"])?.stdout + &context.ssh.run(&boot_id())?.stdout;
    if before == after {
        return Ok(Outcome::Fail("it never went down".to_string()));
    }
    Ok(match own_check(context).context("asking the machine after its reboot")? {
        Outcome::Pass(detail) => Outcome::Pass(format!("ready after {seconds:.0} s; {detail} pass")),
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_report_is_judged() {
        let good = serde_json::json!({"checks": [{"id": "a", "result": "pass"}]});
        let bad = serde_json::json!({"checks": [{"id": "a", "result": "fail", "detail": "no"}]});
        assert_eq!(judge(&good, true), Outcome::Pass("1 checks".into()));
        assert!(matches!(judge(&good, false), Outcome::Fail(_)));
        assert_eq!(judge(&bad, false), Outcome::Fail("a: no".into()));
        assert!(matches!(judge(&serde_json::json!({}), true), Outcome::Fail(_)));
    }
}
