#!/usr/bin/env python3
"""Stand-in for the Docker socket proxy: passes on what the environment allows, for real, and answers 403 to the rest.

The switches are those of tecnativa/docker-socket-proxy: a section of the API each, and POST for everything that is not a GET.
"""
import os
import pathlib
import re
import socket
import sys
import threading
import urllib.parse

import standin

SOCKET = os.environ.get("SOCKET_PATH", "/var/run/docker.sock")
ON_BY_DEFAULT = ("EVENTS", "PING", "VERSION")
SECTIONS = """auth build commit configs containers distribution events exec grpc images info networks nodes plugins secrets services session
swarm system tasks version volumes""".split()


def on(name):
    """Whether a switch is on."""
    return os.environ.get(name, "1" if name in ON_BY_DEFAULT else "0").lower() in ("1", "true", "yes", "on")


def allowed(method, path):
    """Whether a request may pass. The match is on the beginning of a section's name, and in any case, as in the original."""
    if method not in ("GET", "HEAD") and not on("POST"):
        return False
    found = re.match(r"(?:/v[\d.]+)?(?:/\w+)??/(_ping|" + "|".join(SECTIONS) + ")", urllib.parse.unquote(path), re.IGNORECASE)
    return bool(found) and on(found[1].strip("_").upper())


class Proxy(standin.Handler):
    """Copies an allowed request to Docker, and the answer back as it comes, however long it takes."""

    def do_GET(self):
        if not allowed(self.command, self.path.partition("?")[0]):
            self.data = self.body()
            return self.answer(403, "<html><body><h1>403 Forbidden</h1>\nRequest forbidden by administrative rules.\n</body></html>\n")
        self.close_connection = True
        data = self.body()
        head = [f"{self.command} {self.path} HTTP/1.1", "Host: docker", "Connection: close", f"Content-Length: {len(data)}"]
        head += [f"{name}: {self.headers[name]}" for name in ("Content-Type", "X-Registry-Auth", "User-Agent") if name in self.headers]
        with socket.socket(socket.AF_UNIX) as daemon:
            try:
                daemon.connect(SOCKET)
                daemon.sendall("\r\n".join([*head, "", ""]).encode() + data)
            except OSError as error:
                standin.log("docker does not answer", error=str(error))
                return self.answer(503, "<html><body><h1>503 Service Unavailable</h1></body></html>\n")
            watcher = threading.Thread(target=self.watch, args=(daemon,), daemon=True)
            watcher.start()
            while chunk := daemon.recv(1 << 16):
                self.wfile.write(chunk)
        return None

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def watch(self, daemon):
        """Ends an endless answer, as of /events, when the client goes."""
        try:
            if not self.connection.recv(1):
                daemon.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def main():
    """Writes where the original writes, and serves."""
    standin.announce("tecnativa/docker-socket-proxy v0.4.1", "that HAProxy's own rules let through the same requests and no others")
    for name in ("/tmp/haproxy.cfg", "/run/haproxy.pid"):
        try:
            pathlib.Path(name).write_text("stand-in\n")
        except OSError as error:
            return f"socket proxy stand-in: the original writes {name}: {error}"
    return standin.serve(2375, Proxy)


if __name__ == "__main__":
    sys.exit(main())
