//! What a change of a profile means for its machine: not which lines differ, but what opens, restarts, is down, and what could be lost.

use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A file's text. What comes packed is without its comments: it is the same where either form is.
#[derive(Clone, Debug, Eq)]
pub struct Text {
    /// As it was written.
    pub whole: String,
    /// Without comments, as far as it is ours.
    pub bare: String,
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.whole == other.whole || self.bare == other.bare
    }
}

/// A machine as its files say it.
#[derive(Debug, Default)]
pub struct Machine {
    /// Permission bits and text of each file, by path.
    pub files: BTreeMap<String, (u32, Text)>,
    /// `plan.json`.
    pub plan: Value,
    /// The Compose file, or nothing.
    pub compose: Value,
}

/// How much a change weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// Something could be lost, or a new machine is needed.
    Danger,
    /// Somebody will notice: a port, a service that is away for a while.
    Notice,
    /// The rest.
    Quiet,
}

/// One change.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    /// How much it weighs.
    pub weight: Weight,
    /// What it is of: `machine`, `ports`, `routes`, `services`, `data`, `secrets`, `packages`, `units`, `files`.
    pub about: &'static str,
    /// What it is.
    pub what: String,
}

/// Units lie there.
const UNITS: &str = "/etc/systemd/system/";
/// Parts of the plan that are told in words of their own, or follow from others.
const TOLD: [&str; 13] = ["name", "admin", "host", "ports", "hosts", "packages", "secrets", "services", "monitoring", "backup", "deploy", "health", "sources"];

/// Everything that differs, the weightiest first.
pub fn diff(old: &Machine, new: &Machine) -> Vec<Change> {
    let mut found = Found(Vec::new());
    found.machine(old, new);
    found.sets("ports", Weight::Notice, "opens to everybody", "closes", &texts(&old.plan["ports"]), &texts(&new.plan["ports"]));
    found.sets("routes", Weight::Notice, "is served", "is served no more", &host_names(&old.plan), &host_names(&new.plan));
    found.services(old, new);
    found.data(old, new);
    found.compose(old, new);
    found.secrets(old, new);
    found.rest(old, new);
    found.sets("packages", Weight::Quiet, "is installed", "is not installed any more; where it is, it stays", &packages(&old.plan), &packages(&new.plan));
    found.files(old, new);
    if found.0.is_empty() && (old.plan != new.plan || old.compose != new.compose) {
        found.add(Weight::Quiet, "machine", "other settings change");
    }
    found.0.sort_by_key(|change| change.weight);
    found.0
}

struct Found(Vec<Change>);

impl Found {
    fn add(&mut self, weight: Weight, about: &'static str, what: impl Into<String>) {
        self.0.push(Change { weight, about, what: what.into() });
    }

    fn sets(&mut self, about: &'static str, weight: Weight, comes: &str, goes: &str, old: &BTreeSet<String>, new: &BTreeSet<String>) {
        for one in new.difference(old) {
            self.add(weight, about, format!("{one} {comes}"));
        }
        for one in old.difference(new) {
            self.add(weight, about, format!("{one} {goes}"));
        }
    }

    /// What a running machine cannot become.
    fn machine(&mut self, old: &Machine, new: &Machine) {
        for (pointer, what) in [("/name", "the name, and with it every folder, volume and unit"), ("/admin/user", "the login of the administrator")] {
            let [a, b] = [old, new].map(|machine| machine.plan.pointer(pointer).cloned().unwrap_or_default());
            if a != b {
                self.add(Weight::Danger, "machine", format!("{what} changes from {a} to {b}: that is a new machine"));
            }
        }
        if old.plan["host"] != new.plan["host"] {
            for name in keys_of(&old.plan["host"]).union(&keys_of(&new.plan["host"])) {
                let (a, b) = (&old.plan["host"][name.as_str()], &new.plan["host"][name.as_str()]);
                if a != b {
                    self.add(Weight::Quiet, "machine", format!("host.{name} changes from {} to {}", text(a), text(b)));
                }
            }
        }
    }

