# Docker's networks and what runs in them: subnets, and every container's addresses and ports.
import json
import subprocess


def out(*words):
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


subnets = []
for name in out("docker", "network", "ls", "-q", "--filter", "driver=bridge").split():
    config = json.loads(out("docker", "network", "inspect", name))[0]["IPAM"].get("Config") or []
    subnets += [one["Subnet"] for one in config if one.get("Subnet")]
targets, loopback = [], []
for name in out("docker", "ps", "-q").split():
    data = json.loads(out("docker", "inspect", name))[0]
    ports = set()
    for spec, bindings in (data["NetworkSettings"].get("Ports") or {}).items():
        port, _, protocol = spec.partition("/")
        if protocol != "tcp":
            continue
        ports.add(int(port))
        loopback += [int(one["HostPort"]) for one in bindings or [] if one["HostIp"] in ("127.0.0.1", "::1")]
    for network in (data["NetworkSettings"].get("Networks") or {}).values():
        for address in (network.get("IPAddress"), network.get("GlobalIPv6Address")):
            targets += [[data["Name"].lstrip("/"), address, port] for port in sorted(ports) if address]
print(json.dumps({"subnets": sorted(set(subnets)), "targets": targets, "loopback": sorted(set(loopback))}))
