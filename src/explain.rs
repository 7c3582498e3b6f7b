//! What will be on a machine, as data that people can be shown: everything is taken from its profile and its plan.

mod draw;

pub use draw::page;

use crate::budget::{self, Budget};
use crate::encode::{self, SectionSize};
use crate::plan::{File, Plan, SecretEnd, Stage};
use crate::profile::model::{Profile, Route};
use crate::yaml::Node;
use anyhow::Result;
use serde::Serialize;
use std::collections::BTreeMap;

/// A machine, part by part. What is in one is told by the names of [`PARTS`].
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The profile's name.
    pub name: String,
    /// What it runs on, as people say it.
    pub system: &'static str,
    /// Its host name.
    pub hostname: String,
    /// Its time zone.
    pub timezone: String,
    /// Who may log in.
    pub users: Vec<User>,
    /// What is open from outside.
    pub ports: Vec<Port>,
    /// What the web server leads where.
    pub routes: Vec<Path>,
    /// The stack.
    pub services: Vec<Service>,
    /// Packages that the stages install, in order.
    pub packages: Vec<String>,
    /// The stages in their declared order.
    pub stages: Vec<Stage>,
    /// What systemd runs of ours.
    pub units: Vec<Unit>,
    /// What lies where.
    pub files: Vec<Row>,
    /// Where each secret comes from and ends.
    pub secrets: Vec<SecretEnd>,
    /// What is saved every night, and where to.
    pub backup: Vec<String>,
    /// What is expected to be taken of memory and disk.
    pub budget: Budget,
    /// Bytes by section.
    pub sections: Vec<SectionSize>,
}

/// The parts that can be asked for alone.
pub const PARTS: [&str; 12] =
    ["users", "ports", "routes", "services", "packages", "stages", "units", "files", "secrets", "backup", "budget", "size"];

/// Somebody who may log in.
#[derive(Clone, Debug, Serialize)]
pub struct User {
    /// Login name.
    pub name: String,
    /// What they may do.
    pub may: String,
}

/// An open port.
#[derive(Clone, Debug, Serialize)]
pub struct Port {
    /// Its number.
    pub port: u16,
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// What answers there.
    pub who: String,
}

/// A path of the web server.
#[derive(Clone, Debug, Serialize)]
pub struct Path {
    /// Host name.
    pub host: String,
    /// It begins so.
    pub path: String,
    /// The service that answers.
    pub service: String,
    /// Its port in the container.
    pub port: u16,
    /// What is particular.
    pub remarks: Vec<String>,
}

/// A service of the stack.
#[derive(Clone, Debug, Serialize)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Its image, or the repository that it is built from.
    pub image: String,
    /// The services that it waits for.
    pub after: Vec<String>,
    /// What it keeps where.
    pub volumes: Vec<String>,
    /// It came with the monitoring.
    pub monitoring: bool,
    /// What is particular.
    pub remarks: Vec<String>,
}

/// A unit of systemd.
#[derive(Clone, Debug, Serialize)]
pub struct Unit {
    /// Its name.
    pub name: String,
    /// What it says of itself.
    pub title: String,
    /// When a timer runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
}

/// A file.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Absolute path.
    pub path: String,
    /// Permission bits, in octal.
    pub mode: String,
    /// Its length.
    pub bytes: usize,
    /// The part of the machine that it serves.
    pub section: &'static str,
    /// The field of the profile because of which it is there, with its place; nothing for what every machine has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

/// Sections of files that are there because of one field.
const BECAUSE: [(&str, &str); 7] = [
    ("web", "domain"),
    ("monitoring", "monitoring"),
    ("backup", "backup"),
    ("follow", "follow"),
    ("stack", "services"),
    ("secrets", "secrets"),
    ("runbook", "runbook"),
];

