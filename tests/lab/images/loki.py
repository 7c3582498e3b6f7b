#!/usr/bin/env python3
"""Stand-in for Loki: takes lines by Loki's push API (JSON), keeps them for the time that its configuration names, and answers LogQL.

Debian has no Loki; its package of that name is a program for genetics. The configuration is Loki 3's: names of sections, the schema and
what retention needs are looked at, the rest is not.
"""
import bisect
import datetime
import gzip
import json
import os
import pathlib
import re
import sys
import threading
import time
import urllib.parse

import logql
import standin
import yaml

SECTIONS = """target auth_enabled ballast_bytes server ui distributor querier query_engine query_range query_scheduler frontend
frontend_worker ruler ruler_storage ingester_client ingester index_gateway bloom_build bloom_gateway storage_config chunk_store_config
schema_config compactor compactor_grpc_client limits_config table_manager memberlist kafka_config dataobj runtime_config operational_config
tracing analytics profiling common shutdown_delay metrics_namespace http_prefix pattern_ingester block_builder block_scheduler""".split()
SERVICE_LABELS = "service app application app_name name container container_name component workload job".split()
DATA = "stand-in.jsonl"


class Store:
    """Lines by stream in memory, and in a file, so that they outlive a restart."""

    def __init__(self, place, keep):
        self.lock, self.streams, self.keep = threading.Lock(), {}, keep
        self.received = 0
        self.path = place / DATA
        if self.path.exists():
            for line in self.path.read_text(errors="replace").splitlines():
                try:
                    self.add(*json.loads(line))
                except (ValueError, TypeError):
                    continue
        self.forget()
        fresh = self.path.with_suffix(".new")
        with fresh.open("w") as out:
            for labels, when, text in self.select([], 0, 1 << 63):
                out.write(json.dumps([labels, when, text]) + "\n")
        fresh.rename(self.path)
        self.file = self.path.open("a")

    def add(self, labels, when, text):
        """Puts one line in its place; the same line at the same moment counts once, as with Loki."""
        stream = self.streams.setdefault(tuple(sorted(labels.items())), [])
        entry = (int(when), text)
        place = bisect.bisect_left(stream, entry)
        if stream[place:place + 1] != [entry]:
            stream.insert(place, entry)

    def push(self, streams):
        """Takes what a client sends; the label service_name is Loki 3's own addition."""
        with self.lock:
            for stream in streams:
                labels = dict(stream["stream"])
                if not labels:
                    raise ValueError("at least one label pair is required per stream")
                labels.setdefault("service_name", next((labels[name] for name in SERVICE_LABELS if labels.get(name)), "unknown_service"))
                for when, text, *_ in stream["values"]:
                    self.add(labels, when, text)
                    self.file.write(json.dumps([labels, int(when), text]) + "\n")
                    self.received += 1
            self.file.flush()

    def forget(self):
        """Drops what is older than the retention period."""
        if self.keep:
            oldest = (time.time_ns() - int(self.keep * 1e9), "")
            for labels, stream in list(self.streams.items()):
                del stream[:bisect.bisect_left(stream, oldest)]
                if not stream:
                    del self.streams[labels]

    def select(self, matchers, start, end):
        """Labels, time and text of the lines of the streams that match, by stream and time."""
        with self.lock:
            found = [(dict(labels), stream[bisect.bisect_left(stream, (start, "")):bisect.bisect_left(stream, (end, ""))])
                     for labels, stream in self.streams.items() if logql.matches(matchers, dict(labels))]
        for labels, stream in found:
            for when, text in stream:
                yield labels, when, text


def moment(text, otherwise):
    """A time of the API in nanoseconds: nanoseconds, seconds, or RFC 3339."""
    if not text:
        return otherwise
    if re.fullmatch(r"\d{1,10}(\.\d+)?", text):
        return int(float(text) * 1e9)
    if text.isdigit():
        return int(text)
    return int(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1e9)


