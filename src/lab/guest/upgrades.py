# Unpacks a library anew that programs have open, as a security upgrade does, and tells who began anew.
import glob
import json
import subprocess


def run(*words):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    if done.returncode:
        raise OSError(f"{' '.join(words)}: {done.stdout.strip()[-300:]}")
    return done.stdout.strip()


def state():
    units = {unit: run("systemctl", "show", "-P", "MainPID", unit) for unit in ("ssh", "nginx", "fail2ban", "docker")}
    running = run("docker", "ps", "-q").split()
    containers = run("docker", "inspect", "-f", "{{.Name}} {{.State.StartedAt}}", *running).splitlines() if running else []
    return {unit: pid for unit, pid in units.items() if pid != "0"}, sorted(containers)


library = glob.glob("/usr/lib/*-linux-gnu/libcrypto.so.3")[0]
package = run("dpkg", "-S", library).split(":")[0]
before, containers = state()
# The machine's own upgrades may be at work.
said = run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=240", "install", "-yq", "--reinstall", package)
if "not possible" in said:
    raise OSError(said[-300:])
after, left = state()
print(json.dumps({
    "package": package, "anew": sorted(unit for unit, pid in after.items() if before.get(unit) != pid),
    "lost": sorted(set(before) - set(after)), "containers": len(containers), "disturbed": sorted(set(containers) ^ set(left)),
}))
