//! Vultr.

use super::{Decoded, FormatName, Provider, Transport};
use crate::encode::Format;

/// The row.
pub const PROVIDER: Provider = Provider {
    id: "vultr",
    title: "Vultr",
    limit: Some(16_384),
    limit_source: "not published: the strictest of the others is assumed",
    format: FormatName(Format::Packed),
    on_debian: None,
    transport: Transport::Base64,
    decoded: Decoded::Nothing,
    preamble: "",
    sizes: ["vc2-2c-4gb", "vc2-4c-8gb"],
    regions: "fra, ewr, sao",
    images: ["Debian 13 (os_id by its API)", "Ubuntu 24.04 (os_id 2284)"],
    quirks: &["`launch --image` takes the os_id, a number", "vendor-data may switch passwords and upgrades on, which the machine overrules"],
    unverified: &["the limit", "os_id"],
};
