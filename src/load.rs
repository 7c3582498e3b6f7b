//! From what the command line names to a resolved profile: read, overlays, `--set`, typed reading, resolve, validate.

use crate::profile::model::Profile;
use crate::profile::reader::{Reader, Value, nearest, shown};
use crate::profile::written::Written;
use crate::profile::{embedded, embedded_names};
use crate::report::{Report, Span};
use crate::yaml::{self, Kind, Node};
use crate::resolve::{Ask, Origin};
use crate::{dotenv, lock, resolve, validate};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// A profile as the command line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathOrName {
    /// A file.
    Path(PathBuf),
    /// An embedded profile.
    Name(String),
}

impl PathOrName {
    /// A bare word is a name unless a file of that name exists; everything else is a path.
    pub fn parse(text: &str) -> Self {
        let word = !text.contains(['/', '.', '\\']);
        if word && !Path::new(text).is_file() { Self::Name(text.into()) } else { Self::Path(text.into()) }
    }
}

/// What a profile is made of.
#[derive(Clone, Debug)]
pub struct Input {
    /// The profile.
    pub profile: PathOrName,
    /// Profiles laid over it, in order.
    pub overlays: Vec<PathBuf>,
    /// `path=value` and `path+=[…]`, applied last; values are YAML.
    pub sets: Vec<String>,
    /// `NAME=value` lines that `env` secrets are looked up in before the environment.
    pub env_file: Option<PathBuf>,
    /// Whose secrets' values are wanted.
    pub ask: Ask,
    /// Whether the lock beside the profile counts.
    pub lock: bool,
    /// What will be written: refused if it is one of the files that are read.
    pub outputs: Vec<PathBuf>,
    /// What else is read.
    pub inputs: Vec<PathBuf>,
}

impl Input {
    /// A profile as it stands, with its lock, its secrets asked for as [`Ask::default`] says, and nothing written.
    pub fn new(profile: PathOrName) -> Self {
        Self {
            profile,
            overlays: Vec::new(),
            sets: Vec::new(),
            env_file: None,
            ask: Ask::default(),
            lock: true,
            outputs: Vec::new(),
            inputs: Vec::new(),
        }
    }
}

/// Loads a profile. `None` when the report has errors; warnings and notes may be in it either way.
pub fn load(input: &Input, env: &dyn Fn(&str) -> Option<String>, report: &mut Report) -> Option<Profile> {
    let profile = load_unsorted(input, env, report);
    let read: Vec<_> = report.read.iter().chain(&input.inputs).filter_map(|path| path.canonicalize().ok()).collect();
    for output in input.outputs.iter().filter(|output| output.canonicalize().is_ok_and(|output| read.contains(&output))) {
        let message = format!("{} is read here, and would be written over", output.display());
        report.error(None, "overwritten", message).help("write to another file");
    }
    report.sort();
    profile.filter(|_| !report.has_errors())
}

/// Each field at the top of a profile, overlays included, and where it stands: `my.yaml:15`.
pub fn places(input: &Input) -> BTreeMap<String, String> {
    let mut report = Report::default();
    let Some(root) = written(input, &mut report) else { return BTreeMap::new() };
    let place = |(key, _): &(Node, Node)| {
        let (file, line, _) = report.sources.position(key.span)?;
        Some((key.as_str()?.to_owned(), format!("{file}:{line}")))
    };
    root.as_map().into_iter().flatten().filter_map(place).collect()
}

/// The profile with all that is laid over it.
fn written(input: &Input, report: &mut Report) -> Option<Node> {
    let mut root = read_profile(&input.profile, report)?;
    for path in &input.overlays {
        let overlay = yaml::read_file(path, None, report).and_then(|source| yaml::parse(report, source));
        if let Some(overlay) = overlay.filter(|overlay| is_mapping(overlay, "an overlay", report)) {
            yaml::merge(&mut root, overlay, report);
        }
    }
    for set in &input.sets {
        apply_set(&mut root, set, report);
    }
    root.settle_profile();
    Some(root)
}

fn load_unsorted(input: &Input, env: &dyn Fn(&str) -> Option<String>, report: &mut Report) -> Option<Profile> {
    let root = written(input, report)?;
    if input.overlays.is_empty() && input.sets.is_empty() && is_compose(&root) {
        let span = root.as_map().and_then(|entries| entries.first()).map_or(root.span, |(key, _)| key.span);
        report
            .error(span, "compose-file", "this is a Compose file, and what is read here is a profile, which may name one")
            .help("write a file beside it: `version: 1`, `name: …`, `admin: {ssh_keys: [\"…\"]}` and `compose: FILE`, a line each");
        return None;
    }
    let variables = input.env_file.as_deref().map(|path| read_env_file(path, report)).unwrap_or_default();
    let lookup = |name: &str| variables.get(name).cloned().or_else(|| env(name));
    let written = Written::read(&root, &mut Reader { report })?;
    let lock = match &input.profile {
        PathOrName::Path(path) => {
            let lock = lock::beside(path);
            report.read.push(lock.clone());
            if input.lock { lock::read(&lock, report) } else { None }
        }
        _ => None,
    };
    let resolved = resolve::resolve(&written, &root, Origin { env: &lookup, ask: input.ask }, lock.as_ref(), report);
    validate::validate(&resolved, &root, report);
    Some(resolved.profile)
}

