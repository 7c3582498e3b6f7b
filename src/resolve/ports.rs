//! Published ports as Compose writes them, and the loopback ports that the web edge reaches services on.

use super::service::Extended;
use crate::profile::model::{Protocol, RateLimit, Route};
use crate::profile::written::{RouteWritten, Written};
use crate::report::{Report, Span};
use crate::yaml::Node;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

/// First loopback port given where the container's own number is taken.
const FIRST: u16 = 20_000;

/// One entry of a service's `ports:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Address it is bound to; `None`: all.
    pub address: Option<IpAddr>,
    /// Host ports, first and last; `None`: one that Docker chooses.
    pub host: Option<(u16, u16)>,
    /// Container ports, first and last.
    pub target: (u16, u16),
    /// Protocol.
    pub protocol: Protocol,
}

impl Published {
    /// True when only this machine can reach it.
    pub fn is_loopback(&self) -> bool {
        self.address.is_some_and(|address| address.is_loopback())
    }

    /// The first host port that both want for themselves: of one protocol, on the same address or where one takes all.
    pub fn meets(&self, other: &Published) -> Option<u16> {
        let ((a, b), (c, d)) = (self.host?, other.host?);
        // No address is every address; an unspecified one is every address of its own family.
        let takes = |one: Option<IpAddr>, other: Option<IpAddr>| match (one, other) {
            (None, _) => true,
            (Some(one), Some(other)) => one == other || (one.is_unspecified() && one.is_ipv4() == other.is_ipv4()),
            (Some(_), None) => false,
        };
        let same = takes(self.address, other.address) || takes(other.address, self.address);
        (self.protocol == other.protocol && same && a.max(c) <= b.min(d)).then(|| a.max(c))
    }

    /// The host port that leads from 127.0.0.1 to a container port.
    fn loopback_port(&self, target: u16) -> Option<u16> {
        let reachable = match self.address {
            None => true,
            Some(IpAddr::V4(address)) => address.is_unspecified() || address == Ipv4Addr::LOCALHOST,
            Some(IpAddr::V6(_)) => false,
        };
        let (first, last) = self.host?;
        let fits = self.protocol == Protocol::Tcp && (self.target.0..=self.target.1).contains(&target);
        (reachable && fits && last - first == self.target.1 - self.target.0).then(|| first + (target - self.target.0))
    }
}

/// Every entry of a service's `ports:` with its place; `Err` says why it cannot be understood.
pub fn published(service: &Node) -> Vec<(Span, Result<Published, String>)> {
    let entries = service.get("ports").and_then(Node::as_seq).unwrap_or_default();
    entries.iter().map(|entry| (entry.span, entry_of(entry))).collect()
}

fn entry_of(entry: &Node) -> Result<Published, String> {
    if entry.as_map().is_some() {
        let text = |key: &str| entry.get(key).filter(|node| !node.is_null()).and_then(Node::as_str);
        let target = text("target").ok_or("`target` is missing in this port")?;
        return parts(text("host_ip"), text("published"), target, text("protocol"));
    }
    let text = entry.as_str().filter(|_| !entry.is_null()).ok_or("this is not a published port")?;
    if text.contains('$') {
        return interpolated(text);
    }
    let (rest, protocol) = text.split_once('/').map_or((text, None), |(rest, protocol)| (rest, Some(protocol)));
    let mut from_the_end = rest.rsplitn(3, ':');
    let target = from_the_end.next().unwrap_or_default();
    let host = from_the_end.next();
    let address = from_the_end.next().map(|a| a.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(a));
    parts(address, host, target, protocol)
}

/// A port with `${…}` in it can be judged only by an address that stands before it in digits.
fn interpolated(text: &str) -> Result<Published, String> {
    if text.starts_with("127.0.0.1:") || text.starts_with("[::1]:") {
        // What the port in the container is may still be said in digits; else it is not known.
        let (rest, protocol) = text.rsplit_once('/').map_or((text, None), |(rest, protocol)| (rest, Some(protocol)));
        let target = rest.rsplit(':').next().filter(|target| range(target).is_some()).unwrap_or_default();
        let udp = protocol.is_some_and(|protocol| protocol == "udp");
        return Ok(Published {
            address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            host: None,
            target: range(target).unwrap_or((0, 0)),
            protocol: if udp { Protocol::Udp } else { Protocol::Tcp },
        });
    }
    Err("where this port is published hangs on a variable".into())
}

fn parts(address: Option<&str>, host: Option<&str>, target: &str, protocol: Option<&str>) -> Result<Published, String> {
    let address = match address.filter(|address| !address.is_empty()) {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| format!("`{text}` is not an address to publish on"))?),
    };
    let host = match host.filter(|host| !host.is_empty()) {
        None => None,
        Some(text) => Some(range(text).ok_or(format!("`{text}` is not a port or a range of ports"))?),
    };
    let target = range(target).ok_or(format!("`{target}` is not a port or a range of ports"))?;
    let protocol = match protocol.unwrap_or("tcp") {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        other => return Err(format!("the protocol `{other}` cannot be published here")),
    };
    Ok(Published { address, host, target, protocol })
}

