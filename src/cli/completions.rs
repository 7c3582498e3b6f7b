//! `completions` and `man`: for shells and for `man`, from the command line itself.

use super::{BadInput, Cli};
use crate::deliver;
use anyhow::{Context, Result, bail};
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
        let mut offered = without_hidden(&Cli::command());
        clap_complete::generate(self.shell, &mut offered, NAME, &mut text);
        let text = String::from_utf8(text).context("completions are not UTF-8")?;
        // For bash it writes a hyphen in a program's name in two ways, and then knows no command's options: clap-rs/clap#6421.
        let text = text.replace(&NAME.replace('-', "__subcmd__"), &NAME.replace('-', "__"));
        deliver::stdout(text.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The command without its hidden commands and options, of whose hiding the generators know nothing.
fn without_hidden(command: &clap::Command) -> clap::Command {
    let arguments = command.get_arguments().filter(|argument| !argument.is_hide_set()).cloned();
    let commands: Vec<_> = command.get_subcommands().filter(|command| !command.is_hide_set()).map(without_hidden).collect();
    let shown = clap::Command::new(command.get_name().to_owned()).args(arguments).subcommands(commands).version(env!("CARGO_PKG_VERSION"));
    match command.get_about() {
        Some(about) => shown.about(about.clone()),
        None => shown,
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
        let all = Cli::command().disable_help_subcommand(true);
        let Some(folder) = self.output else {
            let mut page = Vec::new();
            clap_mangen::Man::new(all).render(&mut page).context("writing a manual page")?;
            deliver::stdout(titled(&page).as_bytes())?;
            return Ok(ExitCode::SUCCESS);
        };
        if deliver::is_stdout(&folder) {
            bail!(BadInput("-o: the pages go into a folder: name one instead of `-`, or leave `-o` out and the page of the whole is printed".to_owned()));
        }
        std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        let made = tempfile::tempdir().context("making a temporary folder")?;
        clap_mangen::generate_to(all, made.path()).context("writing manual pages")?;
        for page in std::fs::read_dir(made.path()).context("reading manual pages")? {
            let page = page.context("reading manual pages")?;
            let text = std::fs::read(page.path()).context("reading manual pages")?;
            deliver::file(&folder.join(page.file_name()), titled(&text).as_bytes(), 0o644).with_context(|| format!("writing to {}", folder.display()))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A page whose examples and exit codes stand under man-pages(7)'s headings; the generator puts both under one of its own.
fn titled(page: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(page).into_owned();
    for (made, wanted) in [
        (".SH EXTRA\nExit codes: ", ".SH \"EXIT STATUS\"\n"),
        ("\n\nExit codes: ", "\n.SH \"EXIT STATUS\"\n"),
        (".SH EXTRA\nExamples:\n", ".SH EXAMPLES\n"),
        (".SH EXTRA\nExample:\n", ".SH EXAMPLES\n"),
        (".SH EXTRA\n", ".SH EXAMPLES\n"),
    ] {
        text = text.replace(made, wanted);
    }
    text
}
