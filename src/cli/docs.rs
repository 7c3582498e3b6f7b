//! `docs` (hidden): the reference pages, made from what they describe.

use super::{BAD_INPUT, Cli};
use crate::load::{self, Input, PathOrName};
use crate::profile::model;
use crate::resolve::Ask;
use crate::{budget, deliver, plan, profile, report::Report};
use anyhow::Result;
use clap::{Args, CommandFactory, ValueEnum};
use std::process::ExitCode;

/// Print a reference page as Markdown.
#[derive(Args)]
pub struct Docs {
    page: Page,
    /// The profile whose machine is described.
    #[arg(default_value = "minimal")]
    profile: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Page {
    /// Every field of a profile.
    Profile,
    /// Every command, as its own help tells it.
    Commands,
    /// What lies on the machine of a profile.
    Machine,
    /// What is known of how much is taken, and what a profile comes to.
    Budget,
}

impl Docs {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode> {
        let name = self.profile.as_str();
        let text = match self.page {
            Page::Profile => profile::markdown(),
            Page::Commands => commands(),
            Page::Machine | Page::Budget => match (load(name), self.page) {
                (None, _) => return Ok(ExitCode::from(BAD_INPUT)),
                (Some(loaded), Page::Budget) => budget::page::markdown(name, &loaded),
                (Some(loaded), _) => machine(name, &loaded)?,
            },
        };
        deliver::stdout(text.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The page on the command line: what `--help` says of each command.
fn commands() -> String {
    let mut text = "# Commands\n\n<!-- Made from the source: `julia-bootstrap docs commands`. Do not edit. -->\n".to_owned();
    // However wide the terminal is that it is printed on.
    let mut all = Cli::command().bin_name("julia-bootstrap").term_width(100);
    all.build();
    for command in all.get_subcommands_mut().filter(|command| !command.is_hide_set() && command.get_name() != "help") {
        let name = command.get_name().to_owned();
        text += &format!("\n## `{name}`\n\n```text\n{}\n```\n", command.render_long_help().to_string().trim_end());
    }
    text
}

fn load(name: &str) -> Option<model::Profile> {
    let input = Input { ask: Ask::WithoutCommands, ..Input::new(PathOrName::parse(name)) };
    load::load(&input, &|_| None, &mut Report::default())
}

/// The page on the machine of the profile `name`.
fn machine(name: &str, loaded: &model::Profile) -> Result<String> {
    let plan = plan::plan(loaded)?;
    let mut text = format!(
        "# What lies on the machine\n\nMade from the plan of a profile called `{name}`, by `make docs`. Every file belongs to root.\n\n## Stages\n\n\
         A stage is the unit `{name}-<stage>.service`. It runs until it succeeds, again at every boot until then; what is done is \
         remembered in `/var/lib/julia-bootstrap/done/`.\n\n| Stage | What people read | After | One attempt may take | At every boot |\n|---|---|---|---|---|\n"
    );
    for stage in &plan.stages {
        let after = if stage.after.is_empty() { "–".to_owned() } else { stage.after.join(", ") };
        let again = if stage.every_boot { "yes" } else { "" };
        text += &format!("| `{}` | {} | {after} | {} s | {again} |\n", stage.name, stage.title, stage.timeout_seconds);
    }
    text += "\n## Open ports\n\n";
    for rule in &plan.ports {
        text += &format!("- {}/{}\n", rule.port, rule.protocol.name());
    }
    text += "\n## Packages\n\n";
    text += &format!("{}\n", plan.packages.join(", "));
    text += "\n## Files\n\n| Path | Mode | Part |\n|---|---|---|\n";
    for file in &plan.files {
        text += &format!("| `{}` | {:04o} | {} |\n", file.path, file.mode, file.section);
    }
    text += "\n## Made on the machine\n\n| Path | What it is |\n|---|---|\n";
    for secret in &plan.secrets {
        text += &format!("| `{}` | holds `{}` |\n", secret.path, secret.name);
    }
    text += "| `/run/julia-bootstrap/status.json` | state of the machine and of each stage |\n\
             | `/run/julia-bootstrap/www/index.html` | the page that visitors see meanwhile |\n\
             | `/var/lib/julia-bootstrap/bundle` | SHA-256 of the payload the machine was made from |\n\
             | `/var/lib/julia-bootstrap/set-aside/` | volumes of a first start that a power cut caught |\n";
    Ok(text)
}
