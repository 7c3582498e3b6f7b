# Who can read the metadata service: the machine itself, and each container from within its own network.
# Arguments: IPv4 address, IPv6 address, expected body, image for a container with IPv6.
import concurrent.futures
import json
import subprocess
import sys

v4, v6, body, image = sys.argv[1:5]
PROBE = """
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    print(opener.open(sys.argv[1], timeout=4).read(4096).decode(errors="replace"))
except Exception as error:
    print("no:", error)
"""
URLS = {"v4": f"http://{v4}/latest/user-data", "v6": f"http://[{v6}]/latest/user-data"}


def run(*words):
    return subprocess.run(words, capture_output=True, text=True, check=False)


def ask(prefix):
    return {key: run(*prefix, "python3", "-c", PROBE, url).stdout.strip()[:300] for key, url in URLS.items()}


def reaches(pid, address):
    family = "-6" if ":" in address else "-4"
    return run("nsenter", "-t", pid, "-n", "ip", family, "route", "get", address).returncode == 0


result = {"host": ask([]), "containers": [], "notes": [], "body": body}
if image:
    run("docker", "rm", "-f", "lab-canary6")
    made = run("docker", "network", "create", "--ipv6", "--subnet", "fd00:77:c::/64", "lab-canary6")
    if made.returncode and "already exists" not in made.stderr:
        result["notes"].append("no IPv6 network: " + made.stderr.strip()[-200:])
    ran = run("docker", "run", "-d", "--name", "lab-canary6", "--network", "lab-canary6", image)
    if ran.returncode:
        result["notes"].append("no IPv6 container: " + ran.stderr.strip()[-200:])


def of(name):
    pid = run("docker", "inspect", "-f", "{{.State.Pid}}", name).stdout.strip()
    answers = ask(["nsenter", "-t", pid, "-n"])
    return dict(answers, name=name, routed4=reaches(pid, v4), routed6=reaches(pid, v6))


# Each waits in vain for some seconds: all wait at once.
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    result["containers"] = list(pool.map(of, run("docker", "ps", "--format", "{{.Names}}").stdout.split()))
run("docker", "rm", "-f", "lab-canary6")
run("docker", "network", "rm", "lab-canary6")
print(json.dumps(result))
