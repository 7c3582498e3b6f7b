//! `render`: user-data on standard output, or a bundle in a folder.

use super::fleet::Fleet;
use super::{BAD_INPUT, Source, Verbosity, load_plan};
use crate::deliver::provider::{self, Provider};
use crate::encode::{self, Encoded, Format};
use crate::{deliver, load, plan::Plan};
use anyhow::Result;
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use url::Url;

/// Print the user-data of a profile.
#[derive(Args)]
#[command(after_help = "Examples:\n  julia-bootstrap render minimal -o user-data\n  julia-bootstrap render my.yaml --provider hetzner -o user-data\n  julia-bootstrap render my.yaml --format bundle -o out/\n  julia-bootstrap render my.yaml --set host.hostname=web1 --size\n  julia-bootstrap render my.yaml --hosts hosts.csv -o out/")]
pub struct Render {
    #[command(flatten)]
    source: Source,
    /// Write here instead of to standard output; `bundle` needs a folder.
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// How the machine is written down.
    #[arg(long, value_enum, default_value_t = Shape::Packed)]
    format: Shape,
    /// Choose the format for this provider, and refuse what it does not take (see `providers`).
    #[arg(long, value_name = "NAME", conflicts_with_all = ["format", "size"], value_parser = PossibleValuesParser::new(provider::ALL.map(|provider| provider.id)))]
    provider: Option<String>,
    /// Write a stub that fetches the rest from here, byte for byte what `bundle` writes; with `--hosts` a folder, `https://files.example.com/`, for the bundles
    /// that are written beside the stubs.
    #[arg(long, value_name = "URL", conflicts_with_all = ["format", "size"], value_parser = address)]
    bundle_url: Option<Url>,
    /// One user-data for each host of this table, into the folder that `-o` names: CSV whose first line names the columns, or a YAML list of
    /// mappings; `name` names the file, all others are paths of the profile, as for `--set`.
    #[arg(long, value_name = "FILE.csv|FILE.yaml", conflicts_with = "size", requires = "output")]
    hosts: Option<PathBuf>,
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
    /// A POSIX shell script, for who runs scripts and reads no cloud-config.
    Sh,
    /// `packed`, compressed by gzip: not text any more.
    Gzip,
    /// That in base64, one line.
    Base64,
    /// A folder with every file, the seed and a manifest.
    Bundle,
}

impl Shape {
    fn format(self) -> Format {
        match self {
            Shape::Packed | Shape::Bundle => Format::Packed,
            Shape::Lzma => Format::Lzma,
            Shape::CloudConfig => Format::CloudConfig,
            Shape::Sh => Format::Sh,
            Shape::Gzip => Format::Gzip,
            Shape::Base64 => Format::Base64,
        }
    }
}

/// A URL that a machine can fetch from.
pub(super) fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{error}: write it as `https://files.example.com/my.bundle`"))?;
    if !matches!(url.scheme(), "http" | "https") || url.as_str().contains(['\'', '\\', '{', '}']) {
        return Err("a machine fetches by http and https alone, from a URL without quotes and braces".to_owned());
    }
    if url.password().is_some() || !url.username().is_empty() {
        return Err("python3 does not log in with what stands before an `@`: write a URL that needs no login".to_owned());
    }
    Ok(url)
}

