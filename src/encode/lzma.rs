//! LZMA in its plain container, which python3's `lzma` reads by itself and which costs 13 bytes.

use anyhow::{Context, Result};
use liblzma::stream::{LzmaOptions, MatchFinder, Mode, Stream};
use liblzma::read::XzDecoder;
use liblzma::write::XzEncoder;
use std::io::{Read, Write};

/// Smallest and largest window: a payload fits into it whole, and the smallest machine has room for it.
const WINDOW: std::ops::RangeInclusive<usize> = 4096..=1 << 20;

/// Compresses `data`. Literal and position bits suit text: no alignment, and context as far as there is enough to learn it from.
pub fn compress(data: &[u8]) -> Result<Vec<u8>> {
    let context = if data.len() < 8192 { 0 } else { 3 };
    // A larger one would take time to make ready, and gain nothing.
    let window = data.len().next_power_of_two().clamp(*WINDOW.start(), *WINDOW.end()) as u32;
    let mut options = LzmaOptions::new_preset(9).context("preparing LZMA")?;
    options
        .dict_size(window)
        .literal_context_bits(context)
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
}

/// The other way, of at most `most` bytes.
pub fn decompress(data: &[u8], most: u64) -> Result<Vec<u8>> {
    let stream = Stream::new_lzma_decoder(256 << 20).context("preparing LZMA")?;
    let mut out = Vec::new();
    XzDecoder::new_stream(data, stream).take(most).read_to_end(&mut out).context("uncompressing")?;
    Ok(out)
}
