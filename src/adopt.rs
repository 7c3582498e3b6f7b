//! A Compose file as it is, and what a profile has to say beside it: what is certain is written down, and what somebody has to decide is told.

mod absent;
mod environment;
mod mounts;
mod ports;
mod private;
mod written;

pub use environment::lines;
pub use written::Head;

use crate::compose::parts;
use crate::interpolation;
use crate::report::Span;
use crate::yaml::{Kind, Node};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Something that differs from the file, or that somebody has to decide.
#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    /// Where it stands in the Compose file.
    pub span: Span,
    /// What was found.
    pub found: String,
    /// What the profile does about it; `None`: that is to be decided.
    pub done: Option<String>,
}

/// What a profile says beside a Compose file.
#[derive(Debug, Default)]
pub struct Adopted {
    /// Laid over the file: `services`, `volumes`, `networks`, `configs`.
    pub overlay: Map<String, Value>,
    /// Secrets, by name, with the value that stood in the file; `None`: it comes from the environment.
    pub secrets: BTreeMap<String, Option<String>>,
    /// Secrets that are files, by name, with the file beside the profile.
    pub files: BTreeMap<String, String>,
    /// What Compose fills in beside the secrets.
    pub variables: BTreeMap<String, String>,
    /// Something is saved by a backup.
    pub backup: bool,
    /// What was seen.
    pub notes: Vec<Note>,
    /// Variables that the file names anywhere.
    named: BTreeSet<String>,
    /// Of those, the ones that say what they are where nobody gives a value.
    defaulted: BTreeSet<String>,
    /// Those whose values nobody else may know.
    hidden: BTreeSet<String>,
    /// Variables that `.env` beside the file sets.
    beside: BTreeSet<String>,
    /// Bytes of files whose text went into the profile.
    carried: usize,
}

/// What is known beside the file.
pub struct Around<'a> {
    /// What the stack will be called.
    pub name: &'a str,
    /// Whether there is a domain that can lead to a service.
    pub domain: bool,
    /// The repository that the file stands in, and its branch.
    pub repository: Option<(&'a str, &'a str)>,
    /// The folder that it stands in.
    pub folder: &'a Path,
    /// What Compose would fill in here, from `.env`.
    pub values: &'a BTreeMap<String, String>,
}

impl Around<'_> {
    fn expand(&self, text: &str) -> Option<String> {
        interpolation::expand(text, &|name| self.values.get(name).cloned())
    }
}

/// A service, and what the profile says of it.
struct Row<'n> {
    name: &'n str,
    /// Its key.
    span: Span,
    node: &'n Node,
    over: Map<String, Value>,
    /// The machine does not start it.
    left_out: bool,
    /// It does its work and ends.
    job: bool,
}

/// A kind of server whose image tells what it is.
struct Known {
    /// Last part of the image's name.
    images: &'static [&'static str],
    /// How to ask whether it is well.
    health: &'static str,
    /// The kind of backup, where there is one.
    backup: Option<&'static str>,
}

const KNOWN: [Known; 5] = [
    Known { images: &["postgres", "pgvector", "postgis", "timescaledb"], health: "pg_isready -q -h 127.0.0.1 -U $${POSTGRES_USER:-postgres}", backup: Some("postgres") },
    Known { images: &["redis", "valkey", "redis-stack-server"], health: "redis-cli ping | grep -q -e PONG -e NOAUTH", backup: Some("redis") },
    Known { images: &["mysql", "mariadb"], health: "mysqladmin ping -h 127.0.0.1 --silent || mariadb-admin ping -h 127.0.0.1 --silent", backup: None },
    Known { images: &["rabbitmq"], health: "rabbitmq-diagnostics -q ping", backup: None },
    Known { images: &["mongo"], health: "mongosh --quiet --eval 'db.runCommand(\"ping\").ok' | grep -q 1", backup: None },
];

/// Last part of an image's name, without its version.
fn image_name(service: &Node) -> Option<&str> {
    text(service, "image")?.rsplit('/').next()?.split([':', '@']).next()
}

fn known(service: &Node) -> Option<&'static Known> {
    let name = image_name(service)?;
    KNOWN.iter().find(|known| known.images.contains(&name))
}

fn text<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    node.get(key).filter(|value| !value.is_null()).and_then(Node::as_str)
}

