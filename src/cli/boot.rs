//! `boot`: the machine of a profile, really booted, and held to what was planned.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use url::Url;

use super::{BAD_INPUT, Source, Verbosity, load_profile};
use crate::deliver::{self, provider};
use crate::encode::{self, Encoded, Format};
use crate::lab::check::{CHECKS, Check};
use crate::lab::engine::Engine;
use crate::lab::engine::container::Container;
use crate::lab::engine::qemu::{Accel, Qemu, Size};
use crate::lab::expect::Expect;
use crate::lab::facility::Facility;
use crate::lab::run::{Options, Run};
use crate::lab::ssh::{Key, Ssh};
use crate::lab::{Seed, image, interrupt, overrides, random};
use crate::load::Input;
use crate::plan;
use crate::profile::model::Profile;

/// Boot the machine of a profile and run the acceptance checks against it.
///
/// With a lab (see `scripts/lab`) everything is tried: certificates, port scans from outside, name service that is wrong at
/// first. Without one the machine sits behind user-mode networking; checks that this cannot do are listed as skipped.
#[derive(Args)]
#[command(after_help = "Examples:\n  julia-bootstrap boot minimal --engine qemu --image debian-13.qcow2\n  julia-bootstrap boot my.yaml --image https://example.com/debian-13.qcow2 --checksum https://example.com/SHA512SUMS\n  julia-bootstrap boot my.yaml --engine container --lab lab.json --power-cut 3 --report report.json\n\nExit codes: 0 all checks hold, 1 one failed or the boot could not be made, 2 the profile has errors.")]
pub struct Boot {
    #[command(flatten)]
    source: Source,
    /// What the machine runs in.
    #[arg(long, value_enum, default_value_t = Kind::Qemu)]
    engine: Kind,
    /// Image of the distribution: a file, or a URL that is downloaded once and verified. The lab has images of its own.
    #[arg(long, value_name = "PATH|URL")]
    image: Option<String>,
    /// SHA-256 or SHA-512 of the image, or a checksum file (path or URL) that names it. A URL image needs it.
    #[arg(long, value_name = "FILE|HEX")]
    checksum: Option<String>,
    /// How a virtual machine runs its instructions; `auto` takes KVM if a guest really runs under it.
    #[arg(long, value_enum, default_value_t = Accel::Auto)]
    accel: Accel,
    /// Memory of a virtual machine in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 2048)]
    memory: u32,
    /// Processors of a virtual machine.
    #[arg(long, value_name = "N", default_value_t = 2)]
    cpus: u32,
    /// How long one boot may take, such as `15m` or `90s`.
    #[arg(long, value_name = "DURATION", default_value = "20m", value_parser = duration)]
    timeout: Duration,
    /// Wait for these stages only, and run the checks that make sense then.
    #[arg(long, value_name = "STAGES", value_delimiter = ',')]
    until: Vec<String>,