class Loki(standin.Handler):
    """The web side."""

    store, settings = None, ""

    def get(self):
        self.form = dict(urllib.parse.parse_qsl(self.query or self.data.decode(errors="replace")))
        names = {"/ready": lambda: self.answer(200, "ready\n", "text/plain"), "/metrics": self.metrics,
                 "/config": lambda: self.answer(200, self.settings, "text/plain"),
                 "/loki/api/v1/status/buildinfo": lambda: self.answer(200, {"version": "3.5.7", "revision": "stand-in"}),
                 "/loki/api/v1/query": self.instant, "/loki/api/v1/query_range": self.ranged, "/loki/api/v1/series": self.series,
                 "/loki/api/v1/labels": lambda: self.good(sorted({name for labels in self.labels() for name in labels}))}
        values = re.fullmatch(r"/loki/api/v1/label/(\w+)/values", self.path)
        if values:
            return self.good(sorted({labels[values[1]] for labels in self.labels() if values[1] in labels}))
        try:
            return names[self.path]() if self.path in names else self.answer(404, "404 page not found\n", "text/plain")
        except (logql.QueryError, ValueError, re.error) as error:
            return self.answer(400, f"{error}\n", "text/plain")

    def post(self):
        if self.path != "/loki/api/v1/push":
            return self.get()
        if "json" not in self.headers.get("Content-Type", ""):
            return self.answer(415, "the stand-in takes JSON only, not protobuf\n", "text/plain")
        try:
            data = gzip.decompress(self.data) if self.headers.get("Content-Encoding") == "gzip" else self.data
            self.store.push(json.loads(data)["streams"])
        except (ValueError, KeyError, TypeError, OSError) as error:
            return self.answer(400, f"{type(error).__name__}: {error}\n", "text/plain")
        return self.answer(204, "")

    def labels(self):
        """The labels of every stream."""
        with self.store.lock:
            return [dict(labels) for labels in self.store.streams]

    def good(self, data):
        """An answer of the API."""
        return self.answer(200, {"status": "success", "data": data})

    def series(self):
        """The streams that a selector matches."""
        selector = self.form.get("match[]") or self.form.get("match")
        matchers = logql.Parser(selector).whole()[1] if selector else []
        return self.good([labels for labels in self.labels() if logql.matches(matchers, labels)])

    def lines(self, node, start, end):
        """A log query's answer, newest first unless asked otherwise."""
        forward = self.form.get("direction", "backward").lower() == "forward"
        found = sorted(logql.lines(self.store.select, node, start, end), key=lambda entry: entry[1], reverse=not forward)
        streams = {}
        for labels, when, text in found[:int(self.form.get("limit", 100))]:
            streams.setdefault(tuple(sorted(labels.items())), []).append([str(when), text])
        return self.good({"resultType": "streams", "stats": {},
                          "result": [{"stream": dict(labels), "values": values} for labels, values in streams.items()]})

    def instant(self):
        """A query at one moment."""
        at = moment(self.form.get("time"), time.time_ns())
        node = logql.Parser(self.form.get("query", "")).whole()
        if node[0] == "lines":
            return self.lines(node, at - 3600 * 10**9, at + 1)
        found = logql.evaluate(self.store.select, node, at / 1e9)
        if not isinstance(found, dict):
            return self.good({"resultType": "scalar", "result": [at / 1e9, f"{found:g}"], "stats": {}})
        return self.good({"resultType": "vector", "stats": {},
                          "result": [{"metric": dict(labels), "value": [at / 1e9, repr(value)]} for labels, value in found.items()]})

    def ranged(self):
        """A query over a time."""
        end = moment(self.form.get("end"), time.time_ns())
        start = moment(self.form.get("start"), end - 3600 * 10**9)
        node = logql.Parser(self.form.get("query", "")).whole()
        if node[0] == "lines":
            return self.lines(node, start, end)
        step = self.form.get("step") or str(max((end - start) / 1e9 / 250, 1))
        step = float(step) if re.fullmatch(r"[\d.]+", step) else logql.seconds(step)
        if step <= 0 or (end - start) / 1e9 / step > 11000:
            raise logql.QueryError("exceeded maximum resolution of 11,000 points per time series")
        series, at = {}, start / 1e9
        while at <= end / 1e9:
            found = logql.evaluate(self.store.select, node, at)
            for labels, value in (found if isinstance(found, dict) else {(): found}).items():
                series.setdefault(labels, []).append([at, repr(value)])
            at += step
        return self.good({"resultType": "matrix", "stats": {},
                          "result": [{"metric": dict(labels), "values": values} for labels, values in series.items()]})

    def metrics(self):
        """A few of Loki's own series."""
        return self.answer(200, "# TYPE loki_build_info gauge\n" 'loki_build_info{version="stand-in"} 1\n'
                           "# TYPE loki_distributor_lines_received_total counter\n"
                           f'loki_distributor_lines_received_total{{tenant="fake"}} {self.store.received}\n'
                           "# TYPE loki_ingester_memory_streams gauge\n"
                           f'loki_ingester_memory_streams{{tenant="fake"}} {len(self.store.streams)}\n', "text/plain; version=0.0.4")