/// What to say beside `document`.
pub fn adopt(document: &Node, around: &Around<'_>) -> Adopted {
    let mut adopted = Adopted::default();
    let entries = document.get("services").and_then(Node::as_map).unwrap_or_default();
    let mut rows: Vec<Row<'_>> = entries
        .iter()
        .filter_map(|(key, node)| Some(Row { name: key.as_str()?, span: key.span, node, over: Map::new(), left_out: false, job: false }))
        .collect();
    let ends = |name: &str| {
        let condition = |other: &Node| Some(text(other.get("depends_on")?.get(name)?, "condition")? == "service_completed_successfully");
        entries.iter().any(|(_, other)| condition(other) == Some(true))
    };
    rows.iter_mut().for_each(|row| row.job = ends(row.name));
    if let Some((key, _)) = document.entry("version") {
        adopted.note(key.span, "the top-level `version` says nothing to today's Compose", Some("it is passed over"));
    }
    if let Some(name) = document.get("name").filter(|name| name.as_str() != Some(around.name)) {
        let found = format!("the file calls the stack `{}`, and the profile `{}`: take `name` out of the file", name.as_str().unwrap_or_default(), around.name);
        adopted.note(name.span, found, None);
    }
    adopted.look(document);
    adopted.dotenv(document, around);
    adopted.optional(&mut rows, around);
    let mut files = mounts::Files::beside(document);
    for row in rows.iter_mut().filter(|row| !row.left_out) {
        adopted.restart(row);
        adopted.health(row);
        adopted.environment(row, around);
        adopted.image(row, around);
        adopted.dangers(row);
        adopted.mounts(row, around, &mut files);
        adopted.secret_files(row, document, around);
    }
    adopted.config_files(&rows, document, around);
    adopted.depends(&mut rows);
    adopted.absent(&mut rows);
    adopted.routes(&mut rows, around);
    adopted.external(document);
    adopted.data(document, &mut rows, &files);
    adopted.variables(document, &rows, around);
    for (slug, content) in files.configs {
        section(&mut adopted.overlay, "configs").insert(slug, json!({"content": content}));
    }
    for row in rows {
        let over = if row.left_out { Value::Null } else { Value::Object(row.over) };
        if over.as_object().is_none_or(|over| !over.is_empty()) {
            section(&mut adopted.overlay, "services").insert(row.name.to_owned(), over);
        }
    }
    let mut seen: Vec<Note> = Vec::new();
    for note in adopted.notes.drain(..) {
        if !seen.contains(&note) {
            seen.push(note);
        }
    }
    adopted.notes = seen;
    adopted
}

/// A section of what is laid over the file.
fn section<'o>(overlay: &'o mut Map<String, Value>, name: &str) -> &'o mut Map<String, Value> {
    overlay.entry(name).or_insert_with(|| json!({})).as_object_mut().expect("made as a mapping")
}

/// Whether Compose is told that nobody asks for its health.
fn is_unasked(service: &Node) -> bool {
    let Some(check) = service.get("healthcheck").filter(|check| !check.is_null()) else { return true };
    let test = check.get("test");
    let first = test.and_then(Node::as_seq).and_then(|items| items.first()).or(test);
    check.get("disable").and_then(Node::as_bool) == Some(true) || first.and_then(Node::as_str) == Some("NONE")
}

impl Adopted {
    fn note(&mut self, span: Span, found: impl Into<String>, done: Option<&str>) {
        self.notes.push(Note { span, found: found.into(), done: done.map(str::to_owned) });
    }

