//! `init`: a first profile, from a few questions or as many flags.

use super::{BAD_INPUT, BadInput};
use crate::deliver;
use crate::deliver::provider;
use crate::distribution::Distribution;
use crate::profile::reader::{Reader, Value};
use crate::profile::{SshKey, embedded, embedded_names, text};
use crate::report::Report;
use crate::template;
use crate::yaml::Node;
use anyhow::{Context, Result, bail};
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use dialoguer::theme::ColorfulTheme;
use dialoguer::{Input as Question, MultiSelect, Select};
use serde_json::json;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Write a first profile: asks on a terminal for what no flag says.
#[derive(Args)]
#[command(after_help = "Examples:\n  julia-bootstrap init\n  julia-bootstrap init shop.yaml --domain shop.acme.dev --ssh-key github:anna --image ghcr.io/acme/shop:1.4.2 --port 8000 --with postgres\n  julia-bootstrap init --from reference      # every option with its comment\n\nExit codes: 0 written, 1 something failed, 2 an answer will not do (nothing was written).")]
pub struct Init {
    /// Where to; a file that is there is left alone. Without it NAME.yaml.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Name of the machine and its stack, such as `shop`.
    #[arg(long)]
    name: Option<String>,
    /// Host name that leads to the machine; `none` for a machine without a web server.
    #[arg(long)]
    domain: Option<String>,
    /// Where the certificate authority writes to.
    #[arg(long)]
    email: Option<String>,
    /// A public key's line, its file, or `github:USER`; may be repeated. Without it those in ~/.ssh.
    #[arg(long = "ssh-key", value_name = "KEY|FILE|github:USER")]
    keys: Vec<String>,
    /// Login name of the administrator.
    #[arg(long, default_value = "deploy")]
    user: String,
    /// Where the machine will be, for the size's name there (see `providers`).
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(provider::ALL.map(|provider| provider.id)))]
    provider: Option<String>,
    /// Its size.
    #[arg(long, value_enum)]
    size: Option<Size>,
    /// What runs on it: the image to choose at the provider.
    #[arg(long, default_value = "debian-13", value_parser = PossibleValuesParser::new(Distribution::ALL.map(Distribution::id)))]
    distribution: String,
    /// Time zone of the machine.
    #[arg(long, default_value = "UTC")]
    timezone: String,
    /// The app's image with its version; `none` for a machine without an app.
    #[arg(long)]
    image: Option<String>,
    /// Port that the app listens on in its container.
    #[arg(long)]
    port: Option<u16>,
    /// Path that answers when the app is well.
    #[arg(long, value_name = "PATH", default_value = "/")]
    health: String,
    /// What else there is; what holds data is saved every night.
    #[arg(long, value_enum, value_delimiter = ',')]
    with: Option<Vec<More>>,
    /// Ask nothing: write this profile of our own, to be edited. `reference` has every option with its comment.
    #[arg(long, value_name = "PROFILE", value_parser = PossibleValuesParser::new(embedded_names()),
          conflicts_with_all = ["name", "domain", "email", "keys", "user", "provider", "size", "distribution", "timezone", "image", "port", "health", "with"])]
    from: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Size {
    /// 2 vCPU, 4 GB, 40 GB.
    Minimum,
    /// 4 vCPU, 8 GB, 80 GB.
    Recommended,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum More {
    /// A PostgreSQL for the app.
    Postgres,
    /// A Redis that keeps what it holds.
    Redis,
    /// Nothing.
    None,
}

const NONE: &str = "none";
const MORE: [(More, &str); 2] = [(More::Postgres, "PostgreSQL"), (More::Redis, "Redis, which keeps what it holds")];

/// Asks, where there is somebody to be asked.
struct Asker {
    there: bool,
    theme: ColorfulTheme,
    /// Flags that would have been needed.
    missing: Vec<&'static str>,
}

impl Asker {
    /// The flag's value, the answer, or the default; where nobody can be asked and there is no default, the flag is missing.
    fn text(&mut self, given: Option<String>, flag: &'static str, question: &str, default: Option<String>, good: impl Fn(&str) -> Result<(), String>) -> Result<String> {
        if let Some(text) = given {
            return good(&text).map(|()| text).map_err(|why| BadInput(format!("{flag}: {why}")).into());
        }
        if !self.there {
            if default.is_none() {
                self.missing.push(flag);
            }
            return Ok(default.unwrap_or_default());
        }
        let mut asked = Question::with_theme(&self.theme).with_prompt(question).validate_with(|text: &String| good(text));
        if let Some(default) = default {
            asked = asked.default(default);
        }
        asked.interact_text().context("asking")
    }
}

/// Whether a text is what the profile takes for a field of this kind; else why not, and how to mend it.
pub(super) fn is<T: Value>(text: &str) -> Result<(), String> {
    let mut report = Report::new();
    let source = report.sources.add("answer", text);
    let node = Node::string(crate::report::Span { source, start: 0, end: text.len() }, text);
    if T::read(&node, &mut Reader { report: &mut report }).is_some() {
        return Ok(());
    }
    let finding = report.findings().first();
    Err(finding.map_or_else(String::new, |finding| format!("{}{}", finding.message, finding.help.as_ref().map(|help| format!(": {help}")).unwrap_or_default())))
}

fn or_none<T: Value>(text: &str) -> Result<(), String> {
    if text == NONE { Ok(()) } else { is::<T>(text) }
}

impl Init {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode> {
        if let Some(name) = &self.from {
            return self.copy(name);
        }
        let there = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        let mut ask = Asker { there, theme: ColorfulTheme::default(), missing: Vec::new() };
        let domain = ask.text(self.domain.clone(), "--domain", "Domain that will lead to the machine (`none` for no web server)", None, or_none::<text::Domain>)?;
        let first = domain.split('.').next().filter(|_| domain != NONE && !domain.is_empty()).map(str::to_owned);
        let name = ask.text(self.name.clone(), "--name", "Name of the machine and its stack", first.filter(|name| is::<text::Name>(name).is_ok()), is::<text::Name>)?;
        let web = domain != NONE && !domain.is_empty();
        let email = match web {
            true => ask.text(self.email.clone(), "--email", "Mail address for the certificate authority (`none` for none)", Some(NONE.to_owned()), or_none::<text::Email>)?,
            false => NONE.to_owned(),
        };
        let keys = self.keys(&mut ask)?;
        let size = self.size(&ask)?;
        // A domain that leads nowhere is no use.
        let (question, default) = if web { ("Image of the app, with its version", None) } else { ("Image of the app, with its version (`none` for no app)", Some(NONE.to_owned())) };
        let image = ask.text(self.image.clone(), "--image", question, default, |text| match text {
            NONE if web => Err("the domain has to lead to something: name the app's image, or take `--domain none`".to_owned()),
            _ => or_none::<text::Line>(text),
        })?;
        let app = image != NONE;
        let port = match self.port {
            None if app => ask.text(None, "--port", "Port that it listens on in its container", (!there).then_some("8000".to_owned()), |text| {
                text.parse::<u16>().ok().filter(|port| *port > 0).map(drop).ok_or_else(|| "a port is a number from 1 to 65535".to_owned())
            })?,
            port => port.unwrap_or(8000).to_string(),
        };
        let with = self.with(&ask)?;
        if !ask.missing.is_empty() {
            bail!(BadInput(format!("without a terminal nobody can be asked: give {}", ask.missing.join(", "))));
        }
        for (flag, wrong) in [("--user", is::<text::User>(&self.user)), ("--timezone", is::<text::Timezone>(&self.timezone)), ("--health", is::<text::HealthPath>(&self.health))] {
            wrong.map_err(|why| BadInput(format!("{flag}: {why}")))?;
        }
        let file = self.target(&name)?;
        let text = template::render("profile/init.yaml.j2", json!({
            "file": file.display().to_string(), "name": name, "distribution": self.distribution, "timezone": self.timezone, "size": size,
            "user": self.user, "keys": keys, "domain": if web { &domain } else { "" }, "email": if email == NONE { "" } else { &email },
            "image": if app { &image } else { "" }, "port": port, "health": self.health, "url": format!("http://127.0.0.1:{port}{}", self.health),
            "postgres": with.contains(&More::Postgres), "redis": with.contains(&More::Redis),
        }))?;
        let folder = tempfile::tempdir().context("making a temporary folder")?;
        let draft = folder.path().join("profile.yaml");
        std::fs::write(&draft, &text).context("writing a temporary file")?;
        let mut report = super::findings(&draft, None);
        report.sources.rename(&draft.display().to_string(), &file.display().to_string());
        if report.has_errors() {
            super::tell(&mut report, super::Verbosity::Normal);
            return Ok(ExitCode::from(BAD_INPUT));
        }
        deliver::file(&file, text.as_bytes(), 0o644)?;
        super::tell(&mut report, super::Verbosity::Normal);
        self.next(&file, &size);
        Ok(ExitCode::SUCCESS)
    }

    /// Where to; nothing that is there is written over.
    fn target(&self, name: &str) -> Result<PathBuf> {
        let file = self.file.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.yaml")));
        if file.symlink_metadata().is_ok() {
            bail!(BadInput(format!("{} is there already, and nothing was written: name another file", file.display())));
        }
        Ok(file)
    }

    /// Writes one of the profiles that come with the program, as it is.
    fn copy(&self, name: &str) -> Result<ExitCode> {
        let text = embedded(name).with_context(|| format!("the profile `{name}` is not here"))?;
        let file = self.target(name)?;
        deliver::file(&file, text.as_bytes(), 0o644)?;
        crate::tell!("{0} is written. Next: write your keys, domain and images in it, then\n  julia-bootstrap check {0}", file.display());
        Ok(ExitCode::SUCCESS)
    }

    /// What may log in.
    fn keys(&self, ask: &mut Asker) -> Result<Vec<String>> {
        if !self.keys.is_empty() || !ask.there {
            let found = keys_of(&self.keys)?;
            if found.is_empty() {
                ask.missing.push("--ssh-key");
            }
            return Ok(found);
        }
        let own = own_keys();
        let chosen: Vec<String> = match own.as_slice() {
            [] => Vec::new(),
            own => {
                let rows: Vec<String> = own.iter().map(|key| shown(key)).collect();
                let picked = MultiSelect::with_theme(&ask.theme).with_prompt("Keys in ~/.ssh that may log in (space chooses)").items(&rows).defaults(&vec![true; rows.len()]).interact()?;
                picked.into_iter().map(|row| own[row].clone()).collect()
            }
        };
        if !chosen.is_empty() {
            return Ok(chosen);
        }
        let given: String = Question::with_theme(&ask.theme).with_prompt("A public key's line, its file, or github:USER").interact_text()?;
        keys_of(&[given])
    }

    fn size(&self, ask: &Asker) -> Result<String> {
        let chosen = match self.size {
            None if ask.there => {
                let names = self.provider.as_deref().and_then(provider::named).map(|provider| provider.sizes);
                let row = |index: usize, text: &str| names.map_or_else(|| text.to_owned(), |names| format!("{text} ({})", names[index]));
                let rows = [row(0, "2 vCPU, 4 GB, 40 GB"), row(1, "4 vCPU, 8 GB, 80 GB")];
                if Select::with_theme(&ask.theme).with_prompt("Size of the machine").items(&rows).default(0).interact()? == 0 { Size::Minimum } else { Size::Recommended }
            }
            size => size.unwrap_or(Size::Minimum),
        };
        Ok(if chosen == Size::Minimum { "minimum" } else { "recommended" }.to_owned())
    }

    fn with(&self, ask: &Asker) -> Result<Vec<More>> {
        match &self.with {
            None if ask.there => {
                let rows = MORE.map(|(_, title)| title);
                let picked = MultiSelect::with_theme(&ask.theme).with_prompt("What else (space chooses; what holds data is saved every night)").items(rows).interact()?;
                Ok(picked.into_iter().map(|row| MORE[row].0).collect())
            }
            Some(given) if given.len() > 1 && given.contains(&More::None) => bail!(BadInput("--with: `none` and something else cannot both be meant".to_owned())),
            given => Ok(given.clone().unwrap_or_default()),
        }
    }

    /// What comes after it.
    fn next(&self, file: &Path, size: &str) {
        let file = file.display();
        crate::tell!("{file} is written. Next:");
        crate::tell!("  julia-bootstrap check {file}");
        match self.provider.as_deref().and_then(provider::named) {
            Some(provider) => {
                crate::tell!("  julia-bootstrap render {file} --provider {} -o user-data", provider.id);
                crate::tell!("At {} the plan is `{}`; paste the user-data where it asks for it.", provider.title, provider.sizes[usize::from(size != "minimum")]);
            }
            None => crate::tell!("  julia-bootstrap render {file} -o user-data"),
        }
    }
}

/// The keys that were given, or else those in the home folder; they are told with their fingerprints.
pub(super) fn keys_of(given: &[String]) -> Result<Vec<String>> {
    let found = if given.is_empty() { own_keys() } else { given.iter().map(|given| named_keys(given)).collect::<Result<Vec<_>>>()?.concat() };
    for key in &found {
        crate::tell!("may log in: {}", shown(key));
    }
    Ok(found)
}

/// A key as people compare it: kind, fingerprint, comment.
fn shown(line: &str) -> String {
    ssh_key::PublicKey::from_openssh(line)
        .map_or_else(|_| line.to_owned(), |key| format!("{} {} {}", key.algorithm(), key.fingerprint(ssh_key::HashAlg::Sha256), key.comment()).trim_end().to_owned())
}

/// The public keys of whoever runs this.
fn own_keys() -> Vec<String> {
    let Some(home) = std::env::var_os("HOME") else { return Vec::new() };
    let mut files: Vec<PathBuf> = std::fs::read_dir(Path::new(&home).join(".ssh"))
        .map(|rows| rows.flatten().map(|row| row.path()).filter(|path| path.extension().is_some_and(|ending| ending == "pub")).collect())
        .unwrap_or_default();
    files.sort();
    files.iter().filter_map(|path| std::fs::read_to_string(path).ok()).map(|text| text.trim().to_owned()).filter(|line| is::<SshKey>(line).is_ok()).collect()
}

/// The keys that a word of the command line names.
fn named_keys(given: &str) -> Result<Vec<String>> {
    if let Some(user) = given.strip_prefix("github:") {
        return github(user);
    }
    let text = if given.split_whitespace().count() > 1 {
        given.to_owned()
    } else {
        let text = std::fs::read_to_string(given).map_err(|error| BadInput(format!("--ssh-key: {given} cannot be read ({error}): give a public key's line, its file, or `github:USER`")))?;
        text.trim().to_owned()
    };
    is::<SshKey>(&text).map_err(|why| BadInput(format!("--ssh-key: {why}")))?;
    Ok(vec![text])
}

/// The public keys of a GitHub user; `JULIA_BOOTSTRAP_GITHUB` is another address, for tests.
fn github(user: &str) -> Result<Vec<String>> {
    if user.is_empty() || !user.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        bail!(BadInput(format!("--ssh-key: `{user}` is no name of a GitHub user: write `github:USER`")));
    }
    let base = std::env::var("JULIA_BOOTSTRAP_GITHUB").unwrap_or_else(|_| "https://github.com".to_owned());
    let client = crate::http::client().timeout(Duration::from_secs(30)).build().context("setting up HTTP")?;
    let answer = client.get(format!("{base}/{user}.keys")).send().with_context(|| format!("asking {base} for the keys of {user}"))?;
    if answer.status() == reqwest::StatusCode::NOT_FOUND {
        bail!(BadInput(format!("--ssh-key: GitHub knows no user `{user}`")));
    }
    let text = answer.error_for_status().context("asking for the keys")?.text().context("reading the keys")?;
    let found: Vec<String> = text.lines().map(str::trim).filter(|line| is::<SshKey>(line).is_ok()).map(|line| format!("{line} {user}@github")).collect();
    if found.is_empty() {
        bail!(BadInput(format!("--ssh-key: `{user}` has no key at GitHub that OpenSSH still accepts")));
    }
    Ok(found)
}
