//! Compose's own rules by which one document or service is laid over another: mappings deeply, lists appended to,
//! single values replaced; what is an exception to that; and `!reset` and `!override`, by which a file makes its own.
//!
//! A place is the keys that lead there, with dots between them, and `*` for the name of a service, volume or network.

use super::SECTIONS;
use crate::yaml::{Kind, Node};

/// Mappings that may be written as lists of `name=value`.
const PAIRS: [&str; 10] = [
    "services.*.environment",
    "services.*.labels",
    "services.*.annotations",
    "services.*.sysctls",
    "services.*.build.args",
    "services.*.build.labels",
    "services.*.build.additional_contexts",
    "services.*.deploy.labels",
    "networks.*.labels",
    "volumes.*.labels",
];
/// Lists that may be written as one text.
const TEXTS: [&str; 6] =
    ["services.*.dns", "services.*.dns_search", "services.*.dns_opt", "services.*.env_file", "services.*.label_file", "services.*.tmpfs"];
/// What is replaced, whatever it is.
const REPLACED: [&str; 4] = ["services.*.command", "services.*.entrypoint", "services.*.healthcheck.test", "services.*.provider"];

/// A document laid over another one. The tags of the first have to be settled; those of the second stay, for what it is
/// laid over next.
pub fn document(base: Node, over: Node) -> Node {
    laid("", base, over)
}

/// A service laid over another one, with their tags as those of a document.
pub fn service(base: Node, over: Node) -> Node {
    laid("services.*", base, over)
}

fn laid(place: &str, mut base: Node, over: Node) -> Node {
    clear(&mut base, &over);
    merged(place, base, over)
}

/// Takes out what the other one takes away, or writes anew.
fn clear(base: &mut Node, over: &Node) {
    for (key, value) in over.as_map().unwrap_or_default() {
        let name = key.as_str().unwrap_or_default();
        if value.is_reset() || key.is_override() {
            base.remove(name);
        } else if let Some(there) = base.get_mut(name) {
            clear(there, value);
        }
    }
}

/// The place below another one.
fn below(place: &str, name: &str) -> String {
    match place {
        "" => name.to_owned(),
        // How a service or a volume is called says nothing of what it is.
        section if SECTIONS.contains(&section) => format!("{section}.*"),
        _ => format!("{place}.{name}"),
    }
}

