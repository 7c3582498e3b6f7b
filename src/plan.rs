//! The plan: what will be on the machine, decided in one pure step and told as data.

pub mod edge;
mod machine;
mod files;
mod secrets;
mod stages;

pub use secrets::{needs, to_seal};
pub use stages::Stage;

use crate::distribution::Distribution;
use crate::profile::model::{PortRule, Profile, Protocol, SecretPlace, SecretValue};
use anyhow::Result;
use serde::Serialize;

/// Everything that reaches the machine.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The profile's name.
    pub name: String,
    /// Host name of the machine.
    pub hostname: String,
    /// What it runs on.
    pub distribution: Distribution,
    /// Packages that the stages install, in order.
    pub packages: Vec<String>,
    /// Files, in the order in which they are packed.
    pub files: Vec<File>,
    /// The stages in their declared order.
    pub stages: Vec<Stage>,
    /// Ports open from outside.
    pub ports: Vec<PortRule>,
    /// Where each secret ends, and whether its value is in the user-data.
    pub secrets: Vec<SecretEnd>,
}

/// One file as it will lie on the machine; every file belongs to root.
#[derive(Clone, Debug, Serialize)]
pub struct File {
    /// Absolute path.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Its text, UTF-8, byte for byte.
    #[serde(skip)]
    pub content: String,
    /// The part of the machine it serves; sizes are told by it.
    pub section: &'static str,
    /// Full-line comments may be left out where bytes count: the file is ours, in a language where `#` starts one.
    pub strip: bool,
}

/// Where a secret ends.
#[derive(Clone, Debug, Serialize)]
pub struct SecretEnd {
    /// Its name.
    pub name: String,
    /// File that holds it.
    pub path: String,
    /// Whether the value travels in the user-data.
    pub embedded: bool,
    /// Where it comes from, and who can read it on the way.
    pub way: String,
}

impl Plan {
    /// How many secrets the user-data, or the bundle, holds.
    pub fn embedded_secrets(&self) -> usize {
        self.secrets.iter().filter(|secret| secret.embedded).count()
    }

    /// The prefix of every unit of this machine.
    pub fn unit(&self, what: &str) -> String {
        format!("{}-{what}", self.name)
    }
}

/// Decides everything about the machine of `profile`. The same profile gives the same plan.
pub fn plan(profile: &Profile) -> Result<Plan> {
    let stages = stages::stages(profile);
    let packages = machine::Packages::of(profile);
    let secrets = profile
        .secrets
        .iter()
        .map(|secret| SecretEnd {
            name: secret.name.clone(),
            path: match &secret.place {
                SecretPlace::Env => format!("/opt/{}/.env", profile.name),
                SecretPlace::Credential(file) => format!("/opt/{}/credentials/{file}", profile.name),
            },
            embedded: matches!(secret.value, SecretValue::Given(_)),
            way: secret.origin.iter().map(|origin| format!("from {origin}, ")).collect::<String>() + match secret.value {
                SecretValue::Generate { .. } => "made on the machine, and nowhere else",
                SecretValue::Given(_) => "embedded in the user-data: whoever reads it, at the provider or by the metadata service, reads this",
                SecretValue::Sealed(_) => "fetched encrypted: the user-data opens it for as long as its URL answers",
                SecretValue::Later => "brought later: what needs it waits for `bootstrapctl secrets set`",
            },
        })
        .collect();
    Ok(Plan {
        name: profile.name.clone(),
        hostname: profile.host.hostname.clone(),
        distribution: profile.distribution,
        files: files::files(profile, &stages, &packages)?,
        packages: packages.all(),
        ports: open_ports(profile),
        stages,
        secrets,
    })
}

/// Ports open from outside: SSH, the web edge, and what the profile names.
pub fn open_ports(profile: &Profile) -> Vec<PortRule> {
    let tcp = |port| PortRule { port, protocol: Protocol::Tcp };
    let mut ports = vec![tcp(profile.ssh.port)];
    if !edge::hosts(profile).is_empty() {
        ports.extend([tcp(80), tcp(443)]);
    }
    ports.extend(&profile.firewall.allow);
    ports.extend(profile.stack.iter().flat_map(|stack| &stack.public_ports));
    let mut seen = Vec::new();
    ports.retain(|port| !seen.contains(port) && { seen.push(*port); true });
    ports
}
