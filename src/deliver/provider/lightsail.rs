//! AWS Lightsail.

use super::{Decoded, FormatName, Provider, Transport};
use crate::encode::Format;

/// The row.
pub const PROVIDER: Provider = Provider {
    id: "lightsail",
    title: "AWS Lightsail",
    limit: Some(14_336),
    limit_source: "16 KiB less the lines that AWS puts before it, for which 2 KiB are kept",
    format: FormatName(Format::Sh),
    on_debian: None,
    transport: Transport::Raw,
    decoded: Decoded::Nothing,
    // Ours, and as short as theirs may be: what matters is that it is a script of its own, with its own first line.
    preamble: "#!/bin/sh\nexport PLACE=preamble\nmkdir -p /run/preamble\ntrue || exit 1\n",
    sizes: ["medium_3_0", "large_3_0 (2 CPUs)"],
    regions: "eu-central-1a, us-east-1a",
    images: ["debian_13", "ubuntu_24_04"],
    quirks: &["runs a shell script behind its own, under dash: no cloud-config, no gzip", "its firewall must let ports through as well"],
    unverified: &["how long its own lines are", "a blueprint of Debian 13"],
};
