//! The Compose document: where it comes from, and what is added before it goes to the machine.

use super::{beside, colours};
use super::ports::Ports;
use super::service::Extended;
use crate::compose;
use crate::profile::model::{PortRule, Replacement, Service, Stack};
use crate::profile::reader::Reader;
use crate::profile::written::Written;
use crate::report::Report;
use crate::yaml::{self, Kind, Node};

/// Top-level keys of an inline profile that form the Compose document, beside `x-*`.
const INLINE: &[&str] = &["services", "volumes", "networks", "configs"];

/// The document as written: the file that `compose:` names with what the profile lays over it, or the profile's own services.
pub fn document(written: &Written, root: &Node, report: &mut Report) -> Option<Node> {
    let entries = root.as_map().unwrap_or_default();
    let inline = |key: &Node| key.as_str().is_some_and(|key| INLINE.contains(&key));
    let Some(file) = &written.compose else {
        let services = root.get("services").filter(|services| !services.is_null());
        if services.is_none() {
            if let Some((key, _)) = entries.iter().find(|(key, value)| inline(key) && !value.is_null()) {
                let name = key.as_str().unwrap_or_default();
                report
                    .warning(key.span, "no-services", format!("`{name}` is written, but there are no `services`"))
                    .help("add the services, or name a Compose file by `compose`");
            }
            return None;
        }
        let part = |key: &Node| inline(key) || key.as_str().is_some_and(|key| key.starts_with("x-"));
        let entries = entries.iter().filter(|(key, value)| part(key) && !value.is_null()).cloned().collect();
        let mut document = Node { span: root.span, kind: Kind::Map(entries) };
        document.settle();
        return Some(document);
    };
    let path = beside(file, report)?;
    let mut document = compose::read(&path, Some(file.span), report)?.document;
    if document.as_map().is_none() {
        Reader { report }.wrong_type(&document, "a Compose file, which is a mapping,").help("begin it with `services:`");
        return None;
    }
    // What the profile says beside it is laid over it, as an overlay is over a profile.
    let over = entries.iter().filter(|(key, value)| inline(key) && !value.is_null()).cloned().collect();
    yaml::merge(&mut document, Node { span: root.span, kind: Kind::Map(over) }, report);
    document.settle();
    for section in ["secrets", "configs"] {
        drop_unused(&mut document, section);
    }
    Some(document)
}

/// Of secrets and configs Compose makes only those that a service mounts: whether the files of the others are there is all the same.
fn drop_unused(document: &mut Node, section: &str) {
    let services = document.get("services").and_then(Node::as_map).unwrap_or_default();
    let mounts = services.iter().flat_map(|(_, service)| service.get(section).and_then(Node::as_seq).unwrap_or_default());
    let builds = services.iter().filter_map(|(_, service)| service.get("build")?.get("secrets")?.as_seq()).flatten();
    let used: Vec<String> = mounts
        .chain(builds)
        .filter_map(|item| item.as_str().or_else(|| item.get("source").and_then(Node::as_str)).map(str::to_owned))
        .collect();
    if let Some(entries) = document.get_mut(section).and_then(Node::as_map_mut) {
        entries.retain(|(key, _)| key.as_str().is_some_and(|key| used.iter().any(|used| used == key)));
        if entries.is_empty() {
            document.remove(section);
        }
    }
}

