//! `explain`: what will be on the machine.

use super::{Source, Verbosity, plan_of};
use crate::encode::{self, Format};
use crate::plan::Plan;
use crate::{budget, deliver};
use crate::explain::{Explanation, PARTS, explain, layers, page};
use crate::load::Input;
use crate::resolve::Ask;
use anyhow::Result;
use clap::Args;
use serde_json::json;
use std::process::ExitCode;

/// Tell what a profile will put on the machine: all of it, or one part.
#[derive(Args)]
#[command(after_help = "Examples:\n  julia-bootstrap explain my.yaml\n  julia-bootstrap explain my.yaml routes\n  julia-bootstrap explain my.yaml --html machine.html\n  julia-bootstrap explain my.yaml --size\n  julia-bootstrap explain my.yaml --json | jq .secrets")]
pub struct Explain {
    #[command(flatten)]
    source: Source,
    /// This part alone.
    #[arg(value_name = "WHAT", value_parser = clap::builder::PossibleValuesParser::new(PARTS))]
    what: Option<String>,
    /// Bytes per section, before and after packing, and of the user-data in each format.
    #[arg(long)]
    size: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
    /// Write it as one page that needs nothing else, with the architecture drawn.
    #[arg(long, value_name = "FILE.html", conflicts_with_all = ["size", "json", "what"])]
    html: Option<std::path::PathBuf>,
}

impl Explain {
    /// Runs the command.
    pub fn run(self, verbosity: Verbosity) -> Result<ExitCode> {
        let outputs = self.html.iter().cloned().collect();
        let input = Input { ask: Ask::WithoutCommands, outputs, ..self.source.input() };
        let (profile, plan) = match plan_of(&input, verbosity)? {
            Ok(both) => both,
            Err(code) => return Ok(code),
        };
        if self.size || self.what.as_deref() == Some("size") {
            deliver::stdout(sizes(&plan, self.json)?.as_bytes())?;
            return Ok(ExitCode::SUCCESS);
        }
        let machine = explain(&profile, &plan, &crate::load::places(&input))?;
        if let Some(path) = &self.html {
            deliver::output(path, page(&machine)?.as_bytes(), 0o644)?;
            return Ok(ExitCode::SUCCESS);
        }
        let text = match (self.json, self.what.as_deref()) {
            (true, None) => format!("{:#}\n", json!(machine)),
            (true, Some(what)) => format!("{:#}\n", json!(machine)[what]),
            (false, what) => words(&machine, what),
        };
        deliver::stdout(text.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}

fn sizes(plan: &Plan, json: bool) -> Result<String> {
    if json {
        let formats = formats(plan)?.into_iter().collect::<std::collections::BTreeMap<_, _>>();
        return Ok(format!("{:#}\n", json!({"sections": encode::sizes(plan)?, "formats": formats})));
    }
    let mut text = sections(plan)?;
    text += "\nuser-data as     bytes\n";
    for (name, bytes) in formats(plan)? {
        text += &format!("{name:<14}{bytes:>8}\n");
    }
    Ok(text)
}

/// Columns as wide as what is in them.
fn columns(rows: Vec<Vec<String>>) -> Vec<String> {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().enumerate().map(|(column, cell)| format!("{cell:<width$}", width = widths[column])).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn words(machine: &Explanation, what: Option<&str>) -> String {
    let mut text = String::new();
    if what.is_none() {
        text += &format!("{} on {}, host name {}, {}\n", machine.name, machine.system, machine.hostname, machine.timezone);
    }
    let mut part = |name: &str, title: &str, lines: Vec<String>| {
        if what.is_none() && !lines.is_empty() {
            text += &format!("\n{title}\n");
            lines.iter().for_each(|line| text += &format!("  {line}\n"));
        } else if what == Some(name) {
            lines.iter().for_each(|line| text += &format!("{line}\n"));
        }
    };
    let because = |row: &crate::explain::Row| row.because.as_ref().map(|because| format!("({because})")).unwrap_or_default();
    part("ports", "Open ports", columns(machine.ports.iter().map(|port| vec![format!("{}/{}", port.port, port.protocol), port.who.clone()]).collect()));
    part("users", "Who may log in", columns(machine.users.iter().map(|user| vec![user.name.clone(), user.may.clone()]).collect()));
    let route = |route: &crate::explain::Path| vec![format!("{}{}", route.host, route.path), format!("{}:{}", route.service, route.port), route.remarks.join(", ")];
    part("routes", "Routes", columns(machine.routes.iter().map(route).collect()));
    let service = |service: &crate::explain::Service| {
        let after = if service.after.is_empty() { None } else { Some(format!("after {}", service.after.join(", "))) };
        vec![service.name.clone(), service.image.clone(), after.into_iter().chain(service.remarks.clone()).collect::<Vec<_>>().join("; ")]
    };
    part("services", "Services", columns(machine.services.iter().map(service).collect()));
    let rows = layers(&machine.stages);
    let stage = |(row, stage): (usize, &&crate::plan::Stage)| {
        let after = if stage.after.is_empty() { String::new() } else { format!("after {}", stage.after.join(", ")) };
        vec![(row + 1).to_string(), stage.name.to_owned(), stage.title.to_owned(), after]
    };
    part("stages", "Stages; those with one number may run side by side", columns(rows.iter().enumerate().flat_map(|(row, stages)| stages.iter().map(move |one| (row, one))).map(stage).collect()));
    part("packages", "Packages", vec![machine.packages.join(" ")]);
    part("secrets", "Secrets", machine.secrets.iter().map(|secret| format!("{}: {}; ends in {}", secret.name, secret.way, secret.path)).collect());
    part("backup", "Backups", machine.backup.clone());
    part("budget", "Memory and disk", budget::words::lines(&machine.budget));
    part("units", "Units", columns(machine.units.iter().map(|unit| vec![unit.name.clone(), unit.title.clone(), unit.when.clone().unwrap_or_default()]).collect()));
    part("files", "Files", columns(machine.files.iter().map(|file| vec![file.mode.clone(), format!("{:>7}", file.bytes), file.path.clone(), because(file)]).collect()));
    text
}

/// Bytes of the user-data in each format.
fn formats(plan: &Plan) -> Result<Vec<(&'static str, usize)>> {
    Format::ALL.into_iter().map(|format| Ok((format.name(), format.encode(plan)?.user_data.len()))).collect()
}

/// The table of sections, the largest first.
pub(super) fn sections(plan: &Plan) -> Result<String> {
    let mut text = format!("{:<14}{:>6}{:>10}{:>10}{:>10}\n", "section", "files", "bytes", "stripped", "packed");
    let mut sum = (0, 0, 0);
    for row in encode::sizes(plan)? {
        text += &format!("{:<14}{:>6}{:>10}{:>10}{:>10}\n", row.section, row.files, row.bytes, row.stripped, row.packed);
        sum = (sum.0 + row.files, sum.1 + row.bytes, sum.2 + row.stripped);
    }
    let packed = Format::Packed.encode(plan)?.user_data.len();
    text += &format!("{:<14}{:>6}{:>10}{:>10}{:>10}\n", "all", sum.0, sum.1, sum.2, packed);
    let left = encode::BUDGET_BYTES as i64 - packed as i64;
    let (left, word) = if left < 0 { (-left, "too many") } else { (left, "left") };
    text += &format!("of {} bytes: {left} {word}\n", encode::BUDGET_BYTES);
    Ok(text)
}
