//! `completions` and `man`: for shells and for `man`, from the command line itself.

use super::Cli;
use crate::deliver;
use anyhow::{Context, Result};
use clap::{Args, CommandFactory};
use std::path::PathBuf;
use std::process::ExitCode;

const NAME: &str = "julia-bootstrap";

/// Print what a shell needs to complete commands and options.
#[derive(Args)]
#[command(after_help = "Examples:\n  julia-bootstrap completions bash >~/.local/share/bash-completion/completions/julia-bootstrap\n  julia-bootstrap completions fish >~/.config/fish/completions/julia-bootstrap.fish")]
pub struct Completions {
    shell: clap_complete::Shell,
}

impl Completions {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), NAME, &mut text);
        let text = String::from_utf8(text).context("completions are not UTF-8")?;
        // For bash it writes a hyphen in a program's name in two ways, and then knows no command's options: clap-rs/clap#6421.
        let text = text.replace(&NAME.replace('-', "__subcmd__"), &NAME.replace('-', "__"));
        deliver::stdout(text.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Write the manual pages, one a command.
#[derive(Args)]
#[command(after_help = "Example:\n  julia-bootstrap man -o ~/.local/share/man/man1")]
pub struct Man {
    /// The folder for them; without it the page of the whole is printed.
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

impl Man {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode> {
        let Some(folder) = self.output else {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page).context("writing a manual page")?;
            deliver::stdout(&page)?;
            return Ok(ExitCode::SUCCESS);
        };
        std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), &folder).with_context(|| format!("writing to {}", folder.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}
