#!/usr/bin/env python3
"""A small caching front for Debian's archive: http://ADDRESS:PORT/debian/... and /debian-security/...

Files that never change (the pool, by-hash indices) are kept for good; others are asked for again after a while, and
served old when the mirror does not answer. The mirrors are those of this machine's own apt configuration.
"""
import argparse
import email.utils
import http.server
import os
import pathlib
import shutil
import socket
import tempfile
import threading
import time
import urllib.error
import urllib.request

import lab_common

FRESH_SECONDS = 3600
LOCKS = {}
LOCKS_GUARD = threading.Lock()


class Archive:
    """The mirrors and the directory in which their files are kept."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.mirrors = lab_common.mirrors()
        proxy = lab_common.apt_proxy()
        handlers = [urllib.request.ProxyHandler({"http": proxy, "https": proxy})] if proxy else []
        self.opener = urllib.request.build_opener(*handlers)

    def file(self, path):
        """The kept file of a request path, fetched when it is missing or old; raises HTTPError as the mirror did."""
        name, _, rest = path.lstrip("/").partition("/")
        parts = rest.split("/")
        if name not in self.mirrors or not rest or any(part in ("", ".", "..") for part in parts):
            raise urllib.error.HTTPError(path, 404, "Not Found", {}, None)
        kept = self.directory / name / rest
        if self.usable(kept):
            return kept
        with LOCKS_GUARD:
            lock = LOCKS.setdefault(str(kept), threading.Lock())
        with lock:
            if not self.usable(kept):
                self.fetch(f"{self.mirrors[name]}/{rest}", kept)
        return kept

    @staticmethod
    def usable(kept):
        """Whether a kept file can be served without asking the mirror."""
        try:
            age = time.time() - kept.stat().st_ctime
        except FileNotFoundError:
            return False
        return "pool" in kept.parts or "by-hash" in kept.parts or age < FRESH_SECONDS

    def fetch(self, url, kept):
        """Fetches to a temporary name and renames; keeps what is there when the mirror does not answer."""
        kept.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self.opener.open(url, timeout=60) as answer, tempfile.NamedTemporaryFile(dir=kept.parent, delete=False) as out:
                try:
                    shutil.copyfileobj(answer, out, 1 << 18)
                    expected = answer.headers.get("Content-Length")
                    if expected and int(expected) != out.tell():
                        raise OSError("the mirror closed the connection early")
                except BaseException:
                    os.unlink(out.name)
                    raise
                modified = answer.headers.get("Last-Modified")
            if modified:
                stamp = email.utils.parsedate_to_datetime(modified).timestamp()
                os.utime(out.name, (stamp, stamp))
            os.chmod(out.name, 0o644)
            os.rename(out.name, kept)
        except urllib.error.HTTPError:
            raise
        except OSError:
            if not kept.exists():
                raise


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers GET and HEAD out of the archive."""

    protocol_version = "HTTP/1.1"
    timeout = 120
    archive = None

    def do_GET(self):
        try:
            kept = self.archive.file(urllib.request.unquote(self.path))
            size, mtime = kept.stat().st_size, int(kept.stat().st_mtime)
        except urllib.error.HTTPError as error:
            return self.refuse(error.code)
        except OSError:
            return self.refuse(502)
        since = self.headers.get("If-Modified-Since")
        unchanged = since and email.utils.parsedate_to_datetime(since).timestamp() >= mtime
        self.send_response(304 if unchanged else 200)
        self.send_header("Last-Modified", email.utils.formatdate(mtime, usegmt=True))
        if not unchanged:
            self.send_header("Content-Length", str(size))
        self.end_headers()
        if not unchanged and self.command == "GET":
            with kept.open("rb") as source:
                self.connection.sendfile(source)
        return None

    do_HEAD = do_GET

    def refuse(self, code):
        """An empty answer with an error status."""
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format, *args):
        """Says nothing: apt's own log tells enough."""


class Server(http.server.ThreadingHTTPServer):
    """Listens on an address of either family."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address, port, handler):
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, port), handler)


def serve(address, port):
    """A server on the lab's own cache directory; the caller runs it."""
    Handler.archive = Archive(lab_common.cache_dir("apt"))
    return Server(address, port, Handler)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    options = parser.parse_args()
    serve(options.address, options.port).serve_forever()
