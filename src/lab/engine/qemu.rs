//! QEMU: a virtual machine with its own kernel and its own disk, by KVM where that really works.

use std::fs::{self, File, OpenOptions};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::qmp::Qmp;
use super::{Engine, Pulse, Reach};
use crate::lab::command::{installed, must};
use crate::lab::facility::{Facility, Tap};
use crate::lab::{Seed, interrupt};

/// The machine's network card, which the network configuration matches by.
const MAC: &str = "52:54:00:77:00:02";
/// Disks grow to this, so that images fit on them.
const DISK_BYTES: u64 = 20 << 30;
/// A guest under a working KVM has long spoken by then.
const PROBE: Duration = Duration::from_secs(60);

/// How instructions shall run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Accel {
    /// KVM when a guest really runs under it, else TCG.
    Auto,
    /// KVM or nothing.
    Kvm,
    /// QEMU's own translation: slow, but it runs anywhere.
    Tcg,
}

/// What a virtual machine is given.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Processors.
    pub cpus: u32,
}

/// A virtual machine.
pub struct Qemu {
    image: PathBuf,
    format: String,
    seed: Seed,
    size: Size,
    wanted: Accel,
    /// What was found to work; `None` before the first start.
    accel: Option<Accel>,
    tap: Option<Tap>,
    reach: Reach,
    folder: tempfile::TempDir,
    console: PathBuf,
    ssh_port: u16,
    child: Option<Child>,
    kept: bool,
}

