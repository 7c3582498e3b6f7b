//! Published ports: Docker opens them past every firewall rule that a person writes, so they bind to 127.0.0.1 unless
//! the profile asks for more by name.

use crate::profile::model::{PortRule, Profile, Protocol};
use crate::report::Report;
use crate::resolve::{Extended, Published, Resolved, published};
use crate::yaml::Node;

pub(super) fn check(resolved: &Resolved, report: &mut Report) {
    let mut owners: Vec<(Published, &str, crate::report::Span)> = Vec::new();
    for service in &resolved.services {
        let on_host = service.node.get("network_mode").and_then(Node::as_str) == Some("host");
        let mut used: Vec<PortRule> = Vec::new();
        for (span, entry) in published(&service.node) {
            let entry = match entry {
                Ok(entry) => entry,
                Err(why) => {
                    report
                        .error(span, "published-port", why)
                        .help("write it as `127.0.0.1:8080:80`, or let a route publish it");
                    continue;
                }
            };
            if let Some(port) = machines_own(&resolved.profile, &entry) {
                let route = format!("lead a route to the service instead: `x-bootstrap: {{routes: [{{path: /, port: {}}}]}}`", entry.target.0);
                let help = if port == resolved.profile.ssh.port { "it is SSH's: choose another one".to_owned() } else { route };
                report.error(span, "port-conflict", format!("port {port} belongs to the machine itself")).help(help);
                used.push(PortRule { port, protocol: Protocol::Tcp });
                continue;
            }
            if !entry.is_loopback() {
                used.extend(public(service, &entry, span, report));
            }
            conflict(resolved, &mut owners, service, entry, span, report);
        }
        for rule in &service.public_ports {
            let PortRule { port, protocol } = rule.value;
            if !used.contains(&rule.value) && !on_host {
                let message =
                    format!("`{port}/{}` may be public, but the service does not publish it", protocol.name());
                report
                    .warning(rule.span, "unused", message)
                    .help(format!("add `ports: [\"{port}:{port}\"]`, or remove it"));
            }
            if protocol == Protocol::Tcp && [80, 443, resolved.profile.ssh.port].contains(&port) {
                let message = format!("port {port} belongs to the machine itself");
                report.error(rule.span, "port-conflict", message).help("lead a route to the service instead");
            }
        }
    }
}

/// The rules that allow a public port; what no rule allows is an error.
fn public(service: &Extended, entry: &Published, span: crate::report::Span, report: &mut Report) -> Vec<PortRule> {
    let name = &service.name;
    let written = |first: u16, last: u16| if first == last { first.to_string() } else { format!("{first}-{last}") };
    let (target, protocol) = (written(entry.target.0, entry.target.1), entry.protocol);
    let Some((first, last)) = entry.host else {
        report
            .error(
                span,
                "published-port",
                format!("`{name}` publishes its port {target} to everybody, on a port that Docker chooses"),
            )
            .help("remove it: services reach each other without, and a route publishes on 127.0.0.1");
        return Vec::new();
    };
    let allowed = |port: u16| service.public_ports.iter().any(|rule| rule.value == PortRule { port, protocol });
    if !(first..=last).all(allowed) {
        let ports = written(first, last);
        let each = if first == last { "" } else { " and each of the others" };
        let suffix = if protocol == Protocol::Udp { "/udp" } else { "" };
        let message = format!("`{name}` publishes port {ports} to everybody, past the firewall");
        report.error(span, "published-port", message).help(format!(
            "write `127.0.0.1:{ports}:{target}{suffix}`; or, if it must be public, list `{first}/{}`{each} under `x-bootstrap.public_ports`",
            protocol.name()
        ));
    }
    (first..=last).filter(|port| allowed(*port)).map(|port| PortRule { port, protocol }).collect()
}

/// A port of nginx or of sshd that this would publish.
fn machines_own(profile: &Profile, entry: &Published) -> Option<u16> {
    let (first, last) = entry.host.filter(|_| entry.protocol == Protocol::Tcp)?;
    let web: &[u16] = if profile.domain.is_some() { &[80, 443] } else { &[] };
    web.iter().copied().chain([profile.ssh.port]).find(|port| (first..=last).contains(port))
}

fn conflict<'r>(
    resolved: &Resolved,
    owners: &mut Vec<(Published, &'r str, crate::report::Span)>,
    service: &'r Extended,
    entry: Published,
    span: crate::report::Span,
    report: &mut Report,
) {
    if entry.host.is_none() {
        return;
    }
    let met = owners.iter().find_map(|(other, name, span)| Some((other.meets(&entry)?, *name, *span)));
    if let Some((port, _, there)) = met.filter(|_| Some(span.source) == resolved.builtin) {
        report
            .error(there, "port-conflict", format!("port {port} belongs to the monitoring"))
            .help("choose another port, or write `monitoring: none`");
    } else if let Some((port, other, _)) = met {
        report
            .error(span, "port-conflict", format!("port {port} is published by `{other}` already"))
            .help("publish it once");
    }
    owners.push((entry, &service.name, span));
}
