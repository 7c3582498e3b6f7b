//! Deploys: what two of a service at once cannot share.

use super::compose_keys::number;
use crate::report::{Report, Span};
use crate::resolve::{Extended, Published, Resolved, published};
use crate::yaml::Node;

pub(super) fn check(resolved: &Resolved, root: &Node, report: &mut Report) {
    let services = &resolved.services;
    for service in services {
        copies(service, report);
        let Some(way) = &service.deploy else {
            if service.hooks.iter().any(Option::is_some) {
                let message = format!("the hooks of `{}` would never be run", service.name);
                report.error(service.span, "deploy-hook", message).help("add `deploy: recreate` or `deploy: blue-green` beside them");
            }
            continue;
        };
        let job = services.iter().any(|other| other.waits_for_end_of(&service.name));
        if job || service.is_optional() {
            let message = format!("`{}` does not run all the time, so that nothing takes its place", service.name);
            report.error(way.span, "deploy", message).help("write `deploy` at a service that shares its image");
        } else if way.value.blue_green {
            if service.single {
                let message = format!("`{}` may run only once, and two of it run while its version changes", service.name);
                report.error(way.span, "blue-green", message).help("write `deploy: recreate` there, or leave out `single`");
            }
            alone(service, way.span, report);
            for other in services {
                shared(service, other, report);
            }
        }
    }
    if let Some((key, _)) = root.entry("deploy").filter(|(_, value)| !value.is_null())
        && !services.iter().any(|service| service.deploy.is_some())
    {
        report
            .warning(key.span, "unused", "no service says how it is deployed")
            .help("write `x-bootstrap: {deploy: blue-green}` at the service that answers requests");
    }
}

/// Several containers of a service, of which one alone can have its place on the machine.
fn copies(service: &Extended, report: &mut Report) {
    // What takes turns is told so elsewhere.
    if service.is_blue_green() || service.is_optional() {
        return;
    }
    let replicas = service.node.get("deploy").and_then(|deploy| deploy.entry("replicas"));
    let written = [service.node.entry("scale"), replicas].into_iter().flatten();
    let Some((key, _)) = written.into_iter().find(|(_, value)| value.as_str().and_then(number).is_some_and(|number| number > 1.0)) else { return };
    let (name, word) = (&service.name, key.as_str().unwrap_or_default());
    // A range of host ports that is longer than that of the container's has one for each.
    let fixed = |(_, port): &(Span, Result<Published, String>)| port.as_ref().is_ok_and(|port| port.host.is_some_and(|(first, last)| last - first == port.target.1 - port.target.0));
    let what = if service.node.get("container_name").is_some_and(|name| !name.is_null()) {
        "bear its `container_name`"
    } else if !service.routes.is_empty() {
        "be where its route leads: 127.0.0.1 has the port once"
    } else if published(&service.node).iter().any(fixed) {
        "publish its `ports`: the machine has each once"
    } else {
        return;
    };
    report
        .error(key.span, "replicas", format!("with `{word}` there are several of `{name}`, and one alone can {what}"))
        .help(format!("take `{word}` out, and let the process itself have several workers, or give each container a service of its own"));
}

/// What a service that runs twice for a while may not ask for.
fn alone(service: &Extended, way: Span, report: &mut Report) {
    let name = &service.name;
    if !service.has_healthcheck() {
        let message = format!("nothing tells when a new `{name}` may take over");
        report.error(way, "blue-green", message).help("add Compose's `healthcheck`, or write `deploy: recreate`");
    }
    let there = |key: &str| service.node.entry(key).filter(|(_, value)| !value.is_null());
    let help = |key: &str| match key {
        "ports" => "take it out: routes publish on 127.0.0.1; or write `deploy: recreate`",
        _ => "take it out, or write `deploy: recreate`",
    };
    for key in ["container_name", "ports", "scale", "network_mode"] {
        if let Some((node, _)) = there(key) {
            let message = format!("with `{key}` there cannot be two of `{name}`, as for `deploy: blue-green`");
            report.error(node.span, "blue-green", message).help(help(key));
        }
    }
    if let Some((node, _)) = there("deploy").and_then(|(_, value)| value.entry("replicas")) {
        let message = format!("with `replicas` there cannot be one of `{name}` at a time, as for `deploy: blue-green`");
        report.error(node.span, "blue-green", message).help(help("replicas"));
    }
    for (_, network) in there("networks").and_then(|(_, value)| value.as_map()).unwrap_or_default() {
        for key in ["ipv4_address", "ipv6_address", "aliases", "mac_address"] {
            if let Some((node, _)) = network.entry(key) {
                let message = format!("with `{key}` the new `{name}` would be asked before it is live");
                report.error(node.span, "blue-green", message).help("take it out: the live one bears the service's name");
            }
        }
    }
}

/// What others may not ask of it, since it is not always the same.
fn shared(service: &Extended, other: &Extended, report: &mut Report) {
    let name = &service.name;
    let mut refuse = |span: Span| {
        let message = format!("`{name}` is one of two, and not always the same");
        report.error(span, "blue-green", message).help("take this out, or write `deploy: recreate` there");
    };
    if [format!("{name}-blue"), format!("{name}-green")].contains(&other.name) {
        refuse(other.span);
    }
    for key in ["network_mode", "ipc", "pid"] {
        if let Some(node) = other.node.get(key).filter(|node| node.as_str() == Some(&format!("service:{name}"))) {
            refuse(node.span);
        }
    }
    for key in ["links", "volumes_from"] {
        for item in other.node.get(key).and_then(Node::as_seq).unwrap_or_default() {
            if item.as_str().is_some_and(|text| text.split(':').next() == Some(name)) {
                refuse(item.span);
            }
        }
    }
}
