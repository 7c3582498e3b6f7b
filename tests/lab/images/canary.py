#!/usr/bin/env python3
"""Listens on every address, IPv4 and IPv6, and greets whoever connects: if a scan from outside sees it, the firewall leaks."""
import socket
import sys
import threading


def listen(family, address, port):
    """Greets forever on one address; without IPv6 there is nothing to do for it."""
    try:
        server = socket.create_server((address, port), family=family)
    except OSError as error:
        print(f"not listening on {address}: {error}", flush=True)
        return
    print(f"listening on {address} port {port}", flush=True)
    while True:
        connection, _ = server.accept()
        with connection:
            try:
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\ncanary\n")
            except OSError:
                continue


if __name__ == "__main__":
    number = int(sys.argv[1])
    threading.Thread(target=listen, args=(socket.AF_INET6, "::", number), daemon=True).start()
    listen(socket.AF_INET, "0.0.0.0", number)
