#!/usr/bin/env python3
"""A small real service of the shape of a chat agent: an API that queues webhooks, a worker that takes them, a scheduler.

RUN_MODE       api (default), worker or scheduler
BROKEN         1: the API is never healthy, 2: no process starts
REDIS_URL      redis://[:password@]host:port/db
DATABASE_URL   postgresql://user:password@host:port/database

`agent.py health` asks the running process of the same container whether it is well: the container's health check.
"""
import base64
import hashlib
import http.server
import json
import os
import pathlib
import signal
import sys
import threading
import time
import urllib.request

import psycopg2
import redis

MODE = os.environ.get("RUN_MODE", "api")
PORT = int(os.environ.get("PORT", "8000"))
VERSION = os.environ.get("APP_VERSION", "1.0.0")
REDIS_URL = os.environ.get("REDIS_URL", "redis://redis:6379/0")
DATABASE_URL = os.environ.get("DATABASE_URL", "postgresql://postgres@postgres:5432/postgres")
TICK_SECONDS = 10
HEARTBEAT = pathlib.Path(os.environ.get("HEARTBEAT_FILE", "/tmp/heartbeat"))
QUEUE, DONE, TICKS = "agent:jobs", "agent:done", "agent:ticks"
# How often each webhook arrived and each job was done, by its id.
ARRIVED, WORKED = "agent:arrived", "agent:worked"
BROKEN = os.environ.get("BROKEN", "")
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
stopping = threading.Event()


def store():
    """A connection pool to Redis."""
    return redis.Redis.from_url(REDIS_URL, socket_timeout=15, socket_connect_timeout=2)


def database():
    """Whether PostgreSQL answers a query."""
    connection = psycopg2.connect(DATABASE_URL, connect_timeout=2)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            return cursor.fetchone() == (1,)
    finally:
        connection.close()


def log(event, **fields):
    """One JSON line on stdout."""
    print(json.dumps({"event": event, "mode": MODE, **fields}), flush=True)


class Metrics:
    """Request counters and a latency histogram, in Prometheus' text format."""

    def __init__(self):
        self.lock = threading.Lock()
        self.requests, self.buckets = {}, [0] * len(BUCKETS)
        self.sum, self.count = 0.0, 0

    def observe(self, method, route, status, seconds):
        """Counts one request."""
        with self.lock:
            labels = (method, route, status)
            self.requests[labels] = self.requests.get(labels, 0) + 1
            for index, bound in enumerate(BUCKETS):
                self.buckets[index] += seconds <= bound
            self.sum += seconds
            self.count += 1

    def text(self):
        """All series."""
        with self.lock:
            lines = ["# HELP http_requests_total Requests answered.", "# TYPE http_requests_total counter"]
            for (method, route, status), count in sorted(self.requests.items()):
                lines.append(f'http_requests_total{{method="{method}",route="{route}",status="{status}"}} {count}')
            lines += ["# HELP http_request_duration_seconds Time to answer.", "# TYPE http_request_duration_seconds histogram"]
            for bound, count in zip(BUCKETS, self.buckets):
                lines.append(f'http_request_duration_seconds_bucket{{le="{bound}"}} {count}')
            lines.append(f'http_request_duration_seconds_bucket{{le="+Inf"}} {self.count}')
            lines += [f"http_request_duration_seconds_sum {self.sum:.6f}", f"http_request_duration_seconds_count {self.count}"]
        return "\n".join(lines) + "\n"


