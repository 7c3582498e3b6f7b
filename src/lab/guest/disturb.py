# What people and packages do to a firewall: UFW reset, iptables flushed, dockerd restarted.
# With `mend` as argument, the machine has to put it right with what it runs every ten minutes, and what
# shuts everybody out as well; tests/lint/firewall.py tries more.
import glob
import json
import os
import subprocess
import sys

said = []


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        said.append(f"{' '.join(words)}: {(done.stderr or done.stdout).strip()[-200:]}")


def rules():
    """Of each chain, in their order, UFW's rules and what leads to them."""
    chains = {}
    for program in ("iptables", "ip6tables"):
        for line in subprocess.run([program, "-w", "-S"], capture_output=True, text=True, check=True).stdout.splitlines():
            words = line.split()
            if "ufw" in line and words[0] == "-A" or line.startswith("-P"):
                chains.setdefault(f"{program} {words[1]}", []).append(line)
    return chains


def mend(after, *words):
    subprocess.run(words, capture_output=True, check=False)
    now = rules()
    for chain in sorted(before.keys() | now.keys()):
        if before.get(chain) != now.get(chain):
            said.append(f"after {after}, {chain} has {now.get(chain)} and had {before.get(chain)}")
            break


KEEP = "/root/.lab-rules"
if sys.argv[1:] == ["mend"]:
    with open(KEEP) as file:
        before = json.load(file)
    os.remove(KEEP)
    if "-j ufw-before-input" not in str(before["iptables INPUT"]):
        said.append("UFW's rules were not asked before, either")
    # Its own verdict comes later: containers may be settling still.
    unit = os.path.basename(glob.glob("/etc/systemd/system/*-check.service")[0])
    mend("ufw reset", "systemctl", "restart", unit)
    # This shuts everybody out.
    run("iptables", "-F")
    mend("iptables -F", "systemctl", "restart", unit)
    if "DOCKER" not in subprocess.run(["iptables", "-w", "-S", "FORWARD"], capture_output=True, text=True).stdout:
        said.append("Docker's rules are not back")
    run("systemctl", "restart", "docker")
    run("systemctl", "restart", "fail2ban")
else:
    with open(KEEP, "w") as file:
        json.dump(rules(), file)
    run("ufw", "--force", "reset")
    run("iptables", "-F")
    run("ip6tables", "-F")
    run("systemctl", "restart", "docker")
print(json.dumps(said))
