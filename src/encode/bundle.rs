//! `bundle`: every file as it will lie on the machine, for people and programs to look at.

use super::{sha256, strip};
use crate::plan::Plan;
use serde::Serialize;

/// One row of the manifest.
#[derive(Debug, Serialize)]
pub struct Manifest {
    /// Absolute path on the machine.
    pub path: String,
    /// Permission bits in octal.
    pub mode: String,
    /// Owner and group.
    pub owner: &'static str,
    /// SHA-256 in hex, as the readable form brings it.
    pub sha256: String,
    /// SHA-256 in hex, as the packed form brings it: without comments.
    pub packed_sha256: String,
}

/// The files of a bundle: relative path, permission bits, bytes. Files of the machine stand below `root/`.
pub fn bundle(plan: &Plan, user_data: &[u8], meta_data: &str) -> anyhow::Result<Vec<(String, u32, Vec<u8>)>> {
    let mut out: Vec<(String, u32, Vec<u8>)> =
        plan.files.iter().map(|file| (format!("root{}", file.path), file.mode, file.content.clone().into_bytes())).collect();
    let rows: Vec<_> = plan
        .files
        .iter()
        .map(|file| Manifest {
            path: file.path.clone(),
            mode: format!("{:04o}", file.mode),
            owner: "root:root",
            sha256: sha256(file.content.as_bytes()),
            packed_sha256: sha256(strip::strip(file).as_bytes()),
        })
        .collect();
    // User-data may hold secrets: only the owner reads it.
    out.push(("user-data".into(), 0o600, user_data.to_owned()));
    out.push(("meta-data".into(), 0o644, meta_data.into()));
    out.push(("network-config".into(), 0o644, super::NETWORK_CONFIG.into()));
    out.push(("manifest.json".into(), 0o644, format!("{}\n", serde_json::to_string_pretty(&rows)?).into_bytes()));
    Ok(out)
}