impl Qemu {
    /// Prepares a virtual machine, in the lab's network when there is a lab, else behind user-mode networking.
    pub fn new(lab: Option<&Facility>, image: &Path, mut seed: Seed, wanted: Accel, size: Size, ssh_port: u16) -> Result<Self> {
        for program in ["qemu-system-x86_64", "qemu-img"] {
            if !installed(program) {
                bail!("the qemu engine needs `{program}`: install QEMU (qemu-system-x86 and qemu-utils)");
            }
        }
        let image = image.canonicalize().with_context(|| format!("opening the image {}", image.display()))?;
        let tap = lab.and_then(|lab| lab.tap.clone());
        let reach = match (lab, &tap) {
            (Some(lab), Some(_)) => {
                seed.network_config = Some(network_config(lab));
                let guest = |port| SocketAddr::new(lab.guest_address.into(), port);
                let addresses = vec![IpAddr::V4(lab.guest_address), IpAddr::V6(lab.guest_address6)];
                Reach { ssh: guest(ssh_port), http: guest(80), https: guest(443), addresses }
            }
            (Some(_), None) => bail!("this lab has no tap device for virtual machines: start it anew"),
            (None, _) => {
                let free = || -> Result<SocketAddr> {
                    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port")?;
                    listener.local_addr().context("looking for a free port")
                };
                Reach { ssh: free()?, http: free()?, https: free()?, addresses: Vec::new() }
            }
        };
        let folder = tempfile::Builder::new().prefix("julia-bootstrap-vm-").tempdir().context("creating a folder")?;
        Ok(Qemu {
            format: format_of(&image)?,
            image,
            seed,
            console: folder.path().join("console.log"),
            size,
            wanted,
            accel: None,
            tap,
            reach,
            folder,
            ssh_port,
            child: None,
            kept: false,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn beside(&self, ending: &str) -> Option<PathBuf> {
        let mut name = self.image.clone().into_os_string();
        name.push(ending);
        let path = PathBuf::from(name);
        path.is_file().then_some(path)
    }

    fn spawn(&mut self, accel: Accel) -> Result<()> {
        let _ = fs::remove_file(self.path("qmp"));
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let mut arguments: Vec<String> = Vec::new();
        let mut add = |words: &[&str]| arguments.extend(words.iter().map(|word| (*word).to_string()));
        add(&["-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35"]);
        match accel {
            Accel::Kvm => add(&["-accel", "kvm", "-cpu", "host"]),
            _ => add(&["-accel", "tcg,thread=multi", "-cpu", "max"]),
        }
        add(&["-smp", &self.size.cpus.to_string(), "-m", &self.size.memory_mib.to_string()]);
        if let (Some(kernel), Some(initrd), Some(line)) =
            (self.beside(".kernel"), self.beside(".initrd"), self.beside(".cmdline"))
        {
            let line = fs::read_to_string(&line).with_context(|| format!("reading {}", line.display()))?;
            // What guards against a processor's guesses costs an emulated one time, and it does not guess.
            let more = if accel == Accel::Tcg { " mitigations=off" } else { "" };
            add(&["-kernel", &text(kernel), "-initrd", &text(initrd), "-append", &format!("{}{more}", line.trim())]);
        }
        // Writeback honours the guest's flushes; what the guest kept in its memory is lost when it is killed.
        let disk = format!("file={},if=virtio,format=qcow2,cache=writeback", text(self.path("disk.qcow2")));
        let seed = format!("file={},if=virtio,format=raw,readonly=on", text(self.path("seed.iso")));
        add(&["-drive", &disk, "-drive", &seed]);
        let net = match &self.tap {
            Some(tap) => format!("tap,id=n0,ifname={},script=no,downscript=no", tap.device),
            None => {
                let forward = |at: SocketAddr, port: u16| format!(",hostfwd=tcp:{at}-:{port}");
                let reach = &self.reach;
                ["user,id=n0".to_string(), forward(reach.ssh, self.ssh_port), forward(reach.http, 80), forward(reach.https, 443)].concat()
            }
        };
        add(&["-netdev", &net, "-device", &format!("virtio-net-pci,netdev=n0,mac={MAC}")]);
        add(&["-device", "virtio-rng-pci", "-monitor", "none"]);
        let console = format!("file,id=console,path={},append=on", text(self.console.clone()));
        add(&["-chardev", &console, "-serial", "chardev:console"]);
        add(&["-qmp", &format!("unix:{},server=on,wait=off", text(self.path("qmp")))]);
        let mut command = match &self.tap {
            Some(tap) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", &tap.netns, "qemu-system-x86_64"]);
                command
            }
            None => Command::new("qemu-system-x86_64"),
        };
        let errors = OpenOptions::new().append(true).create(true).open(self.path("qemu.err")).context("opening a log")?;
        let child = command
            .args(&arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .process_group(0)
            .spawn()
            .context("starting QEMU")?;
        self.child = Some(child);
        Ok(())
    }

    /// Waits until the guest's kernel has spoken; false when it will not.
    fn speaks(&mut self, before: u64) -> Result<bool> {
        let end = Instant::now() + PROBE;
        while Instant::now() < end {
            interrupt::sleep(Duration::from_millis(500))?;
            if self.child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None))) {
                return Ok(false);
            }
            let status = Qmp::connect(&self.path("qmp")).and_then(|mut qmp| qmp.status());
            if status.is_ok_and(|status| status != "running") {
                return Ok(false);
            }
            // Firmware and boot loader say little; a booting kernel says more than this.
            if fs::metadata(&self.console).map(|data| data.len()).unwrap_or(0) > before + 4096 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // `ip netns exec` becomes QEMU itself, so this is the machine.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Engine for Qemu {
    fn name(&self) -> &'static str {
        "qemu"
    }

    fn accel(&self) -> String {
        match self.accel.unwrap_or(self.wanted) {
            Accel::Kvm => "kvm".to_string(),
            Accel::Tcg => "tcg".to_string(),
            Accel::Auto => "not started".to_string(),
        }
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
        let disk = self.path("disk.qcow2");
        let _ = fs::remove_file(&disk);
        let (disk, image) = (disk.to_string_lossy().into_owned(), self.image.to_string_lossy().into_owned());
        must("qemu-img", &["create", "-q", "-f", "qcow2", "-F", &self.format, "-b", &image, &disk])?;
        if virtual_size(Path::new(&disk))? < DISK_BYTES {
            must("qemu-img", &["resize", "-q", &disk, &DISK_BYTES.to_string()])?;
        }
        let mut files: Vec<(&str, &[u8])> =
            vec![("user-data", &self.seed.user_data), ("meta-data", self.seed.meta_data.as_bytes())];
        if let Some(network) = &self.seed.network_config {
            files.push(("network-config", network.as_bytes()));
        }
        crate::deliver::iso(&self.path("seed.iso"), &files)?;
        File::create(&self.console).context("creating the console log")?;
        Ok(())
    }

    fn start(&mut self) -> Result<()> {
        let before = fs::metadata(&self.console).map(|data| data.len()).unwrap_or(0);
        if let Some(accel) = self.accel {
            return self.spawn(accel);
        }
        if self.wanted == Accel::Tcg {
            self.accel = Some(Accel::Tcg);
            return self.spawn(Accel::Tcg);
        }
        if Path::new("/dev/kvm").exists() {
            self.spawn(Accel::Kvm)?;
            if self.speaks(before)? {
                self.accel = Some(Accel::Kvm);
                return Ok(());
            }
            self.kill();
        }
        if self.wanted == Accel::Kvm {
            bail!("KVM does not run a guest here ({}): leave `--accel kvm` out to go on with TCG", self.complaint());
        }
        crate::tell!("KVM does not run a guest here ({}); going on with TCG, which is slower", self.complaint());
        self.accel = Some(Accel::Tcg);
        self.fresh()?;
        self.spawn(Accel::Tcg)
    }

    fn pulse(&mut self) -> Result<Pulse> {
        // A reboot of the guest stays within the same process, and shows on the console alone.
        let Some(child) = self.child.as_mut() else {
            return Ok(Pulse::Off);
        };
        Ok(match child.try_wait().context("asking QEMU")? {
            None => Pulse::Running,
            Some(_) => {
                self.child = None;
                Pulse::Off
            }
        })
    }

    fn power_off(&mut self, limit: Duration) -> Result<()> {
        let asked = Qmp::connect(&self.path("qmp")).and_then(|mut qmp| qmp.command("system_powerdown"));
        if asked.is_ok() {
            let end = Instant::now() + limit;
            while Instant::now() < end && self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None))) {
                std::thread::sleep(Duration::from_millis(200));
            }
        }
        self.kill();
        Ok(())
    }

    fn power_cut(&mut self) -> Result<()> {
        self.kill();
        Ok(())
    }

    fn keep(&mut self) -> String {
        self.kept = true;
        let pid = self.child.as_ref().map_or(0, Child::id);
        self.folder.disable_cleanup(true);
        format!("it runs until `kill {pid}`; its disk is in {}", self.folder.path().display())
    }
}

