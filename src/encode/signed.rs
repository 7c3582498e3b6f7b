//! A bundle that is signed: the stack's part of a machine in one file, which machines that follow it take from a URL.
//!
//! The file is minisign's own signature, an empty line, and what is signed: JSON with `name`, `serial` and `files`, each of them
//! path, mode and text. Together in one file, so that whoever fetches it never has one without the other.

use super::strip;
use crate::plan::Plan;
use anyhow::{Context, Result};
use base64::Engine;
use minisign::{KeyPair, PublicKey, SecretKey, SecretKeyBox};
use serde_json::json;
use std::io::Cursor;

/// What a bundle brings: services, routes, timers and our own programs; no users, keys, firewall or secrets. A machine
/// looks once more itself (`cloud-init/lib/ctl_follow.py`).
fn is_of_the_stack(name: &str, path: &str) -> bool {
    let unit = path.strip_prefix(&format!("/etc/systemd/system/{name}-"));
    let timed = ["backup", "check", "collect", "deploy", "follow"];
    matches!(path, "/etc/nginx/nginx.conf" | "/usr/local/bin/bootstrapctl" | "/etc/julia-bootstrap/plan.json")
        || path.starts_with("/usr/local/lib/julia-bootstrap/")
        || path.starts_with(&format!("/opt/{name}/"))
        || unit.is_some_and(|unit| timed.iter().any(|what| unit.starts_with(what)))
}

/// The stack's part of `plan` as it is signed; machines take no bundle whose `serial` is not above that of the last.
/// `secrets` is encrypted for one machine's own key.
pub fn content(plan: &Plan, serial: u64, secrets: Option<&[u8]>) -> Result<String> {
    let files = plan.files.iter().filter(|file| is_of_the_stack(&plan.name, &file.path));
    let rows: Vec<_> = files.map(|file| json!([file.path, file.mode, strip::strip(file)])).collect();
    let mut content = json!({"name": plan.name, "serial": serial, "files": rows});
    if let Some(secrets) = secrets {
        content["secrets"] = json!(base64::engine::general_purpose::STANDARD.encode(secrets));
    }
    serde_json::to_string(&content).context("writing the bundle")
}

/// A new pair of keys: the secret one's file, and the public one as profiles want it. The secret one is not encrypted.
pub fn new_key() -> Result<(String, String)> {
    let pair = KeyPair::generate_unencrypted_keypair().context("making a pair of keys")?;
    let secret = pair.sk.to_box(None).context("writing the secret key")?;
    Ok((secret.into_string(), pair.pk.to_base64()))
}

/// The secret key in the text of a key's file, which `password` opens when it is encrypted; `None` when that is needed and missing.
pub fn secret_key(text: &str, password: Option<String>) -> Result<Option<SecretKey>> {
    let wrong = "this is no secret key of minisign's kind";
    let boxed = SecretKeyBox::from_string(text).context(wrong)?;
    match (is_encrypted(text), password) {
        (true, None) => Ok(None),
        (true, password) => Ok(Some(boxed.into_secret_key(password).context("opening the secret key")?)),
        (false, _) => Ok(Some(boxed.into_unencrypted_secret_key().context(wrong)?)),
    }
}

/// minisign's format: a comment, then base64 whose second pair of bytes names what the key was encrypted with.
fn is_encrypted(text: &str) -> bool {
    let line = text.lines().nth(1).unwrap_or_default();
    base64::engine::general_purpose::STANDARD.decode(line.trim()).is_ok_and(|bytes| bytes.get(2..4) == Some(b"Sc"))
}

/// The public key that belongs to `key`.
pub fn public_key(key: &SecretKey) -> Result<String> {
    Ok(PublicKey::from_secret_key(key).context("reading the public key")?.to_base64())
}

/// Signs `content`; the comments say whose it is, and which.
pub fn sign(content: &str, key: &SecretKey, name: &str, serial: u64) -> Result<String> {
    let comment = format!("{name} {serial}");
    let signature = minisign::sign(None, key, Cursor::new(content), Some(&comment), Some("signed by julia-bootstrap")).context("signing")?;
    Ok(format!("{}\n\n{content}", signature.into_string().trim_end()))
}
