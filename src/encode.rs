//! Encodings: what a plan becomes on its way to the machine. A new one is one file and one line in [`Format::ALL`].

mod bundle;
mod cloud_config;
mod digits;
mod lzma;
mod mixing;
mod packed;
pub mod read;
pub mod scalar;
pub mod signed;
pub mod strip;
mod text;
mod wrap;

pub use bundle::{Manifest, bundle};
pub use packed::{Frame, remote};
pub use wrap::{base64, gzip};

use crate::plan::Plan;
use anyhow::Result;
use clap::ValueEnum;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// How a plan is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// One ASCII `#cloud-config` with everything compressed in it, as small as can be.
    Packed,
    /// The same, a third larger, unpacked at once.
    Lzma,
    /// One `#cloud-config` that people can read.
    CloudConfig,
    /// A POSIX shell script with the same in it as `packed`, for who runs scripts and reads no cloud-config.
    Sh,
    /// `packed`, compressed by gzip: where cloud-init sees the bytes as they are.
    Gzip,
    /// That in base64, one line of text: where what is pasted is decoded.
    Base64,
}

/// The largest user-data that every provider with a published limit takes: EC2's, before its base64.
pub const BUDGET_BYTES: usize = 16_384;

/// What the machine is given, and what identifies it.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The user-data.
    pub user_data: Vec<u8>,
    /// SHA-256 of the payload in hex; the machine keeps it as the identity of what it was made from.
    pub sha256: String,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 6] = [Self::Packed, Self::Lzma, Self::CloudConfig, Self::Sh, Self::Gzip, Self::Base64];

    /// Encodes `plan`. The same plan gives the same bytes.
    pub fn encode(self, plan: &Plan) -> Result<Encoded> {
        match self {
            Self::Packed => packed::encode(plan, packed::Frame::CloudConfig),
            Self::Lzma => packed::encode_lzma(plan),
            Self::CloudConfig => cloud_config::encode(plan),
            Self::Sh => packed::encode(plan, packed::Frame::Script),
            Self::Gzip => wrapped(Self::Packed.encode(plan)?, |bytes| wrap::gzip(&bytes)),
            Self::Base64 => wrapped(Self::Gzip.encode(plan)?, |bytes| Ok(wrap::base64(&bytes))),
        }
    }

    /// What carries a program in it.
    pub fn frame(self) -> Frame {
        if self == Self::Sh { Frame::Script } else { Frame::CloudConfig }
    }

    /// How commands call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Packed => "packed",
            Self::Lzma => "lzma",
            Self::CloudConfig => "cloud-config",
            Self::Sh => "sh",
            Self::Gzip => "gzip",
            Self::Base64 => "base64",
        }
    }
}

fn wrapped(encoded: Encoded, wrap: impl FnOnce(Vec<u8>) -> Result<Vec<u8>>) -> Result<Encoded> {
    Ok(Encoded { user_data: wrap(encoded.user_data)?, sha256: encoded.sha256 })
}

/// `meta-data` of the NoCloud data source. The instance follows the bundle.
pub fn meta_data(plan: &Plan, sha256: &str) -> String {
    // In quotes: a host may be called `on` or `012`, which YAML reads as something else.
    format!("instance-id: {}-{}\nlocal-hostname: {}\n", plan.name, &sha256[..12], scalar::quote(&plan.hostname))
}

/// `network-config` of the NoCloud data source: DHCP and router advertisements on every Ethernet card.
pub const NETWORK_CONFIG: &str =
    "version: 2\nethernets:\n  all:\n    match: {name: \"e*\"}\n    dhcp4: true\n    dhcp6: true\n    accept-ra: true\n";

/// SHA-256 in lower-case hex.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes of one section of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SectionSize {
    /// The section.
    pub section: &'static str,
    /// Files in it.
    pub files: usize,
    /// Bytes as they lie on the machine.
    pub bytes: usize,
    /// Bytes after stripping of comments.
    pub stripped: usize,
    /// Characters of packed user-data that it takes, where it stands: what an earlier part has said as well costs little.
    pub packed: usize,
}

/// Sizes by section, the largest first.
pub fn sizes(plan: &Plan) -> Result<Vec<SectionSize>> {
    let costs = packed::costs(&plan.files)?;
    let mut rows: Vec<SectionSize> = Vec::new();
    for (file, cost) in plan.files.iter().zip(costs) {
        let place = rows.iter().position(|row| row.section == file.section).unwrap_or_else(|| {
            rows.push(SectionSize { section: file.section, files: 0, bytes: 0, stripped: 0, packed: 0 });
            rows.len() - 1
        });
        let row = &mut rows[place];
        row.files += 1;
        row.bytes += file.content.len();
        row.stripped += strip::strip(file).len();
        row.packed += cost;
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.packed));
    Ok(rows)
}