class Api(http.server.BaseHTTPRequestHandler):
    """The web side."""

    protocol_version = "HTTP/1.1"
    timeout = 65
    server_version = f"agent/{VERSION}"
    redis, metrics = None, Metrics()

    def do_GET(self):
        started = time.monotonic()
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode(errors="replace")
        if self.headers.get("Upgrade", "").lower() == "websocket":
            return self.websocket()
        route = "/" + self.path.split("?")[0].strip("/").split("/")[0]
        answer = {"/": self.home, "/health": self.health, "/metrics": self.show_metrics, "/webhook": lambda: self.webhook(body)}.get(route)
        status, kind, text = answer() if answer else (404, "application/json", '{"detail": "Not Found"}')
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
        self.metrics.observe(self.command, route if answer else "other", status, time.monotonic() - started)

    do_HEAD = do_POST = do_GET

    def home(self):
        """Who answers, and what nginx told about the client."""
        names = ("Host", "X-Forwarded-For", "X-Forwarded-Proto", "X-Real-IP")
        return 200, "application/json", json.dumps({"service": "agent", "version": VERSION, "path": self.path,
                                                    "headers": {name: self.headers.get(name) for name in names}})

    def health(self):
        """200 when Redis and PostgreSQL answer."""
        checks = {}
        for name, ask in (("redis", self.redis.ping), ("postgres", database)):
            try:
                checks[name] = "ok" if ask() else "no answer"
            except (redis.RedisError, psycopg2.Error, OSError) as error:
                checks[name] = type(error).__name__
        well = set(checks.values()) == {"ok"} and not BROKEN
        return 200 if well else 503, "application/json", json.dumps({"status": "healthy" if well else "unhealthy", "version": VERSION, **checks})

    def show_metrics(self):
        """For Prometheus."""
        return 200, "text/plain; version=0.0.4", self.metrics.text()

    def webhook(self, body):
        """Puts the message into the queue and answers at once."""
        identity = self.headers.get("X-Id")
        job = {"path": self.path, "body": body, "at": time.time(), "id": identity}
        slow = self.path.split("/slow/")
        if len(slow) == 2:
            time.sleep(min(float(slow[1]), 120))
        try:
            if identity:
                self.redis.hincrby(ARRIVED, identity, 1)
            self.redis.rpush(QUEUE, json.dumps(job))
        except redis.RedisError as error:
            return 503, "application/json", json.dumps({"queued": False, "error": type(error).__name__})
        return 200, "application/json", json.dumps({"queued": True, "version": VERSION})

    def websocket(self):
        """RFC 6455, as far as an echo of short texts needs it."""
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        self.close_connection = True
        while head := self.rfile.read(2):
            mask, data = self.rfile.read(4), self.rfile.read(head[1] & 0x7F)
            if head[0] & 0x0F == 8:
                break
            self.wfile.write(bytes([0x81, len(data)]) + bytes(byte ^ mask[at % 4] for at, byte in enumerate(data)))

    def log_message(self, format, *args):
        log("request", client=self.client_address[0], line=format % args)


class Server(http.server.ThreadingHTTPServer):
    """Finishes the requests in hand before it ends."""

    daemon_threads = False
    request_queue_size = 256


def api():
    """Serves until it is told to stop."""
    Api.redis = store()
    server = Server(("0.0.0.0", PORT), Api)
    threading.Thread(target=lambda: (stopping.wait(), server.shutdown()), daemon=True).start()
    server.serve_forever(poll_interval=0.1)


def beat():
    """Leaves a sign of life for the health check."""
    try:
        HEARTBEAT.write_text(str(time.time()))
    except OSError as error:
        log("heartbeat failed", error=str(error))


def worker():
    """Takes one job after the other; a job in hand is finished before the process ends."""
    queue = store()
    while not stopping.is_set():
        try:
            taken = queue.blpop([QUEUE], timeout=1)
            if taken:
                job = json.loads(taken[1])
                time.sleep(float(os.environ.get("JOB_SECONDS", "0.05")))
                if job.get("id"):
                    queue.hincrby(WORKED, job["id"], 1)
                log("job done", path=job.get("path"), jobs=queue.incr(DONE))
            beat()
        except redis.RedisError as error:
            log("redis failed", error=type(error).__name__)
            stopping.wait(1)


def scheduler():
    """Puts a tick into the queue every ten seconds."""
    queue = store()
    while not stopping.is_set():
        try:
            queue.rpush(QUEUE, json.dumps({"path": "tick", "at": time.time()}))
            log("tick", ticks=queue.incr(TICKS))
            beat()
            stopping.wait(TICK_SECONDS)
        except redis.RedisError as error:
            log("redis failed", error=type(error).__name__)
            stopping.wait(1)


def health():
    """0 when the process of this container is well."""
    if MODE == "api":
        try:
            return 0 if urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=5).status == 200 else 1
        except OSError:
            return 1
    try:
        return 0 if time.time() - float(HEARTBEAT.read_text()) < 3 * TICK_SECONDS else 1
    except (OSError, ValueError):
        return 1


def main():
    """Runs in the mode that the environment names."""
    if sys.argv[1:] == ["health"]:
        return health()
    modes = {"api": api, "worker": worker, "scheduler": scheduler}
    if BROKEN == "2":
        return "this version does not start"
    if MODE not in modes:
        return f"RUN_MODE is `{MODE}`: set it to one of {', '.join(modes)}"
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stopping.set())
    log("started", version=VERSION, uid=os.getuid())
    modes[MODE]()
    log("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
