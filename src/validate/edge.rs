//! The web edge: domains, routes, certificates.

use super::{at, is_example};
use crate::profile::reader::shown;
use crate::report::Report;
use crate::resolve::{Resolved, published};
use crate::yaml::Node;
use std::collections::BTreeMap;

pub(super) fn check(resolved: &Resolved, root: &Node, report: &mut Report) {
    domains(resolved, root, report);
    routes(resolved, root, report);
    unrouted(resolved, root, report);
}

fn domains(resolved: &Resolved, root: &Node, report: &mut Report) {
    let profile = &resolved.profile;
    let mut seen: Vec<&str> = profile.domain.as_deref().into_iter().collect();
    if let Some(domain) = &profile.domain {
        let span = at(root, &["domain"]);
        if is_example(domain) {
            report
                .warning(span, "placeholder", format!("`{domain}` is an example domain"))
                .help("write the domain whose DNS points at the machine");
        }
        private_name(resolved, domain, span, report);
    }
    let spans = root.get("aliases").and_then(Node::as_seq).unwrap_or_default();
    for (index, alias) in profile.aliases.iter().enumerate() {
        let span = spans.get(index).map_or(at(root, &["aliases"]), |node| node.span);
        if no_domain(resolved, root) {
            report.error(span, "no-domain", "an alias needs a domain beside it").help("add `domain: …`");
        }
        if seen.contains(&alias.as_str()) {
            report.error(span, "duplicate", format!("`{alias}` is served already")).help("remove it");
        }
        if is_example(alias) {
            report.warning(span, "placeholder", format!("`{alias}` is an example domain")).help("write your own");
        }
        private_name(resolved, alias, span, report);
        seen.push(alias);
    }
    if profile.domain.is_none() && !profile.trusted_proxies.is_empty() {
        let span = at(root, &["trusted_proxies"]);
        report.warning(span, "unused", "without a domain there is no web server that proxies could stand before");
    }
}

/// Names that no public certificate authority certifies, unless another one is written.
fn private_name(resolved: &Resolved, domain: &str, span: crate::report::Span, report: &mut Report) {
    let last = domain.rsplit('.').next().unwrap_or_default();
    let private = ["local", "localhost", "internal", "lan", "home", "test", "invalid", "onion"].contains(&last);
    let tls = &resolved.profile.tls;
    if private && tls.acme && tls.directory.contains("letsencrypt.org") {
        report
            .warning(span, "private-domain", format!("Let's Encrypt issues no certificate for `.{last}` names"))
            .help("write a public domain, `tls.acme: false`, or your own `tls.directory`");
    }
}

/// A domain that leads to nothing.
fn unrouted(resolved: &Resolved, root: &Node, report: &mut Report) {
    let own = resolved.routes.iter().any(|(_, span, _)| Some(span.source) != resolved.builtin);
    if resolved.profile.domain.is_some() && resolved.compose.is_some() && !own && !report.has_errors() {
        report
            .warning(at(root, &["domain"]), "no-route", "nothing leads from the domain to a service")
            .help("add `x-bootstrap: {route: {port: 8080}}` to the service, with the port it listens on");
    }
}

/// A domain that is written and cannot be read was told already.
fn no_domain(resolved: &Resolved, root: &Node) -> bool {
    resolved.profile.domain.is_none() && root.get("domain").is_none_or(Node::is_null)
}

fn routes(resolved: &Resolved, root: &Node, report: &mut Report) {
    let profile = &resolved.profile;
    let mut seen: BTreeMap<(Option<&str>, &str), (&str, crate::report::Span)> = BTreeMap::new();
    for (service, span, route) in &resolved.routes {
        if no_domain(resolved, root) {
            report
                .error(
                    *span,
                    "no-domain",
                    format!("the service `{service}` has a route, and the profile has no domain"),
                )
                .help("add `domain: …`, or take the route out");
        }
        if let Some(host) = &route.host {
            if profile.aliases.contains(host) {
                report
                    .error(*span, "route-conflict", format!("`{host}` is an alias, which serves the domain's routes"))
                    .help("take it out of `aliases` to give it routes of its own");
            }
            if is_example(host) {
                report.warning(*span, "placeholder", format!("`{host}` is an example domain")).help("write your own");
            }
            private_name(resolved, host, *span, report);
        }
        if let Some((other, there)) = seen.insert((route.host.as_deref(), &route.path), (service, *span)) {
            if Some(span.source) == resolved.builtin {
                let message = format!("the path `{}` belongs to the monitoring", route.path);
                report.error(there, "route-conflict", message).help("choose another path, or write `monitoring: none`");
                continue;
            }
            let place = format!("{}{}", route.host.as_deref().unwrap_or_default(), route.path);
            let message = format!("the path `{place}` leads to `{other}` already");
            report.error(*span, "route-conflict", message).help("give each path once for each host");
        }
    }
    for service in &resolved.services {
        if let (Some(health), true) = (&service.health, service.routes.is_empty()) {
            report
                .error(health.span, "health-route", "a health path is asked through a route, and there is none")
                .help("add a route, or use Compose's `healthcheck` alone");
        }
        if let (Some(first), true) = (service.closed.first(), service.routes.is_empty()) {
            report
                .error(first.span, "closed-route", "this is asked through a route, and there is none")
                .help("add a route; without one nobody reaches the service from outside");
        }
        let mode = service.node.get("network_mode").and_then(Node::as_str).unwrap_or_default();
        for route in &service.routes {
            if mode == "none" || mode.starts_with("service:") || mode.starts_with("container:") {
                report
                    .error(
                        route.span,
                        "route-conflict",
                        format!("with `network_mode: {}` no port can be published", shown(mode)),
                    )
                    .help("put the route on the service whose network it shares");
            }
            declared_port(service, route, report);
        }
    }
}

/// A route to a port that the service, which names its ports, does not name.
fn declared_port(
    service: &crate::resolve::Extended,
    route: &crate::profile::reader::Spanned<crate::profile::written::RouteWritten>,
    report: &mut Report,
) {
    let Some(port) = route.value.port.map(|port| port.0) else { return };
    let exposed = service.node.get("expose").and_then(Node::as_seq).unwrap_or_default();
    let mut named: Vec<(u16, u16)> = exposed
        .iter()
        .filter_map(|node| node.as_str()?.split('/').next()?.parse().ok())
        .map(|port| (port, port))
        .collect();
    named.extend(published(&service.node).into_iter().filter_map(|(_, entry)| entry.ok()).map(|entry| entry.target));
    // A port that hangs on a variable may be any.
    let unknown = named.contains(&(0, 0));
    if !named.is_empty() && !unknown && !named.iter().any(|(first, last)| (*first..=*last).contains(&port)) {
        let message = format!("the route leads to port {port}, which the service `{}` does not name", service.name);
        report
            .warning(route.span, "unknown-port", message)
            .help("name the port that the process in the container listens on");
    }
}
