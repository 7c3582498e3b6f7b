//! `gzip` and `base64`: what is already encoded, once more, as some providers and consoles want it.

use anyhow::{Context, Result};
use base64::Engine as _;
use flate2::{Compression, GzBuilder};
use std::io::Write;

/// Compresses `bytes`; no name and no time go along, so that the same bytes come out each time.
pub fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    encoder.write_all(bytes).context("compressing")?;
    encoder.finish().context("compressing")
}

/// One line, without a line's end: Hetzner's guests decode nothing else.
pub fn base64(bytes: &[u8]) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.encode(bytes).into_bytes()
}
