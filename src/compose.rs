//! A Compose file as a whole: with the files that it includes, and with what its services take from others. What comes
//! of it names no other Compose file, so that it can go to a machine that has none.

mod environment;
mod overriding;
mod paths;

pub use environment::pairs;
pub use overriding::parts;
pub use paths::joined;

use crate::profile::reader::{nearest, shown};
use crate::report::{Report, Span};
use crate::yaml::{self, Node};
use std::path::{Path, PathBuf};

/// How deep files include one another, and services extend one another, at most.
const DEEPEST: usize = 32;
/// How many files are brought in, at most; one that is named twice counts twice.
const MOST_FILES: usize = 256;

/// Sections of which every entry has one owner.
const SECTIONS: [&str; 5] = ["services", "volumes", "networks", "configs", "secrets"];

/// A Compose file with what it brings along.
#[derive(Debug)]
pub struct Whole {
    /// Its document, without `include` and `extends`.
    pub document: Node,
    /// Files with variables that the included files have of their own, whether they are there or not.
    pub environments: Vec<PathBuf>,
}

/// Reads a Compose file; `named` is where something names it.
pub fn read(path: &Path, named: Option<Span>, report: &mut Report) -> Option<Whole> {
    let mut reader = Reader { report, files: Vec::new(), open: Vec::new(), count: 0, deep: false, environments: Vec::new() };
    let mut document = reader.whole(path, named)?;
    document.settle();
    Some(Whole { document, environments: reader.environments })
}

struct Reader<'r> {
    report: &'r mut Report,
    /// What was read, as it is written.
    files: Vec<(PathBuf, Option<Node>)>,
    /// Files of which each includes the next one.
    open: Vec<PathBuf>,
    /// How many were brought in.
    count: usize,
    /// Services were found to extend one another too deep.
    deep: bool,
    environments: Vec<PathBuf>,
}

