//! Compose's own rules by which one service is laid over another: mappings deeply, lists appended to, single values
//! replaced; and what is an exception to that.

use crate::yaml::{Kind, Node};

/// Mappings that may be written as lists of `name=value`.
const PAIRS: [&str; 10] =
    ["environment", "labels", "annotations", "sysctls", "args", "build.labels", "deploy.labels", "build.args", "build.additional_contexts", "volume.labels"];
/// Lists that may be written as one text.
const TEXTS: [&str; 6] = ["dns", "dns_search", "dns_opt", "env_file", "label_file", "tmpfs"];
/// What is replaced, whatever it is.
const REPLACED: [&str; 4] = ["command", "entrypoint", "healthcheck.test", "provider"];

/// A document laid over another one.
pub fn document(mut base: Node, over: Node) -> Node {
    let Kind::Map(entries) = over.kind else { return base };
    for (key, value) in entries {
        let name = key.as_str().unwrap_or_default().to_owned();
        match base.get_mut(&name) {
            Some(there) if name == "services" => {
                let Kind::Map(services) = value.kind else { continue };
                for (key, value) in services {
                    match there.get_mut(key.as_str().unwrap_or_default()) {
                        Some(service_there) => {
                            let taken = std::mem::replace(service_there, Node::plain(key.span, ""));
                            *service_there = service(taken, value);
                        }
                        None => there.insert(key, value),
                    }
                }
            }
            Some(there) => {
                let taken = std::mem::replace(there, Node::plain(key.span, ""));
                *there = merged("", taken, value);
            }
            None => base.insert(key, value),
        }
    }
    base
}

/// A service laid over another one.
pub fn service(base: Node, over: Node) -> Node {
    merged("", base, over)
}

fn merged(place: &str, base: Node, over: Node) -> Node {
    if over.is_null() || base.is_null() || REPLACED.contains(&place) {
        return over;
    }
    let (base, over) = (alike(place, base), alike(place, over));
    match (base.kind, over.kind) {
        (Kind::Map(there), Kind::Map(entries)) => {
            let mut base = Node { span: base.span, kind: Kind::Map(there) };
            let driver = |node: &Node| node.get("driver").and_then(Node::as_str).map(str::to_owned);
            let over = Node { span: over.span, kind: Kind::Map(entries) };
            if place == "logging" && driver(&base).zip(driver(&over)).is_some_and(|(one, other)| one != other) {
                return over;
            }
            let Kind::Map(entries) = over.kind else { return base };
            for (key, value) in entries {
                let name = key.as_str().unwrap_or_default();
                if matches!(&value.kind, Kind::Scalar { tag: Some(tag), .. } if tag == "!reset") {
                    base.remove(name);
                    continue;
                }
                let below = if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
                match base.get_mut(name) {
                    Some(there) => {
                        let taken = std::mem::replace(there, Node::plain(key.span, ""));
                        *there = merged(&below, taken, value);
                    }
                    None => base.insert(key, value),
                }
            }
            base
        }
        (Kind::Seq(mut items), Kind::Seq(more)) => {
            for item in more {
                let identity = identity(place, &item);
                match items.iter_mut().find(|there| self::identity(place, there) == identity) {
                    Some(there) => *there = item,
                    None => items.push(item),
                }
            }
            Node { span: over.span, kind: Kind::Seq(items) }
        }
        (_, kind) => Node { span: over.span, kind },
    }
}

/// The one form in which two ways of writing the same can be laid over each other.
fn alike(place: &str, node: Node) -> Node {
    let span = node.span;
    let key = |name: &str| Node::string(span, name);
    match node.kind {
        Kind::Seq(items) if PAIRS.contains(&place) && items.iter().all(|item| item.as_str().is_some()) => {
            let pair = |item: Node| {
                let text = item.as_str().unwrap_or_default();
                match text.split_once('=') {
                    Some((name, value)) => (Node::string(item.span, name), Node::string(item.span, value)),
                    None if place.ends_with("labels") => (Node::string(item.span, text), Node::string(item.span, "")),
                    None => (Node::string(item.span, text), Node::plain(item.span, "")),
                }
            };
            // Of one name the last one counts.
            let mut map = Node { span, kind: Kind::Map(Vec::new()) };
            items.into_iter().map(pair).for_each(|(key, value)| map.insert(key, value));
            map
        }
        Kind::Seq(items) if place == "depends_on" => {
            let how = |item: &Node| Node::map(item.span, vec![("condition", Node::string(item.span, "service_started"))]);
            Node { span, kind: Kind::Map(items.into_iter().map(|item| { let how = how(&item); (item, how) }).collect()) }
        }
        Kind::Seq(items) if place == "networks" => {
            Node { span, kind: Kind::Map(items.into_iter().map(|item| { let none = Node::plain(item.span, ""); (item, none) }).collect()) }
        }
        Kind::Map(entries) if place == "extra_hosts" || place == "build.extra_hosts" => {
            let mut lines = Vec::new();
            for (name, value) in &entries {
                for address in value.as_seq().unwrap_or(std::slice::from_ref(value)) {
                    lines.push(Node::string(name.span, format!("{}={}", name.as_str().unwrap_or_default(), address.as_str().unwrap_or_default())));
                }
            }
            Node::seq(span, lines)
        }
        Kind::Scalar { text, plain, tag } if TEXTS.contains(&place) => Node::seq(span, vec![Node { span, kind: Kind::Scalar { text, plain, tag } }]),
        Kind::Scalar { text, plain, tag } if place == "build" => {
            Node { span, kind: Kind::Map(vec![(key("context"), Node { span, kind: Kind::Scalar { text, plain, tag } })]) }
        }
        kind => Node { span, kind },
    }
}

/// What two entries of a list have in common if one replaces the other.
fn identity(place: &str, item: &Node) -> Option<String> {
    let target = || item.get("target").and_then(Node::as_str).map(str::to_owned);
    match place {
        "volumes" | "devices" => item.as_str().map_or_else(target, |line| {
            let parts = parts(line);
            parts.get(1).or(parts.first()).map(|part| (*part).to_owned())
        }),
        "configs" | "secrets" => {
            let folder = if place == "secrets" { "/run/secrets/" } else { "/" };
            let name = item.as_str().map(str::to_owned).or_else(|| item.get("source").and_then(Node::as_str).map(str::to_owned));
            target().or(name).map(|name| if name.starts_with('/') { name } else { format!("{folder}{name}") })
        }
        _ => item.as_str().map(str::to_owned).or_else(|| Some(yaml_text(item))),
    }
}

fn yaml_text(item: &Node) -> String {
    crate::yaml::emit(item)
}

/// The parts between colons, where none counts that stands in `${…}`.
pub fn parts(line: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0usize, 0);
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            b'{' if at > 0 && line.as_bytes()[at - 1] == b'$' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b':' if depth == 0 => {
                parts.push(&line[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&line[from..]);
    parts
}
