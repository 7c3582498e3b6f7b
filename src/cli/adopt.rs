//! `adopt`: a Compose file that is there becomes the stack of a profile.

use super::init::{is, keys_of};
use super::{BadInput, Verbosity};
use crate::adopt::{Around, Head, Note, adopt, lines};
use crate::distribution::Distribution;
use crate::profile::text;
use crate::report::Report;
use crate::{compose, deliver, dotenv, yaml};
use anyhow::{Context, Result, bail};
use clap::Args;
use clap::builder::PossibleValuesParser;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Make a profile beside a Compose file, which stays as it is.
#[derive(Args)]
#[command(after_help = "Examples:\n  julia-bootstrap adopt docker-compose.yml --domain shop.acme.dev --ssh-key github:anna\n  julia-bootstrap adopt compose.yaml -o shop.yaml\n\nExit codes: 0 written, 1 something failed, 2 the file cannot be read as a Compose file (nothing was written).")]
pub struct Adopt {
    /// The Compose file.
    #[arg(value_name = "COMPOSE_FILE")]
    file: PathBuf,
    /// The profile, which is to lie beside the Compose file; a file that is there is left alone. Without it NAME.yaml.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Name of the machine and its stack; without it the folder's.
    #[arg(long)]
    name: Option<String>,
    /// Host name that leads to the service that people use.
    #[arg(long)]
    domain: Option<String>,
    /// A public key's line, its file, or `github:USER`; may be repeated. Without it those in ~/.ssh.
    #[arg(long = "ssh-key", value_name = "KEY|FILE|github:USER")]
    keys: Vec<String>,
    /// What runs on the machine.
    #[arg(long, default_value = "debian-13", value_parser = PossibleValuesParser::new(Distribution::ALL.map(Distribution::id)))]
    distribution: String,
}

impl Adopt {
    /// Runs the command.
    pub fn run(self, verbosity: Verbosity) -> Result<ExitCode> {
        let mut report = Report::default();
        let whole = compose::read(&self.file, None, &mut report);
        let Some(compose::Whole { document, environments }) = whole.filter(|_| !report.has_errors()) else {
            super::tell(&mut report, verbosity);
            return Ok(ExitCode::from(super::BAD_INPUT));
        };
        let services = document.get("services").filter(|services| !services.is_null());
        let why = match services.map(yaml::Node::as_map) {
            _ if document.get("distribution").is_some() => Some("it is a profile already"),
            None => Some("it has no `services`"),
            Some(None) => Some("its `services` are no mapping: write each service's name below `services:`, indented, and what it is below that"),
            Some(Some(_)) => None,
        };
        if let Some(why) = why {
            bail!(BadInput(format!("{} is no Compose file: {why}", self.file.display())));
        }
        let folder = folder_of(&self.file);
        let name = self.name(folder, &document)?;
        if let Some(domain) = &self.domain {
            is::<text::Domain>(domain).map_err(|why| BadInput(format!("--domain: {why}")))?;
        }
        let keys = keys_of(&self.keys)?;
        let output = self.output.clone().unwrap_or_else(|| self.file.with_file_name(format!("{name}.yaml")));
        if deliver::is_stdout(&output) {
            bail!(BadInput("a profile that names the Compose file beside it cannot go to standard output: name a file with -o".to_owned()));
        }
        let secrets_file = output.with_extension("env");
        if secrets_file == output {
            bail!(BadInput(format!("{} is where its secrets go: name the profile otherwise, as {}", output.display(), output.with_extension("yaml").display())));
        }
        let repository = repository(folder);
        let values = environment(folder, &environments);
        let around = Around {
            name: &name,
            domain: self.domain.is_some(),
            repository: repository.as_ref().map(|(url, branch)| (url.as_str(), branch.as_str())),
            folder,
            values: &values,
        };
        let mut adopted = adopt(&document, &around);
        if let Some(more) = override_file(&self.file) {
            let found = format!("Compose lays {more} over this file, and here it is not looked at: adopt what `docker compose config --no-interpolate` prints, or do without it");
            adopted.notes.push(Note { span: document.span, found, done: None });
        }
        for path in [Some(&output), Some(&secrets_file).filter(|_| !adopted.secrets.is_empty())].into_iter().flatten() {
            if path.exists() {
                bail!(BadInput(format!("{} is there already, and nothing was written: name another profile with -o", path.display())));
            }
        }
        let file = self.file.file_name().unwrap_or_default().to_string_lossy();
        if folder_of(&output).canonicalize().ok() != folder.canonicalize().ok() {
            bail!(BadInput("the profile has to lie beside the Compose file, which it names".to_owned()));
        }
        let distribution = Distribution::ALL.into_iter().find(|one| one.id() == self.distribution).context("the distribution")?;
        let head = Head { name: &name, file: &file, distribution, keys: &keys, domain: self.domain.as_deref() };
        let (text, unknown) = env_file(&adopted.secrets, &values);
        if !adopted.secrets.is_empty() {
            deliver::file(&secrets_file, text.as_bytes(), 0o600)?;
        }
        deliver::file(&output, adopted.profile(&head).as_bytes(), 0o644)?;
        if verbosity == Verbosity::Quiet {
            return Ok(ExitCode::SUCCESS);
        }
        let place = |span| report.sources.position(span).map_or_else(|| file.to_string(), |(name, line, _)| format!("{name}:{line}"));
        let mut notes: Vec<_> = adopted.notes.iter().collect();
        notes.sort_by_key(|note| note.span.start);
        for (title, done) in [("Written into the profile:", true), ("To be decided:", false)] {
            let rows: Vec<_> = notes.iter().filter(|note| note.done.is_some() == done).collect();
            if !rows.is_empty() {
                crate::tell!("{title}");
            }
            for note in rows {
                crate::tell!("  {}: {}{}", place(note.span), note.found, note.done.as_ref().map(|done| format!(": {done}")).unwrap_or_default());
            }
        }
        if !unknown.is_empty() {
            crate::tell!("Values still to be written into {}: {}", secrets_file.display(), unknown.join(", "));
        }
        let (mut env, mut beside) = (String::new(), String::new());
        if !adopted.secrets.is_empty() {
            env = format!(" --env-file {}", secrets_file.display());
            beside = format!(", and {} with the secrets, which belongs into no repository", secrets_file.display());
        }
        let report = super::findings(&output, Some(secrets_file).filter(|_| !env.is_empty()));
        crate::tell!("{} is written{beside}; {}. Next:", output.display(), outcome(&report));
        crate::tell!("  julia-bootstrap check {}{env}", output.display());
        Ok(ExitCode::SUCCESS)
    }

