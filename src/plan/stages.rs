//! The stages of a machine and their order. A new stage is one row here and one script in `cloud-init/stages/`.

use crate::profile::model::Profile;
use serde::Serialize;

/// One stage: a systemd unit that runs one idempotent script until it succeeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// Its name: the script's, and the unit's after the profile's name.
    pub name: &'static str,
    /// What people read on the status page.
    pub title: &'static str,
    /// The stages that must be done before it.
    pub after: Vec<&'static str>,
    /// Seconds that one attempt may take.
    pub timeout_seconds: u32,
    /// Runs at every boot, not only until it was done once.
    pub every_boot: bool,
    /// Without it the machine has failed; otherwise it is degraded.
    pub required: bool,
}

/// Which machines have a stage.
type When = fn(&Profile) -> bool;

fn always(_: &Profile) -> bool {
    true
}

fn stack(profile: &Profile) -> bool {
    profile.stack.is_some()
}

fn monitoring(profile: &Profile) -> bool {
    profile.monitoring.is_some()
}

fn acme(profile: &Profile) -> bool {
    profile.tls.acme && !super::edge::hosts(profile).is_empty()
}

fn restored(profile: &Profile) -> bool {
    profile.backup.as_ref().is_some_and(|backup| backup.restore_from.is_some())
}

/// Seconds for a stage that does nothing slow, or talks to a package archive or a registry. Generous:
/// the smallest machines of the cheapest providers unpack Docker in minutes.
const SHORT: u32 = 120;
const LONG: u32 = 1800;
/// Seconds for one that moves all data, as the stack's does when a restore was cut off; what else it does has limits of its own.
const VERY_LONG: u32 = 6 * 3600;

#[rustfmt::skip]
const TABLE: &[(&str, &str, &[&str], u32, When)] = &[
    ("host",    "Name, clock and limits",          &[],                                SHORT, always),
    ("access",  "Admin login by key",              &[],                                SHORT, always),
    ("edge",    "Firewall and web server",         &["host"],                          LONG,  always),
    ("docker",  "Docker",                          &["edge", "access"],                LONG,  always),
    ("fetch",   "Backup from elsewhere",           &["edge"],                          VERY_LONG, restored),
    ("secrets", "Secrets",                         &["fetch"],                         SHORT, always),
    ("monitoring", "Monitoring",                   &["secrets"],                       SHORT, monitoring),
    ("pull",    "Container images",                &["docker", "secrets"],             LONG,  stack),
    ("harden",  "Hardening",                       &["edge"],                          LONG,  always),
    ("tls",     "Certificates",                    &["harden"],                        LONG,  acme),
    ("revive",  "Data from the backup",            &["pull", "monitoring"],            VERY_LONG, restored),
    ("stack",   "Services",                        &["pull", "monitoring", "revive"],  VERY_LONG, stack),
    ("ready",   "Acceptance test",                 &["secrets", "harden", "tls", "stack"], LONG,  always),
];

/// The stages of the machine of `profile`, in their declared order.
pub fn stages(profile: &Profile) -> Vec<Stage> {
    let rows: Vec<_> = TABLE.iter().filter(|(.., when)| when(profile)).collect();
    rows.iter()
        .map(|(name, title, after, timeout, _)| Stage {
            name,
            title,
            after: after.iter().copied().filter(|name| rows.iter().any(|row| row.0 == *name)).collect(),
            timeout_seconds: *timeout,
            every_boot: matches!(*name, "stack" | "ready"),
            required: *name != "tls",
        })
        .collect()
}