/// The stack: the document with its name, fixed names of volumes and networks, loopback ports and builds.
pub fn stack(name: &str, document: &Node, services: &[Extended], ports: &Ports) -> Stack {
    let span = document.span;
    let twins = colours::twins(services);
    let mut entries = vec![(Node::string(span, "name"), Node::string(span, name))];
    for (key, value) in document.as_map().unwrap_or_default() {
        let value = match key.as_str() {
            Some("name") => continue,
            Some("services") => emitted_services(name, services, ports, &twins, value),
            Some("volumes" | "networks") => fixed_names(name, value),
            _ => value.clone(),
        };
        entries.push((key.clone(), value));
    }
    colours::declare(name, &twins, span, &mut entries);
    let mut public: Vec<PortRule> =
        services.iter().flat_map(|service| service.public_ports.iter().map(|rule| rule.value)).collect();
    public.sort();
    public.dedup();
    let all = services;
    let services = services
        .iter()
        .filter(|service| !service.is_optional())
        .map(|service| Service {
            name: service.name.clone(),
            image: image(name, service),
            source: service.source.as_ref().map(|source| source.value.clone()),
            routes: service.routes.iter().map(|route| ports.route(&service.name, &route.value)).collect(),
            health: service.health.as_ref().map(|health| health.value.0.clone()),
            closed: service.closed.iter().map(|request| request.value.0.clone()).collect(),
            has_healthcheck: service.has_healthcheck(),
            root_reason: service.root_reason.clone(),
            metrics: service.metrics.clone(),
            deploy: service.deploy.as_ref().map(|way| Replacement {
                blue_green: way.value.blue_green,
                networks: twins.iter().filter(|twin| twin.service == service.name).map(|twin| twin.network_name(name)).collect(),
                before: service.hooks[0].clone(),
                after: service.hooks[1].clone(),
            }),
            is_job: all.iter().any(|other| other.waits_for_end_of(&service.name)),
        })
        .collect();
    Stack { compose: Node { span, kind: Kind::Map(entries) }, services, public_ports: public }
}

/// The image as written, or the one that a build on the machine makes.
fn image(name: &str, service: &Extended) -> Option<String> {
    let built = || service.source.as_ref().map(|_| format!("{name}-{}:built", service.name.to_ascii_lowercase()));
    service.image().map(str::to_owned).or_else(built)
}

fn emitted_services(name: &str, services: &[Extended], ports: &Ports, twins: &[colours::Twin], value: &Node) -> Node {
    let span = value.span;
    let entries = services.iter().flat_map(|service| {
        let mut node = service.node.clone();
        node.remove("x-bootstrap");
        for (_, host, target) in ports.added.iter().filter(|(owner, ..)| *owner == service.name) {
            let entry = Node::string(service.span, format!("127.0.0.1:{host}:{target}"));
            match node.get_mut("ports").filter(|ports| !ports.is_null()).map(|ports| &mut ports.kind) {
                Some(Kind::Seq(items)) => items.push(entry),
                Some(_) => {}
                None => node.insert(Node::string(span, "ports"), Node::seq(service.span, vec![entry])),
            }
        }
        if service.source.is_some() {
            add_build(name, service, &mut node);
        }
        colours::join(service, twins, &mut node);
        colours::depend(services, &mut node);
        if service.is_blue_green() {
            return colours::pair(service, node, ports);
        }
        vec![(Node::string(service.span, service.name.as_str()), node)]
    });
    Node { span, kind: Kind::Map(entries.collect()) }
}

/// Points the build at the checkout on the machine.
fn add_build(name: &str, service: &Extended, node: &mut Node) {
    let span = service.span;
    let root = format!("/opt/{name}/src/{}", service.name);
    let inside = |relative: &str| match relative.trim_start_matches("./").trim_end_matches('/') {
        "" | "." => root.clone(),
        rest => format!("{root}/{rest}"),
    };
    let build = match node.get("build").filter(|build| !build.is_null()) {
        None => Node::map(span, vec![("context", Node::string(span, root.as_str()))]),
        Some(build) => match build.as_str() {
            Some(context) => Node::map(span, vec![("context", Node::string(span, inside(context)))]),
            None => {
                let mut build = build.clone();
                let context = inside(build.get("context").and_then(Node::as_str).unwrap_or("."));
                build.insert(Node::string(span, "context"), Node::string(span, context));
                build
            }
        },
    };
    node.insert(Node::string(span, "build"), build);
    if let Some(image) = image(name, service) {
        node.insert(Node::string(span, "image"), Node::string(span, image));
    }
}

/// Gives `<name>-<key>` to every volume or network that has no name of its own.
fn fixed_names(name: &str, value: &Node) -> Node {
    let mut value = value.clone();
    let span = value.span;
    for (key, entry) in value.as_map_mut().into_iter().flatten() {
        entry.remove("x-bootstrap");
        let Some(key) = key.as_str() else { continue };
        let fixed = Node::string(span, format!("{name}-{key}"));
        if entry.is_null() {
            *entry = Node::map(span, vec![("name", fixed)]);
        } else if entry.as_map().is_some() && entry.get("name").is_none() {
            entry.insert(Node::string(span, "name"), fixed);
        }
    }
    value
}
