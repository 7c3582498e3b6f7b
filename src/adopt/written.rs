//! The profile as text.

use super::Adopted;
use crate::distribution::Distribution;
use serde_json::{Value, json};

/// What a profile is called and where it goes.
pub struct Head<'a> {
    /// Its name.
    pub name: &'a str,
    /// The Compose file, as seen from the profile.
    pub file: &'a str,
    /// What the machine runs.
    pub distribution: Distribution,
    /// Who may log in.
    pub keys: &'a [String],
    /// What leads to it.
    pub domain: Option<&'a str>,
}

impl Adopted {
    /// The profile's text.
    pub fn profile(&self, head: &Head<'_>) -> String {
        let mut text = format!(
            "# Beside {0}, which stays as it is: what stands here is laid over it. Written by `julia-bootstrap adopt {0}`.\nversion: 1\nname: {1}\ndistribution: {2}\nadmin:\n  ssh_keys: {3}\n",
            head.file,
            head.name,
            head.distribution.id(),
            flow(&json!(head.keys))
        );
        if let Some(domain) = head.domain {
            text += &format!("domain: {domain}\n");
        }
        if self.backup {
            text += "backup: {}\n";
        }
        text += &format!("compose: {}\n", flow(&json!(head.file)));
        if !self.secrets.is_empty() || !self.files.is_empty() {
            text += "\n# Their values come from the environment, or from the file that --env-file names.\nsecrets:\n";
            for name in self.secrets.keys() {
                text += &format!("  {name}: {{env: {name}}}\n");
            }
            for (name, file) in &self.files {
                text += &format!("  {}: {{file: {}, as: credential}}\n", flow(&json!(name)), flow(&json!(file)));
            }
        }
        if !self.variables.is_empty() {
            text += "\n# What Compose fills in beside them.\nvariables:\n";
            for (name, value) in &self.variables {
                text += &format!("  {name}: {}\n", flow(&json!(value)));
            }
        }
        for (key, value) in &self.overlay {
            text += &format!("\n{key}:\n");
            block(&mut text, value, 1);
        }
        text
    }
}

/// Mappings in lines, two levels deep; what stands below in one line.
fn block(out: &mut String, value: &Value, depth: usize) {
    for (key, value) in value.as_object().into_iter().flatten() {
        let indent = "  ".repeat(depth);
        match value {
            Value::Object(inner) if depth < 3 && !inner.is_empty() => {
                *out += &format!("{indent}{}:\n", flow(&json!(key)));
                block(out, value, depth + 1);
            }
            _ => *out += &format!("{indent}{}: {}\n", flow(&json!(key)), flow(value)),
        }
    }
}

/// In one line, without quotes where YAML needs none.
fn flow(value: &Value) -> String {
    match value {
        Value::Object(entries) => format!("{{{}}}", entries.iter().map(|(key, value)| format!("{}: {}", flow(&json!(key)), flow(value))).collect::<Vec<_>>().join(", ")),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::String(text) if is_plain(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Whether a text is the same without quotes.
fn is_plain(text: &str) -> bool {
    let word = matches!(text.to_ascii_lowercase().as_str(), "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null");
    !word && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/') && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
}
