"""A machine of the lab from outside, for scripts that need two of them, and a place off-site for their backups."""
import contextlib
import json
import os
import pathlib
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import time

from lab_common import LabError, run, say

SCRIPTS = pathlib.Path(__file__).resolve().parent
GUEST = SCRIPTS.parent / "src/lab/guest/backup.py"
PORT = 8000
NSPAWN = ["systemd-nspawn", "-b", "--register=no", "--keep-unit", "--capability=all", "--resolv-conf=off", "--timezone=off", "--console=read-only",
          "--system-call-filter=add_key keyctl bpf"]
SETTINGS = {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1", "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network"}


def enter(init):
    """The words before a program that is to run in the container of this first process."""
    return ["nsenter", "-t", str(init), "-m", "-p", "-n", "-u", "-i", "-C"]


class Machine:
    """What `boot --keep` has left running."""

    def __init__(self, lab):
        folder = pathlib.Path(lab["state_dir"], "machine")
        self.init = int((folder / "pids").read_text().split()[1])
        self.root, self.disk = folder / "root", next(iter(sorted(folder.glob("root-*.ext4"))))

    def inside(self, *words, check=True, **more):
        """Runs a program as root in the machine."""
        return run(*enter(self.init), *words, check=check, **more).stdout.strip()

    def script(self, *arguments):
        """The guest's script for backups; its last line is JSON."""
        return json.loads(self.inside("python3", "-", *arguments, input=GUEST.read_text()).splitlines()[-1])

    def stop(self, how):
        """Sends its first process a signal, and waits until it is gone."""
        os.kill(self.init, how)
        for _ in range(600):
            if not pathlib.Path(f"/proc/{self.init}/exe").exists():
                return
            time.sleep(0.2)
        os.kill(self.init, signal.SIGKILL)

    def leave(self, keep=None):
        """What follows its end."""
        run("umount", self.root, check=False)
        if keep:
            self.disk.rename(keep)
        else:
            self.disk.unlink()

    def end(self, keep=None, lost=False):
        """An orderly poweroff, or everything in it killed at once; the disk is kept if somebody wants it."""
        self.stop(signal.SIGKILL if lost else signal.SIGRTMIN + 4)
        self.leave(keep)

    def cut(self, copy):
        """The power goes: what was not written to the disk by then is not in its copy."""
        self.stop(signal.SIGKILL)
        run("cp", "--sparse=always", self.disk, copy)
        self.leave()


class Again(Machine):
    """A disk that is there, booted once more."""

    def __init__(self, lab, disk, work):
        run(SCRIPTS / "lab", "fresh", "--instance", lab["instance"])
        self.disk, self.root = disk, work / "root"
        self.root.mkdir(parents=True)
        run("mount", "-o", "loop,commit=300", disk, self.root)
        words = [*NSPAWN, f"--directory={self.root}", f"--machine={lab['netns']}", f"--network-namespace-path=/run/netns/{lab['netns']}"]
        with (work / "console.log").open("ab") as out:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, env=os.environ | SETTINGS)
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        for _ in range(100):
            if children.read_text().split():
                break
            time.sleep(0.1)
        self.init = int(children.read_text().split()[0])

    def leave(self, keep=None):
        self.process.wait()
        super().leave(keep)


class Virtual(Machine):
    """The same in QEMU; `kept` is the line in which `boot --keep` says how to get in, and which process it is."""

    def __init__(self, kept):
        line = re.search(r"kept: (ssh .*?); it runs until `kill (\d+)`; its disk is in (\S+)", kept)
        self.ssh, self.pid, self.folder = shlex.split(line[1]), int(line[2]), pathlib.Path(line[3])

    def inside(self, *words, check=True, **more):
        # sshd begins anew when an upgrade replaced what it runs.
        return run(*self.ssh, "-o", "LogLevel=ERROR", "-o", "ConnectionAttempts=30", "sudo", *(shlex.quote(str(word)) for word in words), check=check, **more).stdout.strip()

    def end(self, keep=None, lost=True):
        if keep or not lost:
            raise LabError("a virtual machine is only ever lost")
        os.kill(self.pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)


def boot(binary, profile, options, lab, sets, engine="container"):
    """One machine, left running, and how long it took."""
    started = time.monotonic()
    command = [binary, "boot", profile, "--engine", engine, "--keep", "--until", "ready", *options]
    command += [word for key, value in sets.items() for word in ("--set", f"{key}={json.dumps(value)}")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        lines = []
        for line in process.stderr:
            say(line.rstrip())
            lines.append(line)
    if process.returncode:
        raise LabError(f"the machine did not get ready: `boot` ended with status {process.returncode}")
    machine = Virtual("".join(lines)) if engine == "qemu" else Machine(lab)
    return machine, time.monotonic() - started


class Offsite:
    """`rclone serve restic` on the lab's own address, and what a profile must say to use it."""

    def __init__(self, lab, work):
        if not shutil.which("rclone"):
            run("apt-get", "install", "-y", "--no-install-recommends", "rclone", env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
        self.place, self.folder, password = f"{lab['host_address']}:{PORT}", work / "repository", work / "password"
        self.folder.mkdir()
        password.write_text(secrets.token_hex(16), encoding="ascii")
        self.sets = {"secrets.RESTIC_PASSWORD": {"file": str(password)}, "backup.offsite": {"repository": f"rest:http://{self.place}/", "password": "RESTIC_PASSWORD"}}
        self.start()

    def start(self):
        """Serves, again."""
        self.server = subprocess.Popen(["rclone", "serve", "restic", "--addr", self.place, self.folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self):
        """Nobody answers any more."""
        self.server.kill()
        self.server.wait()

    @contextlib.contextmanager
    def silent(self):
        """Connections are taken, and nothing is ever said."""
        self.server.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.server.send_signal(signal.SIGCONT)


class Report:
    """What held, and what did not."""

    def __init__(self):
        self.wrong = []

    def hold(self, title, good, seen=""):
        """One more."""
        say(f"{'pass' if good else 'FAIL'}: {title}" + (f" ({seen})" if seen else ""))
        if not good:
            self.wrong.append(title)

    def end(self):
        """The exit code."""
        say("all of it holds" if not self.wrong else f"{len(self.wrong)} do not hold: " + "; ".join(self.wrong))
        return bool(self.wrong)
