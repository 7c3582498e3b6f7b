//! The command line: one file a command, and what they share.

mod adopt;
mod boot;
mod bundle;
mod check;
mod completions;
mod diff;
mod docs;
mod explain;
mod fleet;
mod init;
mod iso;
mod lock;
mod providers;
mod render;
mod schema;
mod seal;
mod server;
mod sign;
mod verify;

use crate::{budget, deliver};
use crate::encode::{self, Encoded, Format};
use crate::load::{self, Input, PathOrName};
use crate::plan::Plan;
use crate::profile::model::Profile;
use crate::report::Report;
use crate::resolve::Ask;
use clap::{Args, Parser, Subcommand};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use url::Url;

/// From a YAML profile to one cloud-init user-data that turns a fresh VPS into a safe production machine.
///
/// Paste what `render` prints into a provider's "user data" field; the machine builds itself on first boot.
#[derive(Parser)]
#[command(version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Examples:\n  julia-bootstrap check my.yaml\n  julia-bootstrap render my.yaml -o user-data\n  julia-bootstrap boot my.yaml --engine qemu --image debian-13.qcow2\n\nExit codes: 0 done, 1 something failed, 2 the input has errors (nothing was written; by `render --hosts`, the hosts without).")]
struct Cli {
    /// Say only what went wrong.
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Say more: what was decided and why.
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    verbose: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Init(init::Init),
    Adopt(adopt::Adopt),
    Render(render::Render),
    Check(check::Check),
    Iso(iso::Iso),
    Boot(boot::Boot),
    Verify(verify::Verify),
    Bundle(bundle::Bundle),
    Seal(seal::Seal),
    Explain(explain::Explain),
    Diff(diff::Diff),
    Lock(lock::LockImages),
    Providers(providers::Providers),
    Launch(server::Launch),
    List(server::List),
    Destroy(server::Destroy),
    Sign(sign::Sign),
    Schema(schema::Schema),
    Completions(completions::Completions),
    Man(completions::Man),
    #[command(hide = true)]
    Docs(docs::Docs),
}

/// How much the commands say on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// Findings and progress.
    Normal,
    /// And decisions.
    Verbose,
}

/// The profile and what is laid over it.
#[derive(Args, Clone, Debug)]
pub struct Source {
    /// Path of a profile, or the name of an embedded one (see `profiles/`).
    #[arg(value_name = "PROFILE")]
    pub profile: String,
    /// Set one value of the profile, as YAML: `--set host.hostname=web1`; `path+=[…]` appends to a list.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub sets: Vec<String>,
    /// Lay another profile file over this one; later ones win.
    #[arg(long = "overlay", value_name = "FILE")]
    pub overlays: Vec<PathBuf>,
    /// Read the values of `env` secrets from this file (NAME=VALUE lines) before the environment.
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
}

impl Source {
    /// What the profile stage takes.
    pub fn input(&self) -> Input {
        Input {
            overlays: self.overlays.clone(),
            sets: self.sets.clone(),
            env_file: self.env_file.clone(),
            ask: Ask::Embedded,
            ..Input::new(PathOrName::parse(&self.profile))
        }
    }

    /// The same, where the outcome goes to a file.
    fn input_for(&self, output: Option<&Path>) -> Input {
        Input { outputs: output.map(Path::to_owned).into_iter().collect(), ..self.input() }
    }
}

/// Input that cannot be used: exit code 2, and nothing was written.
const BAD_INPUT: u8 = 2;

/// What was asked for cannot be done as it was said, which is told where it is noticed: exit code 2.
#[derive(Debug)]
struct BadInput(String);

