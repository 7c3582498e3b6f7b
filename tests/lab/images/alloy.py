#!/usr/bin/env python3
"""Stand-in for Grafana Alloy: ships logs to Loki for real, in one fixed way, and does not read Alloy's language.

Docker's json-file logs   job=docker, stream, service (of the Compose label, when the log driver's `labels` option names it)
/var/log/nginx/*.log      job=nginx, filename
the journal, if mounted   job=journal, unit
"""
import calendar
import glob
import http.client
import json
import os
import pathlib
import re
import sys
import time
import urllib.error
import urllib.request

import standin

try:
    from systemd import journal
except ImportError:
    journal = None

PUSH = "/loki/api/v1/push"
DOCKER_LOGS = "/var/lib/docker/containers/*/*-json.log"
NGINX_LOGS = "/var/log/nginx/*.log"
JOURNALS = ("/var/log/journal", "/run/log/journal")
OLDEST_SECONDS = 7 * 3600
AT_ONCE = 2000


def flag(name, otherwise):
    """The value of a flag, written --name=value or in two words."""
    words = iter(sys.argv[1:])
    for word in words:
        if word.partition("=")[0] == f"--{name}":
            return word.partition("=")[2] or next(words, otherwise)
    return otherwise


LOKI = os.environ.get("LOKI_URL", "http://loki:3100")
LOKI = LOKI if LOKI.endswith(PUSH) else LOKI.rstrip("/") + PUSH
PLACE = pathlib.Path(flag("storage.path", "data-alloy")) / "positions.json"


class Counters:
    """What /metrics tells."""

    sent, dropped, refused = 0, 0, 0


def nanoseconds(text):
    """Docker's time, of up to nine digits after the point, as nanoseconds since 1970."""
    whole, _, part = text.rstrip("Z").partition(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) * 10**9 + int(part.ljust(9, "0"))


def docker_line(path, line):
    """Labels, time and text of a line of the json-file driver."""
    entry = json.loads(line)
    labels = {"job": "docker", "stream": entry.get("stream", "stdout")}
    # Two of a service take turns: the settings take the colour off.
    service = re.sub("-(blue|green)$", "", (entry.get("attrs") or {}).get("com.docker.compose.service") or "")
    return labels | ({"service": service} if service else {}), nanoseconds(entry["time"]), entry["log"].rstrip("\n")


def nginx_line(path, line):
    """Labels, time and text of a line of nginx; the time is that of reading, as with Alloy when no stage says otherwise."""
    return {"job": "nginx", "filename": path}, time.time_ns(), line.rstrip("\n")


class Tail:
    """Follows the files of a pattern through rotation, from where it was when it ended last."""

    def __init__(self, pattern, parse, places):
        self.pattern, self.parse, self.places = pattern, parse, places
        self.files, self.deaf = {}, set()

    def open(self, path):
        """Opens a file at its kept place, if it is still the same file."""
        try:
            file = open(path, "rb")
        except OSError as error:
            if path not in self.deaf:
                standin.log("cannot read", path=path, error=error.strerror)
            self.deaf.add(path)
            return None
        inode, place = self.places.get(path, (0, 0))
        if inode == os.fstat(file.fileno()).st_ino and place <= os.fstat(file.fileno()).st_size:
            file.seek(place)
        return file

    def entries(self):
        """What is new in all the files."""
        for path in glob.glob(self.pattern):
            file = self.files.get(path) or self.open(path)
            if not file:
                continue
            self.files[path] = file
            yield from self.read(path, file)
            try:
                current = os.stat(path)
            except OSError:
                current = None
            kept = os.fstat(file.fileno())
            if not current or current.st_ino != kept.st_ino or current.st_size < file.tell():
                # Rotated or cut: the rest of the old file is read by now.
                file.close()
                del self.files[path]
                self.places.pop(path, None)
        for path in set(self.files) - set(glob.glob(self.pattern)):
            self.files.pop(path).close()
            self.places.pop(path, None)

    def read(self, path, file):
        """The whole lines from the place in the file on."""
        for _ in range(AT_ONCE):
            place = file.tell()
            line = file.readline()
            if not line.endswith(b"\n"):
                file.seek(place)
                break
            try:
                yield self.parse(path, line.decode(errors="replace"))
            except (ValueError, KeyError):
                Counters.dropped += 1
        self.places[path] = (os.fstat(file.fileno()).st_ino, file.tell())


