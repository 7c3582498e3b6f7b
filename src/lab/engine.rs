//! The machines a seed can be booted in, behind one trait.

pub mod container;
pub mod disk;
pub mod qemu;
pub mod qmp;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

/// How a machine can be reached from here.
#[derive(Debug, Clone)]
pub struct Reach {
    /// Address for SSH.
    pub ssh: SocketAddr,
    /// Address for HTTP.
    pub http: SocketAddr,
    /// Address for HTTPS.
    pub https: SocketAddr,
    /// The machine's own addresses, v4 and v6, when all its ports can be reached; empty behind user-mode networking.
    pub addresses: Vec<IpAddr>,
}

/// What a machine is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulse {
    /// It runs.
    Running,
    /// It rebooted by itself since the last question.
    Rebooted,
    /// It is off.
    Off,
}

/// A throwaway machine.
pub trait Engine {
    /// `container` or `qemu`.
    fn name(&self) -> &'static str;
    /// How instructions run: `native`, `kvm` or `tcg`.
    fn accel(&self) -> String;
    /// What is booted, for the report.
    fn image(&self) -> String;
    /// How it can be reached.
    fn reach(&self) -> &Reach;
    /// The file its console is written to; it only grows until the next `fresh`.
    fn console(&self) -> &Path;
    /// Makes a new disk from the image, with the seed, and an empty console; the machine must be off.
    fn fresh(&mut self) -> Result<()>;
    /// Starts the machine from its present disk.
    fn start(&mut self) -> Result<()>;
    /// Asks what it is doing; must be called now and then, for reboots may need a hand.
    fn pulse(&mut self) -> Result<Pulse>;
    /// Shuts it down in good order; ends it the hard way after `limit`.
    fn power_off(&mut self, limit: Duration) -> Result<()>;
    /// Takes the power away: everything ends in that instant and what was not synced to the disk is lost.
    fn power_cut(&mut self) -> Result<()>;
    /// Whether a file is on its disk, where that can be seen from outside.
    fn has(&self, _path: &str) -> Option<bool> {
        None
    }
    /// Leaves the machine running when this value is dropped; tells what takes it down later.
    fn keep(&mut self) -> String;
}