fn merged(place: &str, base: Node, over: Node) -> Node {
    if base.is_null() || REPLACED.contains(&place) {
        return over;
    }
    // A key without a value leaves what is there.
    if over.is_null() {
        return base;
    }
    let (base, over) = (alike(place, base), alike(place, over));
    match (base.kind, over.kind) {
        (Kind::Map(there), Kind::Map(entries)) => {
            let mut base = Node { span: base.span, kind: Kind::Map(there) };
            let driver = |node: &Node| node.get("driver").and_then(Node::as_str).map(str::to_owned);
            let over = Node { span: over.span, kind: Kind::Map(entries) };
            if place == "services.*.logging" && driver(&base).zip(driver(&over)).is_some_and(|(one, other)| one != other) {
                return over;
            }
            let Kind::Map(entries) = over.kind else { return base };
            for (key, value) in entries {
                let name = key.as_str().unwrap_or_default();
                let below = below(place, name);
                // What is still there stood in the other form, of which Compose takes nothing away.
                if value.is_reset() && base.get(name).is_some() {
                    continue;
                }
                // A variable without a value is one that comes from outside.
                match base.get_mut(name).filter(|_| !PAIRS.contains(&place)) {
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
        Kind::Seq(items) if place == "services.*.depends_on" => {
            let how = |item: &Node| Node::map(item.span, vec![("condition", Node::string(item.span, "service_started"))]);
            Node { span, kind: Kind::Map(items.into_iter().map(|item| { let how = how(&item); (item, how) }).collect()) }
        }
        Kind::Seq(items) if place == "services.*.networks" => {
            Node { span, kind: Kind::Map(items.into_iter().map(|item| { let none = Node::plain(item.span, ""); (item, none) }).collect()) }
        }
        Kind::Map(entries) if matches!(place, "services.*.extra_hosts" | "services.*.build.extra_hosts") => {
            let mut lines = Vec::new();
            for (name, value) in entries.iter().filter(|(_, value)| !value.is_reset()) {
                for address in value.as_seq().unwrap_or(std::slice::from_ref(value)) {
                    lines.push(Node::string(name.span, format!("{}={}", name.as_str().unwrap_or_default(), address.as_str().unwrap_or_default())));
                }
            }
            Node::seq(span, lines)
        }
        Kind::Scalar { text, plain, tag } if TEXTS.contains(&place) => Node::seq(span, vec![Node { span, kind: Kind::Scalar { text, plain, tag } }]),
        Kind::Scalar { text, plain, tag } if place == "services.*.build" => {
            Node { span, kind: Kind::Map(vec![(key("context"), Node { span, kind: Kind::Scalar { text, plain, tag } })]) }
        }
        kind => Node { span, kind },
    }
}

/// What two entries of a list have in common if one replaces the other.
fn identity(place: &str, item: &Node) -> Option<String> {
    let target = || item.get("target").and_then(Node::as_str).map(str::to_owned);
    match place {
        "services.*.volumes" | "services.*.devices" => item.as_str().map_or_else(target, |line| {
            let parts = parts(line);
            parts.get(1).or(parts.first()).map(|part| (*part).to_owned())
        }),
        "services.*.configs" | "services.*.secrets" => {
            let folder = if place == "services.*.secrets" { "/run/secrets/" } else { "/" };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report;

    fn laid_over(base: &str, over: &str) -> Node {
        let mut report = Report::new();
        let mut node = |text: &str| {
            let source = report.sources.add("t", text);
            crate::yaml::parse(&mut report, source).expect("YAML")
        };
        let mut all = document(node(base), node(over));
        all.settle();
        all
    }

    fn is(base: &str, over: &str, wanted: &str) {
        assert_eq!(crate::yaml::emit(&laid_over(base, over)), crate::yaml::emit(&laid_over("{}", wanted)), "{over}");
    }

    #[test]
    fn what_a_key_means_hangs_on_its_place() {
        for section in ["services", "volumes", "networks"] {
            for name in ["command", "environment", "build", "volumes", "networks", "depends_on"] {
                is(
                    &format!("{section}: {{{name}: {{labels: [a=b], x-list: [a=b]}}}}"),
                    &format!("{section}: {{{name}: {{labels: {{c: d}}, x-list: [a=c]}}}}"),
                    &format!("{section}: {{{name}: {{labels: {{\"a\": \"b\", c: d}}, x-list: [a=b, a=c]}}}}"),
                );
            }
        }
        is("services: {a: {command: [x], environment: {A: b}}}", "services: {a: {command: [y], environment: [A, C=d]}}", "services: {a: {command: [y], environment: {A: null, C: \"d\"}}}");
        is("services: {a: {command: x, user: b, environment: {A: b}}}", "services: {a: {command: , user: , environment: }}", "services: {a: {command: , user: b, environment: {A: b}}}");
    }

    #[test]
    fn tags_take_away_and_replace() {
        is(
            "services: {a: {ports: [x], labels: {a: b, c: d}, environment: [A=b], extra_hosts: {h: i, j: k}}, b: {image: x}}",
            "services: {a: {ports: !reset [y], labels: !override {e: f}, environment: {A: !reset x}, extra_hosts: {h: !reset i, l: m}}, b: !reset {}}",
            "services: {a: {environment: {A: \"b\"}, extra_hosts: [\"j=k\", \"l=m\"], labels: {e: f}}}",
        );
        is("services: {a: {environment: {A: b, C: d}}}", "services: {a: {environment: {A: !reset x}}}", "services: {a: {environment: {C: d}}}");
        is("volumes: {a: {driver: b, labels: {c: d}}}", "volumes: {a: !override {labels: {e: f}}, g: !reset {}}", "volumes: {a: {labels: {e: f}}}");
    }
}
