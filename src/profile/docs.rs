//! The documentation of the profile, made from the sections themselves.

use super::reader::{FieldDoc, Value};
use super::written::Written;

/// Every option of the profile, in the order a reader meets them.
pub fn docs() -> Vec<FieldDoc> {
    let mut out = Vec::new();
    Written::docs("", &mut out);
    out
}

/// `docs/profile.md`.
pub fn markdown() -> String {
    let mut out = String::from(include_str!("docs_head.md"));
    for field in docs() {
        let escape = |text: &str| text.replace('|', "\\|").replace('\n', " ");
        if !field.path.contains(['.', '[']) {
            let (path, doc, type_name) = (&field.path, &field.doc, &field.type_name);
            out.push_str(&format!("\n## `{path}`\n\n{doc} Type: {type_name}. Default: {}.\n\n", code(field.default)));
            if type_name == "mapping" || ["secrets", "services"].contains(&path.as_str()) {
                out.push_str("| Option | Type | Default | Example | |\n|---|---|---|---|---|\n");
            } else {
                out.push_str(&format!("```yaml\n{path}: {}\n```\n", field.example));
            }
            continue;
        }
        out.push_str(&format!(
            "| `{}` | {} | {} | `{}` | {} |\n",
            escape(&field.path),
            escape(&field.type_name),
            escape(&code(field.default)),
            escape(field.example),
            escape(&field.doc),
        ));
    }
    out
}

/// A default: YAML in code, a description as it is.
fn code(default: &str) -> String {
    match default {
        "{}" => "each option's own".into(),
        text if text.contains(' ') => text.into(),
        text => format!("`{text}`"),
    }
}
