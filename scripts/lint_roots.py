"""The roots that hold the real tools of lint, Debian 13 and 12 with what a finished machine has installed, and those of an audit.

A root is never written to: each use gets a copy-on-write view of it, which is gone with the process that asked for it.
"""
import contextlib
import ctypes
import itertools
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading
import time

import lab_aptcache
import lab_common
import lab_roots
from lab_common import cache_dir, run, say

COMMON = """systemd systemd-sysv libpam-systemd cloud-init openssh-server sudo nginx nftables ufw fail2ban python3-systemd certbot
unattended-upgrades python3-yaml python3-apt shellcheck tzdata netbase procps iproute2 ca-certificates openssl docker.io git""".split()
PACKAGES = {"debian-13": [*COMMON, "docker-cli", "docker-compose"], "debian-12": COMMON}
# What looks at a booted machine from outside.
AUDIT = "audit"
AUDITORS = "ssh-audit testssl.sh lynis nmap openssl bsdextrautils procps netbase ca-certificates".split()
ROOTS = {**{name: (lab_roots.SUITES[name], packages) for name, packages in PACKAGES.items()}, AUDIT: (lab_roots.SUITES["debian-13"], AUDITORS)}
NEWNS, NEWNET, NEWPID, RECURSIVE_PRIVATE = 0x00020000, 0x40000000, 0x20000000, 0x44000
NUMBERS = itertools.count()
LIBC = ctypes.CDLL(None, use_errno=True)


def place(distribution):
    """Where the root of a distribution is kept: the name follows its packages and the week, for security updates to come in."""
    parts = [time.strftime("%G-%V"), *lab_common.mirrors().values(), *ROOTS[distribution][1]]
    return cache_dir("lint") / f"{distribution}-{lab_common.digest(*parts)}"


def build(distribution):
    """Builds the root of a distribution unless it is there; it comes into its place when it is whole."""
    final = place(distribution)
    if final.exists():
        return final
    started = time.monotonic()
    say(f"lint-root: building {distribution}")
    server = lab_aptcache.serve("127.0.0.1", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    work = pathlib.Path(tempfile.mkdtemp(prefix=".building-", dir=cache_dir("lint")))
    try:
        mirror = f"http://127.0.0.1:{server.server_address[1]}/debian"
        lab_roots.debootstrap(*ROOTS[distribution], work / "root", mirror)
        shutil.rmtree(work / "root/var/cache/apt", ignore_errors=True)
        if distribution in PACKAGES:
            run("ssh-keygen", "-A", "-f", work / "root")
        (work / "root").rename(final)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        server.shutdown()
    for old in cache_dir("lint").glob(f"{distribution}-*"):
        if old != final:
            shutil.rmtree(old)
    say(f"lint-root: {distribution} built in {time.monotonic() - started:.0f} s")
    return final


def libc(name, *arguments):
    """A system call that Python does not offer."""
    if getattr(LIBC, name)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def seclude(network=True):
    """Moves this process behind a mount table and a network of its own: what it mounts or loads there ends with it."""
    libc("unshare", NEWNS | (NEWNET if network else 0))
    libc("mount", b"none", b"/", None, RECURSIVE_PRIVATE, None)
    run("mount", "-t", "tmpfs", "-o", "size=4g", "tmpfs", "/mnt")


class Root:
    """A writable view of a distribution's root, with helpers to put files into it and to run programs in it."""

    def __init__(self, distribution):
        self.distribution = distribution
        self.top = pathlib.Path(f"/mnt/{os.getpid()}-{next(NUMBERS)}")
        upper, work, self.path = (self.top / name for name in ("upper", "work", "root"))
        for folder in (upper, work, self.path):
            folder.mkdir(parents=True)
        layers = f"lowerdir={place(distribution)},upperdir={upper},workdir={work}"
        run("mount", "-t", "overlay", "-o", layers, "overlay", self.path)
        run("mount", "-t", "proc", "proc", self.path / "proc")
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", self.path / "dev")
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", self.path / "run")
        for name in ("null", "zero", "full", "random", "urandom", "tty"):
            (self.path / "dev" / name).touch()
            run("mount", "--bind", f"/dev/{name}", self.path / "dev" / name)
        (self.path / "dev/fd").symlink_to("/proc/self/fd")
        (self.path / "run/sshd").mkdir()

    def close(self):
        """Takes the view away."""
        run("umount", "--recursive", "--lazy", self.path)
        shutil.rmtree(self.top, ignore_errors=True)

    def at(self, path):
        """A path inside of the root as this process sees it."""
        return self.path / str(path).lstrip("/")

    def read(self, path):
        """The bytes of a file in the root."""
        return self.at(path).read_bytes()

    def write(self, path, content="", mode=0o644):
        """Writes a file in the root, with the directories above it."""
        target = self.at(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
        target.chmod(mode)

    def has(self, tool):
        """Whether a program is there."""
        return any(os.access(self.at(f"{folder}/{tool}"), os.X_OK) for folder in ("/usr/sbin", "/usr/bin"))

    def run(self, *command, stdin=None, timeout=300, env=None):
        """Runs a program in the root: (exit status, everything it printed)."""
        clean = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "HOME": "/root", **(env or {})}
        done = subprocess.run(
            ["chroot", str(self.path), *map(str, command)], input=stdin, env=clean, timeout=timeout, check=False,
            stdin=None if stdin is not None else subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout.decode(errors="replace")


@contextlib.contextmanager
def root(distribution):
    """A view of a root for the length of a `with`."""
    view = Root(distribution)
    try:
        yield view
    finally:
        view.close()


def tool_version(view, package):
    """The version of an installed package, as a short string."""
    code, out = view.run("dpkg-query", "-W", "-f", "${Version}", package)
    return re.sub(r"^\d+:|[+~-].*", "", out) if code == 0 else "?"
