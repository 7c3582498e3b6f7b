//! The supported distributions, and the one table of what differs between them.

use serde::Serialize;

/// A distribution a profile may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Distribution {
    /// Debian 12 "bookworm".
    #[serde(rename = "debian-12")]
    Debian12,
    /// Debian 13 "trixie".
    #[serde(rename = "debian-13")]
    Debian13,
    /// Ubuntu 22.04 LTS "jammy".
    #[serde(rename = "ubuntu-22.04")]
    Ubuntu2204,
    /// Ubuntu 24.04 LTS "noble".
    #[serde(rename = "ubuntu-24.04")]
    Ubuntu2404,
    /// Ubuntu 26.04 LTS "resolute".
    #[serde(rename = "ubuntu-26.04")]
    Ubuntu2604,
}

/// Which family of archives and habits a distribution belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Debian.
    Debian,
    /// Ubuntu.
    Ubuntu,
}

/// How the SSH server is started: a changed port has to go where the port is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SshStart {
    /// `ssh.service` opens the port.
    Service,
    /// `ssh.socket` opens the port and starts the service on the first connection.
    Socket,
}

/// One row of the table.
#[derive(Debug, Serialize)]
pub struct Facts {
    /// How a profile writes it.
    pub id: &'static str,
    /// The name people know it by.
    pub title: &'static str,
    /// Codename, as archive suites use it.
    pub codename: &'static str,
    /// Debian or Ubuntu.
    pub family: Family,
    /// Version number as in `/etc/os-release` `VERSION_ID`.
    pub version: &'static str,
    /// Version of its systemd.
    pub systemd: u32,
    /// Docker with Compose v2 from the distribution's own archive; `None` where it has no Compose v2.
    pub docker_packages: Option<&'static [&'static str]>,
    /// The same from Docker's own repository.
    pub docker_upstream_packages: &'static [&'static str],
    /// Docker's own repository for this family.
    pub docker_repository: &'static str,
    /// What starts sshd.
    pub ssh_start: SshStart,
    /// The unit in which cloud-init runs once the network is up.
    pub cloud_init_network_unit: &'static str,
    /// Archive used when the profile names no mirror.
    pub mirror: &'static str,
    /// Security archive used when the profile names no mirror.
    pub security_mirror: &'static str,
    /// Suite of security updates in that archive.
    pub security_suite: &'static str,
    /// Archive components to enable.
    pub components: &'static str,
    /// Keyring that signs the archive.
    pub keyring: &'static str,
    /// nginx knows `http2 on` (1.25.1 and later) and warns of `listen … http2`.
    pub nginx_http2_directive: bool,
    /// Origin that unattended-upgrades sees on security updates.
    pub security_origin: &'static str,
}

const DOCKER_UPSTREAM: &[&str] =
    &["docker-ce", "docker-ce-cli", "containerd.io", "docker-buildx-plugin", "docker-compose-plugin"];
const DOCKER_UBUNTU: Option<&[&str]> = Some(&["docker.io", "docker-buildx", "docker-compose-v2"]);
const DOCKER_DEBIAN_13: Option<&[&str]> = Some(&["docker.io", "docker-cli", "docker-compose"]);
const REPOSITORY_DEBIAN: &str = "https://download.docker.com/linux/debian";
const REPOSITORY_UBUNTU: &str = "https://download.docker.com/linux/ubuntu";

