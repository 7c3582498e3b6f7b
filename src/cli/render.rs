//! `render`: user-data on standard output, or a bundle in a folder.

use super::{BAD_INPUT, Source, Verbosity, load_plan};
use crate::encode::{self, Format};
use crate::{deliver, plan::Plan};
use anyhow::Result;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;

/// Print the user-data of a profile.
#[derive(Args)]
#[command(after_help = "Examples:\n  julia-bootstrap render minimal -o user-data\n  julia-bootstrap render my.yaml --format bundle -o out/\n  julia-bootstrap render my.yaml --set host.hostname=web1 --size")]
pub struct Render {
    #[command(flatten)]
    source: Source,
    /// Write here instead of to standard output; `bundle` needs a folder.
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// How the machine is written down.
    #[arg(long, value_enum, default_value_t = Shape::Packed)]
    format: Shape,
    /// Print bytes per section, before and after packing, instead of the user-data.
    #[arg(long)]
    size: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shape {
    /// One ASCII cloud-config with everything compressed in it; the machine takes some seconds to unpack it.
    Packed,
    /// The same, a third larger, unpacked at once.
    Lzma,
    /// The same machine, readable.
    CloudConfig,
    /// A folder with every file, the seed and a manifest.
    Bundle,
}

impl Render {
    /// Runs the command.
    pub fn run(self, verbosity: Verbosity) -> Result<ExitCode> {
        if self.format == Shape::Bundle && self.output.is_none() && !self.size {
            crate::tell!("error: a bundle is a folder: say where with `-o FOLDER`");
            return Ok(ExitCode::from(BAD_INPUT));
        }
        let plan = match load_plan(&self.source, verbosity)? {
            Ok((_, plan)) => plan,
            Err(code) => return Ok(code),
        };
        let format = match self.format {
            Shape::CloudConfig => Format::CloudConfig,
            Shape::Lzma => Format::Lzma,
            Shape::Packed | Shape::Bundle => Format::Packed,
        };
        let encoded = format.encode(&plan)?;
        if self.size {
            let table = size(&plan, &encoded.user_data)?;
            match &self.output {
                Some(path) => deliver::file(path, table.as_bytes(), 0o644)?,
                None => deliver::stdout(table.as_bytes())?,
            }
            return Ok(ExitCode::SUCCESS);
        }
        match (&self.output, self.format) {
            (Some(path), Shape::Bundle) => {
                let meta_data = encode::meta_data(&plan, &encoded.sha256);
                deliver::folder(path, &encode::bundle(&plan, &encoded.user_data, &meta_data)?)?;
            }
            (Some(path), _) => deliver::file(path, encoded.user_data.as_bytes(), 0o600)?,
            (None, _) => deliver::stdout(encoded.user_data.as_bytes())?,
        }
        let bytes = encoded.user_data.len();
        if verbosity > Verbosity::Normal {
            crate::tell!("{bytes} bytes, bundle {}", encoded.sha256);
        }
        if verbosity > Verbosity::Quiet && self.format == Shape::Packed && bytes > encode::BUDGET_BYTES {
            crate::tell!("note: {bytes} bytes are more than the {} that the strictest providers take; `--size` tells what they are", encode::BUDGET_BYTES);
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn size(plan: &Plan, user_data: &str) -> Result<String> {
    let mut text = format!("{:<14}{:>6}{:>10}{:>10}{:>10}\n", "section", "files", "bytes", "stripped", "packed");
    let mut sum = (0, 0, 0);
    for row in encode::sizes(plan)? {
        text += &format!("{:<14}{:>6}{:>10}{:>10}{:>10}\n", row.section, row.files, row.bytes, row.stripped, row.packed);
        sum = (sum.0 + row.files, sum.1 + row.bytes, sum.2 + row.stripped);
    }
    text += &format!("{:<14}{:>6}{:>10}{:>10}{:>10}\n", "all", sum.0, sum.1, sum.2, user_data.len());
    let left = encode::BUDGET_BYTES as i64 - user_data.len() as i64;
    let (left, word) = if left < 0 { (-left, "too many") } else { (left, "left") };
    text += &format!("of {} bytes: {left} {word}\n", encode::BUDGET_BYTES);
    Ok(text)
}
