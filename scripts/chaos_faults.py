"""What `chaos` does to a machine: each fault begins, lasts a while, and ends."""
import json
import pathlib
import subprocess
import sys
import time

from lab_common import LabError, SCRIPTS, run

FILLER = "/var/filler"
# Ports of the servers that stand in the place of the lab's own: as far from those as the fault's number says.
FAKE = 18000


class Outside:
    """The lab's side: what the machine asks is led elsewhere, or nowhere."""

    def __init__(self, lab):
        self.lab, self.host = lab, lab["host_address"]
        self.table = f"jbchaos{lab['instance']}"
        self.state = pathlib.Path(lab["state_dir"])
        self.processes = []

    def rule(self, hook, port, verdict, protocols=("tcp",)):
        """What becomes of what the machine sends to a port of the lab, by an nftables table of the fault's own."""
        self.clear()
        lines = "\n".join(f'iifname "{self.lab["bridge"]}" {protocol} dport {port} {verdict}' for protocol in protocols)
        run("nft", "-f", "-", input=f"table inet {self.table} {{\nchain fault {{ type {hook};\n{lines}\n}}\n}}\n")

    def silent(self, port, protocols=("tcp",)):
        """Nobody answers there."""
        self.rule("filter hook input priority -10", port, "drop", protocols)

    def refused(self, port):
        """Connections are refused, and those that stand are reset."""
        self.rule("filter hook input priority -10", port, "reject with tcp reset")

    def led(self, port, command, protocols=("tcp",)):
        """New connections reach another program."""
        fake = FAKE + port % 1000
        self.processes.append(subprocess.Popen([str(word).replace("FAKE", str(fake)) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        time.sleep(0.7)
        if self.processes[-1].poll() is not None:
            raise LabError(f"`{command}` does not run")
        self.rule("nat hook prerouting priority dstnat - 5", port, f"redirect to :{fake}", protocols)

    def fake(self, kind, port, upstream, *tls):
        """One of `chaos_fake.py`."""
        self.led(port, [sys.executable, SCRIPTS / "chaos_fake.py", kind, self.host, "FAKE", upstream, *tls])

    def clear(self):
        """All is as before."""
        run("nft", "delete", "table", "inet", self.table, check=False)

    def end(self):
        """The same, and the other programs are gone."""
        self.clear()
        for process in self.processes:
            process.kill()
            process.wait()
        self.processes = []


def port_of(url):
    """The port that a URL of the lab names."""
    return int(url.split("/")[2].rpartition(":")[2])


class Fault:
    """A kind of fault, at one machine. `guest` runs commands in it, `outside` is the lab's side, `random` says what was left open."""

    # Whether it makes sense before the machine was ready, from which stage's end on, and until the end of which.
    since, until = "", "ready"
    # The power goes off instead of something lasting.
    cut = False
    # Seconds that it lasts.
    lasts = (15, 45)
    engines = ("container",)
    # How often it is drawn, beside the others.
    weight = 1
    # What the machine is made to do first, and how many seconds into it the fault comes.
    doing, wait = "", (0.0, 0.0)

    def __init__(self, guest, outside, random):
        self.guest, self.outside, self.random, self.note = guest, outside, random, ""

    def begin(self):
        """Breaks it."""

    def killed(self, unit):
        """A service is killed, once it runs: stages run side by side, and it may be a moment away."""
        self.guest.run(f"n=0; until systemctl is-active -q {unit}; do n=$((n + 1)); [ $n -lt 600 ] || exit 1; sleep 0.2; done; systemctl kill -s KILL --kill-whom=main {unit}", 150)

    def during(self):
        """Once a second while it lasts."""

    def end(self):
        """Takes the cause away, and mends nothing."""
        self.outside.end()


class PowerCut(Fault):
    """power cut"""
    cut, engines, weight = True, ("container", "qemu"), 3


class AptDown(Fault):
    """apt's mirror refuses connections"""
    until = "docker"

    def begin(self):
        self.outside.refused(port_of(self.outside.lab["apt_mirror"]))


class AptMissing(Fault):
    """apt's mirror answers 404"""
    until = "docker"

    def begin(self):
        self.outside.fake("status-404", port_of(self.outside.lab["apt_mirror"]), "")


class AptTruncated(Fault):
    """apt's mirror hands out the first half of each file"""
    until = "docker"

    def begin(self):
        port = port_of(self.outside.lab["apt_mirror"])
        self.outside.fake("truncated", port, f"http://{self.outside.host}:{port}")


class DnsDead(Fault):
    """DNS is silent"""

    def begin(self):
        self.outside.silent(53, ("tcp", "udp"))


class DnsWrong(Fault):
    """DNS answers with another machine's address"""

    def begin(self):
        words = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--bind-interfaces", "--cache-size=0", "--pid-file",
                 f"--listen-address={self.outside.host}", "--port=FAKE", f"--address=/#/{self.outside.host}"]
        self.outside.led(53, words, ("tcp", "udp"))


class Registry(Fault):
    """The image registry, in one of its moods."""
    until, kind = "stack", ""

    def begin(self):
        port = port_of(self.outside.lab["registry_mirror"])
        self.outside.fake(self.kind, port, f"http://{self.outside.host}:{port}")


class RegistryLimit(Registry):
    """the image registry answers 429"""
    kind = "status-429"


class RegistryBroken(Registry):
    """the image registry answers 500"""
    kind = "status-500"


class RegistrySlow(Registry):
    """the image registry sends 256 KiB/s"""
    kind, lasts = "slow", (40, 90)


class AcmeDown(Fault):
    """the ACME directory is silent"""
    since = "host"

    def begin(self):
        self.outside.silent(port_of(self.outside.lab["acme_directory"]))


class AcmeLimit(Fault):
    """the ACME server says that there were too many orders"""
    since = "host"

    def begin(self):
        port, tls = port_of(self.outside.lab["acme_directory"]), self.outside.state / "tls"
        self.outside.fake("acme-limit", port, f"https://{self.outside.host}:{port}", tls / "acme.pem", tls / "acme.key")


class DiskFull(Fault):
    """the disk is full"""
    since, engines = "host", ("container", "qemu")

    def begin(self):
        self.guest.run(f"fallocate -l $(df --output=avail -B1 / | tail -1) {FILLER}; cat /dev/zero >>{FILLER} 2>/dev/null; :")
        self.note = self.guest.run("df --output=avail -h / | tail -1")

    def during(self):
        self.guest.run(f"cat /dev/zero >>{FILLER} 2>/dev/null; :")

    def end(self):
        self.guest.run(f"rm -f {FILLER}")


class CrashLoop(Fault):
    """a container dies once a second"""
    since = "stack"

    def begin(self):
        names = [name for name in self.guest.containers() if "databases" not in name]
        if not names:
            raise LabError("there is no container to kill")
        self.note = self.random.choice(names)

    def during(self):
        # One that is down at this moment has the process 0, which is everybody in this group, the runner among them.
        self.guest.run(f"p=$(docker inspect -f '{{{{.State.Pid}}}}' {self.note}); [ \"$p\" -gt 0 ] && kill -9 $p 2>/dev/null; :")


class DockerdKilled(Fault):
    """dockerd is killed"""
    since, lasts = "docker", (1, 3)

    def begin(self):
        self.killed("docker")


class NginxKilled(Fault):
    """nginx is killed"""
    since, lasts = "edge", (1, 3)

    def begin(self):
        self.killed("nginx")


class UfwReset(Fault):
    """`ufw reset`, by hand"""
    since, lasts = "harden", (1, 3)

    def begin(self):
        # Stages run side by side: it may be a moment away.
        self.guest.run("n=0; until ufw status 2>/dev/null | grep -q 'Status: active'; do n=$((n + 1)); [ $n -lt 600 ] || exit 1; sleep 0.2; done; ufw --force reset", 150)


class Reboot(Fault):
    """A reboot in the middle of something."""
    since, lasts, engines, wait = "ready", (1, 2), ("container", "qemu"), (0.5, 6.0)

    def begin(self):
        pause = self.random.uniform(*self.wait)
        self.guest.start(self.doing)
        time.sleep(pause)
        self.note = f"{pause:.1f} s after its start"
        # apt forbids it while it installs, which upgrades right after the first boot may do.
        self.guest.start("sleep 0.2; until systemctl reboot; do sleep 1; done")


class RebootInBackup(Reboot):
    """reboot during a backup"""
    doing, wait = "bootstrapctl backup", (0.2, 4.0)


class RebootInDeploy(Reboot):
    """reboot during a deploy"""
    doing, wait = "bootstrapctl deploy --force", (0.5, 25.0)


class RebootInRenewal(Reboot):
    """reboot during the renewal of a certificate"""
    doing = "REQUESTS_CA_BUNDLE=/etc/julia-bootstrap/acme-ca.pem certbot renew -n --force-renewal --no-random-sleep-on-renew"


class CutInWork(PowerCut):
    """A power cut in the middle of something."""
    since, weight = "ready", 1


class CutInBackup(CutInWork):
    """power cut during a backup"""
    doing, wait = RebootInBackup.doing, RebootInBackup.wait


class CutInDeploy(CutInWork):
    """power cut during a deploy"""
    doing, wait = RebootInDeploy.doing, RebootInDeploy.wait


class CutInRenewal(CutInWork):
    """power cut during the renewal of a certificate"""
    doing, wait = RebootInRenewal.doing, RebootInRenewal.wait


class Clock(Fault):
    """the clock is wrong by a day"""
    engines = ("qemu",)
    since = "host"

    def begin(self):
        self.note = self.random.choice(["+1 day", "-1 day"])
        self.guest.run(f"date -s '{self.note}'")

    def end(self):
        self.guest.run(f"date -s @{time.time():.0f}")


class Memory(Fault):
    """a program takes all memory, and the OOM killer comes"""
    engines = ("qemu",)
    since = "host"

    def begin(self):
        self.guest.start("python3 -c 'a = []\nwhile True: a.append(b\"x\" * (1 << 24))'")


ALL = {one.__name__: one for one in (
    PowerCut, AptDown, AptMissing, AptTruncated, DnsDead, DnsWrong, RegistryLimit, RegistryBroken, RegistrySlow, AcmeDown, AcmeLimit, DiskFull, CrashLoop,
    DockerdKilled, NginxKilled, UfwReset, RebootInBackup, RebootInDeploy, RebootInRenewal, CutInBackup, CutInDeploy, CutInRenewal, Clock, Memory)}
