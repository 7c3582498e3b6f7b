//! A neighbour: a network namespace on the lab's bridge from which the machine is looked at and provoked.
//!
//! Being a place of its own it may be banned, may route addresses it should not, and shares no connection
//! tracking with the host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;

use super::command::{may, must};
use super::facility::Facility;
use super::net::socket::Origin;

/// What the neighbour does; each has an address of its own, so that a ban of one does not blind the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Looks for open ports.
    Scans = 0x42,
    /// Tries logins that must fail.
    Intrudes = 0x43,
    /// Sends more requests than are welcome.
    Floods = 0x44,
}

/// The neighbour's network namespace.
#[derive(Debug)]
pub struct Neighbour {
    netns: String,
    device: String,
    v4: Ipv4Addr,
    v6: Ipv6Addr,
}

impl Neighbour {
    /// Sets it up on the lab's bridge.
    pub fn new(lab: &Facility) -> Result<Self> {
        let netns = format!("{}x", lab.netns);
        let device = format!("jb{}x", lab.instance);
        let neighbour = Neighbour { netns, device, v4: lab.host_address, v6: lab.host_address6 };
        neighbour.clear();
        let (netns, device) = (neighbour.netns.as_str(), neighbour.device.as_str());
        must("ip", &["netns", "add", netns])?;
        must("ip", &["link", "add", device, "type", "veth", "peer", "name", "out0", "netns", netns])?;
        must("ip", &["link", "set", device, "master", &lab.bridge, "up"])?;
        must("ip", &["-n", netns, "link", "set", "out0", "up"])?;
        for role in [Role::Scans, Role::Intrudes, Role::Floods] {
            let v4 = format!("{}/{}", neighbour.v4(role), lab.prefix);
            let v6 = format!("{}/{}", neighbour.v6(role), lab.prefix6);
            must("ip", &["-n", netns, "address", "add", &v4, "dev", "out0"])?;
            must("ip", &["-n", netns, "address", "add", &v6, "dev", "out0", "nodad"])?;
        }
        // Loopback stays down, so that even 127.0.0.0/8 can be routed to the machine.
        must("ip", &["netns", "exec", netns, "sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1"])?;
        Ok(neighbour)
    }

    fn v4(&self, role: Role) -> Ipv4Addr {
        let [a, b, c, _] = self.v4.octets();
        Ipv4Addr::new(a, b, c, role as u8)
    }

    fn v6(&self, role: Role) -> Ipv6Addr {
        let mut segments = self.v6.segments();
        segments[7] = role as u16;
        Ipv6Addr::from(segments)
    }

    /// The namespace's name.
    pub fn netns(&self) -> &str {
        &self.netns
    }

    /// The IPv4 address of a role.
    pub fn address(&self, role: Role) -> IpAddr {
        self.v4(role).into()
    }

    /// Where traffic of a role comes from.
    pub fn origin(&self, role: Role) -> Origin {
        Origin { netns: Some(self.netns.clone()), v4: Some(self.v4(role).into()), v6: Some(self.v6(role).into()) }
    }

    /// Sends what goes to `network` to the machine, as a hostile neighbour may.
    pub fn route(&self, network: &str, machine: IpAddr) -> bool {
        may("ip", &["-n", &self.netns, "route", "replace", network, "via", &machine.to_string(), "dev", "out0", "onlink"])
    }

    fn clear(&self) {
        may("ip", &["link", "delete", &self.device]);
        may("ip", &["netns", "delete", &self.netns]);
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.clear();
    }
}