    fn services(&mut self, old: &Machine, new: &Machine) {
        let (before, after) = (section(&old.compose, "services"), section(&new.compose, "services"));
        let turns = |machine: &Machine, name: &str| machine.plan.pointer(&format!("/deploy/services/{name}/blue_green")) == Some(&Value::Bool(true));
        let shown = |name: &str, machine: &Machine| -> Option<String> {
            // Of the two that take turns one stands for both.
            let base = name.strip_suffix("-green").filter(|base| turns(machine, base));
            if base.is_some() { None } else { Some(name.strip_suffix("-blue").filter(|base| turns(machine, base)).unwrap_or(name).to_owned()) }
        };
        for (name, service) in &after {
            let Some(title) = shown(name, new) else { continue };
            let Some(was) = before.get(name) else {
                self.add(Weight::Notice, "services", format!("{title} is new"));
                continue;
            };
            let keys: Vec<&str> = keys_of(was).union(&keys_of(service)).filter(|key| was[key.as_str()] != service[key.as_str()]).map(|key| KEYS.iter().find(|known| *known == key).copied().unwrap_or("other settings")).collect::<BTreeSet<_>>().into_iter().collect();
            if keys.is_empty() {
                continue;
            }
            let image = if was["image"] == service["image"] { String::new() } else { format!(": {} becomes {}", text(&was["image"]), text(&service["image"])) };
            let how = if turns(old, &title) && turns(new, &title) { "is replaced, no request is lost" } else { "is made anew, and is away meanwhile" };
            self.add(Weight::Notice, "services", format!("{title} {how} ({}{image})", keys.join(", ")));
        }
        for name in before.keys().filter(|name| !after.contains_key(*name)) {
            if let Some(title) = shown(name, old).filter(|title| !after.contains_key(format!("{title}-blue").as_str())) {
                self.add(Weight::Notice, "services", format!("{title} ends"));
            }
        }
        let (a, b) = (&old.plan["monitoring"]["level"], &new.plan["monitoring"]["level"]);
        if a != b {
            self.add(Weight::Notice, "services", format!("monitoring: {} becomes {}", text(a), text(b)));
        }
    }

    fn data(&mut self, old: &Machine, new: &Machine) {
        let named = |machine: &Machine| -> BTreeSet<String> { section(&machine.compose, "volumes").iter().map(|(key, volume)| volume["name"].as_str().unwrap_or(key).to_owned()).collect() };
        for volume in named(old).difference(&named(new)) {
            self.add(Weight::Danger, "data", format!("the volume {volume} belongs to nothing any more: what is in it stays on the disk, and in no backup"));
        }
        let (before, after) = (section(&old.compose, "services"), section(&new.compose, "services"));
        for (name, service) in &after {
            let Some(was) = before.get(name) else { continue };
            if let (Some((kind, a)), Some((other, b))) = (database(&was["image"]), database(&service["image"]))
                && kind == other
                && a != b
            {
                self.add(Weight::Danger, "data", format!("{name} goes from {kind} {a} to {b}, which does not read what the other has written: back it up, and restore it into the new one"));
            }
        }
        let backup = |machine: &Machine| !machine.plan["backup"].is_null();
        match (backup(old), backup(new)) {
            (true, false) => self.add(Weight::Danger, "data", "no backup is made any more"),
            (false, true) => self.add(Weight::Quiet, "data", "a backup is made every night"),
            (true, true) if old.plan["backup"]["offsite"].is_null() != new.plan["backup"]["offsite"].is_null() => {
                let gone = new.plan["backup"]["offsite"].is_null();
                self.add(if gone { Weight::Danger } else { Weight::Quiet }, "data", if gone { "no backup leaves the machine any more" } else { "backups go elsewhere, too" });
            }
            (true, true) if old.plan["backup"] != new.plan["backup"] => self.add(Weight::Quiet, "data", "what is saved, or for how long, changes"),
            _ => {}
        }
    }

    /// What stands in the Compose file beside its services.
    fn compose(&mut self, old: &Machine, new: &Machine) {
        for (key, one) in [("volumes", "volume"), ("networks", "network"), ("configs", "config"), ("secrets", "secret of Compose's")] {
            let (before, after) = (section(&old.compose, key), section(&new.compose, key));
            for (name, is) in &after {
                let (weight, what) = match before.get(name) {
                    Some(was) if was == is => continue,
                    Some(_) if key == "volumes" => (Weight::Danger, "has other options, which a volume that is there does not take on: what is in it stays, or goes with it"),
                    Some(_) if key == "networks" => (Weight::Notice, "is made anew, and its services with it"),
                    Some(_) => (Weight::Notice, "has other contents"),
                    None => (Weight::Quiet, "is new"),
                };
                self.add(weight, if key == "volumes" { "data" } else { "services" }, format!("the {one} {name} {what}"));
            }
            // A volume that goes is told of with the data.
            for name in before.keys().filter(|name| key != "volumes" && !after.contains_key(*name)) {
                self.add(Weight::Quiet, "services", format!("the {one} {name} goes"));
            }
        }
    }

