//! What was found: as JSON and JUnit for programs, as a table and as a page for people.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Value, json};

use super::timeline::{self, Timeline};
use crate::report::printable;
use crate::template;

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
    /// What the stages did in each boot.
    pub boots: Vec<Timeline>,
    /// What ran where, by name.
    pub versions: Vec<(String, String)>,
    /// The end of the last machine's console.
    #[serde(skip)]
    pub console: String,
}

/// What was found at a machine that somebody runs.
#[derive(Debug, Clone, Serialize)]
pub struct Findings {
    /// Its domain.
    pub of: String,
    /// Seconds that it took.
    pub seconds: f64,
    /// The checks.
    pub checks: Vec<Row>,
}

fn count(checks: &[Row], verdict: Verdict) -> usize {
    checks.iter().filter(|row| row.result == verdict).count()
}

fn tally(checks: &[Row]) -> String {
    let [passed, failed, skipped] = [Verdict::Pass, Verdict::Fail, Verdict::Skipped].map(|verdict| count(checks, verdict));
    format!("{passed} passed, {failed} failed, {skipped} skipped")
}

/// One line a check, and what was seen below it; with escape sequences for colour.
fn rows(checks: &[Row]) -> String {
    let width = checks.iter().map(|row| row.id.len()).max().unwrap_or(0);
    let mut text = String::new();
    for row in checks {
        let (colour, word) = match row.result {
            Verdict::Pass => ("32", "pass"),
            Verdict::Fail => ("31", "FAIL"),
            Verdict::Skipped => ("33", "skip"),
        };
        let seconds = format!("{:.1}", row.seconds);
        text += &format!("\x1b[{colour}m{word}\x1b[0m  {:width$}  {seconds:>6} s  {}\n", row.id, row.title);
        for line in row.detail.lines() {
            text += &format!("      {:width$}            {}\n", "", printable(line));
        }
    }
    text
}

/// JUnit's XML, as continuous integration reads it.
fn junit(of: &str, checks: &[Row], seconds: f64) -> Result<String> {
    let (failures, skips) = (count(checks, Verdict::Fail), count(checks, Verdict::Skipped));
    template::render("reports/junit.xml.j2", json!({"of": of, "checks": checks, "seconds": seconds, "failures": failures, "skips": skips}))
}

/// The page; `more` has what only some reports know.
fn page(title: &str, about: &str, checks: &[Row], more: Value) -> Result<String> {
    let failed = count(checks, Verdict::Fail) > 0 || more["lost"] == true;
    let mut context = json!({
        "title": title, "about": about, "checks": checks, "words": tally(checks), "verdict": if failed { "fail" } else { "pass" },
        "boots": [], "versions": [], "console": "", "lines": 0, "picture": {"width": timeline::WIDTH, "left": timeline::LEFT},
    });
    if let (Some(context), Some(more)) = (context.as_object_mut(), more.as_object()) {
        context.extend(more.clone());
    }
    template::render("reports/page.html.j2", context)
}

/// In the form that the file's name asks for: `.html` a page, `.xml` JUnit, anything else JSON. Whole or not at all.
fn write(path: &Path, json: &impl Serialize, page: impl Fn() -> Result<String>, junit: impl Fn() -> Result<String>) -> Result<()> {
    let text = match path.extension().and_then(|ending| ending.to_str()) {
        Some("html") => page()?,
        Some("xml") => junit()?,
        _ => serde_json::to_string_pretty(json).context("writing the report")? + "\n",
    };
    crate::deliver::file(path, text.as_bytes(), 0o644)
}

impl Findings {
    /// True when nothing failed.
    pub fn holds(&self) -> bool {
        count(&self.checks, Verdict::Fail) == 0
    }

    /// Writes it: `.html` a page, `.xml` JUnit, anything else JSON.
    pub fn write(&self, path: &Path) -> Result<()> {
        let about = format!("Looked at from outside by julia-bootstrap {}, in {:.0} s.", env!("CARGO_PKG_VERSION"), self.seconds);
        write(path, self, || page(&self.of, &about, &self.checks, json!({})), || junit(&self.of, &self.checks, self.seconds))
    }

    /// The table, with escape sequences for colour (the printer strips them where they do not belong).
    pub fn table(&self) -> String {
        format!("{}{}; {}, {:.0} s\n", rows(&self.checks), tally(&self.checks), self.of, self.seconds)
    }
}

impl RunReport {
    /// True when nothing failed.
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|row| row.result != Verdict::Fail) && self.power_cuts.iter().all(|cut| cut.ready)
    }

    /// Writes it: `.html` a page, `.xml` JUnit, anything else JSON.
    pub fn write(&self, path: &Path) -> Result<()> {
        let about = format!("Booted by {} ({}) from {}; bundle {}; {:.0} s.", self.engine, self.accel, self.image, self.bundle, self.seconds);
        let lost = self.power_cuts.iter().any(|cut| !cut.ready);
        let longest = self.boots.iter().map(|boot| boot.seconds).fold(0.0, f64::max);
        let boots: Vec<Value> = self.boots.iter().map(|boot| boot.drawn(longest)).collect();
        let more = json!({"boots": boots, "versions": self.versions, "console": self.console, "lines": self.console.lines().count(), "lost": lost});
        write(path, self, || page(&self.profile, &about, &self.checks, more.clone()), || junit(&self.profile, &self.checks, self.seconds))
    }

    /// The table, with escape sequences for colour (the printer strips them where they do not belong).
    pub fn table(&self) -> String {
        let mut text = rows(&self.checks);
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
        text += &format!(
            "{}; {} power cuts; {} by {} ({}), {:.0} s\n",
            tally(&self.checks),
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
            boots: vec![],
            versions: vec![("kernel".into(), "6.12 <x>".into())],
            console: "a\n\u{1b}[0mb & c\n".into(),
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

    #[test]
    fn what_was_seen_reaches_pages_and_junit_escaped() {
        let mut found = report(Verdict::Fail);
        found.checks[0].detail = "1 < 2 & \u{1}\"x\"".into();
        let mut boot = Timeline::new(1);
        boot.stage("host", "running", 1.0);
        boot.stage("host", "done", 4.0);
        boot.ended(10.0, Some(9.0), false);
        found.boots.push(boot);
        let folder = tempfile::tempdir().expect("a folder");
        for (name, wanted) in [("r.xml", "<failure message=\"A holds\">1 &lt; 2 &amp; &quot;x&quot;</failure>"), ("r.html", "1 &lt; 2 &amp; &quot;x&quot;")] {
            let path = folder.path().join(name);
            found.write(&path).expect("writes");
            let text = std::fs::read_to_string(&path).expect("reads");
            assert!(text.contains(wanted), "{text}");
            assert!(!text.contains('\u{1}') && !text.contains('\u{1b}'));
        }
        let text = std::fs::read_to_string(folder.path().join("r.html")).expect("reads");
        assert!(text.contains("6.12 &lt;x&gt;") && text.contains("<rect class=\"ran\"") && text.contains("b &amp; c"));
    }
}
