//! `verify`: a machine that somebody runs, from outside.

use super::boot::known;
use super::{BAD_INPUT, BadInput, Verbosity, load_profile};
use crate::lab::check::CHECKS;
use crate::lab::expect::Expect;
use crate::lab::live::{self, Question};
use crate::lab::ssh::{Person, Ssh};
use crate::lab::view::View;
use crate::load::{Input, PathOrName};
use crate::lab::interrupt;
use crate::resolve::Ask;
use crate::{deliver, plan};
use anyhow::{Context as _, Result};
use clap::Args;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use url::{Host, Url};

/// Hold a live machine to what was promised: names, ports, certificates, headers, routes, closed logins, its own acceptance test.
///
/// Nothing of the machine's is changed. All its ports are tried, and what must be refused is asked for once: sign-up and first-run
/// pages, and Grafana with the password that everybody knows. So ask your own machines only; behind a proxy, by `--address`.
#[derive(Args)]
#[command(after_help = "Examples:\n  julia-bootstrap verify https://example.com\n  julia-bootstrap verify https://example.com --ssh deploy@example.com\n  julia-bootstrap verify https://example.com --profile my.yaml --report result.xml\n\nExit codes: 0 all of it holds, 1 some does not, 2 the input has errors.")]
pub struct Verify {
    /// The machine's domain, with `https://` before it.
    #[arg(value_name = "https://DOMAIN", value_parser = domain)]
    url: String,
    /// The profile that it was made from: all its names, routes and ports are looked at. Its secrets are not asked for.
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// Set one value of the profile, as for `render`.
    #[arg(long = "set", value_name = "PATH=VALUE", requires = "profile")]
    sets: Vec<String>,
    /// Lay another profile file over it, as for `render`.
    #[arg(long = "overlay", value_name = "FILE", requires = "profile")]
    overlays: Vec<PathBuf>,
    /// Log in as this user, who may use sudo: the machine tests itself, and without `--profile` tells what is expected of it.
    /// Your own configuration of ssh counts.
    #[arg(long, value_name = "USER@HOST[:PORT]", value_parser = login)]
    ssh: Option<Person>,
    /// The private key for that.
    #[arg(long, value_name = "FILE", requires = "ssh")]
    identity: Option<PathBuf>,
    /// Ask the machine at this address, wherever its names lead. May be repeated, for IPv4 and IPv6.
    #[arg(long = "address", value_name = "IP")]
    addresses: Vec<IpAddr>,
    /// Believe these roots (PEM) in place of the system's.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Run only the checks whose identifiers begin so, such as `https,ports`.
    #[arg(long, value_name = "PREFIXES", value_delimiter = ',', value_parser = checks)]
    checks: Vec<String>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    /// Write the result here: `.html` as a page, `.xml` as JUnit, else as JSON. May be repeated.
    #[arg(long, value_name = "FILE.json|html|xml")]
    report: Vec<PathBuf>,
}

fn checks(text: &str) -> Result<String, String> {
    known(text, CHECKS.iter().filter(|check| check.is_for_live()))
}

fn domain(text: &str) -> Result<String, String> {
    let wrong = |why: &str| Err(format!("{why}: write https://example.com"));
    let Ok(url) = Url::parse(text) else { return wrong("it is no address of the web") };
    match (url.scheme(), url.host()) {
        ("https", Some(Host::Domain(name))) if url.port().is_none() && matches!(url.path(), "" | "/") && url.query().is_none() => Ok(name.to_owned()),
        ("https", Some(Host::Domain(_))) => wrong("only the name is asked for, without port and path"),
        ("https", Some(_)) => wrong("certificates are for names, not for addresses"),
        _ => wrong("it does not begin with https://"),
    }
}

