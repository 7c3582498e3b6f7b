//! `bundle`: what a machine fetches whose user-data is a stub.

use super::{Source, Verbosity, load_plan};
use crate::{deliver, encode};
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use url::Url;

/// Write the file that `render --bundle-url` has the machine fetch.
#[derive(Args)]
#[command(after_help = "Examples:\n  julia-bootstrap bundle my.yaml -o my.bundle          # upload it to https://files.example.com/my.bundle\n  julia-bootstrap render my.yaml --bundle-url https://files.example.com/my.bundle -o user-data")]
pub struct Bundle {
    #[command(flatten)]
    source: Source,
    /// Write here.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

impl Bundle {
    /// Runs the command.
    pub fn run(self, verbosity: Verbosity) -> Result<ExitCode> {
        let plan = match load_plan(&self.source, Some(&self.output), verbosity)? {
            Ok((_, plan)) => plan,
            Err(code) => return Ok(code),
        };
        // The file does not depend on where it will lie.
        let (_, bytes) = encode::remote(&plan, &Url::parse("https://localhost/")?, encode::Frame::Script)?;
        deliver::output(&self.output, &bytes, 0o600)?;
        if verbosity > Verbosity::Quiet {
            let secrets = plan.embedded_secrets();
            let word = if secrets == 1 { "secret" } else { "secrets" };
            if secrets > 0 {
                crate::tell!("note: it holds {secrets} {word}: whoever can fetch it can read them; take it away once the machine is ready");
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
