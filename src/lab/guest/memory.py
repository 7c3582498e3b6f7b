# How much memory the machine has left, who uses it, and whom the kernel killed for it.
import json
import re
import subprocess


def run(*words):
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace").stdout


with open("/proc/meminfo", encoding="ascii") as file:
    info = {name: int(value) // 1024 for name, value in re.findall(r"^(\w+): +(\d+) kB", file.read(), re.M)}
sizes = {"B": 1 / 2**20, "KiB": 1 / 1024, "MiB": 1, "GiB": 1024}
containers = {}
for line in run("docker", "stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}").splitlines():
    name, number, unit = re.match(r"(\S+) ([\d.]+)(\w+) /", line).groups()
    containers[name] = round(float(number) * sizes[unit])
print(json.dumps({
    "total": info["MemTotal"], "available": info["MemAvailable"], "swapped": info["SwapTotal"] - info["SwapFree"], "containers": containers,
    "killed": re.findall(r"Killed process \d+ \((.*?)\)", run("journalctl", "-kqo", "cat")),
}))
