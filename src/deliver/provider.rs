//! Providers: what each takes as user-data, and in which form. A new one is one file and one line in [`ALL`].

mod azure;
pub mod contabo;
pub mod digitalocean;
mod ec2;
mod gcp;
pub mod hetzner;
pub mod lightsail;
mod nocloud;
mod openstack;
pub mod vultr;

use crate::distribution::Distribution;
use crate::encode::Format;
use anyhow::{Context, Result, bail};
use base64::Engine as _;
use serde::Serialize;
use std::io::Read;

/// Every provider, in the order of their names.
pub const ALL: [&Provider; 10] = [
    &azure::PROVIDER,
    &contabo::PROVIDER,
    &digitalocean::PROVIDER,
    &ec2::PROVIDER,
    &gcp::PROVIDER,
    &hetzner::PROVIDER,
    &lightsail::PROVIDER,
    &nocloud::PROVIDER,
    &openstack::PROVIDER,
    &vultr::PROVIDER,
];

/// How user-data travels in the provider's API; a console takes it as it is rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// As it is.
    Raw,
    /// In base64, which the provider takes off again.
    Base64,
}

/// What a machine's cloud-init takes off before it reads user-data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Decoded {
    /// Nothing.
    Nothing,
    /// gzip.
    Gzip,
    /// base64, then gzip.
    Base64Gzip,
}

/// One provider.
#[derive(Debug, Serialize)]
pub struct Provider {
    /// How commands name it.
    pub id: &'static str,
    /// The name people know it by.
    pub title: &'static str,
    /// Most bytes of what `render` writes for it; `None` where no limit is known.
    pub limit: Option<usize>,
    /// Where that number comes from.
    pub limit_source: &'static str,
    /// The form that is chosen for it.
    pub format: FormatName,
    /// The form for its images of Debian, where they take another one.
    pub on_debian: Option<FormatName>,
    /// How its API takes it.
    pub transport: Transport,
    /// What its machines take off.
    pub decoded: Decoded,
    /// Lines that it puts before a script of ours; a lab plays them.
    #[serde(skip)]
    pub preamble: &'static str,
    /// Its names of plans for the mission's two sizes: 2 CPUs with 4 GB, 4 CPUs with 8 GB.
    pub sizes: [&'static str; 2],
    /// How it writes regions.
    pub regions: &'static str,
    /// Its names of the images of Debian 13 and Ubuntu 24.04.
    pub images: [&'static str; 2],
    /// What is peculiar there.
    pub quirks: &'static [&'static str],
    /// What of this row no account has confirmed.
    pub unverified: &'static [&'static str],
}

/// A format, serialized by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormatName(pub Format);

impl Serialize for FormatName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

/// The provider of that name.
pub fn named(id: &str) -> Option<&'static Provider> {
    ALL.into_iter().find(|provider| provider.id == id)
}

impl Provider {
    /// The form that its image of a distribution reads.
    pub fn form(&self, distribution: Distribution) -> Format {
        let debian = matches!(distribution, Distribution::Debian12 | Distribution::Debian13);
        self.on_debian.filter(|_| debian).unwrap_or(self.format).0
    }

    /// Bytes over the limit.
    pub fn excess(&self, bytes: usize) -> Option<usize> {
        bytes.checked_sub(self.limit?).filter(|excess| *excess > 0)
    }

    /// What its API is sent for `user_data`.
    pub fn sent(&self, user_data: &[u8]) -> Vec<u8> {
        match self.transport {
            Transport::Raw => user_data.to_vec(),
            Transport::Base64 => crate::encode::base64(user_data),
        }
    }

    /// What cloud-init reads on its machine after `sent` went through its API.
    pub fn handed_over(&self, sent: &[u8]) -> Result<Vec<u8>> {
        let decode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.decode(bytes).context("decoding base64");
        let mut bytes = if self.transport == Transport::Base64 { decode(sent)? } else { sent.to_vec() };
        if !self.preamble.is_empty() {
            if !bytes.starts_with(b"#!") {
                bail!("{} runs shell scripts alone", self.title);
            }
            bytes.splice(0..0, self.preamble.bytes());
        }
        if self.decoded == Decoded::Base64Gzip && !bytes.starts_with(b"#") {
            bytes = decode(&bytes)?;
        }
        if self.decoded != Decoded::Nothing && bytes.starts_with(b"\x1f\x8b") {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut plain).context("decompressing")?;
            bytes = plain;
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_without_cloud_init_gets_a_script() {
        let gcp = named("gcp").expect("a row");
        assert_eq!((gcp.form(Distribution::Debian13), gcp.form(Distribution::Ubuntu2404)), (Format::Sh, Format::Packed));
    }

    #[test]
    fn names_are_in_order_and_found() {
        assert!(ALL.windows(2).all(|pair| pair[0].id < pair[1].id));
        assert!(ALL.iter().all(|provider| named(provider.id).is_some_and(|found| found.title == provider.title)));
        assert!(named("nowhere").is_none());
    }

    #[test]
    fn one_byte_over_is_too_much() {
        for provider in ALL {
            let Some(limit) = provider.limit else { continue };
            assert_eq!(provider.excess(limit), None, "{}", provider.id);
            assert_eq!(provider.excess(limit + 1), Some(1), "{}", provider.id);
        }
    }

    #[test]
    fn what_is_sent_arrives() {
        for provider in ALL {
            let text = if provider.format.0 == Format::Sh { &b"#!/bin/sh\ntrue\n"[..] } else { b"#cloud-config\n{}\n" };
            let given = match provider.format.0 {
                Format::Gzip => crate::encode::gzip(text).expect("gzip"),
                Format::Base64 => crate::encode::base64(&crate::encode::gzip(text).expect("gzip")),
                _ => text.to_vec(),
            };
            let arrived = provider.handed_over(&provider.sent(&given)).expect("a machine reads it");
            assert!(arrived.ends_with(text), "{}", provider.id);
            assert!(arrived.starts_with(b"#"), "{}", provider.id);
        }
    }
}
