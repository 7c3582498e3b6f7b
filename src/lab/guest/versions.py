# What runs on this machine, by name.
import json
import platform
import shutil
import subprocess


def first_line(*words):
    """What a program says of itself; nothing where it is not."""
    if not shutil.which(words[0]):
        return None
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=20)
    return next(iter(done.stdout.strip().splitlines()), None)


release = dict(line.rstrip().split("=", 1) for line in open("/etc/os-release", encoding="utf-8") if "=" in line)
found = {"system": release.get("PRETTY_NAME", "").strip('"'), "kernel": f"{platform.release()} {platform.machine()}"}
for name, *words in [
    ("systemd", "systemctl", "--version"), ("cloud-init", "cloud-init", "--version"), ("OpenSSH", "ssh", "-V"), ("nginx", "nginx", "-v"),
    ("certbot", "certbot", "--version"), ("Docker", "docker", "version", "-f", "{{.Server.Version}}"), ("Compose", "docker", "compose", "version", "--short"),
    ("fail2ban", "fail2ban-client", "--version"), ("Python", "python3", "--version"),
]:
    line = first_line(*words)
    if line:
        found[name] = line
print(json.dumps(found))
