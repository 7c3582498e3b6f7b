//! The lab: boots what `deliver` wrote in a throwaway machine and proves that it became what was planned.
//!
//! One machine behind the [`engine::Engine`] trait (a container or a virtual machine), a console that is
//! followed live, a scanner that watches the machine from outside all along, and a registry of named checks.

pub mod background;
pub mod check;
pub mod command;
pub mod console;
pub mod engine;
pub mod expect;
pub mod facility;
pub mod image;
pub mod injector;
pub mod interrupt;
pub mod live;
pub mod net;
pub mod outside;
pub mod overrides;
pub mod random;
pub mod report;
pub mod run;
pub mod ssh;
pub mod timeline;
pub mod view;

/// What cloud-init's NoCloud data source reads.
#[derive(Debug, Clone)]
pub struct Seed {
    /// The user-data exactly as `render` would print it (with the lab's overrides in the profile).
    pub user_data: Vec<u8>,
    /// The meta-data: instance-id and local-hostname.
    pub meta_data: String,
    /// Network configuration for machines that do not get their address by DHCP.
    pub network_config: Option<String>,
}
