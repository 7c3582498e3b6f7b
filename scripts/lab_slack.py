#!/usr/bin/env python3
"""A place for alerts to arrive: Slack's incoming webhooks and a dead man's switch, each kept as JSON lines.

    /services/...    what a Slack webhook is sent, to slack.jsonl; answered as Slack does, `ok`
    /heartbeat...    a sign of life, to heartbeat.jsonl

A line has the time, the path and the body: an object where the body is JSON, otherwise text.
"""
import argparse
import http.server
import json
import pathlib
import threading
import time

import lab_aptcache

FILES = {"services": "slack.jsonl", "heartbeat": "heartbeat.jsonl"}


class Handler(http.server.BaseHTTPRequestHandler):
    """Keeps what is posted."""

    directory, lock = None, threading.Lock()
    timeout = 30

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode(errors="replace")
        try:
            body = json.loads(body)
        except ValueError:
            pass
        name = FILES.get(self.path.split("?")[0].strip("/").split("/")[0])
        if name:
            with self.lock, (self.directory / name).open("a") as out:
                out.write(json.dumps({"time": time.time(), "path": self.path, "body": body}) + "\n")
        data = b"ok" if name else b"no_service"
        self.send_response(200 if name else 404)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        """A heartbeat may be a GET as well; a Slack message may not."""
        return self.do_POST() if self.path.startswith("/heartbeat") else self.send_error(405)

    def log_message(self, format, *args):
        """Says nothing: the files tell."""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("port", type=int)
    parser.add_argument("addresses", nargs="+")
    options = parser.parse_args()
    Handler.directory = options.directory
    for name in FILES.values():
        (options.directory / name).touch()
    *others, last = [lab_aptcache.Server(address, options.port, Handler) for address in options.addresses]
    for server in others:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    last.serve_forever()
