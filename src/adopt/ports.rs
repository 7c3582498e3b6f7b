//! Ports that everybody could reach: one becomes the way in through nginx, the others are the machine's own.

use super::{Adopted, Around, Row, bootstrap, image_name, known};
use crate::profile::model::Protocol;
use crate::report::Span;
use crate::resolve::{Published, published};
use crate::yaml::{Kind, Node};
use serde_json::{Value, json};

/// Ports of containers behind which a web server is to be expected.
const WEB: [u16; 22] = [80, 1337, 2368, 3000, 3001, 3333, 4000, 4200, 5000, 5173, 5601, 5678, 8000, 8008, 8065, 8080, 8081, 8088, 8123, 8888, 9000, 9090];
/// Those of other protocols, and of TLS, which nginx has.
const OTHER: [u16; 12] = [1433, 1521, 1883, 2181, 4222, 5672, 8443, 8883, 9042, 9092, 9443, 11211];

/// Images of pages for those who look after the stack.
const ADMINISTRATION: [&str; 17] = [
    "adminer", "dozzle", "kafka-ui", "mailhog", "mailpit", "minio", "mongo-express", "pgadmin", "pgadmin4", "phpmyadmin", "phpredisadmin", "portainer", "portainer-ce",
    "portainer-ee", "redis-commander", "redisinsight", "redis-insight",
];

fn is_administration(service: &Node) -> bool {
    image_name(service).is_some_and(|name| ADMINISTRATION.contains(&name))
}

/// How likely it is that people are to come in there; `None`: not at all.
fn rank(service: &Node, port: &Published) -> Option<u8> {
    if port.protocol != Protocol::Tcp || port.target.0 != port.target.1 {
        return None;
    }
    let host = port.host.map_or(0, |host| host.0);
    match port.target.0 {
        _ if known(service).is_some() => None,
        _ if host == 80 => Some(0),
        443 => None,
        target if WEB.contains(&target) || host == 8080 => Some(1),
        target if target >= 1024 && !OTHER.contains(&target) => Some(2),
        _ => None,
    }
}

/// One entry as it stands, with what it comes to and its place.
struct Entry<'n> {
    node: &'n Node,
    /// What Compose makes of its variables.
    written: Option<Node>,
    port: Result<Published, String>,
}

fn entries<'n>(service: &'n Node, around: &Around<'_>) -> Vec<Entry<'n>> {
    let list = service.get("ports").and_then(Node::as_seq).unwrap_or_default();
    list.iter()
        .map(|node| {
            let written = filled(node, around);
            let whole = |one: &Node| Node::map(one.span, vec![("ports", Node::seq(one.span, vec![one.clone()]))]);
            let port = published(&whole(written.as_ref().unwrap_or(node))).pop().map_or_else(|| Err(String::new()), |(_, port)| port);
            Entry { node, written, port }
        })
        .collect()
}

/// An entry with its variables filled in; `None`: it has none, or their values are not known.
fn filled(node: &Node, around: &Around<'_>) -> Option<Node> {
    match &node.kind {
        Kind::Scalar { text, .. } if text.contains('$') => {
            let text = around.expand(text)?;
            // What is left of an address or a port that nothing sets.
            Some(Node::string(node.span, text.trim_start_matches(':')))
        }
        Kind::Map(entries) if entries.iter().any(|(_, value)| value.as_str().is_some_and(|text| text.contains('$'))) => {
            let filled = entries.iter().map(|(key, value)| {
                let text = value.as_str().filter(|text| text.contains('$')).map(|text| around.expand(text));
                Some((key.clone(), match text {
                    Some(text) => Node::string(value.span, text?),
                    None => value.clone(),
                }))
            });
            Some(Node { span: node.span, kind: Kind::Map(filled.collect::<Option<_>>()?) })
        }
        _ => None,
    }
}

/// A port of a container, or a range of them, as findings name it.
fn shown(port: &Published) -> String {
    let suffix = if port.protocol == Protocol::Udp { "/udp" } else { "" };
    format!("{}{suffix}", range(port.target))
}

