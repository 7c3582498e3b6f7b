//! `explain`: what will be on the machine.

use super::{Source, Verbosity, plan_of};
use crate::encode::{self, Format};
use crate::plan::Plan;
use crate::deliver;
use crate::load::Input;
use crate::resolve::Ask;
use anyhow::Result;
use clap::Args;
use serde_json::json;
use std::process::ExitCode;

/// Tell what a profile will put on the machine: ports, stages, packages, and where each secret comes from and ends.
#[derive(Args)]
#[command(after_help = "Examples:\n  julia-bootstrap explain my.yaml\n  julia-bootstrap explain my.yaml --size\n  julia-bootstrap explain my.yaml --json | jq .secrets")]
pub struct Explain {
    #[command(flatten)]
    source: Source,
    /// Bytes per section, before and after packing, and of the user-data in each format.
    #[arg(long)]
    size: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Explain {
    /// Runs the command.
    pub fn run(self, verbosity: Verbosity) -> Result<ExitCode> {
        let input = Input { ask: Ask::WithoutCommands, ..self.source.input() };
        let plan = match plan_of(&input, verbosity)? {
            Ok((_, plan)) => plan,
            Err(code) => return Ok(code),
        };
        let text = match (self.size, self.json) {
            (false, false) => words(&plan),
            (false, true) => format!("{:#}\n", json!(plan)),
            (true, true) => format!("{:#}\n", json!({"sections": encode::sizes(&plan)?, "formats": formats(&plan)?.into_iter().collect::<std::collections::BTreeMap<_, _>>()})),
            (true, false) => {
                let mut text = sections(&plan)?;
                text += "\nuser-data as     bytes\n";
                for (name, bytes) in formats(&plan)? {
                    text += &format!("{name:<14}{bytes:>8}\n");
                }
                text
            }
        };
        deliver::stdout(text.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}

fn words(plan: &Plan) -> String {
    let mut text = format!("{} on {}, host name {}\n", plan.name, plan.distribution.facts().title, plan.hostname);
    let mut part = |title: &str, lines: Vec<String>| {
        text += &format!("\n{title}\n");
        lines.iter().for_each(|line| text += &format!("  {line}\n"));
    };
    part("Open ports", plan.ports.iter().map(|rule| format!("{}/{}", rule.port, rule.protocol.name())).collect());
    let after = |stage: &crate::plan::Stage| if stage.after.is_empty() { String::new() } else { format!(", after {}", stage.after.join(", ")) };
    part("Stages", plan.stages.iter().map(|stage| format!("{:<11} {}{}", stage.name, stage.title, after(stage))).collect());
    part("Packages", vec![plan.packages.join(" ")]);
    part("Secrets", plan.secrets.iter().map(|secret| format!("{}: {}; ends in {}", secret.name, secret.way, secret.path)).collect());
    part("Files", plan.files.iter().map(|file| format!("{:04o} {:>7} {}", file.mode, file.content.len(), file.path)).collect());
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
