//! A Compose file as it is, and what a profile has to say beside it: what is certain is written down, and what somebody has to decide is told.

use crate::distribution::Distribution;
use crate::interpolation::{self, Operator};
use crate::profile::model::Protocol;
use crate::report::Span;
use crate::resolve::{Published, published};
use crate::yaml::{Kind, Node};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Something that differs from the file, or that somebody has to decide.
#[derive(Debug, Clone)]
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
    /// Laid over the file: `services`, `volumes`.
    pub overlay: Map<String, Value>,
    /// Secrets, by name, with the value that stood in the file; `None`: it comes from the environment.
    pub secrets: BTreeMap<String, Option<String>>,
    /// Something is saved by a backup.
    pub backup: bool,
    /// What was seen.
    pub notes: Vec<Note>,
}

/// What is known beside the file.
pub struct Around<'a> {
    /// Whether there is a domain that can lead to a service.
    pub domain: bool,
    /// The repository that the file stands in, and its branch.
    pub repository: Option<(&'a str, &'a str)>,
}

/// Ports of containers behind which a web server is to be expected.
const WEB: [u16; 22] = [80, 1337, 2368, 3000, 3001, 3333, 4000, 4200, 5000, 5173, 5601, 5678, 8000, 8008, 8065, 8080, 8081, 8088, 8123, 8888, 9000, 9090];
/// Ends of the names of variables that hold what nobody else may know.
const SECRET: [&str; 9] = ["PASSWORD", "PASSWD", "PASS", "SECRET", "TOKEN", "API_KEY", "PRIVATE_KEY", "ENCRYPTION_KEY", "SECRET_KEY_BASE"];

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

fn known(service: &Node) -> Option<&'static Known> {
    let image = text(service, "image")?;
    let name = image.rsplit('/').next()?.split([':', '@']).next()?;
    KNOWN.iter().find(|known| known.images.contains(&name))
}

fn text<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    node.get(key).filter(|value| !value.is_null()).and_then(Node::as_str)
}

/// What to say beside `document`.
pub fn adopt(document: &Node, around: &Around<'_>) -> Adopted {
    let mut adopted = Adopted::default();
    let services: Vec<(&str, &Node)> = document.get("services").and_then(Node::as_map).unwrap_or_default().iter().filter_map(|(key, value)| Some((key.as_str()?, value))).collect();
    let mut overlays: Vec<Map<String, Value>> = vec![Map::new(); services.len()];
    if let Some((key, _)) = document.entry("version") {
        adopted.note(key.span, "the top-level `version` says nothing to today's Compose", Some("it is passed over"));
    }
    for (index, (name, service)) in services.iter().enumerate() {
        let other = || services.iter().filter(|(other, _)| other != name);
        let job = other().any(|(_, other)| {
            other.get("depends_on").and_then(|on| on.get(name)).and_then(|how| text(how, "condition")) == Some("service_completed_successfully")
        });
        let over = &mut overlays[index];
        adopted.restart(name, service, job, over);
        adopted.health(name, service, job, over);
        adopted.secrets(name, service, over);
        adopted.image(name, service, around, over);
        adopted.dangers(name, service);
    }
    adopted.depends(&services, &mut overlays);
    adopted.routes(&services, around, &mut overlays);
    adopted.data(document, &services, &mut overlays);
    adopted.variables(document);
    for ((name, _), over) in services.iter().zip(overlays) {
        if !over.is_empty() {
            let all = adopted.overlay.entry("services").or_insert_with(|| json!({}));
            all[*name] = Value::Object(over);
        }
    }
    adopted
}

impl Adopted {
    fn note(&mut self, span: Span, found: impl Into<String>, done: Option<&str>) {
        self.notes.push(Note { span, found: found.into(), done: done.map(str::to_owned) });
    }

    fn restart(&mut self, name: &str, service: &Node, job: bool, over: &mut Map<String, Value>) {
        let swarm = service.get("deploy").is_some_and(|deploy| deploy.get("restart_policy").is_some());
        if !job && !swarm && service.get("restart").is_none() && service.get("extends").is_none() {
            over.insert("restart".into(), json!("unless-stopped"));
            self.note(service.span, format!("`{name}` stays down when it dies"), Some("restart: unless-stopped"));
        }
    }

    fn health(&mut self, name: &str, service: &Node, job: bool, over: &mut Map<String, Value>) {
        if job || service.get("healthcheck").is_some() {
            return;
        }
        match known(service) {
            Some(known) => {
                over.insert("healthcheck".into(), json!({"test": ["CMD-SHELL", known.health], "start_period": "60s"}));
                self.note(service.span, format!("nothing asks whether `{name}` is well"), Some("a health check by its own client"));
            }
            None => self.note(service.span, format!("nothing asks whether `{name}` is well: add Compose's `healthcheck`"), None),
        }
    }

