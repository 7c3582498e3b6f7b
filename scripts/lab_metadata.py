#!/usr/bin/env python3
"""Two tiny web servers of the lab: the metadata service of a cloud, and the page that a domain with wrong DNS ends at.

lab_metadata.py BODY ADDRESS PORT [ADDRESS PORT]...   answers every GET with BODY; each request is a line on stderr.
"""
import http.server
import sys
import threading

import lab_aptcache


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers whatever is asked with the same words."""

    body = b""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(self.body)

    do_HEAD = do_GET
    do_PUT = do_GET


def serve():
    """Starts one server for each pair of address and port."""
    Handler.body = sys.argv[1].encode()
    pairs = sys.argv[2:]
    servers = [lab_aptcache.Server(address, int(port), Handler) for address, port in zip(pairs[::2], pairs[1::2])]
    for server in servers[1:]:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    servers[0].serve_forever()


if __name__ == "__main__":
    serve()
