# What people and packages do to a firewall: UFW reset, iptables flushed, dockerd restarted.
# With `restore` as argument everything is put back.
import json
import os
import shutil
import subprocess
import sys

KEEP = "/root/.lab-ufw"
said = []


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        said.append(f"{' '.join(words)}: {(done.stderr or done.stdout).strip()[-200:]}")


if sys.argv[1:] == ["restore"]:
    if os.path.isdir(KEEP):
        shutil.copytree(KEEP, "/etc/ufw", dirs_exist_ok=True, symlinks=True)
        shutil.rmtree(KEEP)
    # After a flush ufw's chains are still there, and it would not hook them in again.
    run("/usr/lib/ufw/ufw-init", "flush-all")
    run("ufw", "--force", "enable")
    run("systemctl", "restart", "docker")
    run("systemctl", "restart", "fail2ban")
else:
    shutil.rmtree(KEEP, ignore_errors=True)
    shutil.copytree("/etc/ufw", KEEP, symlinks=True)
    run("ufw", "--force", "reset")
    run("iptables", "-F")
    run("ip6tables", "-F")
    run("systemctl", "restart", "docker")
print(json.dumps(said))
