//! Backups: made, spoilt, restored, compared; damaged ones refused; the trial and its figure.

use anyhow::Result;
use serde_json::Value;

use super::{BACKUP, Context, Outcome};

/// A backup is made, listed, and restored by way of trial.
pub fn made(context: &mut Context) -> Result<Outcome> {
    if !context.expect.backup {
        return Ok(Outcome::Skipped("the profile has no backups".to_string()));
    }
    let mut told = Vec::new();
    for what in ["backup", "backup-drill"] {
        let unit = format!("{}-{what}.service", context.expect.name);
        let ended = context.ssh.script(&BACKUP, &["unit", what])?;
        let said = context.ssh.sudo(&["journalctl", "-u", &unit, "-t", "python3", "-n", "3", "-o", "cat"])?.stdout;
        if ended["code"] != 0 {
            return Ok(Outcome::Fail(format!("{unit}: {}", said.trim())));
        }
        told.push(said.trim().replace('\n', "; "));
    }
    let list = context.ssh.sudo(&["bootstrapctl", "backups", "--json"])?;
    let rows: Value = serde_json::from_str(&list.stdout).unwrap_or_default();
    let count = rows["backups"].as_array().map_or(0, Vec::len);
    Ok(if count > 0 { Outcome::Pass(told.join("; ")) } else { Outcome::Fail(format!("no backup is listed: {}", list.tail())) })
}

/// The guest's answer, or the reason why it is not asked.
fn ask(context: &Context, what: &str) -> Result<std::result::Result<Value, Outcome>> {
    if !context.expect.backup {
        return Ok(Err(Outcome::Skipped("the profile has no backups".to_string())));
    }
    Ok(Ok(context.ssh.script(&BACKUP, &[what])?))
}

fn said(value: &Value) -> String {
    value["said"].as_str().unwrap_or_default().to_string()
}

/// A backup of data made for it, spoilt data, the backup put back: the same rows, keys, files and secrets.
pub fn restored(context: &mut Context) -> Result<Outcome> {
    let made = match ask(context, "fill")? {
        Ok(made) => made,
        Err(skipped) => return Ok(skipped),
    };
    if made["code"] != 0 {
        return Ok(Outcome::Fail(format!("no backup was made: {}", said(&made))));
    }
    let spoilt = context.ssh.script(&BACKUP, &["change"])?;
    if spoilt["data"] == made["data"] {
        return Ok(Outcome::Fail("nothing was changed, so nothing can be seen to come back".to_string()));
    }
    let restored = context.ssh.script(&BACKUP, &["restore"])?;
    let empty = serde_json::Map::new();
    let data = made["data"].as_object().unwrap_or(&empty);
    let wrong: Vec<&str> = data.iter().filter(|(key, value)| restored["data"][key.as_str()] != **value).map(|(key, _)| key.as_str()).collect();
    Ok(match (restored["code"] == 0, wrong.is_empty() && !data.is_empty()) {
        (true, true) => Outcome::Pass(format!("{}; {} kinds of data are the same: {}", said(&made), data.len(), said(&restored).lines().last().unwrap_or_default())),
        (false, _) => Outcome::Fail(format!("the restore failed: {}", said(&restored))),
        (_, false) => Outcome::Fail(format!("not the same afterwards: {}", wrong.join(", "))),
    })
}

/// A backup with one bit flipped is refused, nothing is touched, and the trial finds it too.
pub fn damaged(context: &mut Context) -> Result<Outcome> {
    Ok(match ask(context, "flip")? {
        Err(skipped) => skipped,
        Ok(value) if value["code"] != 0 && value["same"] == true && value["drill"] != 0 => Outcome::Pass(said(&value)),
        Ok(value) => Outcome::Fail(format!("it was taken, or something was touched: {value}")),
    })
}

/// The trial succeeds, and Prometheus knows of it.
pub fn drill(context: &mut Context) -> Result<Outcome> {
    let value = match ask(context, "drill")? {
        Ok(value) => value,
        Err(skipped) => return Ok(skipped),
    };
    Ok(match value["code"] == 0 && value["metric"] != false {
        true => Outcome::Pass(said(&value)),
        false => Outcome::Fail(format!("{}; in Prometheus: {}", said(&value), value["metric"])),
    })
}