    /// Passwords that stand in the file go where the profile's secrets are.
    fn secrets(&mut self, name: &str, service: &Node, over: &mut Map<String, Value>) {
        let Some(environment) = service.get("environment") else { return };
        let pairs: Vec<(&str, Option<&str>, Span)> = match &environment.kind {
            Kind::Seq(items) => items.iter().filter_map(|item| Some((item.as_str()?, item.span))).map(|(line, span)| line.split_once('=').map_or((line, None, span), |(key, value)| (key, Some(value), span))).collect(),
            Kind::Map(entries) => entries.iter().filter_map(|(key, value)| Some((key.as_str()?, value.as_str().filter(|_| !value.is_null()), value.span))).collect(),
            Kind::Scalar { .. } => return,
        };
        let mut moved = BTreeMap::new();
        for (key, value, span) in &pairs {
            let ends = |end: &&str| *key == *end || key.to_uppercase().ends_with(&format!("_{end}"));
            let Some(value) = value.filter(|value| !value.is_empty() && !value.contains('$')) else { continue };
            if !SECRET.iter().any(ends) || value.starts_with('/') {
                continue;
            }
            // The same name with another value is another secret.
            let plain = key.to_uppercase();
            let secret = match self.secrets.get(&plain) {
                Some(Some(known)) if known != value => format!("{}_{plain}", name.to_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_")),
                _ => plain,
            };
            self.secrets.insert(secret.clone(), Some(value.to_owned()));
            self.note(*span, format!("the value of `{key}` stands in the file"), Some(&format!("it is the secret {secret}")));
            moved.insert(*key, format!("${{{secret}}}"));
        }
        if moved.is_empty() {
            return;
        }
        let list = environment.as_seq().is_some();
        let rows: Map<String, Value> = match list {
            // A list is replaced as a whole.
            true => pairs.iter().map(|(key, value, _)| ((*key).to_owned(), moved.get(key).map_or_else(|| json!(value), |reference| json!(reference)))).collect(),
            false => moved.iter().map(|(key, reference)| ((*key).to_owned(), json!(reference))).collect(),
        };
        over.insert("environment".into(), Value::Object(rows));
    }

    fn image(&mut self, name: &str, service: &Node, around: &Around<'_>, over: &mut Map<String, Value>) {
        if let Some((key, _)) = service.entry("build").filter(|(_, build)| !build.is_null()) {
            match around.repository {
                Some((url, branch)) => {
                    bootstrap(over).insert("source".into(), json!({"git": url, "branch": branch}));
                    self.note(key.span, format!("`{name}` is built from a folder here"), Some(&format!("the machine builds it from {url}, branch {branch}")));
                }
                None => self.note(key.span, format!("`{name}` is built from a folder that the machine does not have: write `x-bootstrap: {{source: {{git: …, branch: main}}}}`, or push an image and name it"), None),
            }
        }
        let Some((_, image)) = service.entry("image").filter(|(_, image)| !image.is_null()) else { return };
        let name = image.as_str().unwrap_or_default();
        let last = name.rsplit('/').next().unwrap_or(name);
        if !last.contains(['@', '$']) && (!last.contains(':') || last.ends_with(":latest")) {
            self.note(image.span, format!("`{name}` is whatever the registry has on that day: name a version"), None);
        }
    }

    fn dangers(&mut self, name: &str, service: &Node) {
        if let Some((key, _)) = service.entry("privileged").filter(|(_, value)| value.as_bool() == Some(true)) {
            self.note(key.span, format!("`{name}` is privileged: it can do anything to the machine; name the capabilities or devices it needs"), None);
        }
        if let Some((key, _)) = service.entry("network_mode").filter(|(_, value)| value.as_str() == Some("host")) {
            self.note(key.span, format!("`{name}` shares the machine's network: it reaches what listens on 127.0.0.1 alone; use a network of the stack"), None);
        }
        for mount in service.get("volumes").and_then(Node::as_seq).unwrap_or_default() {
            let source = mount.as_str().map_or_else(|| text(mount, "source").unwrap_or_default(), |line| line.split(':').next().unwrap_or_default());
            if source.ends_with("docker.sock") {
                self.note(mount.span, format!("through Docker's socket `{name}` is root on the machine: a proxy that only reads will often do"), None);
            } else if source.starts_with('.') {
                self.note(mount.span, format!("`{source}` is not on the machine: make it a `config` with `content`, part of the image, or a volume"), None);
            }
        }
    }

    /// Who depends on another waits until that is well.
    fn depends(&mut self, services: &[(&str, &Node)], overlays: &mut [Map<String, Value>]) {
        let well = |other: &str, overlays: &[Map<String, Value>]| {
            services.iter().position(|(name, _)| *name == other).is_some_and(|index| services[index].1.get("healthcheck").is_some() || overlays[index].contains_key("healthcheck"))
        };
        for (index, (name, service)) in services.iter().enumerate() {
            let Some((key, on)) = service.entry("depends_on") else { continue };
            let mut waits = Map::new();
            for (other, _) in on.names() {
                let said = on.get(other).and_then(|how| text(how, "condition"));
                let healthy = well(other, overlays);
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
            if better.is_empty() {
                continue;
            }
            self.note(key.span, format!("`{name}` does not wait until {} is well", better.join(", ")), Some("it waits for `service_healthy`"));
            overlays[index].insert("depends_on".into(), Value::Object(waits));
        }
    }

    /// Ports that everybody could reach: one becomes the way in through nginx, the others are the machine's own.
    fn routes(&mut self, services: &[(&str, &Node)], around: &Around<'_>, overlays: &mut [Map<String, Value>]) {
        let is_web = |port: &Published| port.protocol == Protocol::Tcp && port.target.0 == port.target.1 && (WEB.contains(&port.target.0) || port.host.is_some_and(|host| [80, 8080].contains(&host.0)));
        let rank = |port: &Published| match port.host {
            Some((80, _)) => 0,
            Some((8080 | 3000 | 8000, _)) => 1,
            _ => 2,
        };
        let all: Vec<Vec<(Span, Result<Published, String>)>> = services.iter().map(|(_, service)| published(service)).collect();
        let first = all
            .iter()
            .enumerate()
            .flat_map(|(index, ports)| ports.iter().filter_map(move |(_, port)| port.as_ref().ok().map(|port| (index, port))))
            .filter(|(_, port)| !port.is_loopback() && is_web(port))
            .min_by_key(|(index, port)| (rank(port), *index))
            .map(|(index, port)| (index, port.target.0));
        for (index, (name, service)) in services.iter().enumerate() {
            let list = service.get("ports").and_then(Node::as_seq).unwrap_or_default();
            let (mut kept, mut changed) = (Vec::new(), false);
            for (entry, (span, port)) in list.iter().zip(&all[index]) {
                let Ok(port) = port else {
                    self.note(*span, format!("where `{name}` is published hangs on a variable: write the port, behind 127.0.0.1 if it is the machine's own"), None);
                    kept.push(entry);
                    continue;
                };
                if port.is_loopback() {
                    kept.push(entry);
                    continue;
                }
                changed = true;
                if first == Some((index, port.target.0)) && around.domain {
                    bootstrap(&mut overlays[index]).insert("route".into(), json!({"path": "/", "port": port.target.0}));
                    self.note(*span, format!("`{name}` is published to everybody"), Some("the domain leads to it, through nginx and TLS"));
                } else if is_web(port) {
                    self.note(*span, format!("`{name}` is published to everybody: if people need it, give it `x-bootstrap: {{route: {{host: …, port: {}}}}}`", port.target.0), Some("nobody outside the stack reaches it"));
                } else {
                    self.note(*span, format!("`{name}` is published to everybody: if it must be, list its port in `x-bootstrap.public_ports`"), Some("nobody outside the stack reaches it"));
                }
            }
            if changed {
                let rows: Vec<Value> = kept.iter().filter_map(|entry| crate::yaml::to_json(entry)).collect();
                overlays[index].insert("ports".into(), if rows.is_empty() { Value::Null } else { json!(rows) });
            }
        }
        if first.is_some() && !around.domain {
            self.note(services[0].1.span, "no domain leads to the services: give `--domain`", None);
        }
    }

    /// What is saved every night.
    fn data(&mut self, document: &Node, services: &[(&str, &Node)], overlays: &mut [Map<String, Value>]) {
        let mut by_database = Vec::new();
        for (index, (name, service)) in services.iter().enumerate() {
            let Some(kind) = known(service).and_then(|known| known.backup) else { continue };
            let volumes: Vec<&str> = mounted(service);
            if volumes.is_empty() {
                self.note(service.span, format!("what `{name}` holds is gone with its container: give it a volume"), None);
                continue;
            }
            by_database.extend(volumes);
            self.backup = true;
            bootstrap(&mut overlays[index]).insert("backup".into(), json!(kind));
            self.note(service.span, format!("`{name}` holds data"), Some("it is dumped every night"));
        }
        for (name, span) in document.get("volumes").map(Node::names).unwrap_or_default() {
            let used = services.iter().any(|(_, service)| mounted(service).contains(&name));
            if used && !by_database.contains(&name) {
                self.backup = true;
                let all = self.overlay.entry("volumes").or_insert_with(|| json!({}));
                all[name] = json!({"x-bootstrap": {"backup": "pause"}});
                self.note(span, format!("the volume `{name}` holds data"), Some("it is saved every night, its services paused; `live`, `stop` or `none` may do better"));
            }
        }
    }

    /// What Compose would look up in the environment is a secret here.
    fn variables(&mut self, document: &Node) {
        let mut found = BTreeMap::new();
        walk(document, &mut |text, span| {
            for (name, operator) in interpolation::variables(text) {
                if matches!(operator, Operator::Plain | Operator::Required) && !["DOMAIN", "TIMEZONE"].contains(&name) {
                    found.entry(name.to_owned()).or_insert(span);
                }
            }
        });
        for (name, span) in found {
            if self.secrets.contains_key(&name) {
                continue;
            }
            self.note(span, format!("`{name}` comes from the environment"), Some("it is a secret that `--env-file` or the environment gives when rendering"));
            self.secrets.insert(name, None);
        }
    }
}

/// The service's own section of the overlay.
fn bootstrap(over: &mut Map<String, Value>) -> &mut Map<String, Value> {
    over.entry("x-bootstrap").or_insert_with(|| json!({})).as_object_mut().expect("made as a mapping")
}

/// Names of the volumes that a service mounts.
fn mounted(service: &Node) -> Vec<&str> {
    let mounts = service.get("volumes").and_then(Node::as_seq).unwrap_or_default();
    mounts
        .iter()
        .filter_map(|mount| match mount.as_str() {
            Some(line) => line.split_once(':').map(|(source, _)| source).filter(|source| !source.starts_with(['.', '/', '~', '$'])),
            None => text(mount, "source").filter(|source| text(mount, "type").is_none_or(|kind| kind == "volume") && !source.starts_with(['.', '/'])),
        })
        .collect()
}

fn walk(node: &Node, see: &mut impl FnMut(&str, Span)) {
    match &node.kind {
        Kind::Seq(items) => items.iter().for_each(|item| walk(item, see)),
        Kind::Map(entries) => entries.iter().for_each(|(_, value)| walk(value, see)),
        Kind::Scalar { text, .. } => see(text, node.span),
    }
}

/// What a profile is called and where it goes.
pub struct Head<'a> {
    /// Its name.
    pub name: &'a str,
    /// The Compose file, as seen from the profile.
    pub file: &'a str,
    /// What the machine runs.
    pub distribution: Distribution,
    /// Who may log in.
    pub keys: &'a [String],
    /// What leads to it.
    pub domain: Option<&'a str>,
}

impl Adopted {
    /// The profile's text.
    pub fn profile(&self, head: &Head<'_>) -> String {
        let mut text = format!(
            "# Beside {0}, which stays as it is: what stands here is laid over it. Written by `julia-bootstrap adopt {0}`.\nversion: 1\nname: {1}\ndistribution: {2}\nadmin:\n  ssh_keys: {3}\n",
            head.file,
            head.name,
            head.distribution.id(),
            flow(&json!(head.keys))
        );
        if let Some(domain) = head.domain {
            text += &format!("domain: {domain}\n");
        }
        if self.backup {
            text += "backup: {}\n";
        }
        text += &format!("compose: {}\n", flow(&json!(head.file)));
        if !self.secrets.is_empty() {
            text += "\n# Their values come from the environment, or from the file that --env-file names.\nsecrets:\n";
            for name in self.secrets.keys() {
                text += &format!("  {name}: {{env: {name}}}\n");
            }
        }
        for (key, value) in &self.overlay {
            text += &format!("\n{key}:\n");
            block(&mut text, value, 1);
        }
        text
    }
}

/// Mappings in lines, two levels deep; what stands below in one line.
fn block(out: &mut String, value: &Value, depth: usize) {
    for (key, value) in value.as_object().into_iter().flatten() {
        let indent = "  ".repeat(depth);
        match value {
            Value::Object(inner) if depth < 3 && !inner.is_empty() => {
                *out += &format!("{indent}{}:\n", flow(&json!(key)));
                block(out, value, depth + 1);
            }
            _ => *out += &format!("{indent}{}: {}\n", flow(&json!(key)), flow(value)),
        }
    }
}

/// In one line, without quotes where YAML needs none.
fn flow(value: &Value) -> String {
    match value {
        Value::Object(entries) => format!("{{{}}}", entries.iter().map(|(key, value)| format!("{}: {}", flow(&json!(key)), flow(value))).collect::<Vec<_>>().join(", ")),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::String(text) if is_plain(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Whether a text is the same without quotes.
fn is_plain(text: &str) -> bool {
    let word = matches!(text.to_ascii_lowercase().as_str(), "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null");
    !word && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/') && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
}