    /// What only a profile of Compose's starts is not for the machine, unless `.env` names that profile.
    fn optional(&mut self, rows: &mut [Row<'_>], around: &Around<'_>) {
        let named = around.values.get("COMPOSE_PROFILES").map(String::as_str).unwrap_or_default();
        let named: Vec<&str> = named.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        for row in rows {
            let Some((key, list)) = row.node.entry("profiles") else { continue };
            let profiles: Vec<&str> = list.names().into_iter().map(|(name, _)| name).collect();
            if profiles.is_empty() {
                continue;
            }
            let found = format!("`{}` starts only for Compose's profile {}", row.name, profiles.join(", "));
            if named.contains(&"*") || profiles.iter().any(|profile| named.contains(profile)) {
                row.over.insert("profiles".into(), Value::Null);
                self.note(key.span, found, Some("`COMPOSE_PROFILES` names it, so the machine starts it"));
            } else {
                row.left_out = true;
                self.note(key.span, found, Some("it is left out; `profiles: null` there instead has the machine start it"));
            }
        }
    }

    fn restart(&mut self, row: &mut Row<'_>) {
        let swarm = row.node.get("deploy").is_some_and(|deploy| deploy.get("restart_policy").is_some());
        let never = row.node.get("restart").is_none_or(|policy| policy.is_null() || policy.as_str() == Some("no") || policy.as_bool() == Some(false));
        if !row.job && !swarm && never {
            row.over.insert("restart".into(), json!("unless-stopped"));
            self.note(row.span, format!("`{}` stays down when it dies", row.name), Some("restart: unless-stopped"));
        }
    }

    fn health(&mut self, row: &mut Row<'_>) {
        if row.job || !is_unasked(row.node) {
            return;
        }
        match (known(row.node), row.node.entry("healthcheck")) {
            (_, Some((key, _))) => {
                self.note(key.span, format!("the health check of `{}` is switched off: deploys and alerts wait for one", row.name), None);
            }
            (Some(known), None) => {
                row.over.insert("healthcheck".into(), json!({"test": ["CMD-SHELL", known.health], "start_period": "60s"}));
                self.note(row.span, format!("nothing asks whether `{}` is well", row.name), Some("a health check by its own client"));
            }
            (None, None) => self.note(row.span, format!("nothing asks whether `{}` is well: add Compose's `healthcheck`", row.name), None),
        }
    }

    fn image(&mut self, row: &mut Row<'_>, around: &Around<'_>) {
        let name = row.name;
        let build = row.node.entry("build").filter(|(_, build)| !build.is_null());
        if let Some((key, build)) = build {
            let context = build.as_str().or_else(|| text(build, "context")).unwrap_or(".");
            let inline = build.get("dockerfile_inline").is_some() && build.get("context").is_none_or(|context| context.as_str() == Some("."));
            match around.repository {
                _ if context.contains("://") || context.starts_with("git@") || inline => {}
                Some((url, branch)) => {
                    bootstrap(&mut row.over).insert("source".into(), json!({"git": url, "branch": branch}));
                    self.note(key.span, format!("`{name}` is built from a folder here"), Some(&format!("the machine builds it from {url}, branch {branch}")));
                }
                None => self.note(key.span, format!("`{name}` is built from a folder that the machine does not have: write `x-bootstrap: {{source: {{git: …, branch: main}}}}`, or push an image and name it"), None),
            }
        }
        let Some((_, image)) = row.node.entry("image").filter(|(_, image)| !image.is_null() && build.is_none()) else { return };
        let name = image.as_str().and_then(|image| around.expand(image)).unwrap_or_default();
        let last = name.rsplit('/').next().unwrap_or(&name);
        if !last.contains('@') && !last.is_empty() && (!last.contains(':') || last.ends_with(":latest")) {
            self.note(image.span, format!("`{name}` is whatever the registry has on that day: name a version"), None);
        }
    }

    fn dangers(&mut self, row: &Row<'_>) {
        let name = row.name;
        if let Some((key, _)) = row.node.entry("privileged").filter(|(_, value)| value.as_bool() == Some(true)) {
            self.note(key.span, format!("`{name}` is privileged: it can do anything to the machine; name the capabilities or devices it needs"), None);
        }
        for (mode, what) in [("network_mode", "the machine's network: it reaches what listens on 127.0.0.1 alone; use a network of the stack"), ("pid", "the machine's processes: it sees and ends each of them"), ("ipc", "the machine's memory segments")] {
            if let Some((key, _)) = row.node.entry(mode).filter(|(_, value)| value.as_str() == Some("host")) {
                self.note(key.span, format!("`{name}` shares {what}"), None);
            }
        }
    }

    /// Who depends on another waits until that is well.
    fn depends(&mut self, rows: &mut [Row<'_>]) {
        let well: Vec<(&str, bool, bool)> = rows.iter().map(|row| (row.name, !is_unasked(row.node) || row.over.contains_key("healthcheck"), row.left_out)).collect();
        for row in rows.iter_mut().filter(|row| !row.left_out) {
            let Some((key, on)) = row.node.entry("depends_on") else { continue };
            let mut waits = Map::new();
            let mut gone = false;
            for (other, span) in on.names() {
                let said = on.get(other).and_then(|how| text(how, "condition"));
                let &(_, healthy, left_out) = well.iter().find(|(name, ..)| *name == other).unwrap_or(&("", false, false));
                if left_out {
                    if on.as_map().is_some() {
                        waits.insert(other.to_owned(), Value::Null);
                    }
                    gone = true;
                    let asked = on.get(other).and_then(|how| how.get("required")).and_then(Node::as_bool) == Some(false);
                    let refused = if asked { "" } else { ", and which Compose refuses without `required: false`" };
                    self.note(span, format!("`{}` waits for `{other}`, which the machine does not start{refused}", row.name), Some("it does not wait"));
                    continue;
                }
                let how = match said {
                    Some("service_started") | None if healthy => "service_healthy",
                    Some(said) => said,
                    None => "service_started",
                };
                if Some(how) != said && (healthy || on.as_seq().is_some()) {
                    waits.insert(other.to_owned(), json!({"condition": how}));
                }
            }
            let better: Vec<String> = waits.iter().filter(|(_, how)| how["condition"] == "service_healthy").map(|(other, _)| other.clone()).collect();
            if !better.is_empty() {
                self.note(key.span, format!("`{}` does not wait until {} is well", row.name, better.join(", ")), Some("it waits for `service_healthy`"));
            }
            if !better.is_empty() || gone {
                let none = on.as_seq().is_some() && waits.is_empty();
                row.over.insert("depends_on".into(), if none { Value::Null } else { Value::Object(waits) });
            }
        }
    }

    /// What was made by hand on another machine this stack makes for itself.
    fn external(&mut self, document: &Node) {
        for (kind, one) in [("volumes", "volume"), ("networks", "network")] {
            for (key, entry) in document.get(kind).and_then(Node::as_map).unwrap_or_default() {
                let (Some(name), Some(external)) = (key.as_str(), entry.entry("external")) else { continue };
                let given = matches!(text(entry, "name").unwrap_or(name), "host" | "bridge" | "none") && kind == "networks";
                let off = external.1.is_null() || external.1.as_bool() == Some(false) || external.1.as_str() == Some("false");
                if given || off {
                    continue;
                }
                let mut over = json!({"external": null});
                if let Some(old) = text(external.1, "name") {
                    over["name"] = json!(old);
                }
                section(&mut self.overlay, kind).insert(name.to_owned(), over);
                self.note(external.0.span, format!("nothing makes the {one} `{name}` on a new machine"), Some("the stack makes its own"));
            }
        }
        for kind in ["configs", "secrets"] {
            for (key, entry) in document.get(kind).and_then(Node::as_map).unwrap_or_default() {
                if let Some((external, _)) = entry.entry("external").filter(|(_, value)| value.as_bool() == Some(true)) {
                    self.note(external.span, format!("`{}` is to be had in a swarm alone: write its `content`, or make it a secret of the profile", key.as_str().unwrap_or_default()), None);
                }
            }
        }
    }

    /// What is saved every night.
    fn data(&mut self, document: &Node, rows: &mut [Row<'_>], files: &mounts::Files) {
        let mut by_database = Vec::new();
        for row in rows.iter_mut().filter(|row| !row.left_out) {
            let Some(kind) = known(row.node).and_then(|known| known.backup) else { continue };
            let volumes = mounted(row);
            if volumes.is_empty() {
                self.note(row.span, format!("what `{}` holds is gone with its container: give it a volume", row.name), None);
                continue;
            }
            by_database.extend(volumes);
            self.backup = true;
            bootstrap(&mut row.over).insert("backup".into(), json!(kind));
            self.note(row.span, format!("`{}` holds data", row.name), Some("it is dumped every night"));
        }
        let declared = document.get("volumes").map(Node::names).unwrap_or_default().into_iter().map(|(name, span)| (name.to_owned(), span));
        for (name, span) in declared.chain(files.volumes.iter().cloned()) {
            let used = rows.iter().any(|row| !row.left_out && mounted(row).contains(&name));
            let made = files.volumes.iter().any(|(volume, _)| *volume == name);
            if used && !by_database.contains(&name) {
                self.backup = true;
                let all = section(&mut self.overlay, "volumes").entry(name.clone()).or_insert_with(|| json!({}));
                all["x-bootstrap"] = json!({"backup": "pause"});
                self.note(span, format!("the volume `{name}` holds data"), Some("it is saved every night, its services paused; `live`, `stop` or `none` may do better"));
            } else if made {
                section(&mut self.overlay, "volumes").entry(name).or_insert_with(|| json!({}));
            }
        }
    }
}

/// The service's own section of the overlay.
fn bootstrap(over: &mut Map<String, Value>) -> &mut Map<String, Value> {
    section(over, "x-bootstrap")
}

/// Names of the volumes that a service mounts, as the profile has it.
fn mounted(row: &Row<'_>) -> Vec<String> {
    let is_name = |source: &str| !source.starts_with(['.', '/', '~', '$']);
    if let Some(list) = row.over.get("volumes").and_then(Value::as_array) {
        let source = |mount: &Value| match mount {
            Value::String(line) => Some(parts(line)).filter(|parts| parts.len() > 1).map(|parts| parts[0].to_owned()),
            other => other["source"].as_str().filter(|_| other["type"] != "bind").map(str::to_owned),
        };
        return list.iter().filter_map(source).filter(|source| is_name(source)).collect();
    }
    let mounts = row.node.get("volumes").and_then(Node::as_seq).unwrap_or_default();
    let source = |mount: &Node| match mount.as_str() {
        Some(line) => Some(parts(line)).filter(|parts| parts.len() > 1).map(|parts| parts[0].to_owned()),
        None => text(mount, "source").filter(|_| text(mount, "type").is_none_or(|kind| kind == "volume")).map(str::to_owned),
    };
    mounts.iter().filter_map(source).filter(|source| is_name(source)).collect()
}

fn walk(node: &Node, see: &mut impl FnMut(&str, Span)) {
    match &node.kind {
        Kind::Seq(items) => items.iter().for_each(|item| walk(item, see)),
        Kind::Map(entries) => entries.iter().for_each(|(_, value)| walk(value, see)),
        Kind::Scalar { text, .. } => see(text, node.span),
    }
}