/// Explains a machine. `places` are the profile's own fields and where they stand.
pub fn explain(profile: &Profile, plan: &Plan, places: &BTreeMap<String, String>) -> Result<Explanation> {
    let services = || profile.stack.iter().flat_map(|stack| &stack.services);
    let mut users = vec![User { name: profile.admin.user.clone(), may: "log in by key, and use sudo without a password".to_owned() }];
    users.extend(profile.ssh.allow_users.iter().map(|name| User { name: name.clone(), may: "log in by key".to_owned() }));
    Ok(Explanation {
        name: plan.name.clone(),
        system: plan.distribution.facts().title,
        hostname: plan.hostname.clone(),
        timezone: profile.host.timezone.clone(),
        users,
        ports: plan.ports.iter().map(|rule| Port { port: rule.port, protocol: rule.protocol.name(), who: answers(profile, rule.port) }).collect(),
        routes: services().flat_map(|service| service.routes.iter().map(|route| path(profile, &service.name, route))).collect(),
        services: services().map(|one| service(profile, one)).collect(),
        packages: plan.packages.clone(),
        stages: plan.stages.clone(),
        units: plan.files.iter().filter_map(|file| unit(file, &profile.host.timezone)).collect(),
        files: plan.files.iter().map(|file| row(file, places)).collect(),
        secrets: plan.secrets.clone(),
        backup: backup(profile),
        budget: budget::budget(profile),
        sections: encode::sizes(plan)?,
    })
}

fn answers(profile: &Profile, port: u16) -> String {
    if port == profile.ssh.port {
        return "sshd".to_owned();
    }
    if matches!(port, 80 | 443) && profile.domain.is_some() {
        return "nginx".to_owned();
    }
    let published = profile.stack.iter().any(|stack| stack.public_ports.iter().any(|rule| rule.port == port));
    if published { "a service of the stack".to_owned() } else { "whatever listens there: the profile opens it".to_owned() }
}

fn path(profile: &Profile, service: &str, route: &Route) -> Path {
    let mut remarks = Vec::new();
    if let Some(limit) = route.rate_limit {
        remarks.push(format!("{} requests a second and address, {} more at once", limit.per_second, limit.burst));
    }
    if route.websocket {
        remarks.push("WebSockets".to_owned());
    }
    if route.strip_prefix && route.path != "/" {
        remarks.push("the service does not see this prefix".to_owned());
    }
    Path {
        host: route.host.clone().or_else(|| profile.domain.clone()).unwrap_or_default(),
        path: route.path.clone(),
        service: service.to_owned(),
        port: route.port,
        remarks,
    }
}

fn service(profile: &Profile, service: &crate::profile::model::Service) -> Service {
    let services = profile.stack.as_ref().and_then(|stack| stack.compose.get("services"));
    // Of two that take turns, each has the keys of both.
    let compose = services.and_then(|services| services.get(&service.name).or_else(|| services.get(&format!("{}-blue", service.name))));
    let names = |key: &str| -> Vec<String> {
        let Some(node) = compose.and_then(|compose| compose.get(key)) else { return Vec::new() };
        let listed = node.as_seq().into_iter().flatten().filter_map(Node::as_str).map(str::to_owned);
        listed.chain(node.as_map().into_iter().flatten().filter_map(|(key, _)| key.as_str()).map(str::to_owned)).collect()
    };
    let mut remarks = Vec::new();
    if service.is_job {
        remarks.push("does its work and ends".to_owned());
    }
    if let Some(way) = &service.deploy {
        remarks.push(if way.blue_green { "two take turns at a deploy".to_owned() } else { "replaced at a deploy".to_owned() });
    }
    if let Some(reason) = &service.root_reason {
        remarks.push(format!("runs as root: {reason}"));
    }
    let source = service.source.as_ref().map(|source| source.repository.clone());
    Service {
        name: service.name.clone(),
        image: source.or_else(|| service.image.clone()).unwrap_or_default(),
        after: names("depends_on"),
        volumes: names("volumes"),
        monitoring: profile.monitoring.as_ref().is_some_and(|monitoring| monitoring.services.iter().any(|one| one.name == service.name)),
        remarks,
    }
}

fn backup(profile: &Profile) -> Vec<String> {
    let Some(backup) = &profile.backup else { return Vec::new() };
    let mut lines = vec![format!("every day at {} ({}), kept for {}", backup.at, profile.host.timezone, span(backup.keep_seconds))];
    lines.extend(backup.parts.iter().map(|part| format!("{} {}", part.kind, part.name)));
    if backup.pitr {
        lines.push("PostgreSQL's log, for any moment in between".to_owned());
    }
    lines.push(match &backup.offsite {
        Some(offsite) => format!("encrypted to {}", offsite.repository),
        None => "nowhere else: who loses the machine loses them".to_owned(),
    });
    lines
}

