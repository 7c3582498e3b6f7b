//! NoCloud (Proxmox, QEMU).

use super::{Decoded, FormatName, Provider, Transport};
use crate::encode::Format;

/// The row.
pub const PROVIDER: Provider = Provider {
    id: "nocloud",
    title: "NoCloud (Proxmox, QEMU)",
    limit: None,
    limit_source: "none is known",
    format: FormatName(Format::Packed),
    on_debian: None,
    transport: Transport::Raw,
    decoded: Decoded::Gzip,
    preamble: "",
    sizes: ["--cores 2 --memory 4096", "--cores 4 --memory 8192"],
    regions: "a node of the cluster",
    images: ["debian-13-genericcloud-amd64.qcow2", "noble-server-cloudimg-amd64.img"],
    quirks: &["`iso` makes the seed: label CIDATA, with meta-data and network-config beside it"],
    unverified: &["names of plans and images"],
};
