//! DigitalOcean.

use super::{Decoded, FormatName, Provider, Transport};
use crate::encode::Format;

/// The row.
pub const PROVIDER: Provider = Provider {
    id: "digitalocean",
    title: "DigitalOcean",
    limit: Some(65_536),
    limit_source: "64 KiB (documentation)",
    format: FormatName(Format::Packed),
    on_debian: None,
    transport: Transport::Raw,
    decoded: Decoded::Nothing,
    preamble: "",
    sizes: ["s-2vcpu-4gb", "s-4vcpu-8gb"],
    regions: "fra1, nyc3, sfo3",
    images: ["debian-13-x64", "ubuntu-24-04-x64"],
    quirks: &["the image logs in as root; the machine forbids that"],
    unverified: &["names of plans and images"],
};
