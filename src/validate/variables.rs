//! Compose's interpolation: `${NAME}` is filled in from the secrets, and from nothing else.

use crate::interpolation::{Operator, variables};
use crate::profile::model::{SecretPlace, SecretValue};
use crate::profile::reader::{nearest, shown};
use crate::report::Report;
use crate::resolve::Resolved;
use crate::yaml::{Kind, Node};

pub(super) fn check(resolved: &Resolved, root: &Node, document: &Node, report: &mut Report) {
    let secrets = &resolved.profile.secrets;
    let file = |name: &str| secrets.iter().any(|s| s.name == name && s.place != SecretPlace::Env);
    let mut known: Vec<&str> = super::secret_names(root).filter(|name| !file(name)).collect();
    known.extend(secrets.iter().map(|secret| secret.name.as_str()).filter(|name| !file(name)));
    known.extend(resolved.profile.variables.iter().map(|(name, _)| name.as_str()));
    let later: Vec<&str> = secrets.iter().filter(|secret| secret.value == SecretValue::Later).map(|secret| secret.name.as_str()).collect();
    for (key, value) in document.as_map().unwrap_or_default() {
        if !key.as_str().is_some_and(|key| key.starts_with("x-")) {
            walk(value, &known, &later, report);
        }
    }
    let unset = |node: &Node| node.as_str().is_some_and(|name| !name.contains('$') && !known.contains(&name));
    for kind in ["secrets", "configs"] {
        for (key, entry) in document.get(kind).and_then(Node::as_map).unwrap_or_default() {
            if used(key, resolved, kind) && let Some(name) = entry.get("environment").filter(|name| unset(name)) {
                let text = shown(name.as_str().unwrap_or_default());
                report
                    .error(name.span, "unset-variable", format!("`{text}` is no secret, and Compose starts nothing without it"))
                    .help(format!("add `{text}` to `secrets`"));
            }
        }
    }
    for service in &resolved.services {
        if let Some(node) = service.node.get("image")
            && let Some(text) = node.as_str()
            && let [(name, Operator::Plain)] = variables(text)[..]
            && !known.contains(&name)
            && !(service.is_built() || service.node.get("build").is_some() || service.is_optional())
            && [format!("${name}"), format!("${{{name}}}")].iter().any(|whole| whole == text)
        {
            report
                .error(node.span, "no-image", format!("`{text}` is empty, and Compose starts nothing without an image's name"))
                .help(format!("write the image, or add `{name}` to `secrets`"));
        }
        let environment = service.node.get("environment");
        let items = environment.and_then(Node::as_seq).unwrap_or_default().iter();
        let items = items.filter(|item| !item.as_str().is_some_and(|text| text.contains('=')));
        let keys = environment.and_then(Node::as_map).unwrap_or_default().iter();
        for node in items.chain(keys.filter(|(_, value)| value.is_null()).map(|(key, _)| key)) {
            passed_on(&service.name, node, &known, report);
        }
    }
}

/// Whether a service mounts this one of Compose's `secrets` or `configs`.
fn used(key: &Node, resolved: &Resolved, kind: &str) -> bool {
    resolved.services.iter().flat_map(|service| service.node.get(kind).and_then(Node::as_seq).unwrap_or_default()).any(|item| {
        let name = item.get("source").and_then(Node::as_str).or_else(|| item.as_str());
        name.is_some() && name == key.as_str()
    })
}

/// A variable that is named without a value: Compose takes it from the machine's `.env`.
fn passed_on(service: &str, node: &Node, known: &[&str], report: &mut Report) {
    let Some(name) = node.as_str().filter(|name| !known.contains(name)) else { return };
    let message = format!("`{}` has no value here and is no secret, so `{service}` does not get it", shown(name));
    let finding = report.warning(node.span, "unset-variable", message);
    match nearest(name, known.iter().copied()) {
        Some(near) => finding.help(format!("did you mean `{near}`?")),
        None => finding.help(format!("add `{}` to `secrets`, or write its value", shown(name))),
    };
}

fn walk(node: &Node, known: &[&str], later: &[&str], report: &mut Report) {
    match &node.kind {
        Kind::Seq(items) => items.iter().for_each(|item| walk(item, known, later, report)),
        Kind::Map(entries) => {
            for (key, value) in entries {
                if !key.as_str().is_some_and(|key| key.starts_with("x-")) {
                    walk(value, known, later, report);
                }
            }
        }
        Kind::Scalar { text, .. } => {
            for (name, operator) in variables(text) {
                let at = [format!("${{{name}"), format!("${name}")].iter().fold(node.span, |at, part| report.sources.within(at, part));
                if operator == Operator::Required && later.contains(&name) {
                    report
                        .error(at, "later", format!("`{}` comes later, and until then Compose would start nothing at all", shown(name)))
                        .help(format!("write `${{{}}}`: what needs it waits anyway", shown(name)));
                    continue;
                }
                if matches!(operator, Operator::Default) || known.contains(&name) || name == "COMPOSE_PROJECT_NAME" {
                    continue;
                }
                if operator == Operator::Broken {
                    report
                        .error(at, "interpolation", "Compose cannot read the `${` in this text")
                        .help("write it as `${NAME}`, or `$$` for a dollar sign");
                    continue;
                }
                if operator == Operator::Required {
                    report
                        .error(at, "unset-variable", format!("`${{{}}}` must be set, and is no secret", shown(name)))
                        .help(format!("add `{}` to `secrets`: Compose starts nothing without it", shown(name)));
                    continue;
                }
                let message = format!("`${{{}}}` is neither a secret nor has a default, so it is empty", shown(name));
                let finding = report.warning(at, "unset-variable", message);
                match nearest(name, known.iter().copied()) {
                    Some(near) => finding.help(format!("did you mean `${{{near}}}`?")),
                    None => finding.help(format!(
                        "add `{0}` to `secrets`, write a default as `${{{0}:-value}}`, or `$${0}` for the text itself",
                        shown(name)
                    )),
                };
            }
        }
    }
}
