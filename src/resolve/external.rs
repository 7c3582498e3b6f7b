//! Services that run elsewhere: they leave the stack, and nobody waits for them.

use crate::profile::reader::{nearest, shown};
use crate::profile::written::External;
use crate::report::Report;
use crate::yaml::{Kind, Node};

/// Texts that still name the service as a host.
fn asks(node: &Node, name: &str, report: &mut Report) {
    match &node.kind {
        Kind::Seq(items) => items.iter().for_each(|item| asks(item, name, report)),
        Kind::Map(entries) => {
            for (key, value) in entries {
                let key = key.as_str().unwrap_or_default();
                if !key.starts_with("x-") && !matches!(key, "depends_on" | "labels" | "container_name" | "image") {
                    asks(value, name, report);
                }
            }
        }
        Kind::Scalar { text, .. } => {
            let host = |before: &str| {
                text.match_indices(&format!("{before}{name}")).any(|(at, part)| {
                    text[at + part.len()..].chars().next().is_none_or(|next| matches!(next, ':' | '/'))
                })
            };
            if text == name || host("@") || host("://") {
                let variable = format!("{}_HOST", name.replace(['-', '.'], "_").to_ascii_uppercase());
                report
                    .warning(node.span, "external", format!("this still asks for `{}`, which runs elsewhere", shown(name)))
                    .help(format!("write `${{{variable}}}` instead of the name"));
            }
        }
    }
}

/// Takes the services that run elsewhere out of a Compose document.
pub fn leave_out(document: &mut Node, external: &External, report: &mut Report) {
    let Some(services) = document.get_mut("services") else { return };
    for (name, _) in &external.0 {
        if services.remove(&name.value).is_none() {
            let names: Vec<String> =
                services.as_map().unwrap_or_default().iter().filter_map(|(key, _)| Some(key.as_str()?.to_owned())).collect();
            let finding = report.error(name.span, "no-service", format!("there is no service `{}` to leave out", shown(&name.value)));
            match nearest(&name.value, names.iter().map(String::as_str)) {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding.help(format!("the services are {}", names.join(", "))),
            };
            continue;
        }
        for (_, service) in services.as_map().unwrap_or_default() {
            for key in ["network_mode", "ipc", "pid"] {
                if let Some(node) = service.get(key).filter(|node| node.as_str() == Some(&format!("service:{}", name.value))) {
                    report
                        .error(node.span, "external", format!("`{}` runs elsewhere, and shares nothing with this machine", name.value))
                        .help("take this out, or run the service here");
                }
            }
            for key in ["links", "volumes_from"] {
                let items = service.get(key).and_then(Node::as_seq).unwrap_or_default();
                for item in items.iter().filter(|item| item.as_str().is_some_and(|text| text.split(':').next() == Some(&name.value))) {
                    report.error(item.span, "external", format!("`{}` runs elsewhere", name.value)).help("remove it");
                }
            }
        }
        asks(services, &name.value, report);
        for (_, service) in services.as_map_mut().into_iter().flatten() {
            let emptied = match service.get_mut("depends_on").map(|node| &mut node.kind) {
                Some(Kind::Seq(items)) => {
                    items.retain(|item| item.as_str() != Some(&name.value));
                    items.is_empty()
                }
                Some(Kind::Map(entries)) => {
                    entries.retain(|(key, _)| key.as_str() != Some(&name.value));
                    entries.is_empty()
                }
                _ => false,
            };
            if emptied {
                service.remove("depends_on");
            }
        }
    }
}
