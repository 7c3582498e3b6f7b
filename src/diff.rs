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
/// Parts of the plan that are told in words of their own, or follow from others; with a sentence, that is all that is told.
const TOLD: [(&str, Option<&str>); 14] = [
    ("name", None),
    ("admin", None),
    ("distribution", None),
    ("host", None),
    ("ports", None),
    ("hosts", None),
    ("packages", None),
    ("secrets", None),
    ("services", None),
    ("monitoring", None),
    ("backup", None),
    ("deploy", Some("how new versions come in changes")),
    ("health", Some("which health paths are asked changes")),
    ("sources", None),
];

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
        for (pointer, what, why) in [
            ("/name", "the name, and with it every folder, volume and unit,", ""),
            ("/admin/user", "the login of the administrator", ""),
            ("/distribution", "the distribution", ", for no running machine changes its distribution"),
        ] {
            // What an earlier version has rendered does not say its distribution.
            if let [Some(a), Some(b)] = [old, new].map(|machine| machine.plan.pointer(pointer))
                && a != b
            {
                self.add(Weight::Danger, "machine", format!("{what} changes from {} to {}: that is a new machine{why}", text(a), text(b)));
            }
        }
        let (a, b) = (&old.plan["host"], &new.plan["host"]);
        for name in changed(a, b) {
            self.add(Weight::Quiet, "machine", format!("host.{name} changes from {} to {}", text(&a[&name]), text(&b[&name])));
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
        for volume in volumes(old).difference(&volumes(new)) {
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
        self.backup(old, new);
    }

    fn backup(&mut self, old: &Machine, new: &Machine) {
        let (a, b) = (&old.plan["backup"], &new.plan["backup"]);
        match (a.is_null(), b.is_null()) {
            (true, true) => {}
            (false, true) => self.add(Weight::Danger, "data", "no backup is made any more"),
            (true, false) => self.add(Weight::Quiet, "data", "a backup is made every night"),
            (false, false) => {
                self.saved(old, new);
                if let (Some(a), Some(b)) = (backup_time(old), backup_time(new))
                    && a != b
                {
                    self.add(Weight::Quiet, "data", format!("backup.at changes from {a} to {b}"));
                }
                self.kept("backup.keep", &a["keep"], &b["keep"], span);
                self.elsewhere(a, b);
            }
        }
    }

    /// What is in the backup.
    fn saved(&mut self, old: &Machine, new: &Machine) {
        let (before, after, there) = (saved(old), saved(new), volumes(new));
        for (key, was) in &before {
            match after.get(key) {
                // A volume that goes is told of by itself.
                None if key.0 && !there.contains(&key.1) => {}
                None => self.add(Weight::Danger, "data", format!("{} is no longer in the backup", part_title(was))),
                Some(is) if is != was => self.add(Weight::Quiet, "data", format!("{} is saved in another way", part_title(is))),
                Some(_) => {}
            }
        }
        for (_, is) in after.iter().filter(|(key, _)| !before.contains_key(*key)) {
            self.add(Weight::Quiet, "data", format!("{} comes into the backup", part_title(is)));
        }
    }

    /// How many backups stay, or for how long: with less, some are deleted.
    fn kept(&mut self, what: &str, old: &Value, new: &Value, shown: fn(&Value) -> String) {
        if old != new {
            let (weight, why) = if new.as_u64() < old.as_u64() { (Weight::Danger, ": what is beyond that is deleted") } else { (Weight::Quiet, "") };
            self.add(weight, "data", format!("{what} changes from {} to {}{why}", shown(old), shown(new)));
        }
    }

    /// The copy elsewhere; `old` and `new` are what the plans say of backups.
    fn elsewhere(&mut self, old: &Value, new: &Value) {
        let (a, b) = (&old["offsite"], &new["offsite"]);
        match (a.is_null(), b.is_null()) {
            (true, true) => return,
            (false, true) => return self.add(Weight::Danger, "data", "no backup leaves the machine any more"),
            (true, false) => return self.add(Weight::Quiet, "data", "backups go elsewhere, too"),
            (false, false) => {}
        }
        if a["repository"] != b["repository"] {
            self.add(Weight::Danger, "data", "backups go to another repository: those of before stay where they are, and are not found from there");
        }
        for name in changed(&a["keep"], &b["keep"]) {
            self.kept(&format!("backup.offsite.keep.{name}"), &a["keep"][&name], &b["keep"][&name], text);
        }
        match (old["pitr"] == true, new["pitr"] == true) {
            (true, false) => self.add(Weight::Danger, "data", "PostgreSQL's log goes elsewhere no more: a restore to a moment between two backups is not possible then"),
            (false, true) => self.add(Weight::Quiet, "data", "PostgreSQL's log goes elsewhere, too"),
            _ => {}
        }
        for (what, told, a, b) in [("backup", &["keep", "parts", "offsite", "pitr"][..], old, new), ("backup.offsite", &["repository", "keep"][..], a, b)] {
            let names: Vec<String> = changed(a, b).into_iter().filter(|name| !told.contains(&name.as_str())).collect();
            if !names.is_empty() {
                self.add(Weight::Quiet, "data", format!("`{what}` changes: {}", names.join(", ")));
            }
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
        for key in changed(&old.plan, &new.plan) {
            match TOLD.iter().find(|(told, _)| *told == key) {
                Some((_, None)) => {}
                Some((_, Some(what))) => self.add(Weight::Quiet, "machine", *what),
                None => {
                    let names = changed(&old.plan[&key], &new.plan[&key]);
                    let which = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
                    self.add(if key == "variables" { Weight::Notice } else { Weight::Quiet }, "machine", format!("`{key}` changes{which}"));
                }
            }
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

/// The keys whose values differ.
fn changed(old: &Value, new: &Value) -> Vec<String> {
    keys_of(old).union(&keys_of(new)).filter(|key| old[key.as_str()] != new[key.as_str()]).cloned().collect()
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

/// The volumes, as they are called on the machine.
fn volumes(machine: &Machine) -> BTreeSet<String> {
    section(&machine.compose, "volumes").iter().map(|(key, volume)| volume["name"].as_str().unwrap_or(key).to_owned()).collect()
}

/// The parts of a backup, by whether each is a volume, and what it is called on the machine.
fn saved(machine: &Machine) -> BTreeMap<(bool, String), &Value> {
    let volumes = section(&machine.compose, "volumes");
    let key = |part: &Value| {
        let (volume, name) = (part["kind"] == "volume", text(&part["name"]));
        let called = volumes.get(name.as_str()).filter(|_| volume).and_then(|volume| volume["name"].as_str()).map(str::to_owned);
        (volume, called.unwrap_or(name))
    };
    machine.plan["backup"]["parts"].as_array().into_iter().flatten().map(|part| (key(part), part)).collect()
}

/// A part of a backup as the profile calls it.
fn part_title(part: &Value) -> String {
    let name = text(&part["name"]);
    if part["kind"] == "volume" { format!("the volume `{name}`") } else { format!("`{name}`") }
}

/// The time of day at which backups are made: its timer alone says it.
fn backup_time(machine: &Machine) -> Option<&str> {
    let (_, timer) = machine.files.get(&format!("{UNITS}{}-backup.timer", text(&machine.plan["name"])))?;
    timer.whole.lines().find_map(|line| line.strip_prefix("OnCalendar="))
}

/// Seconds as a profile writes them.
fn span(seconds: &Value) -> String {
    let seconds = seconds.as_u64().unwrap_or_default();
    let (unit, length) = [("d", 86_400), ("h", 3600), ("m", 60)].into_iter().find(|(_, length)| seconds.is_multiple_of(*length)).unwrap_or(("s", 1));
    format!("{}{unit}", seconds / length)
}

/// The kind of a database, and the part of its version by which its data folder is called.
fn database(image: &Value) -> Option<(&'static str, String)> {
    let name = image.as_str()?.split('@').next()?.rsplit('/').next()?;
    let (name, tag) = name.split_once(':')?;
    let kind = ["postgres", "mysql", "mariadb", "mongo"].into_iter().find(|kind| name == *kind).or(Some("postgres").filter(|_| name.starts_with("pgvector") || name.starts_with("postgis")))?;
    let digits: String = tag.trim_start_matches(|c: char| c.is_ascii_alphabetic()).chars().take_while(char::is_ascii_digit).collect();
    (!digits.is_empty()).then_some((kind, digits))
}