    /// Settings of the machine that no other words are about; values may be private, so that names alone are told.
    fn rest(&mut self, old: &Machine, new: &Machine) {
        let keys = keys_of(&old.plan).union(&keys_of(&new.plan)).cloned().collect::<BTreeSet<_>>();
        for key in keys.iter().filter(|key| !TOLD.contains(&key.as_str()) && old.plan[key.as_str()] != new.plan[key.as_str()]) {
            let names = keys_of(&old.plan[key]).union(&keys_of(&new.plan[key])).filter(|name| old.plan[key][name.as_str()] != new.plan[key][name.as_str()]).cloned().collect::<Vec<_>>();
            let which = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
            self.add(if key == "variables" { Weight::Notice } else { Weight::Quiet }, "machine", format!("`{key}` changes{which}"));
        }
        if old.plan["deploy"] != new.plan["deploy"] {
            self.add(Weight::Quiet, "machine", "how new versions come in changes");
        }
        if old.plan["health"] != new.plan["health"] {
            self.add(Weight::Quiet, "machine", "which health paths are asked changes");
        }
    }

    /// Names alone: a value is never told, only that it is another one.
    fn secrets(&mut self, old: &Machine, new: &Machine) {
        let rows = |machine: &Machine| -> BTreeMap<String, Value> { machine.plan["secrets"].as_array().into_iter().flatten().map(|row| (text(&row["name"]), row.clone())).collect() };
        let given = |machine: &Machine| -> Value { machine.files.get("/etc/julia-bootstrap/given.json").and_then(|(_, text)| serde_json::from_str(&text.whole).ok()).unwrap_or_default() };
        let (before, after, a, b) = (rows(old), rows(new), given(old), given(new));
        for (name, row) in &after {
            match before.get(name) {
                None => self.add(Weight::Quiet, "secrets", format!("{name} is new")),
                Some(was) if was != row || a[name].is_null() != b[name].is_null() => self.add(Weight::Notice, "secrets", format!("{name} comes another way, or ends elsewhere; a machine keeps what it has")),
                Some(_) if a[name] != b[name] => self.add(Weight::Notice, "secrets", format!("{name} has another value; a machine keeps what it has until `bootstrapctl secrets set {name}`")),
                Some(_) => {}
            }
        }
        for name in before.keys().filter(|name| !after.contains_key(*name)) {
            self.add(Weight::Quiet, "secrets", format!("{name} is used no more"));
        }
    }

    fn files(&mut self, old: &Machine, new: &Machine) {
        let paths: BTreeSet<&String> = old.files.keys().chain(new.files.keys()).collect();
        for path in paths {
            let (was, is) = (old.files.get(path), new.files.get(path));
            // What these two hold is told in words.
            let told = path == "/etc/julia-bootstrap/plan.json" || path.starts_with("/opt/") && path.ends_with("/compose.yaml");
            if was == is || told && was.is_some() && is.is_some() {
                continue;
            }
            let (about, name) = path.strip_prefix(UNITS).map_or(("files", path.as_str()), |unit| ("units", unit));
            let what = match (was, is) {
                (None, _) => "is new",
                (_, None) => "goes",
                _ => "changes",
            };
            self.add(Weight::Quiet, about, format!("{name} {what}"));
        }
    }
}

/// Keys of a service that people know by name.
const KEYS: [&str; 14] = ["image", "environment", "command", "entrypoint", "volumes", "ports", "networks", "healthcheck", "depends_on", "mem_limit", "user", "restart", "build", "configs"];

fn keys_of(service: &Value) -> BTreeSet<String> {
    service.as_object().map(|entries| entries.keys().cloned().collect()).unwrap_or_default()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "nothing".to_owned(),
        other => other.to_string(),
    }
}

fn texts(list: &Value) -> BTreeSet<String> {
    list.as_array().into_iter().flatten().map(text).collect()
}

fn host_names(plan: &Value) -> BTreeSet<String> {
    plan["hosts"].as_array().into_iter().flatten().map(|host| host.as_str().map_or_else(|| text(&host["name"]), str::to_owned)).collect()
}

fn packages(plan: &Value) -> BTreeSet<String> {
    plan["packages"].as_object().into_iter().flatten().flat_map(|(_, list)| texts(list)).collect()
}

/// The entries of a section of a Compose file.
fn section<'v>(compose: &'v Value, name: &str) -> BTreeMap<&'v str, &'v Value> {
    compose[name].as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value)).collect()
}

/// The kind of a database, and the part of its version by which its data folder is called.
fn database(image: &Value) -> Option<(&'static str, String)> {
    let name = image.as_str()?.split('@').next()?.rsplit('/').next()?;
    let (name, tag) = name.split_once(':')?;
    let kind = ["postgres", "mysql", "mariadb", "mongo"].into_iter().find(|kind| name == *kind).or(Some("postgres").filter(|_| name.starts_with("pgvector") || name.starts_with("postgis")))?;
    let digits: String = tag.trim_start_matches(|c: char| c.is_ascii_alphabetic()).chars().take_while(char::is_ascii_digit).collect();
    (!digits.is_empty()).then_some((kind, digits))
}
