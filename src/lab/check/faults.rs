//! What goes wrong on purpose, and whether somebody is told: of each fault as it begins, and of its end.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::{Context, FAULTS, MONITORING, Outcome};
use crate::lab::interrupt;

/// How long a message may take: a disk must be full for five minutes, Prometheus and Alertmanager wait for each other, and a
/// stage has failed when it failed five times, which took a machine that QEMU emulates more than ten minutes.
const TELLING: Duration = Duration::from_secs(1200);

/// A fault that was begun.
#[derive(Debug)]
struct Fault {
    /// As the script on the machine knows it.
    kind: &'static str,
    /// Words that stand in the message's line, after its severity.
    words: String,
    began: Instant,
}

/// What was broken since the machine was well.
#[derive(Debug, Default)]
pub struct Faults {
    /// Where the log of the lab's Slack ended before the first fault.
    from: Option<u64>,
    all: Vec<Fault>,
}

impl Faults {
    fn get(&self, kind: &str) -> Option<&Fault> {
        self.all.iter().find(|fault| fault.kind == kind)
    }
}

/// The end of the log of the lab's Slack, or the reason why nobody would be told.
fn log_end(context: &Context) -> std::result::Result<u64, Outcome> {
    if context.expect.monitoring.is_none() {
        return Err(Outcome::Skipped("the profile has no monitoring".to_string()));
    }
    match context.lab.and_then(|lab| lab.slack_log.as_deref()) {
        Some(log) => Ok(std::fs::metadata(log).map(|data| data.len()).unwrap_or(0)),
        None => Err(Outcome::Skipped("without a lab there is nobody to be told".to_string())),
    }
}

/// What the lab's Slack was told since its log had `from` bytes, by line of each message.
fn told(context: &Context, from: u64) -> Result<Vec<String>> {
    let path = context.lab.and_then(|lab| lab.slack_log.as_deref()).context("the lab has no Slack")?;
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let new = text.get(usize::try_from(from).unwrap_or(0)..).unwrap_or_default().to_lowercase();
    // A message's own line breaks are escaped in it.
    Ok(new.split('\n').flat_map(|line| line.split("\\n")).map(str::to_string).collect())
}

/// Waits for a line that begins with this state and severity and holds these words.
fn heard(context: &Context, from: u64, what: &str, words: &str, limit: Duration) -> Result<bool> {
    let words = words.to_lowercase();
    interrupt::wait_until(limit, Duration::from_secs(2), || {
        Ok(told(context, from)?.iter().any(|line| line.contains(what) && line.contains(&words)))
    })
}

/// Breaks something; gives what the machine says was done, or nothing where it cannot be.
fn begin(context: &mut Context, kind: &'static str, which: &str, words: impl Fn(&str) -> String) -> Result<Option<String>> {
    let argument = if which.is_empty() { kind.to_string() } else { format!("{kind}={which}") };
    let value = context.ssh.script(&FAULTS, &[&context.expect.name, "begin", &argument])?;
    let Some(done) = value[kind].as_str() else { return Ok(None) };
    context.faults.all.push(Fault { kind, words: words(done), began: Instant::now() });
    Ok(Some(done.to_string()))
}

/// Fills a small volume: its alert waits for five minutes, in which the other checks go on.
pub fn volume(context: &mut Context) -> Result<Outcome> {
    match log_end(context) {
        Err(skipped) => return Ok(skipped),
        Ok(end) => context.faults.from = Some(end),
    }
    let done = begin(context, "volume", "", |_| "/srv/small".to_string())?;
    Ok(Outcome::Pass(done.unwrap_or_default()))
}

/// Breaks a stage, the newest backup's date, and a public service; where memory is counted, one container has had too much.
pub fn others(context: &mut Context) -> Result<Outcome> {
    if let Err(skipped) = log_end(context) {
        return Ok(skipped);
    }
    let mut done = Vec::new();
    // The first that needs the container running comes first.
    done.extend(begin(context, "memory", "", |service| format!("{service} was killed"))?.map(|service| format!("{service} out of memory")));
    done.extend(begin(context, "stage", "", |stage| format!("stage {stage} fails"))?.map(|stage| format!("stage {stage} broken")));
    done.extend(begin(context, "backup", "", |_| "last backup".to_string())?.map(|age| format!("backup {age}")));
    if let Some(service) = context.expect.public_service.clone() {
        done.extend(begin(context, "service", &service, |service| service.to_string())?.map(|service| format!("{service} stopped")));
    }
    Ok(Outcome::Pass(done.join(", ")))
}