    /// Run only the checks whose identifiers begin so, such as `https,monitoring-panels`.
    #[arg(long, value_name = "PREFIXES", value_delimiter = ',', value_parser = checks)]
    checks: Vec<String>,
    /// Write the result here: `.html` as a page, `.xml` as JUnit, else as JSON. May be repeated.
    #[arg(long, value_name = "FILE.json|html|xml")]
    report: Vec<PathBuf>,
    /// Leave the machine running at the end, and say how to get in.
    #[arg(long)]
    keep: bool,
    /// The lab's description, as `scripts/lab up` writes it.
    #[arg(long, value_name = "FILE", env = "JULIA_BOOTSTRAP_LAB")]
    lab: Option<PathBuf>,
    /// Boot this format; `lzma` unpacks fastest where the processor is emulated.
    #[arg(long, value_enum, default_value_t = Format::Packed)]
    format: Format,
    /// Boot what this provider's machine would be handed (see `providers`).
    #[arg(long, value_name = "NAME", conflicts_with = "format", value_parser = PossibleValuesParser::new(provider::ALL.map(|provider| provider.id)))]
    provider: Option<String>,
    /// Boot these very bytes; the profile says what is expected of them. For tests.
    #[arg(long, value_name = "FILE", hide = true, conflicts_with_all = ["format", "provider", "bundle_url"])]
    user_data: Option<PathBuf>,
    /// The admin's private key, made where there is none; as for `launch --lab`. For tests.
    #[arg(long, value_name = "FILE", hide = true)]
    key: Option<PathBuf>,
    /// Boot a stub that fetches the rest from here; somebody serves `--bundle-file` there.
    #[arg(long, value_name = "URL", requires = "bundle_file")]
    bundle_url: Option<Url>,
    /// Where that rest is written to.
    #[arg(long, value_name = "FILE", requires = "bundle_url")]
    bundle_file: Option<PathBuf>,
    /// Cut the power this many times, each time on a fresh machine at a random moment of its first boot; data that was
    /// not synced is lost. Each boot after a cut must get ready.
    #[arg(long, value_name = "N", default_value_t = 0)]
    power_cut: usize,
    /// Cut the power once more for each of these stages, within its first 20 seconds; a stage may be named repeatedly, and `unpack` is
    /// the moment before the first, in which files are written.
    #[arg(long, value_name = "STAGES", value_delimiter = ',')]
    power_cut_in: Vec<String>,
    /// Run this program beside the machine until it ends. It is told what the machine does, as JSON lines on its standard
    /// input, and makes faults; a line `cut` on its standard output takes the power away. Then the checks are run.
    #[arg(long, value_name = "PROGRAM", conflicts_with_all = ["power_cut", "power_cut_in"])]
    inject: Option<PathBuf>,
    /// Seed of the power cuts' moments; the same seed cuts at the same fractions of the boot.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A virtual machine.
    Qemu,
    /// A systemd-nspawn container: fast, needs root and a lab.
    Container,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Qemu => "qemu",
            Kind::Container => "container",
        }
    }
}

impl Boot {
    /// What the machine's cloud-init reads.
    fn encoded(&self, plan: &plan::Plan) -> Result<Encoded> {
        let provider = self.provider.as_deref().and_then(provider::named);
        let format = provider.map_or(self.format, |provider| provider.form(plan.distribution));
        let mut encoded = if let (Some(url), Some(file)) = (&self.bundle_url, &self.bundle_file) {
            let (stub, rest) = encode::remote(plan, url, format.frame())?;
            deliver::file(file, &rest, 0o600)?;
            stub
        } else {
            format.encode(plan)?
        };
        if let Some(path) = &self.user_data {
            encoded.user_data = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        }
        if let Some(provider) = provider {
            // Its limit is for `render`: what a lab adds is not the profile's.
            encoded.user_data = provider.handed_over(&provider.sent(&encoded.user_data))?;
        }
        Ok(encoded)
    }

