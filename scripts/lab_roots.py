"""The guests' root file systems: Debian made like a provider's cloud image, for containers and for QEMU."""
import json
import pathlib
import shutil
import subprocess

import lab_common
from lab_common import LabError, run

SUITES = {"debian-13": "trixie", "debian-12": "bookworm"}

# What a provider's Debian image brings along. No Docker, no ufw, no nginx: installing those is the first boot's work.
CLOUD_PACKAGES = """systemd systemd-sysv libpam-systemd dbus cloud-init openssh-server sudo python3 ca-certificates iproute2 nftables
procps iputils-ping less kmod udev netbase tzdata locales curl wget cron unattended-upgrades e2fsprogs""".split()
QEMU_PACKAGES = ["linux-image-cloud-amd64", "initramfs-tools", "netplan.io", "systemd-timesyncd", "systemd-resolved"]
DISK_SIZE = "12G"


def debootstrap(suite, packages, target, *sources):
    """A root of a suite with some packages, in a directory; sources are mirrors, or lines of sources.list."""
    run("mmdebstrap", "--mode=root", "--variant=minbase", f"--include={','.join(packages)}", suite, target, *sources)


def plain_sources(suite):
    """The apt sources of a freshly rented machine; where they point is what apt on this machine uses."""
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    archive, security = lab_common.mirrors().values()
    entries = ((archive, f"{suite} {suite}-updates"), (security, f"{suite}-security"))
    return "\n".join(f"Types: deb\nURIs: {url}\nSuites: {names}\nComponents: main\nSigned-By: {keyring}\n" for url, names in entries)


def generalise(root, suite):
    """Takes away what must be born on each machine, as image builders do."""
    (root / "etc/apt/sources.list").unlink(missing_ok=True)
    (root / "etc/apt/sources.list.d/debian.sources").write_text(plain_sources(suite))
    for path in [*root.glob("etc/ssh/ssh_host_*"), root / "var/lib/dbus/machine-id", root / "etc/resolv.conf", root / "etc/hostname"]:
        path.unlink(missing_ok=True)
    (root / "etc/machine-id").write_text("")
    (root / "etc/default/locale").write_text("LANG=C.UTF-8\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n")
    run("systemctl", f"--root={root}", "enable", "systemd-networkd.service")


def filesystem(root, image):
    """An ext4 image, mostly holes, out of a directory."""
    run("truncate", "-s", DISK_SIZE, image)
    run("mke2fs", "-q", "-t", "ext4", "-L", "root", "-E", "lazy_itable_init=1,lazy_journal_init=1", "-d", root, image)


def container(distribution, work, mirror):
    """The container guest: a sparse ext4 image that is cloned, mounted and booted. Its network is written before a boot."""
    suite, root = SUITES[distribution], work / "root"
    debootstrap(suite, CLOUD_PACKAGES, root, mirror)
    generalise(root, suite)
    (root / "etc/cloud/cloud.cfg.d/99-lab.cfg").write_text("network: {config: disabled}\n")
    filesystem(root, work / f"{suite}.ext4")
    shutil.rmtree(root)
    return work / f"{suite}.ext4"


def qemu(distribution, work, mirror):
    """The QEMU guest: a qcow2 disk, and beside it kernel, initrd and kernel command line to boot it directly."""
    suite, root = SUITES[distribution], work / "root"
    # With all updates: the machine is always started with this kernel, and a newer one would wait for its reboot for ever.
    sources = [f"deb {mirror} {suite} main", f"deb {mirror} {suite}-updates main", f"deb {mirror}-security {suite}-security main"]
    debootstrap(suite, CLOUD_PACKAGES + QEMU_PACKAGES, root, *sources)
    generalise(root, suite)
    (root / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    (root / "etc/fstab").write_text("LABEL=root / ext4 defaults,errors=remount-ro 0 1\n")
    disk = work / f"{suite}.qcow2"
    kernels = sorted(root.glob("boot/vmlinuz-*"))
    if not kernels:
        raise LabError("the QEMU root came out without a kernel")
    shutil.copy(kernels[-1], f"{disk}.kernel")
    shutil.copy(root / "boot" / kernels[-1].name.replace("vmlinuz", "initrd.img"), f"{disk}.initrd")
    (work / f"{disk.name}.cmdline").write_text("root=LABEL=root ro console=tty0 console=ttyS0,115200n8\n")
    filesystem(root, work / "raw")
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", work / "raw", disk)
    (work / "raw").unlink()
    shutil.rmtree(root)
    return disk


# Programs that this machine's own release does not have, or only old, out of trixie's packages: package, path in it, how to try it.
TOOLS = [
    ("pebble", "usr/bin/pebble", "-version"), ("docker-compose", "usr/libexec/docker/cli-plugins/docker-compose", "version"),
    ("prometheus", "usr/bin/promtool", "--version"), ("prometheus-alertmanager", "usr/bin/amtool", "--version"),
]


def tools(work, mirror):
    """Pebble, which is an ACME test server, the Compose client, and the tools that judge what Prometheus and Alertmanager read."""
    root = work / "root"
    packages = ",".join(package for package, *_ in TOOLS)
    run("mmdebstrap", "--mode=root", "--variant=extract", f"--include={packages}", "trixie", root, mirror)
    for package, path, test in TOOLS:
        tool = lab_common.cache_dir("tools") / pathlib.Path(path).name
        shutil.copy(root / path, f"{tool}.new")
        shutil.move(f"{tool}.new", tool)
        if subprocess.run([tool, test], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode not in (0, 2):
            raise LabError(f"the {package} of trixie does not run on this machine")
    shutil.rmtree(root)
    return tool


def recipe():
    """What all roots are made of, for the key of the cache."""
    return json.dumps([CLOUD_PACKAGES, QEMU_PACKAGES, DISK_SIZE, lab_common.mirrors()])
