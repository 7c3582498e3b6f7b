//! systemd-nspawn: a booted distribution with real systemd, cloud-init and dockerd, at native speed.

use std::fs::{self, File, OpenOptions};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::disk::Disk;
use super::{Engine, Pulse, Reach};
use crate::lab::command::{installed, may, must};
use crate::lab::facility::Facility;
use crate::lab::{Seed, interrupt};

/// systemd-nspawn's exit code for "the machine wants to be started again".
const REBOOT: i32 = 133;

/// A container.
pub struct Container {
    lab: Facility,
    image: PathBuf,
    seed: Seed,
    folder: PathBuf,
    console: PathBuf,
    reach: Reach,
    disk: Option<Disk>,
    child: Option<Child>,
    kept: bool,
    /// Held for as long as this machine exists: one machine a lab.
    _lock: File,
}

impl Container {
    /// Prepares a container in `lab`; takes down what an earlier run left behind there.
    pub fn new(lab: &Facility, image: &Path, seed: Seed, ssh_port: u16) -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            bail!("the container engine needs root: mounts, network namespaces and systemd-nspawn are its tools");
        }
        for program in ["systemd-nspawn", "ip", "mount", "cp"] {
            if !installed(program) {
                bail!("the container engine needs `{program}`, which is not installed");
            }
        }
        let folder = lab.state_dir.join("machine");
        fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        let lock = lock(&folder)?;
        reclaim(&folder);
        let guest = |port| SocketAddr::new(lab.guest_address.into(), port);
        Ok(Container {
            lab: lab.clone(),
            image: image.to_path_buf(),
            seed,
            console: folder.join("console.log"),
            reach: Reach {
                ssh: guest(ssh_port),
                http: guest(80),
                https: guest(443),
                addresses: vec![IpAddr::V4(lab.guest_address), IpAddr::V6(lab.guest_address6)],
            },
            folder,
            disk: None,
            child: None,
            kept: false,
            _lock: lock,
        })
    }

    /// A namespace and a cable that no earlier boot has touched: a firewall left over from it would hide a missing one.
    /// The hardware address stays, as a machine's does: with another one its neighbours would lose it for half a minute.
    fn network(&self) -> Result<()> {
        let lab = &self.lab;
        may("ip", &["link", "delete", &lab.veth]);
        may("ip", &["netns", "delete", &lab.netns]);
        must("ip", &["netns", "add", &lab.netns])?;
        let (end, mac) = (lab.guest_device.as_str(), lab.guest_mac.as_str());
        let mut made = Ok(String::new());
        for _ in 0..20 {
            // The old namespace gives its devices back a little after it was deleted.
            let peer = ["peer", "name", end, "address", mac, "netns", &lab.netns];
            made = must("ip", &[&["link", "add", &lab.veth, "type", "veth"][..], &peer].concat());
            if made.is_ok() {
                break;
            }
            interrupt::sleep(Duration::from_millis(200))?;
        }
        made?;
        must("ip", &["link", "set", &lab.veth, "master", &lab.bridge, "up"])?;
        must("ip", &["-n", &lab.netns, "link", "set", "lo", "up"])?;
        Ok(())
    }

    fn furnish(&self, root: &Path) -> Result<()> {
        let lab = &self.lab;
        let network = format!(
            "[Match]\nName={}\n[Network]\nAddress={}/{}\nAddress={}/{}\nGateway={}\nGateway={}\nIPv6AcceptRA=no\n",
            lab.guest_device, lab.guest_address, lab.prefix, lab.guest_address6, lab.prefix6, lab.gateway, lab.gateway6
        );
        put(root, "etc/systemd/network/10-lab.network", network.as_bytes())?;
        put(root, "etc/resolv.conf", format!("nameserver {}\n", lab.dns).as_bytes())?;
        put(root, "etc/cloud/cloud.cfg.d/99-lab.cfg", b"network: {config: disabled}\n")?;
        // In a container systemd does not notice that a user's manager has ended, and waits two minutes at shutdown.
        put(root, "etc/systemd/system/user@.service.d/lab.conf", b"[Service]\nTimeoutStopSec=5\n")?;
        put(root, "var/lib/cloud/seed/nocloud/user-data", &self.seed.user_data)?;
        put(root, "var/lib/cloud/seed/nocloud/meta-data", self.seed.meta_data.as_bytes())?;
        // A provider's disk is whole before its machine is switched on: a power cut takes none of this.
        must("sync", &["-f", &root.to_string_lossy()]).map(drop)
    }

    /// Process id of the machine's init, whose end is the end of everything in the machine.
    fn init(&self) -> Option<i32> {
        let pid = self.child.as_ref()?.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    }

    fn kill(&mut self) {
        if let Some(init) = self.init() {
            end(init);
        }
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_file(self.folder.join("pids"));
    }
}

