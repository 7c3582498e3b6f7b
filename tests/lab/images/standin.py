"""What the stand-ins share: saying that they are stand-ins, a small web server, WebSockets, and talking to Docker.

A stand-in answers on the ports and paths of a program that cannot be had here, and writes where that program writes, so that
wiring, rights and routes are tested. It proves nothing else about the program.
"""
import base64
import hashlib
import http.client
import http.server
import json
import signal
import socket
import struct
import sys
import threading
import time
import urllib.parse

WEBSOCKET_KEY = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
LONGEST_FRAME = 16 << 20


def log(event, **fields):
    """One JSON line on stdout."""
    print(json.dumps({"event": event, **fields}), flush=True)


def announce(program, unproven):
    """The first line of every stand-in; the process then ends when it is told to, also as the first process of a container."""
    log("stand-in", stand_in_for=program, does_not_prove=unproven)
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: sys.exit(0))


def address(uri, port):
    """Host and port of a URI like scheme://user:password@host:port/path."""
    parts = urllib.parse.urlsplit(uri)
    return parts.hostname or "localhost", parts.port or port


class Handler(http.server.BaseHTTPRequestHandler):
    """A web handler: `answer` sends, `body` reads, `websocket` echoes. Subclasses write `get` and `post`."""

    protocol_version = "HTTP/1.1"
    timeout = 330
    quiet = ("/health", "/healthz", "/api/health", "/metrics", "/ready", "/-/ready", "/-/healthy")

    def do_GET(self):
        self.path, _, self.query = self.path.partition("?")
        self.data = self.body()
        if self.path.startswith("/stand-in/"):
            return self.try_route(*self.path.split("/")[2:])
        return self.get() if self.command in ("GET", "HEAD") else self.post()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_GET

    def get(self):
        """Nothing is here."""
        return self.answer(404, {"error": "Not Found"})

    post = get

    def try_route(self, word="", number="0", *_):
        """For the tests of a reverse proxy: /stand-in/sleep/N answers late, /stand-in/upload counts what arrives."""
        if word == "sleep":
            time.sleep(min(float(number), 300))
        return self.answer(200, {"stand-in": word, "received": len(self.data), "headers": dict(self.headers)})

    def body(self):
        """The whole body of the request."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        data = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def json(self):
        """The body as an object; empty when it is none."""
        try:
            found = json.loads(self.data)
        except ValueError:
            found = dict(urllib.parse.parse_qsl(self.data.decode(errors="replace")))
        return found if isinstance(found, dict) else {}

    def answer(self, status, content, kind=None, headers=()):
        """Sends text, or an object as JSON."""
        text = content if isinstance(content, str) else json.dumps(content)
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind or ("text/html; charset=utf-8" if isinstance(content, str) else "application/json"))
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def redirect(self, place, status=302):
        """Sends the client elsewhere."""
        return self.answer(status, "", headers=[("Location", place)])

    def wants_websocket(self):
        """Whether the client asks to speak WebSocket (RFC 6455)."""
        return self.headers.get("Upgrade", "").lower() == "websocket" and self.headers.get("Sec-WebSocket-Key")

    def websocket(self):
        """Greets, and sends every text frame back until the client goes."""
        digest = hashlib.sha1(self.headers["Sec-WebSocket-Key"].encode() + WEBSOCKET_KEY).digest()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(digest).decode())
        self.end_headers()
        self.close_connection = True
        while frame := self.frame():
            first, data = frame
            code = first & 15
            reply = {8: 8, 9: 10}.get(code, code)
            if code != 10:
                self.wfile.write(bytes([first & 0xF0 | reply]) + length(len(data)) + data)
            if code == 8:
                return

    def frame(self):
        """First byte and unmasked contents of the next frame; None when the client has gone."""
        head = self.rfile.read(2)
        if len(head) < 2:
            return None
        size = head[1] & 127
        if size > 125:
            wide = {126: ("!H", 2), 127: ("!Q", 8)}[size]
            size = struct.unpack(wide[0], self.rfile.read(wide[1]))[0]
        if size > LONGEST_FRAME:
            return None
        mask = self.rfile.read(4) if head[1] & 128 else bytes(4)
        data = self.rfile.read(size)
        whole = mask * (size // 4 + 1)
        return head[0], bytes(left ^ right for left, right in zip(data, whole))

    def log_message(self, format, *args):
        path = getattr(self, "path", "")
        if not path.endswith(self.quiet):
            log("request", client=self.client_address[0], line=format % args)


def length(size):
    """The length field of a frame that the server sends."""
    if size < 126:
        return bytes([size])
    return bytes([126]) + struct.pack("!H", size) if size < 1 << 16 else bytes([127]) + struct.pack("!Q", size)


class Server(http.server.ThreadingHTTPServer):
    """Listens on both families, or on IPv4 where there is no other."""

    daemon_threads = True
    request_queue_size = 128

    def server_bind(self):
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def serve(port, handler, host="0.0.0.0"):
    """Serves until the process is told to end; 0.0.0.0 means every address of both families."""
    try:
        if host != "0.0.0.0":
            raise OSError("one address")
        Server.address_family = socket.AF_INET6
        server = Server(("::", port), handler)
    except OSError:
        Server.address_family = socket.AF_INET
        server = Server((host, port), handler)
    log("listening", port=port)
    server.serve_forever()


def in_background(function):
    """Runs a function beside the server."""
    threading.Thread(target=function, daemon=True).start()


class UnixConnection(http.client.HTTPConnection):
    """HTTP through a socket file."""

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.host)


def docker(daemon, path):
    """What Docker's API answers to a GET, as an object; raises OSError when it refuses."""
    parts = urllib.parse.urlsplit(daemon)
    if parts.scheme == "unix":
        connection = UnixConnection(parts.path, timeout=10)
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port or 2375, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": "docker"})
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
    except http.client.HTTPException as error:
        raise OSError(f"{daemon}{path}: {type(error).__name__}") from None
    finally:
        connection.close()
    if answer.status != 200:
        raise OSError(f"{daemon}{path}: status {answer.status}")
    try:
        return json.loads(text)
    except ValueError:
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]