fn range((first, last): (u16, u16)) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

/// That a port is open, and by which number where that is another one outside.
fn everybodys(name: &str, port: &Published) -> String {
    let outside = port.host.filter(|host| *host != port.target).map_or_else(String::new, |host| format!(" as {}", range(host)));
    format!("port {} of `{name}` is published to everybody{outside}", shown(port))
}

/// Whether a service is a web server with TLS of its own: it is published as 80 and as 443.
fn ends_tls(entries: &[Entry<'_>]) -> bool {
    let is_open = |port: &Published, wanted: u16| !port.is_loopback() && port.protocol == Protocol::Tcp && port.host == Some((wanted, wanted));
    [80, 443].into_iter().all(|wanted| entries.iter().any(|entry| entry.port.as_ref().is_ok_and(|port| is_open(port, wanted))))
}

/// The lines of a service by which everybody reaches a port of it.
fn lines_of(port: &Published) -> String {
    let (first, last) = port.host.unwrap_or(port.target);
    let suffix = if port.protocol == Protocol::Udp { "/udp" } else { "" };
    let rules = |last: u16| (first..=last).map(|one| format!("{one}/{}", port.protocol.name())).collect::<Vec<_>>().join(", ");
    let rules = if last - first < 8 { rules(last) } else { format!("{}, …", rules(first + 2)) };
    format!("`ports: [\"{}:{}{suffix}\"]` and `x-bootstrap: {{public_ports: [{rules}]}}`", range((first, last)), range(port.target))
}

/// What of an entry hangs on a variable.
fn variable_in(node: &Node) -> Option<&str> {
    let parts = node.as_map().unwrap_or_default().iter().filter_map(|(_, value)| value.as_str());
    node.as_str().into_iter().chain(parts).find(|text| text.contains('$'))
}

impl Adopted {
    pub(super) fn routes(&mut self, rows: &mut [Row<'_>], around: &Around<'_>) {
        let all: Vec<Vec<Entry<'_>>> = rows.iter().map(|row| if row.left_out { Vec::new() } else { entries(row.node, around) }).collect();
        // Where another service is published as well, the domain is not for a page of administration.
        let pages: Vec<bool> = rows.iter().map(|row| is_administration(row.node)).collect();
        let others = all.iter().zip(&pages).any(|(ports, page)| !page && !ports.is_empty());
        let proxy = all.iter().position(|ports| ends_tls(ports));
        let candidates = |loopback: bool| {
            let of = |(index, ports): (usize, &Vec<Entry<'_>>)| -> Vec<(u8, usize, u16)> {
                if proxy.is_some() || others && pages[index] {
                    return Vec::new();
                }
                let fits = |entry: &Entry<'_>| {
                    let port = entry.port.as_ref().ok().filter(|port| port.is_loopback() == loopback)?;
                    Some((rank(rows[index].node, port)?, index, port.target.0))
                };
                ports.iter().filter_map(fits).collect()
            };
            all.iter().enumerate().flat_map(of).min_by_key(|(rank, index, _)| (*rank, *index)).map(|(_, index, port)| (index, port))
        };
        let first = candidates(false);
        // What listens on 127.0.0.1 alone is made for a web server before it.
        let behind = candidates(true).filter(|_| first.is_none());
        for (index, row) in rows.iter_mut().enumerate().filter(|(_, row)| !row.left_out) {
            let (mut kept, mut changed) = (Vec::new(), false);
            for entry in &all[index] {
                let span = entry.node.span;
                let Ok(port) = &entry.port else {
                    let found = match variable_in(entry.node) {
                        Some(part) => format!("where `{part}` of `{}` is published hangs on a variable: write the port, behind 127.0.0.1 if it is the machine's own", row.name),
                        None => format!("an entry of `ports` of `{}` is no port: write it as `127.0.0.1:8080:80`, or take it out", row.name),
                    };
                    self.note(span, found, None);
                    kept.push(entry.node);
                    continue;
                };
                if port.is_loopback() {
                    if let Some(written) = &entry.written {
                        changed = true;
                        self.note(span, format!("where port {} of `{}` is published hangs on a variable", shown(port), row.name), Some("its value is written here"));
                        kept.push(written);
                    } else {
                        kept.push(entry.node);
                    }
                    if behind == Some((index, port.target.0)) && around.domain {
                        bootstrap(&mut row.over).insert("route".into(), json!({"path": "/", "port": port.target.0}));
                        self.note(span, format!("port {} of `{}` is published to a web server on the machine", shown(port), row.name), Some("the domain leads to it, through nginx and TLS"));
                    }
                    continue;
                }
                changed = true;
                if proxy == Some(index) && matches!(port.host, Some((80, 80) | (443, 443))) {
                    self.note(span, everybodys(row.name, port), Some("nobody outside the stack reaches it"));
                    continue;
                }
                self.open(row, span, port, rank(row.node, port).is_some(), first == Some((index, port.target.0)) && around.domain);
            }
            if changed {
                let list: Vec<Value> = kept.iter().filter_map(|entry| crate::yaml::to_json(entry)).collect();
                row.over.insert("ports".into(), if list.is_empty() { Value::Null } else { json!(list) });
            }
            self.expose(row, &all[index]);
        }
        if let Some(row) = proxy.map(|index| &rows[index]) {
            let name = row.name;
            let found = format!("`{name}` has TLS of its own, which on the machine is nginx's: give the service behind `{name}` `x-bootstrap: {{route: {{path: /, port: …}}}}` and leave `{name}` out, as `{name}: null`; or give that route to `{name}`, once it answers without TLS and leads nobody to https");
            self.note(row.span, found, None);
        }
        let start = rows.first().map(|row| row.span);
        match (first.or(behind).is_some() || proxy.is_some(), start) {
            (true, Some(span)) if !around.domain => self.note(span, "no domain leads to the services: give `--domain`", None),
            (false, Some(span)) if around.domain => {
                self.note(span, "nothing is published that people would use: give one service `x-bootstrap: {route: {path: /, port: …}}`", None);
            }
            _ => {}
        }
    }

    /// A service that names its ports names the one that the route leads to.
    fn expose(&self, row: &mut Row<'_>, entries: &[Entry<'_>]) {
        let Some(port) = row.over.get("x-bootstrap").and_then(|ours| ours["route"]["port"].as_u64()) else { return };
        let exposed = row.node.get("expose").and_then(Node::as_seq).unwrap_or_default();
        let named = exposed.iter().any(|item| item.as_str().and_then(|text| text.split('/').next()) == Some(port.to_string().as_str()));
        let kept = entries.iter().filter_map(|entry| entry.port.as_ref().ok()).filter(|port| port.is_loopback());
        let targets: Vec<(u16, u16)> = kept.map(|port| port.target).collect();
        let published = targets.iter().any(|(first, last)| (u64::from(*first)..=u64::from(*last)).contains(&port));
        if !(named || published || exposed.is_empty() && targets.is_empty()) {
            row.over.insert("expose+".into(), json!([port.to_string()]));
        }
    }

    fn open(&mut self, row: &mut Row<'_>, span: Span, port: &Published, web: bool, first: bool) {
        let found = everybodys(row.name, port);
        if first && row.over.get("x-bootstrap").is_none_or(|ours| ours.get("route").is_none()) {
            bootstrap(&mut row.over).insert("route".into(), json!({"path": "/", "port": port.target.0}));
            self.note(span, found, Some("the domain leads to it, through nginx and TLS"));
        } else if web {
            let found = format!("{found}: if people need it, give it `x-bootstrap: {{route: {{host: …, port: {}}}}}`", port.target.0);
            self.note(span, found, Some("nobody outside the stack reaches it"));
        } else {
            let found = format!("{found}: if it must be, write {} at `{}`", lines_of(port), row.name);
            self.note(span, found, Some("nobody outside the stack reaches it"));
        }
    }
}