fn told_of(context: &mut Context, kind: &str, what: &str, missing: &str) -> Result<Outcome> {
    let (Some(from), Some(fault)) = (context.faults.from, context.faults.get(kind)) else {
        return Ok(Outcome::Skipped(missing.to_string()));
    };
    let limit = TELLING.saturating_sub(fault.began.elapsed());
    Ok(if heard(context, from, what, &fault.words, limit)? {
        Outcome::Pass(format!("`{what}: … {}` within {:.0} s", fault.words, fault.began.elapsed().as_secs_f64()))
    } else {
        Outcome::Fail(format!("nobody was told `{what}: … {}`; Slack heard: {}", fault.words, told(context, from)?.join(" ")))
    })
}

const NOT_BROKEN: &str = "the machine has nothing of it to break, or nobody to be told";
const CRITICAL: &str = "firing, critical";

/// A public service that stopped.
pub fn service(context: &mut Context) -> Result<Outcome> {
    told_of(context, "service", CRITICAL, "the profile has no service with a route and metrics, or nobody to be told")
}

/// A stage that fails again and again.
pub fn stage(context: &mut Context) -> Result<Outcome> {
    told_of(context, "stage", CRITICAL, NOT_BROKEN)
}

/// A backup that is too old.
pub fn backup(context: &mut Context) -> Result<Outcome> {
    told_of(context, "backup", CRITICAL, "the profile has no backups, or nobody to be told")
}

/// A full disk.
pub fn disk(context: &mut Context) -> Result<Outcome> {
    told_of(context, "volume", CRITICAL, NOT_BROKEN)
}

/// A container that the kernel killed for its memory.
pub fn memory(context: &mut Context) -> Result<Outcome> {
    told_of(context, "memory", "firing, warning", "the kernel counts no memory of containers here: boot in QEMU for this")
}

/// The warnings about the same things fire, and are held back by the critical ones.
pub fn inhibited(context: &mut Context) -> Result<Outcome> {
    let Some(from) = context.faults.from else { return Ok(Outcome::Skipped(NOT_BROKEN.to_string())) };
    let mut wanted: Vec<_> = context.faults.get("volume").map(|fault| ("DiskHigh", fault.words.clone())).into_iter().collect();
    wanted.extend(context.faults.get("service").map(|fault| ("ContainerDown", fault.words.clone())));
    if wanted.is_empty() {
        return Ok(Outcome::Skipped(NOT_BROKEN.to_string()));
    }
    let mut last = Value::Null;
    // The warning about a service waits for five minutes as well.
    let held = interrupt::wait_until(TELLING, Duration::from_secs(5), || {
        last = context.ssh.script(&MONITORING, &[&context.expect.name, "alerts"])?;
        let rows = last.as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(wanted.iter().all(|(alert, of)| {
            rows.iter().any(|row| row["alert"] == *alert && row["of"] == of.as_str() && row["inhibited"] == true)
        }))
    })?;
    if !held {
        return Ok(Outcome::Fail(format!("not all of {wanted:?} fire and are held back: {last}")));
    }
    for line in told(context, from)? {
        if line.contains("firing, warning") && wanted.iter().any(|(_, of)| line.contains(of.as_str())) {
            return Ok(Outcome::Fail(format!("a warning came through: {line}")));
        }
    }
    Ok(Outcome::Pass(wanted.iter().map(|(alert, of)| format!("{alert} {of}")).collect::<Vec<_>>().join(", ")))
}

/// Mends everything; each critical message is followed by its end.
pub fn mended(context: &mut Context) -> Result<Outcome> {
    if context.faults.all.is_empty() {
        return Ok(Outcome::Skipped(NOT_BROKEN.to_string()));
    }
    let Ok(middle) = log_end(context) else { bail!("the lab's Slack is gone") };
    let mut words = vec![context.expect.name.clone(), "mend".to_string()];
    // That somebody had too much memory is past already.
    let open: Vec<&Fault> = context.faults.all.iter().filter(|fault| fault.kind != "memory").collect();
    words.extend(open.iter().map(|fault| match fault.kind {
        "service" => format!("service={}", fault.words),
        kind => kind.to_string(),
    }));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    context.ssh.script(&FAULTS, &words)?;
    let began = Instant::now();
    let (mut wrong, mut right) = (Vec::new(), Vec::new());
    for fault in open {
        let limit = TELLING.saturating_sub(began.elapsed());
        if heard(context, middle, "resolved, critical", &fault.words, limit)? {
            right.push(format!("{} within {:.0} s", fault.words, began.elapsed().as_secs_f64()));
        } else {
            wrong.push(fault.words.clone());
        }
    }
    context.ssh.script(&FAULTS, &[&context.expect.name, "mend", "tidy"])?;
    Ok(if wrong.is_empty() {
        Outcome::Pass(right.join(", "))
    } else {
        Outcome::Fail(format!("nobody was told of the end of {}; Slack heard: {}", wrong.join(", "), told(context, middle)?.join(" ")))
    })
}
