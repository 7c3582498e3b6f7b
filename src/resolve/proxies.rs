//! Presets of trusted proxies: ranges that providers publish.

use ipnet::IpNet;

/// Cloudflare's ranges as published at <https://www.cloudflare.com/ips/> (`ips-v4`, `ips-v6`); the list has not changed
/// since September 2023.
const CLOUDFLARE: &[&str] = &[
    "173.245.48.0/20",
    "103.21.244.0/22",
    "103.22.200.0/22",
    "103.31.4.0/22",
    "141.101.64.0/18",
    "108.162.192.0/18",
    "190.93.240.0/20",
    "188.114.96.0/20",
    "197.234.240.0/22",
    "198.41.128.0/17",
    "162.158.0.0/15",
    "104.16.0.0/13",
    "104.24.0.0/14",
    "172.64.0.0/13",
    "131.0.72.0/22",
    "2400:cb00::/32",
    "2606:4700::/32",
    "2803:f800::/32",
    "2405:b500::/32",
    "2405:8100::/32",
    "2a06:98c0::/29",
    "2c0f:f248::/32",
];

/// The ranges behind a preset's name.
pub fn preset(name: &str) -> Vec<IpNet> {
    let ranges = match name {
        "cloudflare" => CLOUDFLARE,
        _ => &[],
    };
    ranges.iter().filter_map(|range| range.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_has_ranges_and_every_range_parses() {
        for name in crate::profile::quantity::PROXY_PRESETS {
            assert!(!preset(name).is_empty(), "{name} has no ranges");
        }
        let ranges = preset("cloudflare");
        assert_eq!(ranges.len(), CLOUDFLARE.len());
        assert!(ranges.iter().all(|range| range.trunc() == *range));
    }
}
