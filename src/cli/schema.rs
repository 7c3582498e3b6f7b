//! `schema`: what editors need to complete and explain a profile.

use crate::{deliver, profile};
use anyhow::Result;
use clap::Args;
use std::process::ExitCode;

/// Print the JSON Schema of a profile, by which editors complete and explain every field.
#[derive(Args)]
#[command(after_help = "Example, for editors with a YAML language server:\n  julia-bootstrap schema >profile.schema.json\n  and, as the profile's first line:\n  # yaml-language-server: $schema=profile.schema.json")]
pub struct Schema {}

impl Schema {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode> {
        deliver::stdout(format!("{:#}\n", profile::schema()).as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}
