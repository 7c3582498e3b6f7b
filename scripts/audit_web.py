"""What is sent to nginx to break it or to deceive what stands behind it."""
import contextlib
import http.client
import json
import socket
import ssl
import time

from lab_common import run

LIMIT = 40


def anybody():
    """TLS with whoever answers: the lab's machines are reached by their addresses."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class Wire:
    """Bytes to a machine's HTTPS port, and what comes back."""

    def __init__(self, address, host, source=None):
        plain = socket.create_connection((address, 443), LIMIT, (source, 0) if source else None)
        self.socket = anybody().wrap_socket(plain, server_hostname=host)

    def say(self, data):
        """Sends bytes, and returns all that is answered until the other side ends or is silent."""
        got = b""
        with contextlib.suppress(OSError):
            self.socket.sendall(data)
        try:
            while block := self.socket.recv(65536):
                got += block
                if self.whole(got):
                    break
        except TimeoutError:
            # Silence is no refusal.
            got += b"\n(silence)"
        except OSError:
            pass
        return got

    @staticmethod
    def whole(got):
        """Whether an answer's body has come, where its length is told."""
        head, end, body = got.partition(b"\r\n\r\n")
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                return bool(end) and len(body) >= int(line.split(b":")[1])
        return False

    def close(self):
        """Ends it."""
        self.socket.close()


def status(answer):
    """The number in an answer's first line; 0 where there was none."""
    words = answer.split(b" ", 2)
    return int(words[1]) if answer.startswith(b"HTTP/1.1 ") and words[1].isdigit() else 0


class Edge:
    """One host of a machine."""

    def __init__(self, audit):
        self.address, self.host = audit.address, audit.plan["hosts"][0]

    def raw(self, request, host=None):
        """The answer to bytes, `HOST` replaced."""
        wire = Wire(self.address, host or self.host)
        try:
            return wire.say(request.replace(b"HOST", (host or self.host).encode()))
        finally:
            wire.close()

    def get(self, path, *headers, method="GET"):
        """The answer to a request with these header lines."""
        lines = [f"{method} {path} HTTP/1.1", "Host: HOST", *headers, "Connection: close", "", ""]
        return self.raw("\r\n".join(lines).encode())

    def seen(self, path, *headers):
        """What the service says that it got; nothing where it was not asked."""
        answer = self.get(path, *headers)
        with contextlib.suppress(ValueError):
            return json.loads(answer.partition(b"\r\n\r\n")[2])
        return {}


def slow(edge, first, drip):
    """Seconds until a client that sends a byte at a time is left alone."""
    wire = Wire(edge.address, edge.host)
    start = time.monotonic()
    try:
        wire.socket.sendall(first)
        wire.socket.settimeout(1)
        while time.monotonic() - start < 90:
            try:
                if wire.socket.recv(4096):
                    break
                break
            except TimeoutError:
                wire.socket.sendall(drip)
    except OSError:
        pass
    finally:
        wire.close()
    return time.monotonic() - start