/// The table: one row a distribution, in the order of [`Distribution::ALL`].
static TABLE: [Facts; 5] = [
    Facts {
        id: "debian-12",
        title: "Debian 12",
        codename: "bookworm",
        family: Family::Debian,
        version: "12",
        systemd: 252,
        docker_packages: None,
        docker_upstream_packages: DOCKER_UPSTREAM,
        docker_repository: REPOSITORY_DEBIAN,
        ssh_start: SshStart::Service,
        cloud_init_network_unit: "cloud-init.service",
        mirror: "http://deb.debian.org/debian",
        security_mirror: "http://deb.debian.org/debian-security",
        security_suite: "bookworm-security",
        components: "main",
        keyring: "/usr/share/keyrings/debian-archive-keyring.gpg",
        nginx_http2_directive: false,
        security_origin: "Debian-Security",
    },
    Facts {
        id: "debian-13",
        title: "Debian 13",
        codename: "trixie",
        family: Family::Debian,
        version: "13",
        systemd: 257,
        docker_packages: DOCKER_DEBIAN_13,
        docker_upstream_packages: DOCKER_UPSTREAM,
        docker_repository: REPOSITORY_DEBIAN,
        ssh_start: SshStart::Service,
        cloud_init_network_unit: "cloud-init-network.service",
        mirror: "http://deb.debian.org/debian",
        security_mirror: "http://deb.debian.org/debian-security",
        security_suite: "trixie-security",
        components: "main",
        keyring: "/usr/share/keyrings/debian-archive-keyring.gpg",
        nginx_http2_directive: true,
        security_origin: "Debian-Security",
    },
    Facts {
        id: "ubuntu-22.04",
        title: "Ubuntu 22.04 LTS",
        codename: "jammy",
        family: Family::Ubuntu,
        version: "22.04",
        systemd: 249,
        docker_packages: DOCKER_UBUNTU,
        docker_upstream_packages: DOCKER_UPSTREAM,
        docker_repository: REPOSITORY_UBUNTU,
        ssh_start: SshStart::Service,
        cloud_init_network_unit: "cloud-init.service",
        mirror: "http://archive.ubuntu.com/ubuntu",
        security_mirror: "http://security.ubuntu.com/ubuntu",
        security_suite: "jammy-security",
        components: "main universe",
        keyring: "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
        nginx_http2_directive: false,
        security_origin: "Ubuntu",
    },
    Facts {
        id: "ubuntu-24.04",
        title: "Ubuntu 24.04 LTS",
        codename: "noble",
        family: Family::Ubuntu,
        version: "24.04",
        systemd: 255,
        docker_packages: DOCKER_UBUNTU,
        docker_upstream_packages: DOCKER_UPSTREAM,
        docker_repository: REPOSITORY_UBUNTU,
        ssh_start: SshStart::Socket,
        cloud_init_network_unit: "cloud-init.service",
        mirror: "http://archive.ubuntu.com/ubuntu",
        security_mirror: "http://security.ubuntu.com/ubuntu",
        security_suite: "noble-security",
        components: "main universe",
        keyring: "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
        nginx_http2_directive: false,
        security_origin: "Ubuntu",
    },
    Facts {
        id: "ubuntu-26.04",
        title: "Ubuntu 26.04 LTS",
        codename: "resolute",
        family: Family::Ubuntu,
        version: "26.04",
        systemd: 259,
        docker_packages: DOCKER_UBUNTU,
        docker_upstream_packages: DOCKER_UPSTREAM,
        docker_repository: REPOSITORY_UBUNTU,
        ssh_start: SshStart::Socket,
        cloud_init_network_unit: "cloud-init-network.service",
        mirror: "http://archive.ubuntu.com/ubuntu",
        security_mirror: "http://security.ubuntu.com/ubuntu",
        security_suite: "resolute-security",
        components: "main universe",
        keyring: "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
        nginx_http2_directive: true,
        security_origin: "Ubuntu",
    },
];

impl Distribution {
    /// Every supported distribution, in the table's order.
    pub const ALL: [Distribution; 5] =
        [Self::Debian12, Self::Debian13, Self::Ubuntu2204, Self::Ubuntu2404, Self::Ubuntu2604];

    /// What differs on this distribution.
    pub fn facts(self) -> &'static Facts {
        &TABLE[self as usize]
    }

    /// How a profile writes it: `debian-13`.
    pub fn id(self) -> &'static str {
        self.facts().id
    }

    /// The distribution a profile means by `id`.
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|distribution| distribution.id() == id)
    }

    /// Suite of stable updates, as in `trixie-updates`.
    pub fn updates_suite(self) -> String {
        format!("{}-updates", self.facts().codename)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_id_finds_its_own_row_and_serialises_as_itself() {
        for distribution in Distribution::ALL {
            assert_eq!(Distribution::from_id(distribution.id()), Some(distribution));
            assert_eq!(serde_json::json!(distribution), distribution.id());
            assert!(distribution.facts().security_suite.starts_with(distribution.facts().codename));
        }
        assert_eq!(Distribution::from_id("debian-11"), None);
    }
}