impl Qemu {
    fn complaint(&self) -> String {
        if !Path::new("/dev/kvm").exists() {
            return "there is no /dev/kvm".to_string();
        }
        let errors = fs::read_to_string(self.path("qemu.err")).unwrap_or_default();
        let line = errors.lines().map(str::trim).find(|line| !line.is_empty());
        line.map_or_else(|| "its kernel did not come up".to_string(), |line| line.chars().take(160).collect())
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        if !self.kept {
            self.kill();
        }
    }
}

fn network_config(lab: &Facility) -> String {
    let (v4, v6) = (format!("{}/{}", lab.guest_address, lab.prefix), format!("{}/{}", lab.guest_address6, lab.prefix6));
    serde_json::json!({"version": 2, "ethernets": {"lan": {
        "match": {"macaddress": MAC},
        "addresses": [v4, v6],
        "routes": [{"to": "0.0.0.0/0", "via": lab.gateway.to_string()}, {"to": "::/0", "via": lab.gateway6.to_string()}],
        "nameservers": {"addresses": [lab.dns.to_string()]},
    }}})
    .to_string()
}

fn info(image: &Path) -> Result<serde_json::Value> {
    let text = must("qemu-img", &["info", "--output=json", &image.to_string_lossy()])?;
    serde_json::from_str(&text).context("understanding qemu-img")
}

fn format_of(image: &Path) -> Result<String> {
    Ok(info(image)?["format"].as_str().unwrap_or("raw").to_string())
}

fn virtual_size(image: &Path) -> Result<u64> {
    Ok(info(image)?["virtual-size"].as_u64().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_configuration_matches_the_card() {
        let lab = Facility::parse(crate::lab::facility::tests::EXAMPLE).expect("parses");
        let text = network_config(&lab);
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON is YAML, too");
        assert_eq!(value["ethernets"]["lan"]["match"]["macaddress"], MAC);
        assert_eq!(value["ethernets"]["lan"]["addresses"][1], "fd77:0:0:3::2/64");
    }
}
