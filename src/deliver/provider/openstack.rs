//! OpenStack, OVHcloud.

use super::{Decoded, FormatName, Provider, Transport};
use crate::encode::Format;

/// The row.
pub const PROVIDER: Provider = Provider {
    id: "openstack",
    title: "OpenStack, OVHcloud",
    limit: Some(49_149),
    limit_source: "Nova takes 65,535 characters of base64",
    format: FormatName(Format::Gzip),
    on_debian: None,
    transport: Transport::Base64,
    decoded: Decoded::Gzip,
    preamble: "",
    sizes: ["b3-8 (2 CPUs, 8 GB)", "b3-16 (4 CPUs, 16 GB)"],
    regions: "GRA, SBG, BHS",
    images: ["Debian 13", "Ubuntu 24.04"],
    quirks: &["`openstack server create --user-data FILE` encodes by itself"],
    unverified: &["the limit at OVHcloud"],
};
