//! Overlays. Mappings merge deeply; lists and single values replace; `key+: […]` appends to a list; `key: null`
//! takes away a key that the base has (and stays as it is where the base has none), and so does Compose's `!reset`;
//! what its `!override` stands before replaces, whatever it is. In what may be laid over a Compose file yet both tags stay.

use super::{Kind, Node, tags};
use crate::report::Report;

/// Lays `overlay` over `base`.
pub fn merge(base: &mut Node, overlay: Node, report: &mut Report) {
    lay(base, overlay, &tags::is_section, report);
}

/// The same, where `stays` says below which keys `!reset` is not through when it has taken something away.
fn lay(base: &mut Node, overlay: Node, stays: &dyn Fn(&str) -> bool, report: &mut Report) {
    let Kind::Map(entries) = overlay.kind else {
        *base = overlay;
        return;
    };
    if base.as_map().is_none() {
        *base = Node { span: overlay.span, kind: Kind::Map(Vec::new()) };
    }
    for (mut key, value) in entries {
        let name = key.as_str().unwrap_or_default().to_owned();
        if let (Some(list), Kind::Seq(_)) = (name.strip_suffix('+').filter(|n| !n.is_empty()), &value.kind) {
            append(base, list, &key, value, report);
            continue;
        }
        let stays = stays(&name);
        let gone = base.get(&name).is_some_and(Node::is_reset);
        if value.is_reset() && (stays || gone) {
            base.insert(key, value);
            continue;
        }
        if gone {
            // What takes the place of a `!reset` is not merged with what that was to take away.
            if !value.is_null() {
                key.mark_override();
                let value = fresh(value, report);
                base.insert(key, value);
            }
            continue;
        }
        match base.get_mut(&name) {
            Some(_) if value.is_null() || value.is_reset() => {
                base.remove(&name);
            }
            Some(there) if !key.is_override() => {
                let both_maps = there.as_map().is_some() && value.as_map().is_some();
                if both_maps { lay(there, value, &|_| stays, report) } else { *there = fresh(value, report) }
            }
            _ => {
                let value = fresh(value, report);
                base.insert(key, value);
            }
        }
    }
}

/// A subtree that is new to the base: its own `key+` are plain lists there.
fn fresh(value: Node, report: &mut Report) -> Node {
    if value.as_map().is_none() {
        return value;
    }
    let mut base = Node { span: value.span, kind: Kind::Map(Vec::new()) };
    lay(&mut base, value, &|_| false, report);
    base
}

fn append(base: &mut Node, list: &str, key: &Node, value: Node, report: &mut Report) {
    let Kind::Seq(more) = value.kind else { return };
    let mut name = Node::string(key.span, list);
    if base.get(list).is_some_and(Node::is_reset) {
        base.remove(list);
        name.mark_override();
    }
    match base.get_mut(list) {
        Some(there) if !there.is_null() => match &mut there.kind {
            Kind::Seq(items) => items.extend(more),
            _ => {
                let message = format!("`{list}+` appends to a list, and `{list}` is {}", there.describe());
                report.error(key.span, "append", message).help(format!("write `{list}:` to replace it"));
            }
        },
        _ => base.insert(name, Node::seq(value.span, more)),
    }
}
