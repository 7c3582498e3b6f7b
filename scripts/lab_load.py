#!/usr/bin/env python3
"""A client that forgives nothing: so many POSTs a second, each with an id of its own, none of them sent twice.

A part goes over connections that are kept and used in turn, the rest over a fresh one each. The rate does not depend on the answers.
Runs until it gets SIGTERM, lets what is under way end, and prints what it saw as JSON.
"""
import argparse
import asyncio
import collections
import json
import signal
import ssl
import sys
import time

ANSWER_SECONDS = 30


class Connection:
    """One TLS connection over which one request at a time goes."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, options, context):
        """Connects."""
        return cls(*await asyncio.open_connection(options.address, options.port, ssl=context, server_hostname=options.host))

    async def post(self, options, identity, close):
        """Sends a request once; status, body, and whether the connection stays."""
        body = json.dumps({"id": identity}).encode()
        head = f"POST {options.path}{identity} HTTP/1.1\r\nHost: {options.host}\r\nX-Id: {identity}\r\nContent-Length: {len(body)}\r\n"
        self.writer.write((head + ("Connection: close\r\n" if close else "") + "\r\n").encode() + body)
        await self.writer.drain()
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        answer = await self.reader.readexactly(int(fields.get("content-length", 0)))
        return int(lines[0].split()[1]), answer, fields.get("connection") != "close"

    def close(self):
        """Ends it without waiting."""
        self.writer.close()


class Load:
    """The whole of it."""

    def __init__(self, options):
        self.options = options
        self.context = ssl._create_unverified_context()
        self.idle, self.tasks = collections.deque(), set()
        self.failed, self.versions, self.seen = [], collections.Counter(), collections.Counter()
        self.stopping = asyncio.Event()

    async def kept(self):
        """The connection that was idle longest; one that the server closed meanwhile is no loss, and no use."""
        while len(self.idle) >= self.options.kept:
            connection = self.idle.popleft()
            if not connection.reader.at_eof():
                return connection
            self.seen["closed while idle"] += 1
            connection.close()
        self.seen["opened to be kept"] += 1
        return await Connection.open(self.options, self.context)

    async def one(self, number):
        """One request."""
        identity = f"{self.options.prefix}{number}"
        fresh = number % self.options.fresh == 0
        started, connection = time.time(), None
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                connection = await (Connection.open(self.options, self.context) if fresh else self.kept())
                status, answer, stays = await connection.post(self.options, identity, fresh)
            self.seen["fresh" if fresh else "kept"] += 1
            if status != 200:
                self.failed.append([identity, started, fresh, f"status {status}"])
            else:
                self.versions[json.loads(answer).get("version")] += 1
            if stays and not fresh:
                self.idle.append(connection)
            else:
                connection.close()
        except Exception as error:  # whatever it is, it is a lost request
            self.failed.append([identity, started, fresh, f"{type(error).__name__}: {error}"])
            if connection:
                connection.close()

    async def run(self):
        """Sends by the clock until it is told to stop."""
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self.stopping.set)
        for _ in range(self.options.kept):
            self.idle.append(await Connection.open(self.options, self.context))
        start, number = loop.time(), 0
        while not self.stopping.is_set():
            while number < (loop.time() - start) * self.options.rate:
                task = asyncio.create_task(self.one(number))
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)
                number += 1
            await asyncio.sleep(0.002)
        seconds = loop.time() - start
        while self.tasks:
            await asyncio.wait(set(self.tasks))
        return {"sent": number, "seconds": round(seconds, 1), "failed": self.failed, "versions": self.versions, "seen": self.seen}


def main():
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("host")
    parser.add_argument("--port", type=int, default=443)
    parser.add_argument("--path", default="/webhook/")
    parser.add_argument("--prefix", default="r")
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--kept", type=int, default=40, help="connections that are kept")
    parser.add_argument("--fresh", type=int, default=5, help="each so many-th request has a connection of its own")
    json.dump(asyncio.run(Load(parser.parse_args()).run()), sys.stdout)


if __name__ == "__main__":
    main()
