//! `providers`: what each provider takes.

use crate::deliver::{self, cloud, provider};
use anyhow::{Context, Result};
use clap::Args;
use std::process::ExitCode;

/// Print what each provider takes, and what is peculiar there.
#[derive(Args)]
#[command(after_help = "Examples:\n  julia-bootstrap providers\n  julia-bootstrap render my.yaml --provider hetzner -o user-data")]
pub struct Providers {
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Providers {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode> {
        let text = if self.json {
            serde_json::to_string_pretty(&provider::ALL).context("writing JSON")? + "\n"
        } else {
            table()
        };
        deliver::stdout(text.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}

fn table() -> String {
    let mut text = format!("{:<14}{:<26}{:>9}  {:<9}{}\n", "name", "provider", "bytes", "format", "plans: 2 CPUs and 4 GB; 4 CPUs and 8 GB");
    for one in provider::ALL {
        let limit = one.limit.map_or("-".to_owned(), |limit| limit.to_string());
        text += &format!("{:<14}{:<26}{limit:>9}  {:<9}{}\n", one.id, one.title, one.format.0.name(), one.sizes.join("; "));
    }
    for one in provider::ALL {
        text += &format!("\n{} ({})\n", one.title, one.id);
        let said = [("limit", one.limit_source.to_owned()), ("regions", one.regions.to_owned()), ("images", one.images.join("; "))];
        for (what, line) in said {
            text += &format!("  {what}: {line}\n");
        }
        if let Some(api) = cloud::named(one.id) {
            let names = api.variables().iter().map(|variable| variable.names.join(" or ") + if variable.needed { "" } else { " (if there is one)" });
            text += &format!("  credentials for `launch`, `list`, `destroy`: {}\n", names.collect::<Vec<_>>().join(", "));
        }
        for line in one.quirks {
            text += &format!("  {line}\n");
        }
        if !one.unverified.is_empty() {
            text += &format!("  not verified: {}\n", one.unverified.join("; "));
        }
    }
    text + "\nNone was tried with an account: this is what their documentation says.\n"
}