impl Render {
    /// Runs the command.
    pub fn run(mut self, verbosity: Verbosity) -> Result<ExitCode> {
        self.output = self.output.filter(|path| !deliver::is_stdout(path));
        if self.hosts.is_some() && self.output.is_none() {
            crate::tell!("error: the hosts' files go into a folder: say where with `-o FOLDER`");
            return Ok(ExitCode::from(BAD_INPUT));
        }
        if self.format == Shape::Bundle && self.output.is_none() && !self.size {
            crate::tell!("error: a bundle is a folder: say where with `-o FOLDER`");
            return Ok(ExitCode::from(BAD_INPUT));
        }
        if let (Some(hosts), Some(folder)) = (&self.hosts, &self.output) {
            if self.format == Shape::Bundle {
                crate::tell!("error: `bundle` is one machine's folder: choose another format for a table of hosts");
                return Ok(ExitCode::from(BAD_INPUT));
            }
            let provider = self.provider.as_deref().and_then(provider::named);
            return Fleet { source: &self.source, folder, format: self.format.format(), provider, bundle_url: self.bundle_url.as_ref() }.render(hosts, verbosity);
        }
        let plan = match load_plan(&self.source, self.output.as_deref(), verbosity)? {
            Ok((_, plan)) => plan,
            Err(code) => return Ok(code),
        };
        let provider = self.provider.as_deref().and_then(provider::named);
        let format = provider.map_or(self.format.format(), |provider| provider.form(plan.distribution));
        let encoded = super::encoded(&plan, format, self.bundle_url.as_ref(), verbosity)?;
        if self.size {
            let table = super::explain::sections(&plan)?;
            match &self.output {
                Some(path) => deliver::file(path, table.as_bytes(), 0o644)?,
                None => deliver::stdout(table.as_bytes())?,
            }
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(provider) = provider
            && provider.excess(encoded.user_data.len()).is_some()
        {
            self.too_large(provider, &plan, encoded.user_data.len())?;
            return Ok(ExitCode::from(BAD_INPUT));
        }
        self.deliver(&plan, &encoded)?;
        let bytes = encoded.user_data.len();
        if verbosity > Verbosity::Normal {
            crate::tell!("{bytes} bytes, bundle {}", encoded.sha256);
        }
        if verbosity > Verbosity::Quiet && self.bundle_url.is_none() && matches!(format, Format::Gzip) {
            crate::tell!("note: this is no text: hand it over as a file, by the provider's own command or API");
        }
        if verbosity > Verbosity::Quiet && provider.is_none() && format == Format::Packed && bytes > encode::BUDGET_BYTES {
            crate::tell!("note: {bytes} bytes are more than the {} that the strictest providers take; `--size` tells what they are", encode::BUDGET_BYTES);
        }
        Ok(ExitCode::SUCCESS)
    }

    fn deliver(&self, plan: &Plan, encoded: &Encoded) -> Result<()> {
        match (&self.output, self.format) {
            (Some(path), Shape::Bundle) => {
                let meta_data = encode::meta_data(plan, &encoded.sha256);
                deliver::folder(path, &encode::bundle(plan, &encoded.user_data, &meta_data)?)
            }
            (Some(path), _) => deliver::file(path, &encoded.user_data, 0o600),
            (None, _) => deliver::stdout(&encoded.user_data),
        }
    }

    /// Says what takes the room, and what would become of it without the parts that a profile can leave out.
    fn too_large(&self, provider: &Provider, plan: &Plan, bytes: usize) -> Result<()> {
        let limit = provider.limit.unwrap_or_default();
        crate::tell!("error: {} takes {limit} bytes, and the user-data has {bytes} ({} too many)", provider.title, bytes - limit);
        for row in encode::sizes(plan)? {
            crate::tell!("  {:<14}{:>8} bytes", row.section, row.packed);
        }
        // What the profile has not got, or does without already, is no advice.
        let mut changing = BTreeSet::new();
        for set in SMALLER.iter().copied().flatten().copied().collect::<BTreeSet<_>>() {
            if self.smaller(plan, &[set])?.is_some() {
                changing.insert(set);
            }
        }
        let (mut tried, mut fitting, mut least) = (BTreeSet::new(), Vec::<Vec<&str>>::new(), bytes);
        for sets in SMALLER {
            let useful: Vec<&str> = sets.iter().copied().filter(|set| changing.contains(set)).collect();
            let more = fitting.iter().any(|enough| enough.iter().all(|set| useful.contains(set)));
            if useful.is_empty() || more || !tried.insert(useful.clone()) {
                continue;
            }
            let Some(smaller) = self.smaller(plan, &useful)? else { continue };
            let size = provider.form(plan.distribution).encode(&smaller)?.user_data.len();
            if size <= limit {
                let words = useful.iter().map(|set| format!("--set {set}")).collect::<Vec<_>>().join(" ");
                crate::tell!("  with `{words}`: {size} bytes, which fits");
                fitting.push(useful);
            }
            least = least.min(size);
        }
        if fitting.is_empty() && least < bytes {
            crate::tell!("  without all that a profile can leave out: {least} bytes, still too many");
        }
        crate::tell!("  with `--bundle-url URL`: a stub of a kilobyte and a half, which fetches the rest");
        Ok(())
    }

    /// The plan with these values set; `None` where that makes no other machine.
    fn smaller(&self, plan: &Plan, sets: &[&str]) -> Result<Option<Plan>> {
        let mut source = self.source.clone();
        source.sets.extend(sets.iter().map(|set| (*set).to_owned()));
        let profile = load::load(&source.input(), &|name| std::env::var(name).ok(), &mut crate::report::Report::default());
        let smaller = profile.map(|profile| crate::plan::plan(&profile)).transpose()?;
        Ok(smaller.filter(|smaller| !smaller.files.iter().map(|file| &file.content).eq(plan.files.iter().map(|file| &file.content))))
    }
}

/// What a profile can leave out, in the order of what it costs to do without.
const SMALLER: [&[&str]; 5] = [
    &["monitoring=lite"],
    &["monitoring=none"],
    &["monitoring=none", "language=en", "runbook=null"],
    &["monitoring=none", "backup=null"],
    &["monitoring=none", "backup=null", "language=en", "runbook=null"],
];