fn login(text: &str) -> Result<Person, String> {
    let wrong = || Err("write user@host, or user@host:2222".to_owned());
    let (destination, port) = match text.rsplit_once(':') {
        // Several colons are an IPv6 address.
        Some((before, port)) if !before.contains(':') || before.ends_with(']') => match port.parse() {
            Ok(0) | Err(_) => return wrong(),
            Ok(port) => (before, Some(port)),
        },
        _ => (text, None),
    };
    let destination = destination.replace(['[', ']'], "");
    if destination.is_empty() || destination.starts_with('-') || destination.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
        return wrong();
    }
    Ok(Person { destination, port, identity: None })
}

impl Verify {
    /// Runs the command.
    pub fn run(self, verbosity: Verbosity) -> Result<ExitCode> {
        interrupt::install();
        let person = self.ssh.clone().map(|person| Person { identity: self.identity.clone(), ..person });
        let port = person.as_ref().and_then(|person| person.port);
        let ssh = person.map_or_else(Ssh::nowhere, Ssh::of);
        let roots = self.ca.as_ref().map(|path| std::fs::read(path).with_context(|| format!("reading {}", path.display()))).transpose()?;
        let expect = match &self.profile {
            Some(profile) => match self.planned(profile, verbosity)? {
                Some(expect) => expect,
                None => return Ok(ExitCode::from(BAD_INPUT)),
            },
            None => {
                let plan = if ssh.is_somewhere() {
                    let ended = ssh.sudo(&["cat", "/etc/julia-bootstrap/plan.json"]).context("starting ssh")?;
                    anyhow::ensure!(ended.ok(), "logging in and reading the machine's own plan: {}", ended.tail());
                    Some(serde_json::from_str(&ended.stdout).context("understanding the machine's own plan")?)
                } else {
                    None
                };
                live::expected(&self.url, port.unwrap_or(22), plan.as_ref())
            }
        };
        let question = Question { expect, addresses: self.addresses, roots, ssh, only: self.checks };
        let view = View::new(verbosity == Verbosity::Quiet);
        let findings = live::verify(&question, &view)?;
        drop(view);
        for path in &self.report {
            findings.write(path)?;
        }
        if self.json {
            deliver::stdout(format!("{:#}\n", serde_json::json!(findings)).as_bytes())?;
        } else {
            deliver::styled(&findings.table())?;
        }
        Ok(if findings.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// What the profile says; nothing where it has errors, which were told.
    fn planned(&self, profile: &str, verbosity: Verbosity) -> Result<Option<Expect>> {
        let input = Input {
            overlays: self.overlays.clone(),
            sets: self.sets.clone(),
            outputs: self.report.clone(),
            ask: Ask::Nothing,
            ..Input::new(PathOrName::parse(profile))
        };
        let Some(profile) = load_profile(&input, verbosity) else { return Ok(None) };
        let expect = Expect::of(&profile, &plan::plan(&profile)?);
        if !expect.names.contains(&self.url) {
            let known = if expect.names.is_empty() { "it has no domain".to_owned() } else { format!("it has {}", expect.names.join(", ")) };
            return Err(BadInput(format!("{} is no name of this profile: {known}", self.url)).into());
        }
        Ok(Some(expect))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_are_taken() {
        assert_eq!(domain("https://example.com/"), Ok("example.com".to_owned()));
        assert_eq!(domain("https://EXAMPLE.com"), Ok("example.com".to_owned()));
        for bad in ["example.com", "http://example.com", "https://example.com:8443", "https://example.com/x", "https://192.0.2.1", "https://"] {
            assert!(domain(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn logins_are_read() {
        let person = |destination: &str, port| Ok(Person { destination: destination.to_owned(), port, identity: None });
        assert_eq!(login("deploy@example.com"), person("deploy@example.com", None));
        assert_eq!(login("deploy@example.com:2222"), person("deploy@example.com", Some(2222)));
        assert_eq!(login("deploy@2001:db8::1"), person("deploy@2001:db8::1", None));
        assert_eq!(login("deploy@[2001:db8::1]:22"), person("deploy@2001:db8::1", Some(22)));
        for bad in ["", "-oProxyCommand=x", "a b@c", "a@b:", "a@b:x", "a@b:0"] {
            assert!(login(bad).is_err(), "{bad}");
        }
    }
}
