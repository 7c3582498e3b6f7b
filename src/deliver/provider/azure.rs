//! Azure.

use super::{Decoded, FormatName, Provider, Transport};
use crate::encode::Format;

/// The row.
pub const PROVIDER: Provider = Provider {
    id: "azure",
    title: "Azure",
    limit: Some(65_535),
    limit_source: "customData, decoded (documentation)",
    format: FormatName(Format::Packed),
    on_debian: None,
    transport: Transport::Base64,
    decoded: Decoded::Gzip,
    preamble: "",
    sizes: ["Standard_B2s", "Standard_F4s_v2"],
    regions: "westeurope, brazilsouth",
    images: ["Debian:debian-13:13:latest", "Canonical:ubuntu-24_04-lts:server:latest"],
    quirks: &["the walinuxagent hands customData to cloud-init; `userData` is something else"],
    unverified: &["names of images"],
};