impl std::fmt::Display for BadInput {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for BadInput {}

/// A word of the command line that says something.
fn word(text: &str) -> Result<String, String> {
    match text {
        _ if text.trim().is_empty() => Err("it is empty: write one, or leave the option out".to_owned()),
        _ if text.contains(|letter: char| letter.is_whitespace() || letter.is_control()) => Err("it has a space in it: write it as the provider does".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

/// The name of a server, as each provider takes it: RFC 1123's, at most 63 characters.
fn server_name(text: &str) -> Result<String, String> {
    let label = |label: &str| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let good = text.len() <= 63 && text.split('.').all(label);
    if good { Ok(text.to_owned()) } else { Err("a server's name has letters, digits and inner dashes, at most 63: `shop-1`".to_owned()) }
}

/// A plan as user-data: all of it, or a stub that fetches the rest. By `http://` it says who can read that on its way.
fn encoded(plan: &Plan, format: Format, bundle_url: Option<&Url>, verbosity: Verbosity) -> anyhow::Result<Encoded> {
    let Some(url) = bundle_url else { return format.encode(plan) };
    let secrets = open_secrets(plan, url);
    if secrets > 0 && verbosity > Verbosity::Quiet {
        crate::tell!("{}", readable_on_its_way(secrets));
    }
    Ok(encode::remote(plan, url, format.frame())?.0)
}

/// How many secrets of a bundle others could read on its way from here.
fn open_secrets(plan: &Plan, url: &Url) -> usize {
    if url.scheme() == "http" { plan.embedded_secrets() } else { 0 }
}

/// What is said of a bundle with so many secrets that a machine fetches by `http://`.
fn readable_on_its_way(secrets: usize) -> String {
    format!("note: by http:// everybody on the way can read the secrets in the bundle ({secrets}): use https://, or `sealed: true` for them")
}

/// Loads a profile and tells its findings; `None` means that it has errors.
pub fn load_profile(input: &Input, verbosity: Verbosity) -> Option<Profile> {
    let mut report = Report::default();
    let profile = load::load(input, &|name| std::env::var(name).ok(), &mut report);
    tell(&mut report, verbosity);
    profile.filter(|_| !report.has_errors())
}

/// Loads a profile and plans its machine; `Err` is the exit code of what was already told, as that `output` is one of
/// the files that are read.
pub fn load_plan(source: &Source, output: Option<&Path>, verbosity: Verbosity) -> anyhow::Result<Result<(Profile, Plan), ExitCode>> {
    plan_of(&source.input_for(output), verbosity)
}

/// The same, where not all secrets are asked for.
fn plan_of(input: &Input, verbosity: Verbosity) -> anyhow::Result<Result<(Profile, Plan), ExitCode>> {
    let Some(profile) = load_profile(input, verbosity) else { return Ok(Err(ExitCode::from(BAD_INPUT))) };
    let plan = crate::plan::plan(&profile)?;
    decisions(&profile, &plan, verbosity);
    Ok(Ok((profile, plan)))
}

/// What `check` finds in a profile that was just written.
fn findings(profile: &Path, env_file: Option<PathBuf>) -> Report {
    let mut report = Report::default();
    let input = Input { ask: Ask::WithoutCommands, env_file, ..Input::new(PathOrName::Path(profile.to_owned())) };
    load::load(&input, &|name| std::env::var(name).ok(), &mut report);
    report
}

/// Says, for `--verbose`, what was decided.
fn decisions(profile: &Profile, plan: &Plan, verbosity: Verbosity) {
    if verbosity < Verbosity::Verbose {
        return;
    }
    let list = |items: &mut dyn Iterator<Item = String>| items.collect::<Vec<_>>().join(", ");
    crate::tell!("distribution: {}", plan.distribution.facts().title);
    crate::tell!("stages: {}", list(&mut plan.stages.iter().map(|stage| stage.name.to_owned())));
    crate::tell!("packages: {}", plan.packages.join(", "));
    crate::tell!("open ports: {}", list(&mut plan.ports.iter().map(|rule| format!("{}/{}", rule.port, rule.protocol.name()))));
    for secret in &plan.secrets {
        crate::tell!("secret {}: {}; ends in {}", secret.name, secret.way, secret.path);
    }
    crate::tell!("files: {}", plan.files.len());
    for line in budget::words::lines(&budget::budget(profile)) {
        crate::tell!("{line}");
    }
}

/// Prints findings on standard error; the quiet hear of errors only.
fn tell(report: &mut Report, verbosity: Verbosity) {
    if verbosity == Verbosity::Quiet {
        report.only_errors();
    }
    if report.findings().is_empty() {
        return;
    }
    let colour = std::io::stderr().is_terminal();
    crate::tell!("{}", report.render_human(colour, terminal_width()).trim_end());
}

/// Columns of the terminal, 100 where there is none.
pub fn terminal_width() -> usize {
    console::Term::stderr().size_checked().map_or(100, |(_, columns)| usize::from(columns).max(40))
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(said) => {
            // Help that could not be written is no help.
            let written = said.print().is_ok_and(|()| said.use_stderr() || deliver::stdout(b"").is_ok());
            return if written { ExitCode::from(u8::try_from(said.exit_code()).unwrap_or(BAD_INPUT)) } else { ExitCode::FAILURE };
        }
    };
    let verbosity = match (cli.quiet, cli.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    };
    let result = match cli.command {
        Command::Init(command) => command.run(),
        Command::Adopt(command) => command.run(verbosity),
        Command::Render(command) => command.run(verbosity),
        Command::Check(command) => command.run(verbosity),
        Command::Iso(command) => command.run(verbosity),
        Command::Boot(command) => command.run(verbosity),
        Command::Verify(command) => command.run(verbosity),
        Command::Bundle(command) => command.run(verbosity),
        Command::Seal(command) => command.run(verbosity),
        Command::Explain(command) => command.run(verbosity),
        Command::Diff(command) => command.run(verbosity),
        Command::Lock(command) => command.run(verbosity),
        Command::Providers(command) => command.run(),
        Command::Launch(command) => command.run(verbosity),
        Command::List(command) => command.run(),
        Command::Destroy(command) => command.run(verbosity),
        Command::Sign(command) => command.run(verbosity),
        Command::Schema(command) => command.run(),
        Command::Completions(command) => command.run(),
        Command::Man(command) => command.run(),
        Command::Docs(command) => command.run(),
    };
    result.unwrap_or_else(|error| {
        crate::tell!("error: {error:#}");
        if error.is::<BadInput>() { ExitCode::from(BAD_INPUT) } else { ExitCode::FAILURE }
    })
}