    /// Runs the command.
    pub fn run(self, verbosity: Verbosity) -> Result<ExitCode> {
        let quiet = verbosity == Verbosity::Quiet;
        interrupt::install();
        let lab = self.lab.as_deref().map(Facility::load).transpose()?;
        if self.engine == Kind::Container && lab.is_none() {
            bail!("the container engine needs a lab for its network: `scripts/lab up`, then --lab FILE");
        }
        let mut key = self.key.as_deref().map_or_else(Key::generate, Key::at)?;
        let mut source = self.source.clone();
        let plain = crate::load::load(&source.input(), &|name| std::env::var(name).ok(), &mut crate::report::Report::default());
        let watched = plain.as_ref().is_some_and(|profile| profile.monitoring.is_some());
        let sets = overrides::of(lab.as_ref(), key.public(), watched)?;
        source.sets.extend(sets.iter().map(overrides::Override::set));
        let outputs = self.report.iter().chain(&self.bundle_file).cloned().collect();
        let input = Input { outputs, inputs: self.user_data.iter().cloned().collect(), ..source.input() };
        let Some(profile) = load_profile(&input, verbosity) else { return Ok(ExitCode::from(BAD_INPUT)) };
        let plan = plan::plan(&profile)?;
        let encoded = self.encoded(&plan)?;
        if !quiet {
            tell_differences(&sets, plain.as_ref(), &plan);
        }
        let seed = Seed {
            user_data: encoded.user_data.clone(),
            meta_data: encode::meta_data(&plan, &encoded.sha256),
            network_config: None,
        };
        let expect = Expect::of(&profile, &plan);
        let image = self.image(lab.as_ref(), &expect.distribution, quiet)?;
        let mut engine: Box<dyn Engine> = match (self.engine, lab.as_ref()) {
            (Kind::Container, Some(lab)) => Box::new(Container::new(lab, &image, seed.clone(), expect.ssh_port)?),
            (_, lab) => {
                let size = Size { memory_mib: self.memory, cpus: self.cpus };
                Box::new(Qemu::new(lab, &image, seed.clone(), self.accel, size, expect.ssh_port)?)
            }
        };
        let ssh = Ssh { user: expect.admin_user.clone(), target: engine.reach().ssh, key: key.path(), from: None, person: None };
        if self.keep {
            key.keep();
        }
        let options = Options {
            timeout: self.timeout,
            until: self.until.clone(),
            checks: self.checks.clone(),
            power_cuts: self.power_cut,
            power_cuts_in: self.power_cut_in.clone(),
            inject: self.inject.clone(),
            seed: self.seed.unwrap_or_else(random::Random::fresh_seed),
            quiet,
            keep: self.keep,
        };
        let bundle = encoded.sha256;
        let run = Run { engine: engine.as_mut(), lab: lab.as_ref(), expect: &expect, seed: &seed, ssh, bundle, options, injector: None, boots: Vec::new() };
        let report = run.run()?;
        for path in &self.report {
            report.write(path)?;
        }
        crate::deliver::styled(&report.table())?;
        Ok(if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn image(&self, lab: Option<&Facility>, distribution: &str, quiet: bool) -> Result<PathBuf> {
        if let Some(image) = &self.image {
            return image::obtain(image, self.checksum.as_deref(), &image::cache_folder(), quiet);
        }
        lab.and_then(|lab| lab.image(self.engine.name(), distribution)).map(PathBuf::from).with_context(|| {
            format!("there is no {distribution} image for the {} engine: name one with --image PATH|URL", self.engine.name())
        })
    }
}

/// What is booted differs from what `render` prints: in what, and in which files.
fn tell_differences(sets: &[overrides::Override], plain: Option<&Profile>, booted: &plan::Plan) {
    crate::tell!("booting what `render` prints, except for:");
    for one in sets {
        crate::tell!("  {one}");
    }
    let Some(plain) = plain.and_then(|profile| plan::plan(profile).ok()) else {
        return;
    };
    let differs = |file: &&plan::File| !plain.files.iter().any(|other| other.path == file.path && other.content == file.content);
    let paths: Vec<&str> = booted.files.iter().filter(differs).map(|file| file.path.as_str()).collect();
    crate::tell!("  files that differ: {}", paths.join(", "));
}

/// Reads `90s`, `15m`, `1h` or a bare number of seconds.
fn checks(text: &str) -> Result<String, String> {
    known(text, CHECKS.iter())
}

/// The beginning of an identifier of one of these checks.
pub(super) fn known(text: &str, checks: impl Iterator<Item = &'static Check>) -> Result<String, String> {
    let names: Vec<&str> = checks.map(|check| check.id).collect();
    if names.iter().any(|name| name.starts_with(text)) {
        return Ok(text.to_owned());
    }
    Err(format!("no check is called so; there are {}", names.join(", ")))
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len()));
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "" if !number.is_empty() => return Err(format!("`{text}` has no unit: write {text}s, or {text}m for minutes")),
        _ => return Err(format!("`{text}` is no duration: write 90s, 15m or 1h")),
    };
    let number: u64 = number.parse().map_err(|_| format!("`{text}` is no duration: write 90s, 15m or 1h"))?;
    match number.checked_mul(factor) {
        Some(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("`{text}` is no usable duration")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(duration("7"), Err("`7` has no unit: write 7s, or 7m for minutes".to_owned()));
        for bad in ["", "0s", "1d", "m", "-1s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