impl Reader<'_> {
    fn whole(&mut self, path: &Path, named: Option<Span>) -> Option<Node> {
        let mut document = self.file(path, named)?;
        if document.as_map().is_none() {
            return Some(document);
        }
        let known = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if self.open.contains(&known) {
            self.report
                .error(named, "include", format!("{} includes itself, by way of this", path.display()))
                .help("take one of the two `include` out");
            return None;
        }
        self.count += 1;
        if self.open.len() >= DEEPEST || self.count > MOST_FILES {
            let message = if self.count > MOST_FILES { format!("more than {MOST_FILES} files are included") } else { format!("files include one another more than {DEEPEST} deep") };
            // Once is enough.
            if !self.report.findings().iter().any(|finding| finding.code == "too-many-files") {
                self.report.error(named, "too-many-files", message).help("put them together: `docker compose config --no-interpolate -o FILE`");
            }
            return None;
        }
        self.open.push(known);
        self.include(&mut document, path);
        self.extend(&mut document, path);
        self.open.pop();
        Some(document)
    }

    fn file(&mut self, path: &Path, named: Option<Span>) -> Option<Node> {
        if let Some((_, node)) = self.files.iter().find(|(known, _)| known == path) {
            return node.clone();
        }
        let node = yaml::read_file(path, named, self.report).and_then(|source| yaml::parse(self.report, source));
        self.files.push((path.to_owned(), node.clone()));
        node
    }

    /// The path that a text names from beside `from`; what Compose would fetch from elsewhere is not taken.
    fn named(&mut self, text: &Node, from: &Path) -> Option<PathBuf> {
        let name = text.as_str().unwrap_or_default();
        let elsewhere = name.contains("://") || name.starts_with("git@") || name.ends_with(".git");
        let why = match name {
            "" => "this is no file's name",
            _ if elsewhere => "this is fetched from elsewhere, and may be another text each time",
            _ if name.contains('$') => "which file this is hangs on a variable",
            _ => return Some(from.parent().unwrap_or(Path::new("")).join(name)),
        };
        self.report
            .error(text.span, "include", why)
            .help("name a file beside this one, or take what `docker compose config --no-interpolate -o FILE` writes");
        None
    }

    /// Brings in what other files hold, each seen from its own folder.
    fn include(&mut self, document: &mut Node, path: &Path) {
        let Some(list) = document.remove("include").filter(|list| !list.is_null() && !list.is_reset()) else { return };
        let Some(entries) = list.as_seq() else {
            let message = format!("`include` is a list to Compose, and this is {}", list.describe());
            self.report.error(list.span, "wrong-type", message).help("write it as `include: [FILE]`");
            return;
        };
        for entry in entries {
            let paths = entry.get("path").unwrap_or(entry);
            let paths = paths.as_seq().unwrap_or(std::slice::from_ref(paths));
            let mut both: Option<Node> = None;
            for text in paths {
                let Some(other) = self.named(text, path).and_then(|other| self.whole(&other, Some(text.span))) else { continue };
                both = Some(match both {
                    Some(mut base) => {
                        base.settle();
                        overriding::document(base, other)
                    }
                    None => other,
                });
            }
            let first = Path::new(paths.first().and_then(Node::as_str).unwrap_or_default()).parent();
            let folder = entry.get("project_directory").and_then(Node::as_str).map(Path::new).or(first).unwrap_or(Path::new(""));
            let Some(mut other) = both else { continue };
            other.settle();
            paths::rebase(&mut other, folder);
            self.environments_of(entry, path, folder);
            self.bring(document, other);
        }
    }

    fn environments_of(&mut self, entry: &Node, path: &Path, folder: &Path) {
        let beside = path.parent().unwrap_or(Path::new(""));
        match entry.get("env_file").filter(|files| !files.is_null()) {
            Some(files) => {
                let files = files.as_seq().unwrap_or(std::slice::from_ref(files));
                self.environments.extend(files.iter().filter_map(Node::as_str).map(|file| beside.join(file)));
            }
            None => self.environments.push(beside.join(folder).join(".env")),
        }
    }

    fn bring(&mut self, document: &mut Node, other: Node) {
        for section in SECTIONS {
            let Some(more) = other.get(section).and_then(Node::as_map) else { continue };
            if document.get(section).is_none_or(|there| there.is_null() || there.is_reset()) {
                document.insert(Node::string(other.span, section), Node::map(other.span, Vec::new()));
            }
            let Some(there) = document.get_mut(section) else { continue };
            for (key, value) in more {
                self.stays(there, key);
                match there.entry(key.as_str().unwrap_or_default()) {
                    None => there.insert(key.clone(), value.clone()),
                    Some((own, same)) if same != value => {
                        let name = shown(key.as_str().unwrap_or_default());
                        self.report
                            .error(own.span, "include", format!("`{name}` stands in an included file as well, and Compose takes one alone"))
                            .help("give it another name, or list both files as one `path: [FILE, FILE]` of `include`");
                    }
                    Some(_) => {}
                }
            }
        }
    }

    /// Tells that `!reset` takes nothing from an included file, which Compose brings in when it is through with the tags.
    fn stays(&mut self, there: &mut Node, key: &Node) {
        let name = key.as_str().unwrap_or_default();
        let Some(own) = there.get(name).filter(|own| own.is_reset()).map(|own| own.span) else { return };
        there.remove(name);
        let message = format!("`{}` of an included file stays: `!reset` takes away only what stands in an earlier file of the same list", shown(name));
        self.report.warning(own, "include", message).help("list both files as one `path: [FILE, FILE]` of `include`, the one with `!reset` last");
    }

    /// Writes into each service what it takes from another one.
    fn extend(&mut self, document: &mut Node, path: &Path) {
        let takes = |service: &Node| service.get("extends").is_some();
        let Some(services) = document.get("services").filter(|services| services.as_map().is_some()).cloned() else { return };
        for (key, service) in document.get_mut("services").and_then(Node::as_map_mut).into_iter().flatten() {
            if let (Some(name), true) = (key.as_str(), takes(service)) {
                let mut chain = Vec::new();
                let all = self.extended(&services, path, name, &mut chain);
                *service = all.unwrap_or_else(|| {
                    let mut rest = service.clone();
                    rest.remove("extends");
                    rest
                });
            }
        }
    }

    fn extended(&mut self, services: &Node, path: &Path, name: &str, chain: &mut Vec<(PathBuf, String)>) -> Option<Node> {
        // Once is enough.
        if self.deep {
            return None;
        }
        let mut own = services.get(name)?.clone();
        let Some(extends) = own.remove("extends").filter(|extends| !extends.is_null() && !extends.is_reset()) else { return Some(own) };
        let me = (path.canonicalize().unwrap_or_else(|_| path.to_owned()), name.to_owned());
        if chain.contains(&me) {
            self.report
                .error(extends.span, "extends", format!("`{}` takes from itself, by way of this", shown(name)))
                .help("let one of them stand by itself");
            return None;
        }
        if chain.len() >= DEEPEST {
            self.deep = true;
            self.report
                .error(extends.span, "extends", format!("services extend one another more than {DEEPEST} deep"))
                .help("let this one stand by itself");
            return None;
        }
        chain.push(me);
        let file = extends.get("file").filter(|file| !file.is_null());
        let elsewhere;
        let (of, other, whole) = match file {
            Some(file) => {
                let other = self.named(file, path)?;
                let whole = self.file(&other, Some(file.span))?;
                elsewhere = whole.get("services").cloned().unwrap_or_else(|| Node::map(whole.span, Vec::new()));
                (extends.get("service"), other, &elsewhere)
            }
            None => (extends.get("service").or_else(|| extends.as_str().map(|_| &extends)), path.to_owned(), services),
        };
        let base = of.and_then(Node::as_str).unwrap_or_default();
        if whole.get(base).is_none_or(Node::is_reset) {
            let place = if file.is_some() { format!("in {}", other.display()) } else { "here".to_owned() };
            let message = format!("there is no service `{}` {place}", shown(base));
            let finding = self.report.error(of.map_or(extends.span, |of| of.span), "no-service", message);
            match nearest(base, whole.names().into_iter().map(|(name, _)| name)) {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding.help("name a service that stands there"),
            };
            return None;
        }
        let mut taken = self.extended(whole, &other, base, chain)?;
        taken.settle();
        if let Some(folder) = file.and_then(Node::as_str).and_then(|file| Path::new(file).parent()) {
            paths::rebase_service(&mut taken, folder);
        }
        // What our own extension says is about that one service.
        taken.remove("x-bootstrap");
        Some(overriding::service(taken, own))
    }
}
