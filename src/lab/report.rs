//! What a run found: as JSON for programs, as a table for people.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It holds.
    Pass,
    /// It does not.
    Fail,
    /// It could not be tried here.
    Skipped,
}

/// One check's result.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Stable identifier.
    pub id: String,
    /// What is held to.
    pub title: String,
    /// How it ended.
    pub result: Verdict,
    /// What was seen, or why it was not tried.
    pub detail: String,
    /// How long it took.
    pub seconds: f64,
}

/// One power cut.
#[derive(Debug, Clone, Serialize)]
pub struct Cut {
    /// Seconds after power-on.
    pub at_seconds: f64,
    /// What the machine was doing: the stages that ran.
    pub during: String,
    /// Whether the next boot led to a ready machine.
    pub ready: bool,
    /// Seconds from that boot to ready.
    pub ready_seconds: Option<f64>,
}

/// A run.
#[derive(Debug, Clone, Serialize)]
pub struct RunReport {
    /// `container` or `qemu`.
    pub engine: String,
    /// `native`, `kvm` or `tcg`.
    pub accel: String,
    /// The image.
    pub image: String,
    /// Name of the profile.
    pub profile: String,
    /// SHA-256 of the bundle.
    pub bundle: String,
    /// Seconds from power-on to ready in the undisturbed boot.
    pub ready_seconds: Option<f64>,
    /// Seconds of the whole run.
    pub seconds: f64,
    /// Seed of the power cuts' moments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The power cuts.
    pub power_cuts: Vec<Cut>,
    /// The checks.
    pub checks: Vec<Row>,
}

impl RunReport {
    /// True when nothing failed.
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|row| row.result != Verdict::Fail) && self.power_cuts.iter().all(|cut| cut.ready)
    }

    /// Writes the report as JSON, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self).context("writing the report")?;
        text.push('\n');
        crate::deliver::file(path, text.as_bytes(), 0o644)
    }

    /// The table, with escape sequences for colour (the printer strips them where they do not belong).
    pub fn table(&self) -> String {
        let width = self.checks.iter().map(|row| row.id.len()).max().unwrap_or(0);
        let mut text = String::new();
        for row in &self.checks {
            let (colour, word) = match row.result {
                Verdict::Pass => ("32", "pass"),
                Verdict::Fail => ("31", "FAIL"),
                Verdict::Skipped => ("33", "skip"),
            };
            let seconds = format!("{:.1}", row.seconds);
            text += &format!("\x1b[{colour}m{word}\x1b[0m  {:width$}  {seconds:>6} s  {}\n", row.id, row.title);
            if !row.detail.is_empty() {
                for line in row.detail.lines() {
                    text += &format!("      {:width$}            {line}\n", "");
                }
            }
        }
        for (index, cut) in self.power_cuts.iter().enumerate() {
            let (colour, word) = if cut.ready { ("32", "pass") } else { ("31", "FAIL") };
            let after = cut.ready_seconds.map_or("not ready after it".to_string(), |s| format!("ready {s:.0} s after it"));
            text += &format!(
                "\x1b[{colour}m{word}\x1b[0m  power cut {} at {:.1} s ({}): {after}\n",
                index + 1,
                cut.at_seconds,
                cut.during
            );
        }
        let count = |verdict| self.checks.iter().filter(|row| row.result == verdict).count();
        text += &format!(
            "{} passed, {} failed, {} skipped; {} power cuts; {} by {} ({}), {:.0} s\n",
            count(Verdict::Pass),
            count(Verdict::Fail),
            count(Verdict::Skipped),
            self.power_cuts.len(),
            self.profile,
            self.engine,
            self.accel,
            self.seconds
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(result: Verdict) -> RunReport {
        RunReport {
            engine: "container".into(),
            accel: "native".into(),
            image: "i".into(),
            profile: "p".into(),
            bundle: "b".into(),
            ready_seconds: Some(1.0),
            seconds: 2.0,
            seed: None,
            power_cuts: vec![],
            checks: vec![Row { id: "a".into(), title: "A holds".into(), result, detail: "d".into(), seconds: 0.5 }],
        }
    }

    #[test]
    fn only_a_failure_fails_and_the_form_is_stable() {
        assert!(report(Verdict::Pass).holds());
        assert!(report(Verdict::Skipped).holds());
        assert!(!report(Verdict::Fail).holds());
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("r.json");
        report(Verdict::Skipped).write(&path).expect("writes");
        let value: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(&path).expect("reads")).expect("JSON");
        assert_eq!(value["checks"][0]["result"], "skipped");
        assert_eq!(value["power_cuts"], serde_json::json!([]));
        let table = report(Verdict::Fail).table();
        assert!(table.contains("FAIL") && table.contains("A holds") && table.contains("1 failed"));
    }

    #[test]
    fn a_machine_that_did_not_recover_fails_the_run() {
        let mut report = report(Verdict::Pass);
        report.power_cuts.push(Cut { at_seconds: 3.0, during: "docker".into(), ready: false, ready_seconds: None });
        assert!(!report.holds());
    }
}