/// Values by name, as `env` secrets are looked up.
pub fn variables(input: &Input) -> anyhow::Result<impl Fn(&str) -> Option<String> + use<>> {
    let mut report = Report::default();
    let variables = input.env_file.as_deref().map(|path| read_env_file(path, &mut report)).unwrap_or_default();
    anyhow::ensure!(!report.has_errors(), "the file for --env-file cannot be read");
    Ok(move |name: &str| variables.get(name).cloned().or_else(|| std::env::var(name).ok()))
}

fn read_profile(profile: &PathOrName, report: &mut Report) -> Option<Node> {
    let source = match profile {
        PathOrName::Path(path) => yaml::read_file(path, None, report)?,
        PathOrName::Name(name) => match embedded(name) {
            Some(text) => report.sources.add(format!("{name} (embedded)"), text),
            None => {
                let names: Vec<_> = embedded_names().collect();
                let finding =
                    report.error(None, "no-profile", format!("there is no embedded profile `{}`", shown(name)));
                match nearest(name, names.iter().copied()) {
                    Some(near) => finding.help(format!("did you mean `{near}`?")),
                    None => finding.help(format!("name a file, or one of {}", names.join(", "))),
                };
                return None;
            }
        },
    };
    let root = yaml::parse(report, source)?;
    is_mapping(&root, "a profile", report).then_some(root)
}

/// Whether all of it is Compose's, whose `version`, where it is written, is another.
fn is_compose(root: &Node) -> bool {
    let theirs = ["version", "name", "services", "networks", "volumes", "configs", "secrets", "include"];
    let entries = root.as_map().unwrap_or_default();
    root.get("services").is_some()
        && root.get("version").and_then(Node::as_str) != Some("1")
        && entries.iter().filter_map(|(key, _)| key.as_str()).all(|key| theirs.contains(&key) || key.starts_with("x-"))
}

fn is_mapping(node: &Node, what: &str, report: &mut Report) -> bool {
    let mapping = node.as_map().is_some();
    if !mapping {
        let message = format!("{what} is a mapping, and this is {}", node.describe());
        report.error(node.span, "wrong-type", message).help(match what {
            "an overlay" => "write what is to be other than in the profile, as `host: {hostname: web1}`",
            _ => "begin with `version: 1` and `name: …`, one field a line",
        });
    }
    mapping
}

fn apply_set(root: &mut Node, set: &str, report: &mut Report) {
    let source = report.sources.add("--set", set);
    report.sources.set_folder(source, ".");
    let Some(equals) = set.find('=') else {
        report
            .error(Span { source, start: 0, end: set.len() }, "set", "--set takes `path=value`")
            .help("as in `--set host.hostname=web1`");
        return;
    };
    let append = set[..equals].ends_with('+');
    let path_end = if append { equals - 1 } else { equals };
    let span = Span { source, start: 0, end: path_end };
    let Some(mut value) = yaml::parse_range(report, source, equals + 1..set.len()) else { return };
    if value.span.start == 0 {
        value.span = Span { source, start: equals + 1, end: set.len() };
    }
    // Nobody writes comments there: what would be one is the end of a text.
    let raw = &set[equals + 1..];
    if let Kind::Scalar { text, plain: true, tag: None } = &value.kind
        && raw.split(char::is_whitespace).any(|word| word.starts_with('#'))
        && text != raw.trim()
    {
        report
            .error(Span { source, start: equals + 1, end: set.len() }, "set", "in YAML, what stands behind this `#` is a comment, and would be lost")
            .help("write the value in quotes: `--set 'path=\"…\"'`, or `\"…\"` in the table of hosts")
            .hide();
        return;
    }
    let result = yaml::Path::parse(&set[..path_end]).and_then(|path| match append {
        true => yaml::append_path(root, &path, span, value),
        false => yaml::set_path(root, &path, span, value),
    });
    if let Err(message) = result {
        report.error(span, "set", message).help("as in `--set host.hostname=web1` or `--set 'aliases+=[www.example.com]'`");
    }
}

fn read_env_file(path: &Path, report: &mut Report) -> HashMap<String, String> {
    let name = path.display().to_string();
    report.read.push(path.to_owned());
    let text = match yaml::read_some(path, yaml::MAX_BYTES).map(|bytes| (bytes.len(), String::from_utf8(bytes))) {
        Ok((size, _)) if size > yaml::MAX_BYTES => {
            report.error(None, "too-large", format!("{name} is larger than 1 MiB")).help("name the file with the `NAME=value` lines");
            return HashMap::new();
        }
        Ok((_, Ok(text))) => text,
        Ok((_, Err(_))) => {
            report.error(None, "invalid-utf8", format!("{name} is not UTF-8")).help("save the file as UTF-8");
            return HashMap::new();
        }
        Err(error) => {
            let message = format!("{name} cannot be read: {error}");
            report.error(None, "unreadable", message).help("check the path given by --env-file");
            return HashMap::new();
        }
    };
    let lines = dotenv::read(&text);
    let source = report.sources.add_confidential(name, text);
    let mut variables = HashMap::new();
    for (start, line) in lines {
        match line {
            Ok((name, value)) => {
                variables.insert(name, value);
            }
            Err(message) => {
                report
                    .error(Span { source, start, end: start + 1 }, "env-file", message)
                    .help("write NAME=value, with quotes around values that have spaces");
            }
        }
    }
    variables
}
