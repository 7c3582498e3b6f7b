//! `iso`: a NoCloud seed image.

use super::{Source, Verbosity, load_plan};
use crate::deliver;
use crate::encode::{self, Format};
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Write a NoCloud seed image (label CIDATA) for QEMU, Proxmox and the like.
#[derive(Args)]
pub struct Iso {
    #[command(flatten)]
    source: Source,
    /// Where the image goes.
    #[arg(short, long, value_name = "PATH")]
    output: PathBuf,
}

impl Iso {
    /// Runs the command.
    pub fn run(self, verbosity: Verbosity) -> Result<ExitCode> {
        let plan = match load_plan(&self.source, Some(&self.output), verbosity)? {
            Ok((_, plan)) => plan,
            Err(code) => return Ok(code),
        };
        let encoded = Format::Packed.encode(&plan)?;
        let meta_data = encode::meta_data(&plan, &encoded.sha256);
        deliver::iso(
            &self.output,
            &[
                ("user-data", &encoded.user_data[..]),
                ("meta-data", meta_data.as_bytes()),
                ("network-config", encode::NETWORK_CONFIG.as_bytes()),
            ],
        )?;
        Ok(ExitCode::SUCCESS)
    }
}
