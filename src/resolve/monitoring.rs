//! Monitoring: services of the stack that no profile has to write, and the settings of who is told.

use crate::profile::model::{Level, Monitoring, MonitoringService, SecretPlace, SecretSpec, SecretValue};
use crate::profile::written::Written;
use crate::report::{Report, SourceId, Span};
use crate::template;
use crate::yaml::{self, Kind, Node};

/// The stack of the monitoring, in Compose's own words.
const COMPOSE: &str = "monitoring/compose.yaml";
/// Services that [`Level::Lite`] leaves out, and their volumes.
const FULL_ONLY: [(&str, &[&str]); 2] = [("services", &["loki", "alloy", "cadvisor"]), ("volumes", &["loki-data", "alloy-data"])];
/// Secrets that it needs; a profile that names one of them decides for itself.
const SECRETS: &[&str] = &["GRAFANA_ADMIN_PASSWORD"];

/// Makes the secrets of the monitoring, as far as the profile does not.
pub fn add_secrets(secrets: &mut Vec<SecretSpec>) {
    for name in SECRETS {
        if !secrets.iter().any(|secret| secret.name == *name) {
            let value = SecretValue::Generate { length: 32 };
            secrets.push(SecretSpec { name: (*name).to_owned(), place: SecretPlace::Env, value, origin: None });
        }
    }
}

/// Adds the services of the monitoring to the stack.
pub fn add(document: &mut Option<Node>, written: &Written, report: &mut Report) -> Option<(Monitoring, SourceId)> {
    let level = written.monitoring.0?;
    let span = document.as_ref().map(|document| document.span)?;
    let text = template::text(COMPOSE).ok()?;
    let source = report.sources.add("monitoring (embedded)", text);
    let mut ours = yaml::parse(report, source)?;
    if level == Level::Lite {
        for (part, names) in FULL_ONLY {
            for name in names {
                ours.get_mut(part).and_then(|part| part.remove(name));
            }
        }
    }
    tailor(&mut ours, document.as_ref(), written, span);
    let names = ours.get("services").and_then(Node::as_map).unwrap_or_default().iter().filter_map(|(key, _)| key.as_str());
    let services =
        names.map(|name| MonitoringService { name: name.to_owned(), in_lite: !FULL_ONLY[0].1.contains(&name) }).collect();
    if let Some(document) = document {
        merge(document, ours, report);
    }
    let alerts = &written.alerts;
    let monitoring = Monitoring {
        level,
        slack: alerts.slack.as_ref().map(|name| name.value.0.clone()),
        heartbeat: alerts.heartbeat.as_ref().map(|name| name.value.0.clone()),
        receivers: alerts.receivers.as_ref().map(|receivers| receivers.0.clone()),
        services,
    };
    Some((monitoring, source))
}

/// What hangs on the rest of the profile: the web edge, Slack, and the networks on which the stack's metrics are found.
fn tailor(ours: &mut Node, document: Option<&Node>, written: &Written, span: Span) {
    let Some(services) = ours.get_mut("services") else { return };
    if let (Some(grafana), None) = (services.get_mut("grafana"), &written.domain) {
        grafana.remove("x-bootstrap");
    }
    if let (Some(slack), Some(environment)) =
        (&written.alerts.slack, services.get_mut("watchtower").and_then(|service| service.get_mut("environment")))
    {
        environment.insert(Node::string(span, "WATCHTOWER_NOTIFICATIONS"), Node::string(span, "slack"));
        let hook = Node::string(span, format!("${{{}}}", slack.value.0));
        environment.insert(Node::string(span, "WATCHTOWER_NOTIFICATION_SLACK_HOOK_URL"), hook);
    }
    let Some(Kind::Seq(networks)) =
        services.get_mut("prometheus").and_then(|service| service.get_mut("networks")).map(|node| &mut node.kind)
    else {
        return;
    };
    let stack = document.and_then(|document| document.get("services")).and_then(Node::as_map).unwrap_or_default();
    for (_, service) in stack {
        if service.get("x-bootstrap").and_then(|extension| extension.get("metrics")).is_none_or(Node::is_null) {
            continue;
        }
        let names: Vec<&str> = match service.get("networks").map(|node| &node.kind) {
            Some(Kind::Seq(items)) => items.iter().filter_map(Node::as_str).collect(),
            Some(Kind::Map(entries)) => entries.iter().filter_map(|(key, _)| key.as_str()).collect(),
            _ => vec!["default"],
        };
        // One network that both are on is enough.
        if let Some(name) = names.first()
            && !networks.iter().any(|known| known.as_str() == Some(name))
        {
            networks.push(Node::string(span, *name));
        }
    }
}

/// Puts our services, volumes and networks into the document; a service of the same name is the profile's mistake.
fn merge(document: &mut Node, ours: Node, report: &mut Report) {
    let Kind::Map(parts) = ours.kind else { return };
    for (part, entries) in parts {
        let name = part.as_str().unwrap_or_default().to_owned();
        if name.starts_with("x-") {
            continue;
        }
        if document.get(&name).is_none_or(Node::is_null) {
            document.insert(part, entries);
            continue;
        }
        let Kind::Map(entries) = entries.kind else { continue };
        for (key, value) in entries {
            let word = key.as_str().unwrap_or_default().to_owned();
            if let Some((there, _)) = document.get(&name).and_then(|part| part.entry(&word)) {
                report
                    .error(there.span, "reserved-name", format!("`{word}` belongs to the monitoring"))
                    .help("choose another name, or write `monitoring: none`");
                continue;
            }
            if let Some(part) = document.get_mut(&name) {
                part.insert(key, value);
            }
        }
    }
}