def attacks(audit, _):
    """Requests that mean one thing to nginx and another to a service, and what is only large or slow."""
    edge, hold = Edge(audit), audit.hold
    refused = lambda answer: status(answer) in (400, 405, 413, 414, 501) or not answer  # noqa: E731
    name = lambda answer: str(status(answer) or "closed")  # noqa: E731
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: HOST\r\n\r\n"
    for what, lines in (
        ("both lengths", b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled),
        ("two lengths", b"Content-Length: 0\r\nContent-Length: 40\r\n\r\n" + smuggled),
        ("a length with a sign", b"Content-Length: +5\r\n\r\nhello"),
        ("an encoding nobody knows", b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + smuggled),
        ("two encodings", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + smuggled),
        ("a space before the colon", b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + smuggled),
        ("a chunk's length that is none", b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n"),
        ("a header with a NUL", b"X-A: a\0b\r\n\r\n"),
    ):
        answer = edge.raw(b"POST / HTTP/1.1\r\nHost: HOST\r\n" + lines)
        hold(f"smuggling: {what}", refused(answer) and b"/smuggled" not in answer, name(answer))
    answer = edge.get("/", "X-Large: " + "a" * 70000)
    hold("a header of 70,000 bytes", refused(answer), name(answer))
    answer = edge.get("/" + "a" * 40000)
    hold("a path of 40,000 bytes", refused(answer), name(answer))
    answer = edge.get("/", *(f"X-{n}: {'a' * 500}" for n in range(400)))
    hold("400 headers", refused(answer), name(answer))
    answer = edge.get("/", "Content-Length: 99999999999", method="POST")
    hold("a body of 100 GB", status(answer) == 413, name(answer))
    for method in ("TRACE", "CONNECT", "TRACK"):
        answer = edge.get("/", method=method)
        hold(f"the method {method}", refused(answer) or status(answer) == 404, name(answer))
    for path in ("/..%2f..%2f..%2fetc/passwd", "/plain/..%2f..%2f..%2fetc/passwd", "/plain/..;/..;/etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/plain/%5c..%5c..%5cetc/passwd", "//etc/passwd"):
        answer = edge.get(path)
        hold(f"the path {path}", b"root:x:" not in answer and status(answer) in (200, 400, 404), name(answer))
    answer = edge.get("/../../etc/passwd")
    hold("the path /../../etc/passwd", status(answer) == 400, name(answer))
    secret = [path for path in ("/metrics", "/metrics/", "/%6detrics", "//metrics", "/x/../metrics", "/./metrics", "/plain/metrics", "/plain/..%2fmetrics", "/plain/%2e%2e/metrics", "/plain//metrics")
              if status(edge.get(path)) != 404]
    hold("/metrics is for Prometheus alone, however it is written", not secret, ", ".join(secret) or "404")
    for what, request in (
        ("another host", b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
        ("no host", b"GET / HTTP/1.1\r\n\r\n"),
        ("two hosts", b"GET / HTTP/1.1\r\nHost: HOST\r\nHost: evil.example\r\n\r\n"),
        ("an address of another host", b"GET https://evil.example/ HTTP/1.1\r\nHost: HOST\r\n\r\n"),
        ("a host with a path", b"GET / HTTP/1.1\r\nHost: HOST/../evil\r\n\r\n"),
    ):
        answer = edge.raw(request)
        hold(f"Host: {what}", refused(answer), name(answer))
    answer = edge.raw(b"GET / HTTP/1.1\r\nHost: HOST\r\n\r\n", host="evil.example")
    hold("a name in the handshake that is not ours", not answer, name(answer))
    lies = ["X-Forwarded-For: 1.2.3.4", "X-Real-IP: 1.2.3.4", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: ftp", "X-Forwarded-Port: 666", "Forwarded: host=evil.example", "Proxy: http://evil.example",
            "X_Forwarded_Host: evil.example"]
    for path in ("/", "/plain/x", "/turns/x"):
        got = edge.seen(path, *lies)
        believed = [f"{key}: {value}" for key, value in got.get("headers", [["none", "evil"]]) if any(lie in value for lie in ("1.2.3.4", "ftp", "666", "evil"))]
        hold(f"what a client says of itself is not believed ({path})", not believed, "; ".join(believed) or "none of it arrives")
        if path != "/":
            hold(f"the prefix is taken off ({path})", got.get("path") == "/x", got.get("path", "?"))
    answer = edge.get("/").partition(b"\r\n\r\n")[0].decode().lower()
    lacking = [header for header in ("strict-transport-security", "x-content-type-options", "x-frame-options", "referrer-policy", "permissions-policy") if header not in answer]
    hold("headers that browsers heed", not lacking, "lacking: " + ", ".join(lacking) if lacking else "all five")
    hold("nginx tells no version", "nginx/" not in answer, "none")
    took = slow(edge, b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ", b"a")
    hold("a client that sends its header byte by byte", took < 40, f"left alone after {took:.0f} s")
    took = slow(edge, f"POST / HTTP/1.1\r\nHost: {edge.host}\r\nContent-Length: 1000\r\n\r\n".encode(), b"")
    hold("a client that announces a body and sends none", took < 60, f"left alone after {took:.0f} s")
    many = [Wire(edge.address, edge.host) for _ in range(300)]
    for wire in many:
        wire.socket.sendall(b"GET / HTTP/1.1\r\nX-A: ")
    start = time.monotonic()
    answer = edge.get("/")
    hold("answers beside 300 clients that never finish", status(answer) == 200, f"{time.monotonic() - start:.2f} s")
    for wire in many:
        wire.close()


class Guesser:
    """Somebody at an address of his own in the lab's network."""

    def __init__(self, lab):
        self.machine, self.device = lab["guest_address"], lab["bridge"]
        self.address = lab["host_address"].rpartition(".")[0] + ".77"
        run("ip", "address", "replace", f"{self.address}/{lab['prefix']}", "dev", self.device)

    def close(self):
        """Goes."""
        run("ip", "address", "del", f"{self.address}/24", "dev", self.device, check=False)

    def ask(self, host, method, path):
        """The status of an answer, 0 where there is none."""
        wire = None
        try:
            wire = Wire(self.machine, host, self.address)
            wire.socket.settimeout(5)
            return status(wire.say(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()))
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            if wire:
                wire.close()

    def until_banned(self, host, path):
        """How many guesses were answered."""
        for number in range(60):
            if not self.ask(host, "POST", path):
                return number
            time.sleep(0.5)
        return 60

    def gets(self, host, path):
        """Whether it is answered."""
        return bool(self.ask(host, "GET", path))

    @staticmethod
    def waits(test):
        """Whether something comes to be within a minute."""
        for _ in range(60):
            if test():
                return True
            time.sleep(1)
        return False
