//! `lock`: what the tags of a profile's images stand for, in a file beside it.

use super::{BAD_INPUT, Source, Verbosity, load_profile};
use crate::load::{Input, PathOrName};
use crate::lock::{self, Lock};
use crate::profile::model::Profile;
use crate::registry::Registries;
use crate::report::Report;
use crate::resolve::Ask;
use crate::{deliver, profile::model::Service};
use anyhow::Result;
use clap::Args;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

/// Write down the digest of every image that a profile names by tag.
///
/// The file lies beside the profile, `my.lock.json` for `my.yaml`: keep it in the repository. Every command that reads the
/// profile then takes images by these digests, whatever their tags become. Run it again for newer ones.
#[derive(Args)]
#[command(after_help = "Examples:\n  julia-bootstrap lock my.yaml\n  julia-bootstrap lock my.yaml --check      # what has moved since\n\nExit codes: 0 done, 1 a registry did not answer or, with --check, an image has moved, 2 the profile has errors.")]
pub struct LockImages {
    #[command(flatten)]
    source: Source,
    /// Write nothing: say which images have moved since, and which are not locked.
    #[arg(long)]
    check: bool,
}

/// What became of an image.
enum State {
    /// As it was locked.
    Same,
    /// Not locked before.
    New(String),
    /// It stands for something else by now.
    Moved(String, String),
}

impl LockImages {
    /// Runs the command.
    pub fn run(self, verbosity: Verbosity) -> Result<ExitCode> {
        // Secrets are wanted where a registry asks for a password, and not else.
        let mut input = Input { lock: false, ask: Ask::Nothing, ..self.source.input() };
        let PathOrName::Path(path) = &input.profile else {
            crate::tell!("error: an embedded profile has no folder that a lock could lie in: save it as a file first, by `julia-bootstrap init --from {}`", self.source.profile);
            return Ok(ExitCode::from(BAD_INPUT));
        };
        let Some(profile) = load_profile(&input, verbosity) else { return Ok(ExitCode::from(BAD_INPUT)) };
        let path = lock::beside(path);
        let profile = if profile.docker.logins.is_empty() {
            profile
        } else {
            input.ask = Ask::Embedded;
            let Some(profile) = load_profile(&input, Verbosity::Quiet) else { return Ok(ExitCode::from(BAD_INPUT)) };
            profile
        };
        let before = match known(&path, self.check) {
            Ok(lock) => lock,
            Err(code) => return Ok(code),
        };
        let (wanted, exempt) = images(&profile);
        for (image, why) in exempt.iter().filter(|_| verbosity > Verbosity::Quiet) {
            crate::tell!("left as it is: {image} {why}");
        }
        let registries = Registries::of(&profile)?;
        let (mut found, mut failed, mut moved) = (BTreeMap::new(), 0, 0);
        for image in &wanted {
            match registries.digest(image) {
                Err(error) => {
                    failed += 1;
                    crate::tell!("error: {error}");
                }
                Ok(digest) => {
                    let state = match before.images.get(*image) {
                        Some(old) if *old == digest => State::Same,
                        Some(old) => State::Moved(old.clone(), digest.clone()),
                        None => State::New(digest.clone()),
                    };
                    moved += u32::from(!matches!(state, State::Same));
                    deliver::stdout(row(image, &state).as_bytes())?;
                    found.insert((*image).to_owned(), digest);
                }
            }
        }
        if failed > 0 {
            crate::tell!("{failed} of {} images are not known: nothing was written", wanted.len());
            return Ok(ExitCode::FAILURE);
        }
        if self.check {
            return Ok(if moved == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        deliver::file(&path, Lock::new(found).text().as_bytes(), 0o644)?;
        if verbosity > Verbosity::Quiet {
            crate::tell!("{} images are locked in {}", wanted.len(), path.display());
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The lock that is there; one that cannot be used is made anew, and is no basis for a comparison.
fn known(path: &Path, check: bool) -> Result<Lock, ExitCode> {
    let mut report = Report::default();
    let lock = lock::read(path, &mut report);
    if check && (report.has_errors() || lock.is_none()) {
        let finding = report.findings().first().map(|finding| finding.message.clone());
        crate::tell!("error: {}", finding.unwrap_or_else(|| format!("there is no {}: run `julia-bootstrap lock` first", path.display())));
        return Err(ExitCode::from(BAD_INPUT));
    }
    Ok(lock.unwrap_or_default())
}

/// The images that are asked for, in order and once each; and those that stay as they are, with the reason.
fn images(profile: &Profile) -> (Vec<&str>, Vec<(&str, &'static str)>) {
    let services = profile.stack.as_ref().map(|stack| stack.services.as_slice()).unwrap_or_default();
    // What shares an image with a service that is polled goes along with it.
    let deployed = |image: &str| services.iter().any(|service| service.deploy.is_some() && service.image.as_deref() == Some(image));
    let polled = |image: &str| profile.deploy.poll.is_some() && deployed(image);
    let (mut wanted, mut exempt) = (Vec::new(), Vec::new());
    for service in services {
        let Some(image) = service.image.as_deref() else { continue };
        match lock::exempt(image, is_built(profile, service), polled(image)) {
            Some(why) => exempt.push((image, why)),
            None => wanted.push(image),
        }
    }
    wanted.sort_unstable();
    wanted.dedup();
    exempt.sort_unstable();
    exempt.dedup();
    (wanted, exempt)
}

/// True when the image comes from no registry.
fn is_built(profile: &Profile, service: &Service) -> bool {
    let node = profile.stack.as_ref().and_then(|stack| stack.compose.get("services")?.get(&service.name)?.get("build"));
    service.source.is_some() || node.is_some_and(|build| !build.is_null())
}

fn row(image: &str, state: &State) -> String {
    let short = |digest: &str| digest.chars().take("sha256:".len() + 12).collect::<String>();
    match state {
        State::Same => format!("same   {image}\n"),
        State::New(digest) => format!("new    {image}  {}\n", short(digest)),
        State::Moved(old, new) => format!("moved  {image}  {} → {}\n", short(old), short(new)),
    }
}
