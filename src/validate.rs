//! Checks across fields, after every field has been read and resolved.

mod budget;
mod deploy;
mod backup;
mod compose_keys;
mod edge;
mod machine;
mod open_secrets;
mod published;
mod services;
mod variables;

use crate::report::{Report, Span};
use crate::resolve::Resolved;
use crate::yaml::Node;

/// Adds every finding that takes more than one field to see.
pub fn validate(resolved: &Resolved, root: &Node, report: &mut Report) {
    machine::check(resolved, root, report);
    edge::check(resolved, root, report);
    if let Some(document) = &resolved.compose {
        compose_keys::check(resolved, document, report);
        services::check(resolved, document, report);
        backup::check(resolved, root, document, report);
        published::check(resolved, report);
        deploy::check(resolved, root, report);
        variables::check(resolved, root, document, report);
        open_secrets::check(resolved, report);
    }
    budget::check(resolved, root, report);
}

/// Where the deepest existing part of a path stands.
fn at(root: &Node, path: &[&str]) -> Span {
    let mut span = root.as_map().and_then(|entries| entries.first()).map_or(root.span, |(key, _)| key.span);
    let mut node = root;
    for key in path {
        match node.entry(key) {
            Some((key, value)) => {
                span =
                    if value.as_map().is_some() || value.span.start == value.span.end { key.span } else { value.span };
                node = value;
            }
            None => break,
        }
    }
    span
}

/// Every secret that is written, those with findings included.
fn secret_names(root: &Node) -> impl Iterator<Item = &str> {
    let entries = root.get("secrets").and_then(Node::as_map).unwrap_or_default();
    entries.iter().filter_map(|(key, _)| key.as_str())
}

/// True for names that the documentation uses and nobody owns.
fn is_example(domain: &str) -> bool {
    let reserved = ["example.com", "example.org", "example.net", "example"];
    reserved.iter().any(|name| domain == *name || domain.strip_suffix(name).is_some_and(|head| head.ends_with('.')))
}
