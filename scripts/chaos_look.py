"""Run in the machine: whether stages, files and settings are whole. Prints JSON: what is wrong, and the hash of each file."""
import glob
import hashlib
import json
import os
import subprocess
import sys

VAR = "/var/lib/julia-bootstrap"
wrong, files = [], {}
with open("/etc/julia-bootstrap/plan.json", encoding="utf-8") as f:
    plan = json.load(f)
with open(VAR + "/bundle", encoding="utf-8") as f:
    bundle = f.read()
for name, spec in plan["stages"].items():
    if spec.get("every_boot"):
        continue
    try:
        with open(f"{VAR}/done/{name}", encoding="utf-8") as f:
            if f.read().strip() != bundle.strip():
                wrong.append(f"the mark of stage {name} is another bundle's")
    except OSError:
        wrong.append(f"stage {name} has no mark")
for path in json.loads(sys.argv[1]):
    try:
        with open(path, "rb") as f:
            files[path] = hashlib.sha256(f.read()).hexdigest()[:16]
    except OSError as error:
        wrong.append(f"{path}: {error.strerror}")
for pattern in ("/etc/julia-bootstrap/**/*.new", "/etc/nginx/**/*.new", "/etc/systemd/system/*.new", "/usr/local/lib/julia-bootstrap/**/*.new", "/opt/*/*.new"):
    wrong += [f"{path} was left behind" for path in glob.glob(pattern, recursive=True)]
for path in glob.glob("/etc/letsencrypt/live/*/fullchain.pem"):
    if not os.path.getsize(path):
        wrong.append(f"{path} is empty")
for words in (["nginx", "-t"], ["sshd", "-t"], ["ufw", "status"], ["dpkg", "--audit"], ["apt-get", "check", "-qq", "-o", "DPkg::Lock::Timeout=600"]):
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode or words[0] == "dpkg" and done.stdout.strip() or words[0] == "ufw" and "inactive" in done.stdout:
        wrong.append(f"`{' '.join(words)}`: {(done.stdout + done.stderr).strip()[-200:]}")
print(json.dumps({"wrong": wrong, "files": files}))