fn range(text: &str) -> Option<(u16, u16)> {
    let port =
        |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0 && text.bytes().all(|b| b.is_ascii_digit()));
    match text.split_once('-') {
        None => port(text).map(|port| (port, port)),
        Some((first, last)) => Some((port(first)?, port(last)?)).filter(|(first, last)| first <= last),
    }
}

/// Which loopback port leads to which service and container port.
#[derive(Debug, Default)]
pub struct Ports {
    table: BTreeMap<(String, u16), u16>,
    /// The same for the second of two that take turns.
    green: BTreeMap<(String, u16), u16>,
    domain: Option<String>,
    /// Ports that the Compose document has to publish beyond its own, in order.
    pub added: Vec<(String, u16, u16)>,
}

impl Ports {
    /// The port that leads to the second of two that take turns.
    pub fn green(&self, service: &str, port: u16) -> Option<u16> {
        self.green.get(&(service.to_owned(), port)).copied()
    }

    /// The resolved route of a service.
    pub fn route(&self, service: &str, written: &RouteWritten) -> Route {
        let port = written.port.map_or(0, |port| port.0);
        Route {
            host: written
                .host
                .as_ref()
                .map(|host| host.value.0.clone())
                .filter(|host| Some(host) != self.domain.as_ref()),
            path: written.path.0.clone(),
            port,
            loopback_port: self.table.get(&(service.to_owned(), port)).copied().unwrap_or(port),
            green_port: self.green(service, port),
            strip_prefix: written.strip_prefix,
            websocket: written.websocket,
            rate_limit: written
                .rate_limit
                .as_ref()
                .and_then(|limit| Some(RateLimit { per_second: limit.per_second?.0, burst: limit.burst.0 })),
            body_size_mib: written.body_size.0,
            timeout_seconds: written.timeout.0,
        }
    }
}

/// Finds or gives a loopback port for every route: what `ports:` already publishes, else the container's own number,
/// else the next one from 20000.
pub fn allocate(written: &Written, services: &[Extended], report: &mut Report) -> Ports {
    let mut taken: BTreeSet<u16> = [80, 443, written.ssh.port.0].into();
    taken.extend(written.firewall.allow.iter().map(|rule| rule.port));
    for service in services {
        for (_, entry) in published(&service.node) {
            if let Ok(Published { host: Some((first, last)), .. }) = entry {
                taken.extend(first..=last);
            }
        }
    }
    let domain = written.domain.as_ref().map(|domain| domain.0.clone());
    let mut ports = Ports { domain, ..Ports::default() };
    for service in services {
        let on_host = service.node.get("network_mode").and_then(Node::as_str) == Some("host");
        let entries = published(&service.node);
        for route in &service.routes {
            let Some(port) = route.value.port.map(|port| port.0) else { continue };
            let key = (service.name.clone(), port);
            if ports.table.contains_key(&key) {
                continue;
            }
            let there = entries.iter().find_map(|(_, entry)| entry.as_ref().ok()?.loopback_port(port));
            let given = match there {
                _ if on_host => Some(port),
                Some(there) => Some(there),
                None => {
                    let own = Some(port).filter(|port| *port >= 1024 && !taken.contains(port));
                    let mut next = |own: Option<u16>| {
                        let free = own.or_else(|| (FIRST..32_000).find(|port| !taken.contains(port)));
                        taken.extend(free);
                        free
                    };
                    let free = next(own);
                    if let Some(free) = free {
                        ports.added.push((service.name.clone(), free, port));
                    }
                    if let Some(green) = service.is_blue_green().then(|| next(None)).flatten() {
                        ports.green.insert(key.clone(), green);
                    }
                    free
                }
            };
            match given {
                Some(given) => {
                    ports.table.insert(key, given);
                }
                None => {
                    report.error(route.span, "ports", "there is no free port left on 127.0.0.1 for this route");
                }
            }
        }
    }
    ports
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn one(text: &str) -> Result<Published, String> {
        let mut report = Report::new();
        let source = report.sources.add("t", format!("ports: [{text}]"));
        let node = yaml::parse(&mut report, source).expect("test YAML");
        published(&node).remove(0).1
    }

    #[test]
    fn both_syntaxes_are_understood() {
        let loopback = |text: &str| one(text).map(|published| published.is_loopback());
        assert_eq!(loopback("'127.0.0.1:80:80'"), Ok(true));
        assert_eq!(loopback("'[::1]:80:80/udp'"), Ok(true));
        assert_eq!(loopback("'::1:80:80'"), Ok(true));
        assert_eq!(loopback("'127.0.0.1::80'"), Ok(true));
        assert_eq!(loopback("'127.0.0.1:${PORT:-80}:80'"), Ok(true));
        assert_eq!(loopback("{target: 80, host_ip: 127.0.0.1, published: '80-82'}"), Ok(true));
        for open in
            ["80", "'80:80'", "'0.0.0.0:80:80'", "'10.0.0.1:80:80'", "'[::]:80:80'", "{target: 80, published: 80}"]
        {
            assert_eq!(loopback(open), Ok(false), "{open}");
        }
        for odd in ["'${P}:80'", "'a:80'", "'0:80'", "'80:80/sctp'", "'x:1:1'", "[]", "{published: 80}", "'9-1:80'"] {
            assert!(one(odd).is_err(), "{odd}");
        }
    }
}
