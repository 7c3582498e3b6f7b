//! Google Cloud.

use super::{Decoded, FormatName, Provider, Transport};
use crate::encode::Format;

/// The row.
pub const PROVIDER: Provider = Provider {
    id: "gcp",
    title: "Google Cloud",
    limit: Some(262_144),
    limit_source: "256 KiB a metadata value (documentation)",
    format: FormatName(Format::Packed),
    on_debian: Some(FormatName(Format::Sh)),
    transport: Transport::Raw,
    decoded: Decoded::Gzip,
    preamble: "",
    sizes: ["e2-medium", "e2-custom-4-8192"],
    regions: "europe-west3-a, southamerica-east1-a",
    images: ["debian-cloud/debian-13", "ubuntu-os-cloud/ubuntu-2404-lts-amd64"],
    quirks: &["Ubuntu: metadata key `user-data`", "its Debian images have no cloud-init: a script is written for them, for the metadata key `startup-script`", "the firewall of the network must let ports through as well"],
    unverified: &["startup-script under its own agent"],
};
