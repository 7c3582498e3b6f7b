# Tries the commands of the runbook as its reader would. Arguments: the profile's name, the administrator's login.
import json
import re
import subprocess
import sys

name, user = sys.argv[1:]
with open("/etc/julia-bootstrap/plan.json", encoding="utf-8") as file:
    plan = json.load(file)
with open(f"/opt/{name}/RUNBOOK.md", encoding="utf-8") as file:
    text = file.read()
# What stands for a name of the reader's choice, and what changes the machine or never ends.
NAMES = {"SERVICE": (plan["services"] or ["none"])[0], "STAGE": "host", "UNIT": "cron", "NAME": (plan["secrets"] or [{"name": "NONE"}])[0]["name"]}
CHANGES = r"\b(reboot|restart|deploy|rollback|backup|restore|prune|renew|apt-get|vacuum-size|freeze|unfreeze)\b|^top$"
PROGRAMS = ("bootstrapctl", "sudo", "top", "timedatectl", "df")

commands = []
for block in re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S):
    commands += [line.split("  #")[0].split(" # ")[0].strip() for line in block.splitlines()]
rest = re.sub(r"^```sh\n(.*?)^```$", "", text, flags=re.M | re.S)
commands += [code for code in re.findall(r"`([^`\n]+)`", rest) if code.split()[0] in PROGRAMS]
run, parsed, wrong = 0, 0, []
for command in dict.fromkeys(commands):
    for word, value in NAMES.items():
        command = re.sub(rf"\b{word}\b", value, command)
    # Programs stand at the beginning, and after sudo, && and |.
    programs = [part.replace("sudo ", "").split()[0] for part in re.split(r"&&|\|", command)]
    missing = [program for program in programs if subprocess.run(["bash", "-c", f"command -v {program}"], capture_output=True).returncode]
    broken = subprocess.run(["bash", "-nc", command], capture_output=True, text=True).stderr
    if missing or broken:
        wrong.append(f"{command}: {broken or 'there is no ' + ', '.join(missing)}")
    elif re.search(CHANGES, command):
        parsed += 1
    else:
        done = subprocess.run(["runuser", "-l", user, "-c", command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        run += 1
        if done.returncode:
            wrong.append(f"`{command}` ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-200:]}")
print(json.dumps({"run": run, "parsed": parsed, "wrong": wrong}))