fn span(seconds: u32) -> String {
    match seconds {
        s if s.is_multiple_of(86_400) => format!("{} d", s / 86_400),
        s if s.is_multiple_of(3600) => format!("{} h", s / 3600),
        s if s.is_multiple_of(60) => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}

/// What a unit's file says.
fn unit(file: &File, timezone: &str) -> Option<Unit> {
    let name = file.path.strip_prefix("/etc/systemd/system/")?;
    if name.contains('/') {
        return None;
    }
    let value = |key: &str| file.content.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let when = name.ends_with(".timer").then(|| {
        let mut words = Vec::new();
        words.extend(value("OnCalendar").map(|text| calendar(text, timezone)));
        words.extend(value("OnBootSec").map(|text| format!("{} after power-on", time(text))));
        words.extend(value("OnActiveSec").map(|text| format!("{} after its start", time(text))));
        words.extend(value("OnUnitActiveSec").map(|text| format!("then every {}", time(text))));
        words.extend(value("OnUnitInactiveSec").map(|text| format!("then {} after each end", time(text))));
        words.extend(value("RandomizedDelaySec").map(|text| format!("up to {} later", time(text))));
        words.join(", ")
    });
    Some(Unit { name: name.to_owned(), title: value("Description").unwrap_or_default().replace("%%", "%"), when })
}

/// A number alone is one of seconds.
fn time(text: &str) -> String {
    text.parse().map_or_else(|_| text.to_owned(), span)
}

/// `*-*-* 03:00:00` in words; anything else as systemd has it.
fn calendar(text: &str, timezone: &str) -> String {
    let (day, hour) = text.rsplit_once(' ').unwrap_or(("", text));
    let hour = hour.strip_suffix(":00").filter(|rest| rest.contains(':')).unwrap_or(hour);
    match day {
        "" | "*-*-*" => format!("every day at {hour} ({timezone})"),
        _ => format!("{} at {hour} ({timezone})", day.replace("*-*-*", "").trim()),
    }
}

fn row(file: &File, places: &BTreeMap<String, String>) -> Row {
    let field = BECAUSE.iter().find(|(section, _)| *section == file.section).map(|(_, field)| *field);
    let because = field.and_then(|field| places.get(field).map(|place| format!("{field}, {place}")));
    Row { path: file.path.clone(), mode: format!("{:04o}", file.mode), bytes: file.content.len(), section: file.section, because }
}

/// The stages in rows: each begins when those of the rows above it are done, as far as it waits for them.
pub fn layers(stages: &[Stage]) -> Vec<Vec<&Stage>> {
    let mut depth: BTreeMap<&str, usize> = BTreeMap::new();
    let mut rows: Vec<Vec<&Stage>> = Vec::new();
    for stage in stages {
        let own = stage.after.iter().filter_map(|name| depth.get(name)).max().map_or(0, |deepest| deepest + 1);
        depth.insert(stage.name, own);
        rows.resize_with(rows.len().max(own + 1), Vec::new);
        rows[own].push(stage);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_words() {
        assert_eq!(calendar("*-*-* 03:17:00", "UTC"), "every day at 03:17 (UTC)");
        assert_eq!(calendar("03:00", "UTC"), "every day at 03:00 (UTC)");
        assert_eq!(calendar("Sun *-*-* 04:30:00", "UTC"), "Sun at 04:30 (UTC)");
        assert_eq!((time("30"), time("10min"), span(7 * 86_400), span(90)), ("30 s".into(), "10min".into(), "7 d".into(), "90 s".into()));
    }

    #[test]
    fn a_stage_stands_below_what_it_waits_for() {
        let stage = |name, after: &[&'static str]| Stage { name, title: name, after: after.to_vec(), timeout_seconds: 1, every_boot: false, required: true };
        let stages = [stage("a", &[]), stage("b", &["a"]), stage("c", &[]), stage("d", &["b", "c"])];
        let names: Vec<Vec<&str>> = layers(&stages).iter().map(|row| row.iter().map(|stage| stage.name).collect()).collect();
        assert_eq!(names, [vec!["a", "c"], vec!["b"], vec!["d"]]);
    }
}