def flag(name, otherwise=""):
    """The value of a flag, -name=value or --name=value; a flag alone is `true`."""
    for word in sys.argv[1:]:
        if match := re.fullmatch(rf"--?{re.escape(name)}(?:=(.*))?", word):
            return "true" if match[1] is None else match[1]
    return otherwise


def settings():
    """The configuration: its text, and what it says; raises ValueError where Loki 3 would refuse it."""
    text = pathlib.Path(flag("config.file", "/etc/loki/local-config.yaml")).read_text()
    if flag("config.expand-env") == "true":
        text = re.sub(r"\$\{(\w+)(?::-([^}]*))?\}", lambda match: os.environ.get(match[1]) or match[2] or "", text)
    found = yaml.safe_load(text)
    if strange := set(found) - set(SECTIONS):
        raise ValueError(f"field {strange.pop()} not found in type loki.ConfigWrapper")
    limits, compactor = found.get("limits_config") or {}, found.get("compactor") or {}
    latest = (found.get("schema_config") or {}).get("configs", [{}])[-1]
    if limits.get("allow_structured_metadata", True) and (latest.get("schema"), latest.get("store")) != ("v13", "tsdb"):
        raise ValueError("structured metadata needs schema v13 and store tsdb")
    if compactor.get("retention_enabled") and not compactor.get("delete_request_store"):
        raise ValueError("compactor.delete-request-store should be configured when retention is enabled")
    return text, found


def main():
    """Reads the configuration and serves."""
    standin.announce("Loki 3.5.7", "that Loki accepts this configuration beyond the names of its sections, its storage, limits, compaction "
                                   "and retention on disk, LogQL beyond the part that dashboards use, or its memory use")
    try:
        text, found = settings()
        if flag("verify-config"):
            return 0
        period = str((found.get("limits_config") or {}).get("retention_period", "0s"))
        keep = logql.seconds(period) if (found.get("compactor") or {}).get("retention_enabled") and period[:1] != "0" else 0
        place = pathlib.Path((found.get("common") or {}).get("path_prefix", "/loki"))
        place.mkdir(parents=True, exist_ok=True)
        Loki.store, Loki.settings = Store(place, keep), text
    except (OSError, ValueError, TypeError, AttributeError, yaml.YAMLError, logql.QueryError) as error:
        return f"failed parsing config: {error}"

    def forget():
        while True:
            time.sleep(600)
            with Loki.store.lock:
                Loki.store.forget()

    standin.in_background(forget)
    return standin.serve(int((found.get("server") or {}).get("http_listen_port", 3100)), Loki)


if __name__ == "__main__":
    sys.exit(main())
