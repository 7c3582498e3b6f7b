//! The lab's own services (addresses, package mirror, registry, ACME server, DNS), as its `lab.json` tells.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;

/// A running lab. Written by the lab's own script, read here.
#[derive(Debug, Clone, Deserialize)]
pub struct Facility {
    /// Number of this lab; several stand side by side.
    pub instance: u32,
    /// Folder for what a lab run leaves behind.
    pub state_dir: PathBuf,
    /// Name of the network namespace a machine lives in.
    pub netns: String,
    /// Bridge on the host that machines are attached to.
    pub bridge: String,
    /// The host's end of the machine's cable, a port of the bridge.
    pub veth: String,
    /// The machine's end of it.
    pub guest_device: String,
    /// Its hardware address.
    pub guest_mac: String,
    /// A tap device for a virtual machine.
    pub tap: Option<Tap>,
    /// The host's address on the bridge.
    pub host_address: Ipv4Addr,
    /// The same for IPv6.
    pub host_address6: Ipv6Addr,
    /// The machine's address.
    pub guest_address: Ipv4Addr,
    /// Length of the network's prefix.
    pub prefix: u8,
    /// The machine's IPv6 address.
    pub guest_address6: Ipv6Addr,
    /// Length of the IPv6 network's prefix.
    pub prefix6: u8,
    /// Where the machine sends what is not local.
    pub gateway: Ipv4Addr,
    /// The same for IPv6.
    pub gateway6: Ipv6Addr,
    /// Name server for the machine.
    pub dns: IpAddr,
    /// hosts(5) file the name server answers from.
    pub dns_hosts_file: PathBuf,
    /// Process id of the name server, to be told of changes.
    pub dns_pid_file: PathBuf,
    /// Package archive.
    pub apt_mirror: Option<String>,
    /// Package archive with security updates.
    pub apt_security_mirror: Option<String>,
    /// Mirror of Docker's default registry.
    pub registry_mirror: Option<String>,
    /// Registries beside Docker's default one that the lab plays; the CA of its ACME server signed their certificates.
    #[serde(default)]
    pub registries: Vec<String>,
    /// ACME directory.
    pub acme_directory: Option<String>,
    /// PEM file that the ACME directory's own certificate chains to.
    pub acme_ca_file: Option<PathBuf>,
    /// Where the ACME server's issuing root can be fetched.
    pub acme_roots_url: Option<String>,
    /// A stand-in for a provider's metadata service.
    pub metadata: Option<Metadata>,
    /// A stand-in for Slack: where it takes messages.
    pub slack_url: Option<String>,
    /// What it was told, a line of JSON each.
    pub slack_log: Option<PathBuf>,
    /// Where heartbeats are taken.
    pub heartbeat_url: Option<String>,
    /// The heartbeats, a line each.
    pub heartbeat_log: Option<PathBuf>,
    /// What the canaries use.
    pub canary: Option<Canary>,
    /// Images by engine, then by distribution.
    #[serde(default)]
    pub images: BTreeMap<String, BTreeMap<String, PathBuf>>,
}

/// A tap device that leads to the lab's network.
#[derive(Debug, Clone, Deserialize)]
pub struct Tap {
    /// Network namespace it stands in.
    pub netns: String,
    /// Its name there.
    pub device: String,
}

/// The stand-in for a provider's metadata service.
#[derive(Debug, Clone, Deserialize)]
pub struct Metadata {
    /// Its IPv4 address.
    pub v4: Ipv4Addr,
    /// Its IPv6 address.
    pub v6: Ipv6Addr,
    /// What it answers.
    pub body: String,
}

/// Listeners that must not be reachable from outside.
#[derive(Debug, Clone, Deserialize)]
pub struct Canary {
    /// Port of a process on all addresses.
    pub process_port: u16,
    /// Port published by a container on all addresses.
    pub container_port: u16,
    /// Image of that container.
    pub image: String,
}