    /// What the user says, what the file says, or the folder's name.
    fn name(&self, folder: &Path, document: &yaml::Node) -> Result<String> {
        if let Some(name) = &self.name {
            is::<text::Name>(name).map_err(|why| BadInput(format!("--name: {why}")))?;
            return Ok(name.clone());
        }
        let of_file = document.get("name").and_then(yaml::Node::as_str).map(str::to_owned);
        let of_folder = folder.canonicalize().ok().and_then(|folder| folder.file_name().map(|name| name.to_string_lossy().to_lowercase()));
        let names = of_file.into_iter().chain(of_folder);
        names.into_iter().find(|name| is::<text::Name>(name).is_ok()).ok_or_else(|| BadInput("the folder's name is no name for a machine: give `--name`".to_owned()).into())
    }
}

/// The folder that a file lies in.
fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What a `check` of what was written comes to.
fn outcome(report: &Report) -> String {
    if report.findings().is_empty() { "nothing stands in the way".to_owned() } else { format!("`check` has {} for it", report.summary()) }
}

/// What Compose would fill in: from `.env` beside the file, and from those of the files that it includes.
fn environment(folder: &Path, more: &[PathBuf]) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for path in std::iter::once(&folder.join(".env")).chain(more) {
        let bytes = if path.is_file() { yaml::read_some(path, yaml::MAX_BYTES).unwrap_or_default() } else { Vec::new() };
        let text = String::from_utf8(bytes).unwrap_or_default();
        for (name, value) in lines(&text, &all).into_iter().filter(|(name, _)| dotenv::is_shell_name(name)) {
            all.entry(name).or_insert(value);
        }
    }
    all
}

/// The file that Compose takes along unless it is told which ones to take.
fn override_file(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_str()?;
    let (stem, end) = name.rsplit_once('.')?;
    matches!(stem, "compose" | "docker-compose").then_some(())?;
    let names = [end, "yml", "yaml"].map(|end| format!("{stem}.override.{end}"));
    names.into_iter().find(|name| file.with_file_name(name).is_file())
}

/// An env file with what is known of the secrets, and the names of those that are not.
fn env_file(secrets: &BTreeMap<String, Option<String>>, there: &BTreeMap<String, String>) -> (String, Vec<String>) {
    let (mut text, mut unknown) = (String::from("# Secrets of the profile beside this file: for --env-file. Keep it out of repositories.\n"), Vec::new());
    for (name, value) in secrets {
        match value.as_ref().or_else(|| there.get(name)).and_then(|value| dotenv::dotenv_quote(value)) {
            Some(quoted) => text += &format!("{name}={quoted}\n"),
            None => {
                text += &format!("#{name}=\n");
                unknown.push(name.clone());
            }
        }
    }
    (text, unknown)
}

/// The repository that a folder is the top of, and its branch; without a login in its URL.
fn repository(folder: &Path) -> Option<(String, String)> {
    let git = folder.join(".git");
    let config = std::fs::read_to_string(git.join("config")).ok()?;
    let section = config.split("[remote \"origin\"]").nth(1)?;
    let url = section.lines().take_while(|line| !line.starts_with('[')).find_map(|line| line.trim().strip_prefix("url = "))?.trim();
    let head = std::fs::read_to_string(git.join("HEAD")).ok()?;
    let branch = head.trim().strip_prefix("ref: refs/heads/")?;
    (is::<text::GitUrl>(url).is_ok() && is::<text::GitRefName>(branch).is_ok()).then(|| (url.to_owned(), branch.to_owned()))
}
