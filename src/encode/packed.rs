//! `packed`: one ASCII cloud-config whose `bootcmd` verifies, unpacks and starts the bundle.

use super::{Encoded, lzma, sha256, strip, text};
use crate::plan::{File, Plan};
use crate::template;
use anyhow::{Context, Result};
use serde_json::json;

/// Characters of payload a line holds: below the 4,096 that a terminal in line mode takes.
const LINE: usize = 2000;

/// The compressed bundle: a JSON list of path, mode and text.
pub fn payload(files: &[&File]) -> Result<Vec<u8>> {
    let rows: Vec<_> = files.iter().map(|file| json!([file.path, file.mode, strip::strip(file)])).collect();
    lzma::compress(serde_json::to_string(&rows).context("writing the bundle")?.as_bytes())
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
