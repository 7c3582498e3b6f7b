# After a bundle that was cut off: the files are again what they were. With `boot` that is all, since the stages come after it; with `now` the
# program of then does the rest. It imports nothing of ours: a copy of it, made before the change, runs while ours may be half new.
import fcntl
import json
import os
import subprocess
import sys

VAR = "/var/lib/julia-bootstrap"
BEFORE = VAR + "/follow-before.json"


def write(path, text, mode):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".back", "w", encoding="utf-8", newline="") as f:
        os.fchmod(f.fileno(), mode)
        f.write(text)
        f.flush()
        os.fsync(f.fileno())
    os.rename(path + ".back", path)


def read(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


if sys.argv[1] == "now":
    # Whoever is at work meanwhile may be applying another bundle: he puts those files in order himself.
    os.makedirs("/run/julia-bootstrap/", exist_ok=True)
    lock = open("/run/julia-bootstrap/operation.lock", "w", encoding="ascii")
    fcntl.flock(lock, fcntl.LOCK_EX)
if not os.path.exists(BEFORE):
    sys.exit()
before = read(BEFORE)
for path, row in before["files"].items():
    if row:
        write(path, row[1], row[0])
    elif os.path.exists(path):
        os.remove(path)
os.sync()
subprocess.run(["systemctl", "daemon-reload"], check=False)
if sys.argv[1] == "now":
    os.execv("/usr/local/bin/bootstrapctl", ["bootstrapctl", "follow", "--recover"])
for path in before["files"]:
    if path.endswith(".timer") and os.path.exists(path):
        subprocess.run(["systemctl", "-q", "--no-block", "enable", "--now", os.path.basename(path)], check=False)
# The secrets that it had brought; ctl_follow.py does the same.
for path, name, text in before.get("old", []):
    if name:
        with open(path, encoding="utf-8", newline="") as f:
            lines = [line for line in f.read().split("\n") if line and not line.startswith(name + "=")]
        text = "\n".join([*lines, f"{name}={text}", ""])
    write(path, text, 0o600)
state = {"history": [], **(read(VAR + "/follow.json") if os.path.exists(VAR + "/follow.json") else {})}
state["history"].append({"serial": before["serial"], "at": "", "result": "interrupted", "why": "the machine stopped meanwhile", "seconds": 0})
write(VAR + "/follow.json", json.dumps(state, indent=1) + "\n", 0o600)
if os.path.exists(VAR + "/releases.json"):
    releases = read(VAR + "/releases.json")
    releases["current"] = before["current"]
    write(VAR + "/releases.json", json.dumps(releases, indent=1) + "\n", 0o600)
for name in ("secrets", "monitoring", "edge"):
    if os.path.exists(f"{VAR}/done/{name}"):
        os.remove(f"{VAR}/done/{name}")
os.sync()
os.remove(BEFORE)
os.sync()
