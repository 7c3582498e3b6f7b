//! Blue and green: one service of the profile becomes two of Compose, of which one is live and bears the service's name.
//!
//! Docker gives a name to whoever is on a network and takes it back with the network, which cuts connections. So the name
//! stands on a network of its own beside each of the service's networks: everybody who could ask is on it, the live one is
//! put on it when it takes over, and its other connections stay.

use super::ports::Ports;
use super::service::Extended;
use crate::report::Span;
use crate::yaml::{Kind, Node};

/// The two of a service that takes turns with itself: the first one is live to begin with.
pub const COLOURS: [&str; 2] = ["blue", "green"];

/// A network on which the live one of a service bears the service's name.
pub struct Twin<'s> {
    /// The service.
    pub service: &'s str,
    /// The key of the network beside which it stands.
    network: &'s str,
    /// Its own key.
    pub key: String,
}

/// Every such network.
pub fn twins(services: &[Extended]) -> Vec<Twin<'_>> {
    let mut twins = Vec::new();
    for service in services.iter().filter(|service| service.is_blue_green()) {
        for network in service.networks() {
            if services.iter().any(|other| other.name != service.name && other.networks().contains(&network)) {
                twins.push(Twin { service: &service.name, network, key: format!("{network}-{}", service.name) });
            }
        }
    }
    twins
}

/// Declares them: nothing but the name is to be had there.
pub fn declare(name: &str, twins: &[Twin], span: Span, entries: &mut Vec<(Node, Node)>) {
    if twins.is_empty() {
        return;
    }
    let at = entries.iter().position(|(key, _)| key.as_str() == Some("networks")).unwrap_or_else(|| {
        entries.push((Node::string(span, "networks"), Node::map(span, Vec::new())));
        entries.len() - 1
    });
    if entries[at].1.is_null() {
        entries[at].1 = Node::map(span, Vec::new());
    }
    for twin in twins {
        let fields = vec![("name", Node::string(span, twin.network_name(name))), ("internal", Node::plain(span, "true"))];
        entries[at].1.insert(Node::string(span, twin.key.as_str()), Node::map(span, fields));
    }
}

impl Twin<'_> {
    /// What Docker calls it.
    pub fn network_name(&self, name: &str) -> String {
        format!("{name}-{}", self.key)
    }
}

/// Puts a service on the networks where those that it may ask have their names.
pub fn join(service: &Extended, twins: &[Twin], node: &mut Node) {
    let on = service.networks();
    for twin in twins.iter().filter(|twin| twin.service != service.name && on.contains(&twin.network)) {
        let key = Node::string(service.span, twin.key.as_str());
        match node.get_mut("networks").map(|networks| &mut networks.kind) {
            Some(Kind::Map(entries)) => entries.push((key, Node::plain(service.span, "null"))),
            Some(Kind::Seq(items)) => items.push(key),
            _ => {
                let all = vec![Node::string(service.span, "default"), key];
                node.insert(Node::string(service.span, "networks"), Node::seq(service.span, all));
            }
        }
    }
}

/// Who waits for such a service waits for the one that is there.
pub fn depend(services: &[Extended], node: &mut Node) {
    let turns = |name: &Node| services.iter().any(|one| one.is_blue_green() && name.as_str() == Some(&one.name));
    let Some(depends) = node.get("depends_on") else { return };
    let span = depends.span;
    let all: Vec<(Node, Node)> = match &depends.kind {
        Kind::Map(entries) => entries.clone(),
        Kind::Seq(items) => {
            let started = Node::map(span, vec![("condition", Node::string(span, "service_started"))]);
            items.iter().map(|item| (item.clone(), started.clone())).collect()
        }
        Kind::Scalar { .. } => return,
    };
    if !all.iter().any(|(key, _)| turns(key)) {
        return;
    }
    let mut entries = Vec::new();
    for (key, mut value) in all {
        if turns(&key) {
            value.insert(Node::string(span, "required"), Node::plain(span, "false"));
            let name = key.as_str().unwrap_or_default();
            entries.extend(COLOURS.map(|colour| (Node::string(key.span, format!("{name}-{colour}")), value.clone())));
        } else {
            entries.push((key, value));
        }
    }
    node.insert(Node::string(span, "depends_on"), Node { span, kind: Kind::Map(entries) });
}

/// The two of it. `node` is the first, whose ports are there already.
pub fn pair(service: &Extended, node: Node, ports: &Ports) -> Vec<(Node, Node)> {
    let span = service.span;
    let mut green = node.clone();
    let published: Vec<Node> = ports
        .added
        .iter()
        .filter(|(owner, ..)| *owner == service.name)
        .filter_map(|(_, _, target)| Some(format!("127.0.0.1:{}:{target}", ports.green(&service.name, *target)?)))
        .map(|port| Node::string(span, port))
        .collect();
    if !published.is_empty() {
        green.insert(Node::string(span, "ports"), Node::seq(span, published));
    }
    green.insert(Node::string(span, "scale"), Node::plain(span, "0"));
    let name = |colour: &str| Node::string(span, format!("{}-{colour}", service.name));
    vec![(name(COLOURS[0]), node), (name(COLOURS[1]), green)]
}
