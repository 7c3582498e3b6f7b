# What every on-machine program shares: the plan, durable writes, redaction, and the status
# file with its three mirrors (serial console, web page, systemd's status line).
import contextlib
import fcntl
import html
import json
import os
import re
import subprocess
import sys
import time

CODE = "/usr/local/lib/julia-bootstrap"
ETC = "/etc/julia-bootstrap"
VAR = "/var/lib/julia-bootstrap"
RUN = "/run/julia-bootstrap"
with open(ETC + "/plan.json", encoding="utf-8") as f:
    PLAN = json.load(f)
HOME = "/opt/" + PLAN["name"]
# Services of which two take turns; a file here says that the second one is live.
COLOURS = [s for s, how in PLAN.get("deploy", {}).get("services", {}).items() if how["blue_green"]]
GREEN = VAR + "/green/"
# So many failed attempts make a required stage "failed" in the eyes of the status (it goes on trying).
PATIENCE = 5
# So long, in seconds, others wait after power-on for a stack that is not tried: it may never be.
FIRST_START = 900


def read(path, default=""):
    try:
        with open(path, encoding="utf-8", errors="replace", newline="") as f:
            return f.read()
    except OSError:
        return default


def sync_dir(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write(path, text, mode=0o644, durable=True):
    # A reader sees the old file or the new one, also after a power cut.
    os.makedirs(os.path.dirname(path), exist_ok=True)
    new = f"{path}.{os.getpid()}.new"
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(fd, "w", encoding="utf-8", newline="") as f:
        os.fchmod(fd, mode)
        f.write(text)
        if durable:
            f.flush()
            os.fsync(fd)
    os.rename(new, path)
    if durable:
        sync_dir(os.path.dirname(path))


def unquoted(value):
    # What a line of .env stands for.
    return re.sub(r"\\(.)", lambda m: {"n": "\n", "r": "\r"}.get(m[1], m[1]), value)


def secret_values():
    found = set()
    for line in read(HOME + "/.env").split("\n"):
        name, _, value = line.partition("=")
        if name in PLAN.get("variables", {}):
            continue
        value = value.strip("\"'")
        found.update((value, *unquoted(value).splitlines()))
    try:
        found.update(v["value"] for v in json.loads(read(ETC + "/given.json", "{}")).values())
    except ValueError:
        pass
    folder = HOME + "/credentials"
    if os.path.isdir(folder):
        for name in os.listdir(folder):
            found.update(read(f"{folder}/{name}").splitlines())
    return sorted((v for v in found if len(v) >= 6), key=len, reverse=True)


def secret(name):
    line = re.search(rf'^{name}="?(.*?)"?$', read(HOME + "/.env"), re.M)
    if line:
        return unquoted(line[1])
    files = {s["name"]: s.get("credential") for s in PLAN["secrets"]}
    return read(f"{HOME}/credentials/{files.get(name)}").strip() or sys.exit(f"the secret {name} has no value")


def waiting():
    # The services that wait for secrets which come later, and for which.
    if "needs" not in PLAN:
        return {}
    import late  # pylint: disable=import-outside-toplevel

    return late.waiting()


def service(name):
    # Of Compose's two the profile's one.
    base, _, colour = name.rpartition("-")
    return base if base in COLOURS and colour in ("blue", "green") else name


def is_idle(name):
    base, _, colour = name.rpartition("-")
    return service(name) != name and (colour == "green") != os.path.exists(GREEN + base)


def redact(text):
    for value in secret_values():
        text = text.replace(value, "[redacted]")
    return text


def bundle():
    return read(VAR + "/bundle").strip()


def is_done(name):
    return not PLAN["stages"][name].get("every_boot") and read(f"{VAR}/done/{name}") == bundle()


def load_status():
    boot = read("/proc/sys/kernel/random/boot_id").strip()
    try:
        status = json.loads(read(RUN + "/status.json"))
        # In a container /run may outlive a boot's file only by accident; a new bundle starts afresh.
        if status["boot"] == boot and status["bundle"] == bundle():
            return status
    except (ValueError, KeyError):
        pass
    stages = []
    for name, spec in PLAN["stages"].items():
        state = "done" if is_done(name) else "waiting"
        stages.append({"name": name, "title": spec["title"], "state": state, "attempts": 0, "seconds": 0, "error": None})
    return {"state": "provisioning", "bundle": bundle(), "boot": boot, "stages": stages}


def tired(stage):
    # Who waits is not failing, but after an hour somebody should know.
    return stage["state"] != "done" and (stage["attempts"] >= PATIENCE or stage["state"] == "waiting" and stage["seconds"] > 3600)


def overall(status):
    state = "ready"
    for stage in status["stages"]:
        if stage["state"] == "done":
            continue
        if tired(stage) and PLAN["stages"][stage["name"]].get("required", True):
            return "failed"
        if tired(stage):
            state = "degraded"
        elif state != "degraded":
            state = "provisioning"
    return status.get("health") or state if state == "ready" else state


def console(line):
    # A getty opening the line can fail a write; a lost line must never fail a stage.
    try:
        fd = os.open("/dev/console", os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            os.write(fd, f"julia-bootstrap: {line}\r\n".encode())
        finally:
            os.close(fd)
    except OSError:
        pass


def page(status):
    # Signs and markup are as a browser writes them down itself: the page compares, and loads again only what has changed.
    marks = {"done": "✓", "running": "•", "retrying": "↻", "waiting": "", "stuck": "!"}
    kinds = ["stuck" if tired(s) else s["state"] for s in status["stages"]]
    rows = "".join(
        f'<li class="{k}"><b>{marks[k]}</b><small>{k}</small>{html.escape(s["title"], False)}</li>' for k, s in zip(kinds, status["stages"])
    )
    done, total = kinds.count("done"), len(kinds)
    said = {"h": "Being set up", "p": "This machine is building itself"}
    said["rest"] = f'<label>{done} of {total} steps done<progress max="{total}" value="{done}"></progress></label><ul>{rows}</ul>'
    # Who was here before hears of a pause, not of how the machine is made.
    if status["state"] == "ready" or os.path.exists(VAR + "/done/stack-up"):
        said = {"h": "Back in a moment", "p": "This service is restarting", "rest": ""}
    # Where nothing is served the file is not there.
    return read(CODE + "/page.html") % said


def update(name=None, health=None, **change):
    os.makedirs(RUN + "/www", exist_ok=True)
    with open(RUN + "/lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        status = load_status()
        before = status["state"]
        if health is not None:
            status["health"] = health
        for stage in status["stages"]:
            if stage["name"] == name:
                stage.update(change)
                if "state" in change:
                    again = f" (attempt {stage['attempts']})" if stage["attempts"] > 1 else ""
                    why = f": {stage['error']}" if stage["error"] and stage["state"] != "running" else ""
                    console(f"stage {name}: {stage['state']}{again}{why}")
        status["state"] = overall(status)
        if "needs" in PLAN:
            status["waiting"] = waiting()
        write(RUN + "/status.json", json.dumps(status, indent=1) + "\n", durable=False)
        write(RUN + "/www/index.html", page(status), durable=False)
        if status["state"] != before:
            console(f"state: {status['state']}")
    return status


def run(args, timeout=60, **more):
    # The output (both streams) and the exit code; a program that is missing or hangs is a failure like another.
    try:
        p = subprocess.run(
            args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, text=True, errors="replace", check=False, **more
        )
        return p.returncode, p.stdout.strip()
    except FileNotFoundError:
        return 127, f"{args[0]} is not installed"
    except subprocess.TimeoutExpired:
        return 124, f"{args[0]} took longer than {timeout} s"


def job(verb, unit, timeout=float("inf")):
    end = time.monotonic() + timeout
    code, text = run(["systemctl", verb, unit], None if timeout == float("inf") else timeout)
    # An upgrade may have systemd begin anew, which ends systemctl's waiting and not what it waits for.
    while code and "onnection" in text and time.monotonic() < end:
        time.sleep(1)
        shown, state = run(["systemctl", "show", "-p", "ActiveState,Result", unit])
        if not shown and "activating" not in state:
            return int("Result=success" not in state), text
    return code, text


def started():
    # After power-on the stack comes first; whether it is well then is another matter. What prepares it, and who has its turn, is asked nothing.
    return {"STAGE", "JB_LOCKED"} & os.environ.keys() or "stack" not in PLAN["stages"] or os.path.exists(RUN + "/stack-tried")


@contextlib.contextmanager
def operation(seconds, first=False):
    # One deploy, backup or bundle at a time: whether it is our turn within so many seconds; `first`: also before the stack.
    os.makedirs(RUN, exist_ok=True)
    # A restore, or the stack's stage, has its turn when it calls others.
    with open(os.devnull if "JB_LOCKED" in os.environ else RUN + "/operation.lock", "w", encoding="ascii") as lock:
        began, heard = time.monotonic(), False
        while True:
            try:
                mine = first or time.monotonic() - began >= FIRST_START or started()
                mine and fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                mine = False
            if mine:
                break
            if seconds > 5 and not heard:
                print("waiting until another deploy, backup or start has ended", flush=True)
            heard = True
            if time.monotonic() - began >= seconds:
                break
            time.sleep(0.5)
        yield mine


def last_line(text):
    lines = [re.sub(r"[^\x20-\x7e]", " ", x).strip() for x in redact(text).splitlines()]
    lines = [x for x in lines if x]
    return lines[-1][:300] if lines else "no output"


def listeners():
    # Ports on public addresses that nobody planned: the firewall hides them.
    allowed = {int(p.partition("/")[0]) for p in PLAN["ports"]} | {68, 546, 5355}
    code, text = run(["ss", "-Hltun"])
    if code:
        raise OSError(last_line(text))
    strangers = set()
    for line in text.splitlines():
        host, _, port = line.split()[4].rpartition(":")
        local = host.split("%")[0].startswith(("127.", "[::1]", "[fe80"))
        if not local and int(port) not in allowed:
            strangers.add(port)
    return sorted(strangers)


def need(ok, why):
    if not ok:
        raise AssertionError(why)


def ok_run(*args):
    code, text = run(list(args))
    need(code == 0, f"{args[0]}: {last_line(text)}")
    return text


def active(*units):
    for unit in units:
        need(run(["systemctl", "is-active", "-q", unit])[0] == 0, f"{unit} is not running")
