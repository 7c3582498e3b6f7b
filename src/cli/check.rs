//! `check`: all findings of a profile at once.

use super::{BAD_INPUT, Source, Verbosity, decisions, tell};
use crate::load::Input;
use crate::resolve::Ask;
use crate::{budget, deliver, load, plan, report::Report};
use anyhow::Result;
use clap::Args;
use std::process::ExitCode;

/// Find everything that is wrong with a profile, and say how to mend it.
#[derive(Args)]
#[command(after_help = "Exit codes: 0 nothing stands in the way, 2 it has errors (with --strict: or warnings).")]
pub struct Check {
    #[command(flatten)]
    source: Source,
    /// Warnings count as errors.
    #[arg(long)]
    strict: bool,
    /// Print the findings as JSON on standard output, and what the services are expected to take.
    #[arg(long)]
    json: bool,
}

impl Check {
    /// Runs the command.
    pub fn run(self, verbosity: Verbosity) -> Result<ExitCode> {
        let mut report = Report::default();
        let input = Input { ask: Ask::WithoutCommands, ..self.source.input() };
        let profile = load::load(&input, &|name| std::env::var(name).ok(), &mut report);
        let profile = profile.filter(|_| !report.has_errors());
        if let Some(profile) = &profile {
            decisions(profile, &plan::plan(profile)?, verbosity);
        }
        if self.strict {
            report.make_strict();
        }
        let bad = report.has_errors();
        if self.json {
            let mut json = report.to_json();
            json["budget"] = serde_json::to_value(profile.as_ref().map(budget::budget))?;
            deliver::stdout(format!("{json}\n").as_bytes())?;
        } else {
            tell(&mut report, verbosity);
        }
        Ok(if bad { ExitCode::from(BAD_INPUT) } else { ExitCode::SUCCESS })
    }
}
