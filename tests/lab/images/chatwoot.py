#!/usr/bin/env python3
"""Stand-in for Chatwoot, installed as `bundle`: web server, job runner, database preparation and one-off commands.

bundle exec rails s -p 3000 -b 0.0.0.0      bundle exec sidekiq -C config/sidekiq.yml
bundle exec rails db:chatwoot_prepare       bundle exec rails runner CODE

Preparing a new database opens the first-run page, where the first visitor becomes administrator, as with Chatwoot: until its key is
gone from Redis. `rails runner` runs no code, but takes the key away when the code names it and `delete`.
"""
import os
import pathlib
import sys
import time

import psycopg2
import redis
import standin

WORK = pathlib.Path("/app")
ONBOARDING = "CHATWOOT_INSTALLATION_ONBOARDING"
KEY = "alfred:" + ONBOARDING
# Those that Chatwoot's schema enables; the first can be created by a superuser only.
EXTENSIONS = ("pg_stat_statements", "pg_trgm", "pgcrypto", "vector")


def on(name):
    """Whether a setting is on."""
    return os.environ.get(name, "false").lower() in ("true", "1")


def database():
    """A connection as the environment describes it."""
    name = os.environ.get
    return psycopg2.connect(host=name("POSTGRES_HOST", "localhost"), port=name("POSTGRES_PORT", "5432"),
                            dbname=name("POSTGRES_DATABASE", "chatwoot_production"), user=name("POSTGRES_USERNAME", "chatwoot_prod"),
                            password=name("POSTGRES_PASSWORD", ""), sslmode=name("PGSSLMODE", "disable"), connect_timeout=5)


def store():
    """A connection to Redis."""
    return redis.Redis.from_url(os.environ.get("REDIS_URL", "redis://redis:6379"), password=os.environ.get("REDIS_PASSWORD") or None,
                                socket_timeout=5, socket_connect_timeout=5)


def prepare():
    """Extensions and a table, made once; on a new database the first-run page is opened."""
    connection = database()
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('ar_internal_metadata') IS NULL")
        fresh = cursor.fetchone()[0]
        for extension in EXTENSIONS:
            cursor.execute(f"CREATE EXTENSION IF NOT EXISTS {extension}")
        cursor.execute("CREATE TABLE IF NOT EXISTS ar_internal_metadata (key text PRIMARY KEY, value text)")
        cursor.execute("INSERT INTO ar_internal_metadata VALUES ('environment', 'production') ON CONFLICT DO NOTHING")
    connection.close()
    if fresh:
        store().set(KEY, "true")
    standin.log("prepared", new_database=fresh)


def prepared():
    """Whether the database was prepared."""
    connection = database()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('ar_internal_metadata') IS NOT NULL")
            return cursor.fetchone()[0]
    finally:
        connection.close()


class Chatwoot(standin.Handler):
    """The web side."""

    def get(self):
        if on("FORCE_SSL") and self.headers.get("X-Forwarded-Proto") != "https":
            return self.redirect(f"https://{self.headers.get('Host')}{self.path}", 301)
        if self.wants_websocket() and self.path in ("/cable", "/ws"):
            return self.websocket()
        if self.path == "/health":
            return self.answer(200, {"status": "woot"})
        if self.path == "/api":
            return self.api()
        try:
            if not prepared():
                return self.answer(500, "the database is not prepared\n", "text/plain")
            first_run = store().exists(KEY)
        except (psycopg2.Error, redis.RedisError) as error:
            return self.answer(500, f"{type(error).__name__}\n", "text/plain")
        if self.path == "/installation/onboarding":
            return self.page("Become the administrator") if first_run else self.redirect("/")
        if self.path == "/" or self.path.startswith("/app"):
            return self.redirect("/installation/onboarding") if first_run else self.page("Stand-in for Chatwoot")
        return self.page("Sign in") if self.path == "/super_admin/sign_in" else self.answer(404, {"error": "Not Found"})

    def api(self):
        """Version, and whether the stores answer."""
        checks = {}
        for name, ask in (("queue_services", lambda: store().ping()), ("data_services", lambda: database().close() is None)):
            try:
                checks[name] = "ok" if ask() else "failing"
            except (psycopg2.Error, redis.RedisError):
                checks[name] = "failing"
        return self.answer(200, {"version": "4.6.0", "timestamp": time.strftime("%Y-%m-%d %H:%M:%S"), **checks})

    def page(self, words):
        """A small page."""
        return self.answer(200, f"<!DOCTYPE html><title>Chatwoot</title><p>{words}.\n")

    def post(self):
        if self.path == "/auth/sign_in":
            return self.answer(401, {"success": False, "errors": ["Invalid login credentials. Please try again."]})
        if self.path in ("/api/v1/accounts", "/api/v2/accounts"):
            return self.answer(422, {"message": "the stand-in makes no account"}) if on("ENABLE_ACCOUNT_SIGNUP") else self.answer(404, {})
        if self.path == "/installation/onboarding" and store().delete(KEY):
            return self.redirect("/")
        return self.answer(404, {"error": "Not Found"})


def server(words):
    """The web server; like Rails it keeps its process id in a file and does not start beside another."""
    if not os.environ.get("SECRET_KEY_BASE"):
        sys.exit("chatwoot stand-in: SECRET_KEY_BASE is missing")
    pid = WORK / "tmp/pids/server.pid"
    pid.write_text(f"{os.getpid()}\n")
    database().close()
    store().ping()
    return standin.serve(int(words[words.index("-p") + 1]) if "-p" in words else 3000, Chatwoot)


def sidekiq():
    """Takes jobs that nobody sends."""
    queue = store()
    queue.ping()
    if not prepared():
        sys.exit("chatwoot stand-in: the database is not prepared")
    standin.log("sidekiq", state="running")
    while True:
        try:
            if job := queue.blpop(["queue:default"], timeout=4):
                standin.log("job", text=job[1].decode(errors="replace"))
        except redis.RedisError as error:
            standin.log("redis failed", error=type(error).__name__)
            time.sleep(1)


def runner(words):
    """Runs no code, but needs the database, and closes the first-run page when the code would."""
    database().close()
    code = sys.stdin.read() if words == ["-"] else " ".join(words)
    if ONBOARDING in code and "delete" in code:
        store().delete(KEY)
    standin.log("runner", run=False, characters=len(code))


def main():
    """Finds out which program is wanted."""
    words = sys.argv[1:]
    standin.announce("Chatwoot 4.6.0", "Chatwoot's own migrations, that an account is made by `rails runner`, mail, channels, "
                                       "or its memory use")
    try:
        match words:
            case ["exec", "rails", "s" | "server", *rest]:
                return server(rest)
            case ["exec", "sidekiq", *_]:
                return sidekiq()
            case ["exec", "rails" | "rake", "db:chatwoot_prepare", *_]:
                return prepare()
            case ["exec", "rails", "runner", *rest]:
                return runner(rest)
            case ["install" | "check", *_]:
                return 0
    except (psycopg2.Error, redis.RedisError, OSError) as error:
        return f"chatwoot stand-in: {type(error).__name__}: {error}"
    return f"chatwoot stand-in: it does not know `bundle {' '.join(words)}`"


if __name__ == "__main__":
    sys.exit(main())
