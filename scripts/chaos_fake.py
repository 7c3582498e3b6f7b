#!/usr/bin/env python3
"""Servers that are not well, in the place of the lab's own: chaos_fake.py KIND ADDRESS PORT UPSTREAM [CERTIFICATE KEY]

Kinds: `status-CODE` answers everything so; `truncated` hands out the first half of what UPSTREAM has and closes; `slow` passes everything
on, 256 KiB a second for each connection; `acme-limit` passes everything on but orders, of which there were too many.
"""
import http.server
import json
import socket
import ssl
import sys
import threading
import time
import urllib.error
import urllib.request

CHUNK, PAUSE = 16384, 1 / 16
ORDERS = ("order", "new-order")


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers HTTP as the kind says."""

    protocol_version = "HTTP/1.1"
    kind = upstream = ""

    def do_GET(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else None
        if self.kind.startswith("status-"):
            return self.answer(int(self.kind[7:]), b'{"errors": [{"code": "TOOMANYREQUESTS", "message": "not now"}]}', {"Retry-After": "30"})
        if self.kind == "acme-limit" and self.command == "POST" and self.path.strip("/").startswith(ORDERS):
            problem = {"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many new orders recently", "status": 429}
            # A client that has no fresh nonce for its next question would fail for that.
            return self.answer(429, json.dumps(problem).encode(), {"Content-Type": "application/problem+json", "Retry-After": "60", **self.nonce()})
        return self.pass_on(body)

    do_HEAD = do_POST = do_PUT = do_GET

    def ask(self, method, path, body=None):
        """The real server's answer to this request."""
        kept = ("accept", "content-type", "user-agent", "range", "host", "if-modified-since")
        headers = {key: value for key, value in self.headers.items() if key.lower() in kept}
        request = urllib.request.Request(self.upstream + path, data=body, headers=headers, method=method)
        try:
            return urllib.request.urlopen(request, timeout=60, context=ssl._create_unverified_context())
        except urllib.error.HTTPError as error:
            return error

    def nonce(self):
        """A fresh one of the ACME server's."""
        with self.ask("HEAD", "/nonce-plz") as answer:
            return {"Replay-Nonce": answer.headers["Replay-Nonce"]} if answer.headers.get("Replay-Nonce") else {}

    def pass_on(self, body):
        """What the real server says; of a file the first half, where it is `truncated`."""
        try:
            with self.ask(self.command, self.path, body) as answer:
                data = answer.read()
                headers = {key: value for key, value in answer.headers.items() if key.lower() not in ("transfer-encoding", "connection", "content-length", "date", "server")}
                length = int(answer.headers.get("Content-Length") or len(data))
        except OSError:
            self.close_connection = True
            return
        cut = self.kind == "truncated" and len(data) > 1
        self.answer(answer.status, data[: len(data) // 2] if cut else data, headers, length)
        self.close_connection = self.close_connection or cut

    def answer(self, status, data, headers, length=None):
        """One answer."""
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(data) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_):
        """Says nothing."""


def slowly(source, target):
    """Passes bytes on, and no more than so many a second."""
    try:
        while data := source.recv(CHUNK):
            target.sendall(data)
            time.sleep(PAUSE)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def relay(address, port, upstream):
    """A relay that takes its time."""
    host, _, to = upstream.partition("://")[2].rpartition(":")
    with socket.create_server((address, port), backlog=64) as server:
        while True:
            one, _ = server.accept()
            other = socket.create_connection((host, int(to)))
            for pair in ((one, other), (other, one)):
                threading.Thread(target=slowly, args=pair, daemon=True).start()


def main():
    """Serves until it is killed."""
    kind, address, port, upstream, *tls = sys.argv[1:]
    if kind == "slow":
        relay(address, int(port), upstream)
    Handler.kind, Handler.upstream = kind, upstream
    server = http.server.ThreadingHTTPServer((address, int(port)), Handler)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
