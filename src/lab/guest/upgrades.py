# Unpacks a library anew that programs have open, as a security upgrade does, and tells who began anew, and whom nginx
# turned away meanwhile.
import glob
import json
import socket
import subprocess
import threading
import time


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


refused = []
over = threading.Event()


def visit(host):
    while not over.wait(0.02):
        try:
            with socket.create_connection(("127.0.0.1", 80), 60) as visitor:
                visitor.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                if not visitor.recv(4096).startswith(b"HTTP/1.1 "):
                    refused.append("no answer")
        except (ConnectionRefusedError, ConnectionResetError) as error:
            refused.append(f"{error}")


def master():
    """Of nginx: its process number and whether it runs what was replaced."""
    with open("/run/nginx.pid") as file:
        pid = file.read().strip()
    with open(f"/proc/{pid}/maps") as file:
        return pid, any("libcrypto" in line and "(deleted)" in line for line in file)


library = glob.glob("/usr/lib/*-linux-gnu/libcrypto.so.3")[0]
package = run("dpkg", "-S", library).split(":")[0]
before, containers = state()
nginx = ""
if "nginx" in before:
    with open("/etc/julia-bootstrap/plan.json") as file:
        host = json.load(file)["hosts"][0]
    threading.Thread(target=visit, args=(host,), daemon=True).start()
    served = master()[0]
# The machine's own upgrades may be at work.
said = run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=240", "install", "-yq", "--reinstall", package)
if "not possible" in said:
    raise OSError(said[-300:])
# An old process may close its sockets a moment after the new one has them.
time.sleep(2)
over.set()
after, left = state()
if "nginx" in before:
    now, old = master()
    nginx = "kept on running what was replaced" if old or now == served else "handed over"
print(json.dumps({
    "package": package, "anew": sorted(unit for unit, pid in after.items() if before.get(unit) != pid),
    "lost": sorted(set(before) - set(after)), "containers": len(containers), "refused": refused, "nginx": nginx, "disturbed": sorted(set(containers) ^ set(left)),
}))
