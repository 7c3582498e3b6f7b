//! Services that the machine does not start, and what names them all the same. Compose starts nothing then, unless all
//! that is named is `depends_on` with `required: false`.

use super::{Adopted, Row};
use crate::interpolation;
use crate::yaml::Node;
use serde_json::{Value, json};

/// By which keys a service shares something of another one, and what that is.
const SHARED: [(&str, &str); 3] = [("network_mode", "the network"), ("ipc", "the memory segments"), ("pid", "the processes")];

/// What can be done so that a service is there.
fn instead(other: &str) -> String {
    format!("or have the machine start `{other}`: `{other}: {{profiles: null}}` in the profile, where `{other}: null` stands")
}

impl Adopted {
    /// A text with what its variables say by default; as it is where `.env` sets one of them, or that cannot be said.
    fn by_default(&self, text: &str) -> String {
        let set = interpolation::variables(text).into_iter().any(|(name, _)| self.beside.contains(name));
        let expanded = if set { None } else { interpolation::expand(text, &|_| None) };
        expanded.unwrap_or_else(|| text.to_owned())
    }

    /// Names of services that are left out, wherever another service needs them. `depends_on` is looked at elsewhere.
    pub(super) fn absent(&mut self, rows: &mut [Row<'_>]) {
        let gone: Vec<&str> = rows.iter().filter(|row| row.left_out).map(|row| row.name).collect();
        if gone.is_empty() {
            return;
        }
        for row in rows.iter_mut().filter(|row| !row.left_out) {
            self.links(row, &gone);
            self.shares(row, &gone);
        }
    }

    /// A link leads nowhere then.
    fn links(&mut self, row: &mut Row<'_>, gone: &[&str]) {
        let list = row.node.get("links").and_then(Node::as_seq).unwrap_or_default();
        let mut kept = Vec::new();
        for item in list {
            let line = item.as_str().unwrap_or_default();
            let filled = self.by_default(line);
            let other = filled.split(':').next().unwrap_or_default();
            if gone.contains(&other) {
                self.note(item.span, format!("`{}` links to `{other}`, which the machine does not start", row.name), Some("there is no link"));
            } else {
                kept.push(line);
            }
        }
        if kept.len() < list.len() {
            row.over.insert("links".into(), if kept.is_empty() { Value::Null } else { json!(kept) });
        }
    }

    /// What is shared is not there, and nobody but its owner knows what to have in its place.
    fn shares(&mut self, row: &Row<'_>, gone: &[&str]) {
        for (key, what) in SHARED {
            let Some(node) = row.node.get(key) else { continue };
            let filled = self.by_default(node.as_str().unwrap_or_default());
            if let Some(other) = filled.strip_prefix("service:").filter(|other| gone.contains(other)) {
                let found = format!("`{}` shares {what} of `{other}`, which the machine does not start: take `{key}` out, {}", row.name, instead(other));
                self.note(node.span, found, None);
            }
        }
        for item in row.node.get("volumes_from").and_then(Node::as_seq).unwrap_or_default() {
            let filled = self.by_default(item.as_str().unwrap_or_default());
            let other = filled.split(':').next().unwrap_or_default();
            if gone.contains(&other) {
                let found = format!("`{}` mounts the volumes of `{other}`, which the machine does not start: name them under `volumes`, {}", row.name, instead(other));
                self.note(item.span, found, None);
            }
        }
    }
}
