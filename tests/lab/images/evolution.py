#!/usr/bin/env python3
"""Stand-in for Evolution API: connects to PostgreSQL and Redis for real, writes a file, answers on its paths and echoes WebSockets."""
import hmac
import os
import pathlib
import sys
import urllib.parse

import psycopg2
import redis
import standin
from psycopg2 import sql

DATABASE_URI = os.environ.get("DATABASE_CONNECTION_URI", "")
REDIS_URI = os.environ.get("CACHE_REDIS_URI", "")
KEY = os.environ.get("AUTHENTICATION_API_KEY", "")
WORK = pathlib.Path("/evolution")


def migrate():
    """What `prisma migrate deploy` does at each start, in small: the schema that the URI names, and a table of its own in it."""
    parts = urllib.parse.urlsplit(DATABASE_URI)
    schema = sql.Identifier(dict(urllib.parse.parse_qsl(parts.query)).get("schema", "public"))
    connection = psycopg2.connect(urllib.parse.urlunsplit(parts._replace(query="")), connect_timeout=5)
    with connection, connection.cursor() as cursor:
        for statement in (
            "CREATE SCHEMA IF NOT EXISTS {}",
            'CREATE TABLE IF NOT EXISTS {}."Instance" (id serial PRIMARY KEY, name text UNIQUE)',
            """INSERT INTO {}."Instance" (name) VALUES ('stand-in') ON CONFLICT DO NOTHING""",
        ):
            cursor.execute(sql.SQL(statement).format(schema))
    connection.close()


class Evolution(standin.Handler):
    """The web side."""

    def get(self):
        if self.wants_websocket() and self.path.rstrip("/") in ("/socket.io", "/ws"):
            return self.websocket()
        if self.path == "/":
            return self.answer(200, {"status": 200, "message": "Welcome to the Evolution API, it is working!", "version": "2.3.6",
                                     "clientName": os.environ.get("DATABASE_CONNECTION_CLIENT_NAME"),
                                     "manager": f"http://{self.headers.get('Host')}/manager"})
        if self.path.startswith("/manager"):
            return self.answer(200, "<!DOCTYPE html><title>Evolution Manager</title><p>Stand-in for Evolution API.\n")
        if not KEY or not hmac.compare_digest(self.headers.get("apikey", ""), KEY):
            return self.answer(401, {"status": 401, "error": "Unauthorized", "response": {"message": "Unauthorized"}})
        if self.path == "/instance/fetchInstances":
            return self.answer(200, [{"name": "stand-in", "connectionStatus": "close"}])
        return self.answer(404, {"status": 404, "error": "Not Found"})

    post = get


def main():
    """Everything that the real one needs must be there at the start."""
    standin.announce("Evolution API 2.3.6", "anything of WhatsApp, that Evolution accepts these settings, its migrations, its memory use")
    if os.environ.get("DATABASE_PROVIDER") not in ("postgresql", "psql_bouncer", "mysql"):
        return "evolution stand-in: DATABASE_PROVIDER must be postgresql, psql_bouncer or mysql"
    try:
        migrate()
        redis.Redis.from_url(REDIS_URI, socket_connect_timeout=5).set("evolution:stand-in", "1")
        # The real one copies its migrations at each start, so it needs its own directory writable too.
        for name in ("prisma/migrations", "instances"):
            (WORK / name).mkdir(parents=True, exist_ok=True)
        (WORK / "instances" / "stand-in.json").write_text('{"name": "stand-in"}\n')
    except (psycopg2.Error, redis.RedisError, ValueError, OSError) as error:
        return f"evolution stand-in: {type(error).__name__}: {error}"
    return standin.serve(int(os.environ.get("SERVER_PORT", "8080")), Evolution)


if __name__ == "__main__":
    sys.exit(main())
