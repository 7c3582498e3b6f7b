//! `cloud-config`: the same machine in a form that people read.

use super::{Encoded, scalar, sha256};
use crate::plan::{File, Plan};
use crate::template;
use anyhow::{Context, Result};
use serde_json::json;

/// Encodes `plan` as readable user-data. Files are written whole, with their comments.
pub fn encode(plan: &Plan) -> Result<Encoded> {
    let rows: Vec<_> = plan.files.iter().map(|file| json!([file.path, file.mode, file.content])).collect();
    let manifest = sha256(python_json(&rows)?.as_bytes());
    // What identifies the bundle must not depend on itself: the manifest's own sum does.
    let sha256 = sha256(manifest.as_bytes());
    let files: Vec<_> = plan.files.iter().map(entry).collect();
    let context = json!({"name": plan.name, "sha256": sha256, "manifest": manifest, "files": files});
    let user_data = template::render("user-data/readable.yaml.j2", context)?;
    Ok(Encoded { user_data: user_data.into_bytes(), sha256 })
}

fn entry(file: &File) -> serde_json::Value {
    json!({
        "path": scalar::quote(&file.path),
        "mode": format!("{:04o}", file.mode),
        "content": scalar::block(&file.content, 4),
    })
}

/// JSON as Python's `json.dumps(…, separators=(',', ':'))` writes it, which escapes all but ASCII.
fn python_json(rows: &[serde_json::Value]) -> Result<String> {
    let text = serde_json::to_string(rows).context("writing the manifest")?;
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii() && character != '\u{7f}' {
            out.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    Ok(out)
}
