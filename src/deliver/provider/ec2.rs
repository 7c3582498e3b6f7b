//! Amazon EC2.

use super::{Decoded, FormatName, Provider, Transport};
use crate::encode::Format;

/// The row.
pub const PROVIDER: Provider = Provider {
    id: "ec2",
    title: "Amazon EC2",
    limit: Some(16_384),
    limit_source: "16 KB before base64 (documentation)",
    format: FormatName(Format::Gzip),
    on_debian: None,
    transport: Transport::Base64,
    decoded: Decoded::Gzip,
    preamble: "",
    sizes: ["t3.medium", "c6i.xlarge"],
    regions: "eu-central-1, sa-east-1",
    images: ["an AMI: debian-13-amd64-*", "an AMI: ubuntu-noble-24.04-amd64-server-*"],
    quirks: &["the security group must let ports through as well", "the metadata service is closed to containers by the machine, not by EC2"],
    unverified: &["base64 is taken off by whoever calls RunInstances: the command line encodes by itself"],
};
