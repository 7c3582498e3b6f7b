//! Contabo.

use super::{Decoded, FormatName, Provider, Transport};
use crate::encode::Format;

/// The row.
pub const PROVIDER: Provider = Provider {
    id: "contabo",
    title: "Contabo",
    limit: Some(16_384),
    limit_source: "not published: the strictest of the others is assumed",
    format: FormatName(Format::Packed),
    on_debian: None,
    transport: Transport::Raw,
    decoded: Decoded::Nothing,
    preamble: "",
    sizes: ["V92", "V94"],
    regions: "EU, US-central, SIN",
    images: ["Debian 13 (its UUID: `cntb get images`)", "Ubuntu 24.04 (likewise)"],
    quirks: &["its API wants OAuth2: the four values of its console's page on the API", "images have UUIDs, which `launch --image` wants", "what `destroy` cancels runs until its month is over", "its images allow passwords in `50-cloud-init.conf`, which the machine overrules"],
    unverified: &["the limit", "what its machines decode", "plans and images: its API names images by UUID"],
};
