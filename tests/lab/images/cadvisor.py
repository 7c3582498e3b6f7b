#!/usr/bin/env python3
"""Stand-in for cAdvisor: its most used series, of each running container.

The flag --docker names Docker's API, as with cAdvisor, which is asked what runs and never for figures; other flags are accepted and do
nothing. The figures are those of the processes in /rootfs/proc, for the kernel counts no memory of containers in the container lane.
"""
import concurrent.futures
import datetime
import os
import pathlib
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
    """OOM events and processor time by container, counted since the start."""

    counts, until, spent = {}, time.time(), {}


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


PROC = pathlib.Path("/rootfs/proc")
TICKS, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


def processes():
    """The numbers of each container's processes, as the host numbers them."""
    found = {}
    for place in PROC.glob("[0-9]*/cgroup"):
        try:
            name = re.search(r"[0-9a-f]{64}", place.read_text())
        except OSError:
            continue
        if name:
            found.setdefault(name[0], []).append(place.parent)
    return found


def used(place):
    """Processor time in seconds, of its children that ended too, and resident bytes."""
    fields = (place / "stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS, int(fields[21]) * PAGE


def network(pid):
    """Bytes received and sent, over all its devices but the loopback."""
    rows = [line.replace(":", " ").split() for line in (PROC / str(pid) / "net/dev").read_text().splitlines()[2:]]
    return [sum(int(row[column]) for row in rows if row[0] != "lo") for column in (1, 9)]


def measure(listed, places):
    """Labels and values of one container."""
    name = listed["Id"]
    details = standin.docker(DOCKER, f"/containers/{name}/json")
    spent, memory = 0.0, 0
    for place in places.get(name, []):
        try:
            more, resident = used(place)
        except (OSError, IndexError):
            continue
        spent, memory = spent + more, memory + resident
    # A process that ends without a parent in there takes its time with it, and a counter does not fall.
    Seen.spent[name] = max(spent, Seen.spent.get(name, 0.0))
    received, sent = network(details["State"]["Pid"])
    labels = {"id": f"/system.slice/docker-{name}.scope", "name": details["Name"].strip("/"), "image": details["Config"]["Image"]}
    for label, value in (details["Config"].get("Labels") or {}).items():
        labels["container_label_" + re.sub(r"\W", "_", label)] = value
    return labels, {
        "container_cpu_usage_seconds_total": Seen.spent[name],
        "container_memory_usage_bytes": memory,
        "container_memory_working_set_bytes": memory,
        "container_memory_rss": memory,
        "container_spec_memory_limit_bytes": details["HostConfig"].get("Memory", 0),
        "container_network_receive_bytes_total": received,
        "container_network_transmit_bytes_total": sent,
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


def tried(listed, places):
    """One container; None when it ends in the middle of it."""
    try:
        return measure(listed, places)
    except (OSError, KeyError) as error:
        standin.log("skipped", container=listed["Id"][:12], error=str(error))
        return None


def metrics():
    """Every series of every running container, and the machine's."""
    count_kills()
    running = standin.docker(DOCKER, "/containers/json")
    places = processes()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = [one for one in pool.map(lambda listed: tried(listed, places), running) if one]
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