class Journal:
    """Follows the journal, from where it was or from some hours ago."""

    def __init__(self, path, places):
        self.reader, self.places = journal.Reader(path=path), places
        if cursor := places.get("journal"):
            self.reader.seek_cursor(cursor)
            self.reader.get_next()
        else:
            self.reader.seek_realtime(time.time() - OLDEST_SECONDS)

    def entries(self):
        """What is new."""
        self.reader.process()
        for _ in range(AT_ONCE):
            entry = self.reader.get_next()
            if not entry:
                break
            self.places["journal"] = entry["__CURSOR"]
            unit = entry.get("_SYSTEMD_UNIT") or entry.get("SYSLOG_IDENTIFIER") or "kernel"
            when = int(entry["__REALTIME_TIMESTAMP"].timestamp() * 1e6) * 1000
            yield {"job": "journal", "unit": str(unit)}, when, str(entry.get("MESSAGE", ""))


def push(entries):
    """Sends entries until Loki has taken them; what Loki calls wrong is dropped, as Alloy does."""
    streams = {}
    for labels, when, text in entries:
        streams.setdefault(tuple(sorted(labels.items())), []).append([str(when), text])
    body = json.dumps({"streams": [{"stream": dict(labels), "values": sorted(values)} for labels, values in streams.items()]}).encode()
    request = urllib.request.Request(LOKI, body, {"Content-Type": "application/json"})
    while True:
        try:
            urllib.request.urlopen(request, timeout=10).close()
            Counters.sent += len(entries)
            return
        except urllib.error.HTTPError as error:
            reason = error.read().decode(errors="replace").strip()[:200]
            if error.code < 500 and error.code != 429:
                Counters.dropped += len(entries)
                standin.log("loki refuses", status=error.code, reason=reason)
                return
        except (OSError, http.client.HTTPException) as error:
            reason = str(error)
        Counters.refused += 1
        if Counters.refused % 12 == 1:
            standin.log("loki does not answer", reason=reason)
        time.sleep(5)


def ship():
    """Reads and sends, for ever."""
    places = {}
    try:
        places = json.loads(PLACE.read_text())
    except (OSError, ValueError):
        pass
    sources = [Tail(DOCKER_LOGS, docker_line, places), Tail(NGINX_LOGS, nginx_line, places)]
    sources += [Journal(path, places) for path in JOURNALS if journal and os.path.isdir(path)][:1]
    standin.log("shipping", to=LOKI, journal=len(sources) == 3)
    while True:
        entries = [entry for source in sources for entry in source.entries()]
        if entries:
            push(entries)
            # Where it cannot, it ends, and is seen to: after a restart lines would come twice or never.
            PLACE.write_text(json.dumps(places))
        time.sleep(1)


def shipping_or_dead():
    """A process that no longer ships must not look well."""
    try:
        ship()
    except Exception as error:
        standin.log("failed", error=f"{type(error).__name__}: {error}")
        os._exit(1)


class Alloy(standin.Handler):
    """The web side."""

    def get(self):
        answers = {"/-/ready": "Alloy is ready.\n", "/-/healthy": "All Alloy components are healthy.\n"}
        if self.path == "/metrics":
            lines = ["# TYPE alloy_build_info gauge", 'alloy_build_info{version="stand-in"} 1']
            for name, value in (("sent", Counters.sent), ("dropped", Counters.dropped)):
                lines += [f"# TYPE loki_write_{name}_entries_total counter", f"loki_write_{name}_entries_total {value}"]
            return self.answer(200, "\n".join(lines) + "\n", "text/plain; version=0.0.4")
        text = answers.get(self.path)
        return self.answer(200, text, "text/plain") if text else self.answer(404, {"error": "Not Found"})


def main():
    """alloy run [flags] FILE"""
    words = sys.argv[1:]
    standin.announce("Grafana Alloy 1.10.2", "that Alloy accepts the configuration, finds these files with it, or labels and cuts lines "
                                             "like this; its push format (protobuf), buffering and memory use")
    files = [word for word in words[1:] if word.startswith("/")]
    if words[:1] != ["run"] or not files or not os.access(files[-1], os.R_OK):
        return f"alloy stand-in: `run FILE` is wanted, with a file that can be read: got {' '.join(words)}"
    if journal is None:
        standin.log("no journal", reason="python3-systemd is missing")
    standin.in_background(shipping_or_dead)
    host, _, port = flag("server.http.listen-addr", "127.0.0.1:12345").rpartition(":")
    return standin.serve(int(port), Alloy, host)


if __name__ == "__main__":
    sys.exit(main())
