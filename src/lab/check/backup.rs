//! Backups: made by the timer's own unit, and tried by the trial's.

use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use super::{Context, Outcome};

/// It runs at the lowest priority, and a busy machine makes it wait.
const LIMIT: Duration = Duration::from_secs(1200);

/// A backup is made, listed, and restored by way of trial.
pub fn made(context: &mut Context) -> Result<Outcome> {
    if !context.expect.backup {
        return Ok(Outcome::Skipped("the profile has no backups".to_string()));
    }
    let mut told = Vec::new();
    for what in ["backup", "backup-drill"] {
        let unit = format!("{}-{what}.service", context.expect.name);
        let ended = context.ssh.run_with(&[], &["sudo", "-n", "systemctl", "start", &unit], b"", LIMIT)?;
        let said = context.ssh.sudo(&["journalctl", "-u", &unit, "-t", "python3", "-n", "3", "-o", "cat"])?.stdout;
        if !ended.ok() {
            return Ok(Outcome::Fail(format!("{unit}: {} {}", ended.tail(), said.trim())));
        }
        told.push(said.trim().replace('\n', "; "));
    }
    let list = context.ssh.sudo(&["bootstrapctl", "backups", "--json"])?;
    let rows: Value = serde_json::from_str(&list.stdout).unwrap_or_default();
    let count = rows.as_array().or_else(|| rows["backups"].as_array()).map_or(0, Vec::len);
    Ok(if count > 0 { Outcome::Pass(told.join("; ")) } else { Outcome::Fail(format!("no backup is listed: {}", list.tail())) })
}
