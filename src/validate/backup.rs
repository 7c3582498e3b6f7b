//! Backups: what would be lost.

use super::at;
use crate::profile::model::SecretValue;
use crate::report::Report;
use crate::resolve::{Extended, Resolved};
use crate::yaml::Node;

/// The named volumes that a service uses.
fn mounted(service: &Extended) -> impl Iterator<Item = &str> {
    super::services::sources(&service.node).into_iter().filter(|(_, bind, _)| !bind).map(|(source, ..)| source)
}

pub(super) fn check(resolved: &Resolved, root: &Node, document: &Node, report: &mut Report) {
    let volumes = document.get("volumes").and_then(Node::as_map).unwrap_or_default();
    let saved = |key: &str| resolved.services.iter().any(|service| service.backup.is_some() && mounted(service).any(|source| source == key));
    let used = |key: &str| resolved.services.iter().any(|service| mounted(service).any(|source| source == key));
    let mut left = Vec::new();
    for (key, node) in volumes.iter().filter(|(key, _)| Some(key.span.source) != resolved.builtin) {
        let name = key.as_str().unwrap_or_default();
        let silent = node.get("x-bootstrap").and_then(|extension| extension.get("backup")).is_none_or(Node::is_null);
        if silent && used(name) && (resolved.profile.backup.is_none() || !saved(name)) {
            left.push((key.span, name));
        }
    }
    let Some(backup) = &resolved.profile.backup else {
        if !left.is_empty() {
            let names: Vec<_> = left.iter().map(|(_, name)| format!("`{name}`")).collect();
            let message = format!("nothing is backed up, and {} hold data", names.join(", "));
            let message = if names.len() == 1 { message.replace(" hold data", " holds data") } else { message };
            report
                .warning(left[0].0, "no-backup", message)
                .help("add `backup: {}`, and say at services and volumes what is saved; `x-bootstrap: {backup: none}` at a volume that is not");
        }
        return;
    };
    for (span, name) in left {
        report
            .warning(span, "no-backup", format!("the volume `{name}` is not in the backup"))
            .help("write `x-bootstrap: {backup: pause}` (or `live`, `stop`, `none`) below it, or `x-bootstrap: {backup: postgres}` at its database's service");
    }
    if backup.parts.is_empty() {
        report
            .warning(at(root, &["backup"]), "no-backup", "the backup would hold `.env` and certificates, and no data")
            .help("write `x-bootstrap: {backup: postgres}` at a service, or `x-bootstrap: {backup: pause}` at a volume");
    }
    for part in &backup.parts {
        let Some(elsewhere) = &part.elsewhere else { continue };
        let secret = resolved.profile.secrets.iter().find(|secret| secret.name == elsewhere.password);
        if !secret.is_some_and(|secret| matches!(secret.value, SecretValue::Given(_))) && !report.has_error_within(at(root, &["secrets"])) {
            let message = format!("to back up `{}`, which runs elsewhere, its password must be given", part.name);
            report
                .error(at(root, &["external", &part.name]), "no-secret", message)
                .help(format!("add `{0}: {{env: {0}}}` to `secrets`", elsewhere.password));
        }
    }
}
