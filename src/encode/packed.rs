//! `packed`: one ASCII cloud-config whose `bootcmd` verifies, unpacks and starts the bundle.

use super::{Encoded, lzma, sha256, strip, text};
use crate::plan::{File, Plan};
use crate::template;
use anyhow::{Result, ensure};
use serde_json::json;

/// Characters of payload a line holds: below the 4,096 that a terminal in line mode takes.
const LINE: usize = 2000;

/// The compressed bundle: path, mode in octal and text of each file, with a NUL, which none of them can hold, between.
pub fn payload(files: &[&File]) -> Result<Vec<u8>> {
    let mut parts = Vec::new();
    for file in files {
        ensure!(!file.content.contains('\0'), "{} holds a NUL character", file.path);
        parts.extend([file.path.clone(), format!("{:o}", file.mode), strip::strip(file).into_owned()]);
    }
    lzma::compress(parts.join("\0").as_bytes())
}

/// Encodes `plan` as packed user-data.
pub fn encode(plan: &Plan) -> Result<Encoded> {
    let payload = payload(&plan.files.iter().collect::<Vec<_>>())?;
    let sha256 = sha256(&payload);
    let text = text::encode(&payload);
    let mut lines = Vec::new();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(LINE));
        lines.push(line);
        rest = more;
    }
    let context = json!({"sha256": sha256, "payload": lines, "table": text::python_table()});
    let user_data = compact(&template::render("user-data/packed.yaml.j2", context)?);
    Ok(Encoded { user_data, sha256 })
}

/// Leaves out the comments of the frame; the first line is one that decides everything.
fn compact(text: &str) -> String {
    let kept = text.lines().enumerate().filter(|(number, line)| *number == 0 || !line.starts_with("# "));
    kept.map(|(_, line)| format!("{line}\n")).collect()
}
