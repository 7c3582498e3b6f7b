//! The machine as a whole: ready, as planned, and ready again after a reboot.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{Context, MEMORY, Outcome, RUNBOOK, UPGRADES, words};
use crate::lab::console::{self, Event, Follower};
use crate::lab::interrupt;

/// The first upgrades may install for so long.
const APT: Duration = Duration::from_secs(300);

/// It said so on its console.
pub fn ready(context: &mut Context) -> Result<Outcome> {
    Ok(match context.ready {
        Some(seconds) if context.until.is_empty() => Outcome::Pass(format!("{seconds:.0} s after power-on")),
        Some(seconds) => Outcome::Pass(format!("{} done {seconds:.0} s after power-on", context.until.join(", "))),
        None => Outcome::Fail(format!("it did not within {} s", context.timeout.as_secs())),
    })
}

/// Host name, time zone, swap, and what the kernel is told; of that, a container has only its network to itself.
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
    let planned = context.ssh.run(&["cat", "/etc/sysctl.d/90-julia-bootstrap.conf"])?;
    let planned = kernel_settings(&planned.stdout, context.engine.name() == "qemu");
    if planned.is_empty() {
        return Ok(Outcome::Fail("/etc/sysctl.d/90-julia-bootstrap.conf plans nothing".to_string()));
    }
    let names = planned.iter().map(|(name, _)| *name);
    let found = context.ssh.sudo(&["sysctl", "-n"].into_iter().chain(names).collect::<Vec<_>>())?.stdout;
    let differ = planned.iter().zip(found.lines()).filter(|((_, value), found)| value != found);
    wrong.extend(differ.map(|((name, value), found)| format!("{name} is {found}, not {value}")));
    if planned.len() != found.lines().count() {
        wrong.push(format!("of {} kernel settings, {} can be read", planned.len(), found.lines().count()));
    }
    Ok(if wrong.is_empty() {
        Outcome::Pass(format!("{}, {}{swap_note}", expect.hostname, expect.timezone))
    } else {
        Outcome::Fail(wrong.join("; "))
    })
}

/// Names and values of a file for sysctl: all of them, or those of the network.
fn kernel_settings(text: &str, all: bool) -> Vec<(&str, &str)> {
    let pairs = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    pairs.filter(|(name, _)| all || name.starts_with("net.ipv")).collect()
}

/// Programs do not go on with a library that was replaced; Docker does, and so do containers.
pub fn upgrades(context: &mut Context) -> Result<Outcome> {
    let value = context.ssh.script(&UPGRADES, &[])?;
    let (anew, lost, disturbed) = (words(&value["anew"]), words(&value["lost"]), words(&value["disturbed"]));
    let (refused, nginx) = (words(&value["refused"]), value["nginx"].as_str().unwrap_or("?"));
    let package = value["package"].as_str().unwrap_or("?");
    let mut told = format!("after {package} was unpacked again, {} began anew, {} containers did not", anew.join(", "), value["containers"]);
    if !nginx.is_empty() {
        told += &format!("; nginx {nginx} and turned {} requests away", refused.len());
    }
    let served = refused.is_empty() && ["", "handed over"].contains(&nginx);
    Ok(if anew.contains(&"ssh") && !anew.contains(&"docker") && lost.is_empty() && disturbed.is_empty() && served {
        Outcome::Pass(told)
    } else {
        Outcome::Fail(format!("{told}; gone: {}; disturbed: {}", lost.join(", "), disturbed.join(", ")))
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
    let wrong = words(&value["wrong"]);
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
    let killed = words(&value["killed"]);
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
    // The connection may break before an answer comes. While apt installs, it is refused.
    let asked = interrupt::wait_until(APT, Duration::from_secs(2), || {
        Ok(context.ssh.sudo(&["systemctl", "reboot"]).map_or(true, |ended| ended.ok() || !ended.tail().contains("denied")))
    })?;
    if !asked {
        return Ok(Outcome::Fail(format!("the reboot was refused for {} s", APT.as_secs())));
    }
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
    fn kernel_settings_are_read() {
        let text = "# of ours\nnet.ipv4.conf.all.rp_filter=1\nkernel.core_pattern=|/bin/false\n";
        assert_eq!(kernel_settings(text, false), [("net.ipv4.conf.all.rp_filter", "1")]);
        assert_eq!(kernel_settings(text, true)[1], ("kernel.core_pattern", "|/bin/false"));
    }

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
