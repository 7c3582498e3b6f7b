//! The web edge: host names, and nginx's configuration as data for its template.

use crate::profile::model::{Profile, Route, Service};
use serde::Serialize;

/// Every host name that nginx answers for, the main domain first.
pub fn hosts(profile: &Profile) -> Vec<&str> {
    let Some(domain) = &profile.domain else { return Vec::new() };
    let mut hosts = vec![domain.as_str()];
    let routed = routes(profile).filter_map(|route| route.host.as_deref());
    for host in profile.aliases.iter().map(String::as_str).chain(routed) {
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}

fn routes(profile: &Profile) -> impl Iterator<Item = &Route> {
    served(profile).map(|(_, route)| route)
}

/// Each route with the name of its service.
fn served(profile: &Profile) -> impl Iterator<Item = (&str, &Route)> {
    let services = profile.stack.iter().flat_map(|stack| &stack.services);
    services.flat_map(|service| service.routes.iter().map(|route| (service.name.as_str(), route)))
}

/// Pairs of host name and path at which services tell their health through nginx.
pub fn health(profile: &Profile) -> Vec<(String, String, &str)> {
    let services = profile.stack.iter().flat_map(|stack| &stack.services);
    services
        .filter_map(|service| {
            let (host, path) = outside(profile, service, service.health.as_deref()?)?;
            Some((host, path, service.name.as_str()))
        })
        .collect()
}

/// Method, host name and path of each request that must be refused.
pub fn closed(profile: &Profile) -> Vec<(String, String, String, &str)> {
    let services = profile.stack.iter().flat_map(|stack| &stack.services);
    services
        .flat_map(|service| service.closed.iter().map(move |request| (service, request)))
        .filter_map(|(service, request)| {
            let (method, path) = request.split_once(' ')?;
            let (host, path) = outside(profile, service, path)?;
            Some((method.to_owned(), host, path, service.name.as_str()))
        })
        .collect()
}

/// Host name and path by which a path of a service is asked from outside, through its first route.
fn outside(profile: &Profile, service: &Service, path: &str) -> Option<(String, String)> {
    let (domain, route) = (profile.domain.as_ref()?, service.routes.first()?);
    let path = if route.strip_prefix { format!("{}{}", route.path, path.trim_start_matches('/')) } else { path.to_owned() };
    Some((route.host.as_ref().unwrap_or(domain).clone(), path))
}

#[derive(Serialize)]
struct Zone {
    name: String,
    per_second: u32,
}

/// The two loopback ports of a service that takes turns with itself.
#[derive(Serialize)]
struct Pair {
    name: String,
    blue: u16,
    green: u16,
}

/// What nginx calls such a pair.
fn pair(service: &str, route: &Route) -> Option<Pair> {
    Some(Pair { name: format!("{service}-{}", route.port), blue: route.loopback_port, green: route.green_port? })
}

#[derive(Serialize)]
struct Location<'a> {
    #[serde(flatten)]
    route: &'a Route,
    service: &'a str,
    pair: Option<String>,
    zone: Option<String>,
    burst: u32,
    prefix: &'a str,
}

#[derive(Serialize)]
struct Server<'a> {
    name: &'a str,
    /// Paths of metrics that a route would show to everybody.
    private: Vec<String>,
    routes: Vec<Location<'a>>,
}

/// The context of `nginx/nginx.conf.j2`.
#[derive(Serialize)]
pub struct Edge<'a> {
    trusted_proxies: Vec<String>,
    client_header: &'static str,
    watched: bool,
    zones: Vec<Zone>,
    pairs: Vec<Pair>,
    hosts: Vec<Server<'a>>,
    http2_directive: bool,
}

impl<'a> Edge<'a> {
    /// The web edge of `profile`.
    pub fn of(profile: &'a Profile) -> Self {
        let mut zones = Vec::new();
        let mut zone_of = Vec::new();
        for route in routes(profile) {
            zone_of.push(route.rate_limit.map(|limit| {
                let name = format!("route{}", zones.len());
                zones.push(Zone { name: name.clone(), per_second: limit.per_second });
                name
            }));
        }
        let mut pairs: Vec<Pair> = Vec::new();
        for pair in served(profile).filter_map(|(service, route)| pair(service, route)) {
            if !pairs.iter().any(|known| known.name == pair.name) {
                pairs.push(pair);
            }
        }
        let hosts = hosts(profile)
            .into_iter()
            .map(|name| {
                let own = |route: &Route| match &route.host {
                    Some(host) => host == name,
                    None => profile.domain.as_deref() == Some(name) || profile.aliases.iter().any(|alias| alias == name),
                };
                let routes = served(profile).zip(&zone_of).filter(|((_, route), _)| own(route));
                let mut private: Vec<String> = Vec::new();
                for service in profile.stack.iter().flat_map(|stack| &stack.services) {
                    let Some(metrics) = &service.metrics else { continue };
                    let routes = service.routes.iter().filter(|route| own(route) && route.port == metrics.port);
                    for route in routes {
                        let path = match route.strip_prefix {
                            true => format!("{}{}", route.path, metrics.path.trim_start_matches('/')),
                            false => metrics.path.clone(),
                        };
                        if path.starts_with(&route.path) && !private.contains(&path) {
                            private.push(path);
                        }
                    }
                }
                Server {
                    name,
                    private,
                    routes: routes
                        .map(|((service, route), zone)| Location {
                            route,
                            service,
                            pair: pair(service, route).map(|pair| pair.name),
                            zone: zone.clone(),
                            burst: route.rate_limit.map_or(0, |limit| limit.burst),
                            prefix: route.path.trim_end_matches('/'),
                        })
                        .collect(),
                }
            })
            .collect();
        Self {
            trusted_proxies: profile.trusted_proxies.iter().map(ToString::to_string).collect(),
            client_header: profile.client_header,
            watched: profile.monitoring.is_some(),
            zones,
            pairs,
            hosts,
            http2_directive: profile.distribution.facts().nginx_http2_directive,
        }
    }
}