impl Engine for Container {
    fn name(&self) -> &'static str {
        "container"
    }

    fn accel(&self) -> String {
        "native".to_string()
    }

    fn image(&self) -> String {
        self.image.display().to_string()
    }

    fn reach(&self) -> &Reach {
        &self.reach
    }

    fn console(&self) -> &Path {
        &self.console
    }

    fn fresh(&mut self) -> Result<()> {
        self.kill();
        self.disk = None;
        let mut disk = Disk::copy(&self.image, &self.folder)?;
        self.furnish(disk.mount()?)?;
        self.disk = Some(disk);
        File::create(&self.console).with_context(|| format!("creating {}", self.console.display()))?;
        Ok(())
    }

    fn start(&mut self) -> Result<()> {
        self.network()?;
        let disk = self.disk.as_mut().context("the machine has no disk yet")?;
        let root = disk.mount()?.to_path_buf();
        let console = OpenOptions::new().append(true).create(true).open(&self.console).context("opening the console log")?;
        let errors = console.try_clone().context("opening the console log")?;
        let child = Command::new("systemd-nspawn")
            .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
            .env("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "network")
            .arg("-D")
            .arg(&root)
            .args(["-b", "--register=no", "--keep-unit", "--capability=all", "--resolv-conf=off", "--timezone=off", "--console=read-only"])
            .arg("--system-call-filter=add_key keyctl bpf")
            .arg(format!("--machine={}", self.lab.netns))
            .arg(format!("--network-namespace-path=/run/netns/{}", self.lab.netns))
            .stdin(Stdio::null())
            .stdout(console)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .context("starting systemd-nspawn")?;
        self.child = Some(child);
        // Before it there is, for a moment, a process of systemd-nspawn's own.
        let booted = || self.init().and_then(|init| fs::read_link(format!("/proc/{init}/exe")).ok()).is_some_and(|exe| !exe.ends_with("systemd-nspawn"));
        let found = interrupt::wait_until(Duration::from_secs(10), Duration::from_millis(50), || Ok(booted()))?;
        let child = self.child.as_ref().map_or(0, Child::id);
        let pids = format!("{child} {}\n", self.init().unwrap_or(0));
        fs::write(self.folder.join("pids"), pids).context("noting the machine's processes")?;
        if !found {
            bail!("the container did not start: {}", crate::lab::console::tail(&self.console, 3));
        }
        Ok(())
    }

    fn has(&self, path: &str) -> Option<bool> {
        Some(self.disk.as_ref()?.root()?.join(path.trim_start_matches('/')).exists())
    }

    fn pulse(&mut self) -> Result<Pulse> {
        let Some(child) = self.child.as_mut() else {
            return Ok(Pulse::Off);
        };
        match child.try_wait().context("asking systemd-nspawn")? {
            None => Ok(Pulse::Running),
            Some(status) => {
                self.child = None;
                if status.code() == Some(REBOOT) {
                    self.start()?;
                    return Ok(Pulse::Rebooted);
                }
                Ok(Pulse::Off)
            }
        }
    }

    fn power_off(&mut self, limit: Duration) -> Result<()> {
        if let Some(init) = self.init() {
            // systemd's own signal for an orderly poweroff.
            may("kill", &["-s", "RTMIN+4", &init.to_string()]);
            let end = std::time::Instant::now() + limit;
            while std::time::Instant::now() < end {
                let gone = self.child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)));
                if gone {
                    break;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        self.kill();
        self.disk.as_mut().map_or(Ok(()), Disk::unmount)
    }

    fn power_cut(&mut self) -> Result<()> {
        let frozen = self.disk.as_ref().context("the machine has no disk")?.freeze_as_is();
        self.kill();
        frozen?;
        self.disk.as_mut().map_or(Ok(()), Disk::survive)
    }

    fn keep(&mut self) -> String {
        self.kept = true;
        "it runs until the next `boot` in this lab, or until the lab is taken down".to_string()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if self.kept {
            if let Some(disk) = self.disk.as_mut() {
                disk.leave();
            }
            return;
        }
        self.kill();
        self.disk = None;
        may("ip", &["netns", "delete", &self.lab.netns]);
        super::disk::clear(&self.folder);
        let _ = fs::remove_dir(self.folder.join("root"));
    }
}

fn end(pid: i32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

fn put(root: &Path, name: &str, content: &[u8]) -> Result<()> {
    let path = root.join(name);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    }
    // The image may have a link here that points out of the root.
    let _ = fs::remove_file(&path);
    fs::write(&path, content).with_context(|| format!("writing {}", path.display()))
}

fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    if rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err() {
        bail!("another machine runs in this lab: wait for it, or start a second lab (`scripts/lab up --instance 1`)");
    }
    Ok(file)
}

/// Ends what an earlier run kept or could not take down: its processes by their noted ids, its mount.
fn reclaim(folder: &Path) {
    if let Ok(text) = fs::read_to_string(folder.join("pids")) {
        let pids: Vec<i32> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let ours = pids.first().is_some_and(|pid| {
            fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| {
                let line = String::from_utf8_lossy(&line).into_owned();
                line.contains("systemd-nspawn") && line.contains(&*folder.to_string_lossy())
            })
        });
        if ours {
            pids.iter().rev().copied().filter(|pid| *pid > 1).for_each(end);
        }
        let _ = fs::remove_file(folder.join("pids"));
    }
    let root = folder.join("root");
    for _ in 0..30 {
        let mounted = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        if !mounted.contains(&format!(" {} ", root.display())) {
            return;
        }
        may("umount", &[&root.to_string_lossy()]);
        std::thread::sleep(Duration::from_millis(100));
    }
    may("umount", &["--lazy", &root.to_string_lossy()]);
}
