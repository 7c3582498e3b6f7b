#!/usr/bin/env python3
"""Stand-in for cAdvisor: its most used series, out of what Docker's API tells about each running container.

The flag --docker names Docker's API, as with cAdvisor; other flags are accepted and do nothing. Where the kernel counts no memory for a
container, as in the container lane, the resident memory of its processes is told instead.
"""
import concurrent.futures
import datetime
import os
import re
import sys
import time
import urllib.parse

import standin

SERIES = {
    "container_cpu_usage_seconds_total": ("counter", "CPU time used, by the kernel's count."),
    "container_memory_usage_bytes": ("gauge", "Memory in use, caches with it."),
    "container_memory_working_set_bytes": ("gauge", "Memory in use that cannot be given back at once."),
    "container_memory_rss": ("gauge", "Resident memory."),
    "container_spec_memory_limit_bytes": ("gauge", "The limit; 0 for none."),
    "container_network_receive_bytes_total": ("counter", "Bytes received."),
    "container_network_transmit_bytes_total": ("counter", "Bytes sent."),
    "container_start_time_seconds": ("gauge", "When the container was started last."),
    "container_oom_events_total": ("counter", "How often the kernel killed a process of it for want of memory."),
    "container_last_seen": ("gauge", "When the container was last seen."),
}


class Seen:
    """OOM events by container, counted since the start."""

    counts, until = {}, time.time()


def flag(name, otherwise):
    """The value of a flag, written --name=value, -name=value or in two words."""
    words = iter(sys.argv[1:])
    for word in words:
        if re.fullmatch(rf"--?{name}(=.*)?", word):
            return word.partition("=")[2] or next(words, otherwise)
    return otherwise


DOCKER = flag("docker", "unix:///var/run/docker.sock")


def seconds(text):
    """Docker's time as seconds since 1970."""
    whole = re.sub(r"\.\d+", "", text).replace("Z", "+00:00")
    return datetime.datetime.fromisoformat(whole).timestamp()


def resident(name):
    """The resident memory of a container's processes, as ps on the host tells it."""
    found = standin.docker(DOCKER, f"/containers/{name}/top?ps_args=" + urllib.parse.quote("-eo pid,rss"))
    return sum(int(row[1]) for row in found.get("Processes") or []) * 1024


def measure(listed):
    """Labels and values of one container."""
    name = listed["Id"]
    details = standin.docker(DOCKER, f"/containers/{name}/json")
    stats = standin.docker(DOCKER, f"/containers/{name}/stats?stream=false&one-shot=true")
    memory = stats.get("memory_stats") or {}
    inside = memory.get("stats") or {}
    used = memory.get("usage") or resident(name)
    networks = (stats.get("networks") or {}).values()
    labels = {"id": f"/system.slice/docker-{name}.scope", "name": details["Name"].strip("/"), "image": details["Config"]["Image"]}
    for label, value in (details["Config"].get("Labels") or {}).items():
        labels["container_label_" + re.sub(r"\W", "_", label)] = value
    return labels, {
        "container_cpu_usage_seconds_total": stats["cpu_stats"]["cpu_usage"].get("total_usage", 0) / 1e9,
        "container_memory_usage_bytes": used,
        "container_memory_working_set_bytes": max(used - inside.get("inactive_file", 0), 0),
        "container_memory_rss": inside.get("anon", used),
        "container_spec_memory_limit_bytes": details["HostConfig"].get("Memory", 0),
        "container_network_receive_bytes_total": sum(network.get("rx_bytes", 0) for network in networks),
        "container_network_transmit_bytes_total": sum(network.get("tx_bytes", 0) for network in networks),
        "container_start_time_seconds": seconds(details["State"]["StartedAt"]),
        "container_oom_events_total": Seen.counts.get(name, 0),
        "container_last_seen": int(time.time()),
    }


def count_kills():
    """Counts the OOM events since the last look; without the right to ask for events there are none."""
    now = time.time()
    filters = urllib.parse.quote('{"event":["oom"]}')
    try:
        events = standin.docker(DOCKER, f"/events?since={Seen.until:.3f}&until={now:.3f}&filters={filters}")
    except OSError:
        return
    Seen.until = now
    for event in events if isinstance(events, list) else [events]:
        name = event["Actor"]["ID"]
        Seen.counts[name] = Seen.counts.get(name, 0) + 1


def escaped(value):
    """A label's value as Prometheus reads it."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def tried(listed):
    """One container; None when it ends in the middle of it."""
    try:
        return measure(listed)
    except (OSError, KeyError) as error:
        standin.log("skipped", container=listed["Id"][:12], error=str(error))
        return None


def metrics():
    """Every series of every running container, and the machine's."""
    count_kills()
    running = standin.docker(DOCKER, "/containers/json")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = [one for one in pool.map(tried, running) if one]
    lines = ["# HELP cadvisor_version_info What answers here.", "# TYPE cadvisor_version_info gauge",
             'cadvisor_version_info{cadvisorVersion="stand-in"} 1', "# TYPE machine_cpu_cores gauge", f"machine_cpu_cores {os.cpu_count()}"]
    for series, (kind, meaning) in SERIES.items():
        lines += [f"# HELP {series} {meaning}", f"# TYPE {series} {kind}"]
        for labels, values in found:
            more = {"interface": "eth0"} if "network" in series else {}
            text = ",".join(f'{key}="{escaped(value)}"' for key, value in sorted({**labels, **more}.items()))
            lines.append(f"{series}{{{text}}} {values[series]}")
    return "\n".join(lines) + "\n"


class Cadvisor(standin.Handler):
    """The web side."""

    def get(self):
        if self.path == "/healthz":
            return self.answer(200, "ok", "text/plain")
        if self.path != "/metrics":
            return self.redirect("/metrics", 307) if self.path == "/" else self.answer(404, {"error": "Not Found"})
        try:
            return self.answer(200, metrics(), "text/plain; version=0.0.4")
        except OSError as error:
            return self.answer(500, f"{error}\n", "text/plain")


if __name__ == "__main__":
    standin.announce("cAdvisor 0.52.1", "that cAdvisor itself finds these containers with these mounts and rights, "
                                        "its other series, or its load")
    standin.serve(int(flag("port", "8080")), Cadvisor)
