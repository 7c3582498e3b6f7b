//! Hetzner Cloud.

use super::{Decoded, FormatName, Provider, Transport};
use crate::encode::Format;

/// The row.
pub const PROVIDER: Provider = Provider {
    id: "hetzner",
    title: "Hetzner Cloud",
    limit: Some(32_768),
    limit_source: "32 KiB (documentation)",
    format: FormatName(Format::Packed),
    on_debian: None,
    transport: Transport::Raw,
    decoded: Decoded::Base64Gzip,
    preamble: "",
    sizes: ["cx22", "cx32"],
    regions: "fsn1, nbg1, hel1, ash",
    images: ["debian-13", "ubuntu-24.04"],
    quirks: &["vendor-data makes root the default user, which the machine overrules", "base64 must be one line without an end"],
    unverified: &["names of plans and images"],
};
