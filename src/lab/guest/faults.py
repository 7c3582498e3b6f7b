# Breaks things for real, and mends them.
# Arguments: the profile's name; `begin` or `mend`; what: `volume`, `stage`, `backup`, `memory`, `service=NAME`.
# Prints for each what was done, or why it could not be.
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, "/usr/local/lib/julia-bootstrap")
import jb  # noqa: E402

name, action, *kinds = sys.argv[1:]
STATE = "/var/lib/julia-bootstrap"
VOLUME, IMAGE = "/srv/small", "/var/tmp/small.img"
JAIL = "/etc/fail2ban/jail.d/zz-lab.local"


def run(*words, check=True):
    ended = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    if check and ended.returncode:
        raise OSError(f"{words[0]}: {ended.stdout.strip()[-300:]}")
    return ended.stdout.strip()


def container(service):
    label = "com.docker.compose."
    rows = run("docker", "ps", "-a", "--filter", f"label={label}project={name}", "--format", '{{.ID}} {{.Label "%sservice"}}' % label)
    found = (row.split() for row in rows.splitlines())
    return next(one for one, label in found if jb.service(label) == service and not jb.is_idle(label))


def volume(broken):
    if not broken:
        os.remove(VOLUME + "/ballast")
        return "emptied"
    # A container's /dev lacks what loop mounts need.
    for path, kind, minor in [("/dev/loop-control", 10, 237)] + [(f"/dev/loop{n}", 7, n) for n in range(64)]:
        if not os.path.exists(path):
            os.mknod(path, (0o020660 if kind == 10 else 0o060660), os.makedev(kind, minor))
    os.makedirs(VOLUME, exist_ok=True)
    with open(IMAGE, "wb") as file:
        file.truncate(64 << 20)
    run("mkfs.ext4", "-q", "-m", "0", IMAGE)
    run("mount", "-o", "loop", IMAGE, VOLUME)
    free = os.statvfs(VOLUME)
    run("fallocate", "-l", str(free.f_bavail * free.f_frsize * 97 // 100), VOLUME + "/ballast")
    left = os.statvfs(VOLUME)
    return f"{100 - 100 * left.f_bavail / left.f_blocks:.0f} % full"


def tidy():
    if os.path.ismount(VOLUME):
        run("umount", VOLUME)
    if os.path.exists(IMAGE):
        os.remove(IMAGE)


def stage(broken):
    # The stage that starts fail2ban meets a file that fail2ban cannot read.
    if broken:
        with open(JAIL, "w", encoding="ascii") as file:
            file.write("this is no configuration\n")
        os.remove(STATE + "/done/harden")
        run("systemd-run", "-q", "--unit=lab-stage", "--collect", "/usr/local/lib/julia-bootstrap/stage", "harden")
        return "harden"
    os.remove(JAIL)
    run("systemctl", "stop", "lab-stage", check=False)
    run("/usr/local/lib/julia-bootstrap/stage", "harden")
    return "harden"


def backup(broken):
    path = STATE + "/backup/success"
    if broken and not os.path.exists(path):
        return None
    if not broken:
        run("bootstrapctl", "backup")
        return "new"
    then = time.time() - 27 * 3600
    os.utime(path, (then, then))
    return "27 hours old"


def memory(broken):
    # Where the kernel counts no memory, a limit is none.
    if not broken or run("docker", "info", "-f", "{{.MemoryLimit}}") != "true":
        return None
    rows = []
    for one in run("docker", "ps", "-q", "--filter", f"label=com.docker.compose.project={name}").split():
        info = json.loads(run("docker", "inspect", one))[0]
        limit, service = info["HostConfig"]["Memory"], info["Config"]["Labels"]["com.docker.compose.service"]
        if limit and subprocess.run(["docker", "exec", one, "sh", "-c", "command -v tail"], capture_output=True).returncode == 0:
            rows.append((limit, service, one))
    limit, service, one = min(rows)
    # It gathers a line without an end.
    run("docker", "exec", one, "tail", "/dev/zero", check=False)
    return service


def service(broken, which):
    run("docker", "stop" if broken else "start", container(which))
    return which


done = {}
for kind in kinds:
    kind, _, which = kind.partition("=")
    if kind == "tidy":
        tidy()
    else:
        done[kind] = {"volume": volume, "stage": stage, "backup": backup, "memory": memory, "service": service}[kind](action == "begin", *filter(None, [which]))
print(json.dumps(done))