impl Facility {
    /// Reads a `lab.json`.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("reading {}: start the lab first, or leave --lab out", path.display()))?;
        Self::parse(&text).with_context(|| format!("reading {}", path.display()))
    }

    /// Parses the text of a `lab.json`.
    pub fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|error| anyhow!("this is no description of a lab: {error}"))
    }

    /// The lab's image for an engine and a distribution.
    pub fn image(&self, engine: &str, distribution: &str) -> Option<&Path> {
        self.images.get(engine)?.get(distribution).map(PathBuf::as_path)
    }

    /// Lets the lab's name server answer `names` with the given addresses; every other line of the file stays.
    pub fn point(&self, names: &[String], v4: Ipv4Addr, v6: Ipv6Addr) -> Result<()> {
        self.rewrite(names, Some((v4, v6)))
    }

    /// Takes the names out of the lab's name server again.
    pub fn forget(&self, names: &[String]) -> Result<()> {
        self.rewrite(names, None)
    }

    fn rewrite(&self, names: &[String], addresses: Option<(Ipv4Addr, Ipv6Addr)>) -> Result<()> {
        let file = &self.dns_hosts_file;
        let old = std::fs::read_to_string(file).unwrap_or_default();
        let new = hosts_with(&old, names, addresses);
        std::fs::write(file, new).with_context(|| format!("writing {}", file.display()))?;
        let pid = std::fs::read_to_string(&self.dns_pid_file)
            .ok()
            .and_then(|text| text.trim().parse::<i32>().ok())
            .and_then(rustix::process::Pid::from_raw)
            .with_context(|| format!("{} holds no process id: is the lab up?", self.dns_pid_file.display()))?;
        rustix::process::kill_process(pid, rustix::process::Signal::HUP)
            .context("telling the lab's name server of new names: is the lab up?")
    }
}

fn hosts_with(old: &str, names: &[String], addresses: Option<(Ipv4Addr, Ipv6Addr)>) -> String {
    let mut new: String = old
        .lines()
        .filter(|line| !line.split_whitespace().skip(1).any(|word| names.iter().any(|name| name == word)))
        .map(|line| format!("{line}\n"))
        .collect();
    if let Some((v4, v6)) = addresses {
        for name in names {
            new.push_str(&format!("{v4} {name}\n{v6} {name}\n"));
        }
    }
    new
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const EXAMPLE: &str = r#"{"instance":3,"state_dir":"state","netns":"jb3","bridge":"jbb3","veth":"jb3v","guest_device":"host0",
        "guest_mac":"02:4a:42:00:03:02","tap":{"netns":"jb3vm","device":"tap0"},
        "host_address":"10.77.3.1","host_address6":"fd77:0:0:3::1","guest_address":"10.77.3.2","prefix":24,
        "guest_address6":"fd77:0:0:3::2","prefix6":64,"gateway":"10.77.3.1","gateway6":"fd77:0:0:3::1","dns":"10.77.3.1",
        "dns_hosts_file":"dns-hosts","dns_pid_file":"dns.pid","apt_mirror":"http://m/","apt_security_mirror":null,
        "registry_mirror":"http://10.77.3.1:5000","acme_directory":"https://acme.lab:14000/dir","acme_ca_file":"ca.pem",
        "acme_roots_url":"https://10.77.3.1:15000/roots/0","metadata":{"v4":"169.254.169.254","v6":"fd00:ec2::254","body":"b"},
        "canary":{"process_port":7777,"container_port":7778,"image":"docker.io/library/canary:1"},
        "images":{"container":{"debian-13":"trixie.tar"}},"something_new":1}"#;

    #[test]
    fn a_lab_is_read_and_unknown_keys_are_left_alone() {
        let lab = Facility::parse(EXAMPLE).expect("the example parses");
        assert_eq!(lab.guest_address.to_string(), "10.77.3.2");
        assert_eq!(lab.image("container", "debian-13"), Some(Path::new("trixie.tar")));
        assert_eq!(lab.image("qemu", "debian-13"), None);
        assert!(Facility::parse("{}").is_err_and(|error| error.to_string().contains("missing field")));
    }

    #[test]
    fn only_our_names_change_in_the_hosts_file() {
        let names = vec!["a.example".to_string()];
        let old = "10.0.0.1 acme.lab\n10.0.0.9 a.example\n";
        let (v4, v6) = (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
        assert_eq!(
            hosts_with(old, &names, Some((v4, v6))),
            "10.0.0.1 acme.lab\n127.0.0.1 a.example\n::1 a.example\n"
        );
        assert_eq!(hosts_with(old, &names, None), "10.0.0.1 acme.lab\n");
    }
}
