//! LZMA in its plain container, which python3's `lzma` reads by itself and which costs 13 bytes.

use anyhow::{Context, Result};
use liblzma::stream::{LzmaOptions, MatchFinder, Mode, Stream};
use liblzma::write::XzEncoder;
use std::io::Write;

/// Window: more than a payload ever has, and small enough for the smallest machine.
const DICTIONARY_BYTES: u32 = 1 << 20;

/// Compresses `data`. Literal and position bits suit text: no alignment, much context.
pub fn compress(data: &[u8]) -> Result<Vec<u8>> {
    let attempt = |literal_context| -> Result<Vec<u8>> {
        let mut options = LzmaOptions::new_preset(9).context("preparing LZMA")?;
        options
            .dict_size(DICTIONARY_BYTES)
            .literal_context_bits(literal_context)
            .literal_position_bits(0)
            .position_bits(0)
            .mode(Mode::Normal)
            .nice_len(273)
            .match_finder(MatchFinder::BinaryTree4)
            .depth(512);
        let stream = Stream::new_lzma_encoder(&options).context("preparing LZMA")?;
        let mut encoder = XzEncoder::new_stream(Vec::new(), stream);
        encoder.write_all(data).context("compressing")?;
        encoder.finish().context("compressing")
    };
    attempt(3)
}
