#!/usr/bin/env python3
"""Stand-in for Grafana: health, login, sign-up and sub-path as Grafana answers them; reads what is provisioned, and draws nothing."""
import base64
import hashlib
import hmac
import json
import os
import pathlib
import re
import secrets
import sqlite3
import sys
import urllib.parse

import standin
import yaml

PROVISIONING = pathlib.Path(os.environ.get("GF_PATHS_PROVISIONING", "/etc/grafana/provisioning"))
DATABASE = pathlib.Path(os.environ.get("GF_PATHS_DATA", "/var/lib/grafana")) / "grafana.db"
BUILT_IN = ("grafana", "-- Grafana --", "-- Mixed --", "-- Dashboard --")


def setting(name, default=""):
    """GF_NAME, or the contents of the file that GF_NAME__FILE names."""
    file = os.environ.get(f"GF_{name}__FILE")
    return pathlib.Path(file).read_text().strip() if file else os.environ.get(f"GF_{name}", default)


def yes(name):
    """Whether a setting is on."""
    return setting(name).lower() in ("true", "1", "yes")


def digest(password, salt):
    """A password as the database keeps it."""
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), 10000).hex()


def first_start():
    """The administrator's password counts when the database is made, and never again: as with Grafana."""
    store = sqlite3.connect(DATABASE)
    with store:
        store.execute("CREATE TABLE IF NOT EXISTS user (login TEXT PRIMARY KEY, password TEXT, salt TEXT)")
        salt = secrets.token_hex(8)
        row = (setting("SECURITY_ADMIN_USER", "admin"), digest(setting("SECURITY_ADMIN_PASSWORD", "admin"), salt), salt)
        if not store.execute("SELECT 1 FROM user").fetchone():
            store.execute("INSERT INTO user VALUES (?, ?, ?)", row)
    found = store.execute("SELECT login, password, salt FROM user").fetchall()
    store.close()
    return {login: (password, salt) for login, password, salt in found}


def expand(value):
    """$NAME and ${NAME} in a provisioning file, $$ for a dollar."""
    if isinstance(value, dict):
        return {key: expand(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [expand(inner) for inner in value]
    if not isinstance(value, str):
        return value
    return re.sub(r"\$(\$|\w+|\{\w+\})", lambda match: "$" if match[1] == "$" else os.environ.get(match[1].strip("{}"), ""), value)


def read(path, parse):
    """A file's contents; its name in the message when they do not parse."""
    try:
        return parse(path.read_text())
    except (ValueError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from None


def provisioned(kind):
    """The entries of all files of one kind of provisioning."""
    for path in sorted([*PROVISIONING.glob(f"{kind}/*.yml"), *PROVISIONING.glob(f"{kind}/*.yaml")]):
        content = expand(read(path, yaml.safe_load) or {})
        if content.get("apiVersion") != 1:
            raise ValueError(f"{path}: apiVersion must be 1")
        yield from content.get({"dashboards": "providers"}.get(kind, kind)) or []


def sources_of(value):
    """The uid of every data source that some part of a dashboard names."""
    if isinstance(value, dict):
        source = value.get("datasource")
        if source:
            yield source.get("uid") if isinstance(source, dict) else source
        for inner in value.values():
            yield from sources_of(inner)
    if isinstance(value, list):
        for inner in value:
            yield from sources_of(inner)


def provision():
    """Data sources and dashboards; raises ValueError or OSError where Grafana would refuse to start, or to show the dashboard."""
    sources = {}
    for source in provisioned("datasources"):
        if missing := {"name", "type"} - set(source):
            raise ValueError(f"data source {source.get('name')}: {missing.pop()} is missing")
        sources[source.get("uid") or source["name"]] = source
    if sum(bool(source.get("isDefault")) for source in sources.values()) > 1:
        raise ValueError("only one data source can be the default")
    boards = {}
    for provider in provisioned("dashboards"):
        folder = pathlib.Path(provider["options"]["path"])
        if not folder.is_dir():
            raise ValueError(f"dashboard provider {provider.get('name')}: there is no directory {folder}")
        for path in sorted(folder.rglob("*.json")):
            board = read(path, json.loads)
            name = board.get("uid") or path.stem
            if not board.get("title") or len(name) > 40 or name in boards:
                raise ValueError(f"{path}: a dashboard needs a title and a uid of its own of at most 40 characters")
            known = {*sources, *(source["name"] for source in sources.values()), *BUILT_IN, None}
            strange = {uid for uid in sources_of(board) if uid not in known and not str(uid).startswith("$")}
            if strange:
                raise ValueError(f"{path}: no data source has the uid {sorted(strange)[0]}")
            boards[name] = board
    return sources, boards


class Grafana(standin.Handler):
    """The web side."""

    users, sources, boards, sessions = {}, {}, {}, set()
    root = setting("SERVER_ROOT_URL", "http://localhost:3000/")
    prefix = urllib.parse.urlsplit(root).path.rstrip("/") if yes("SERVER_SERVE_FROM_SUB_PATH") else ""

    def inside(self):
        """The path without the prefix; None when the client must be sent to the prefix. As in Grafana, the API answers without it."""
        if self.prefix and not self.path.startswith(self.prefix):
            return self.path if self.path.startswith(("/api", "/metrics", "/healthz")) else None
        return self.path[len(self.prefix):] or "/"

    def known(self, login, password):
        """Whether these credentials are right."""
        kept, salt = self.users.get(login, ("", ""))
        return hmac.compare_digest(kept, digest(password, salt))

    def logged_in(self):
        """By session cookie or by basic authentication."""
        if self.headers.get("Authorization", "").startswith("Basic "):
            login, _, password = base64.b64decode(self.headers["Authorization"][6:]).decode(errors="replace").partition(":")
            return self.known(login, password)
        return any(f"grafana_session={session}" in self.headers.get("Cookie", "") for session in self.sessions)

    def get(self):
        path = self.inside()
        if path is None:
            return self.redirect(self.root.rstrip("/") + self.path, 301)
        if path == "/api/health":
            return self.answer(200, {"database": "ok", "version": "12.1.1", "commit": "stand-in"})
        if path == "/metrics":
            return self.answer(200, '# TYPE grafana_build_info gauge\ngrafana_build_info{version="12.1.1"} 1\n', "text/plain")
        if path == "/login":
            return self.answer(200, "<!DOCTYPE html><title>Grafana</title><p>Stand-in for Grafana: log in by POST.\n")
        if not self.logged_in():
            return self.answer(401, {"message": "Unauthorized"}) if path.startswith("/api") else self.redirect(f"{self.prefix}/login")
        if path == "/api/datasources":
            return self.answer(200, [{"uid": uid, **source} for uid, source in self.sources.items()])
        if path == "/api/search":
            return self.answer(200, [{"uid": uid, "title": board["title"], "type": "dash-db"} for uid, board in self.boards.items()])
        if path.startswith("/api/dashboards/uid/"):
            board = self.boards.get(path.rpartition("/")[2])
            return self.answer(200, {"dashboard": board}) if board else self.answer(404, {"message": "Dashboard not found"})
        if path == "/api/user":
            return self.answer(200, {"login": next(iter(self.users)), "isGrafanaAdmin": True})
        return self.answer(200, "<!DOCTYPE html><title>Grafana</title><p>Stand-in for Grafana: logged in.\n")

    def post(self):
        path, form = self.inside(), self.json()
        if path == "/login":
            if not self.known(str(form.get("user")), str(form.get("password"))):
                return self.answer(401, {"message": "Invalid username or password", "messageId": "password-auth.failed", "statusCode": 401})
            session = secrets.token_hex(16)
            self.sessions.add(session)
            cookie = f"grafana_session={session}; Path={self.prefix or '/'}; HttpOnly; SameSite=Lax"
            cookie += "; Secure" if yes("SECURITY_COOKIE_SECURE") else ""
            return self.answer(200, {"message": "Logged in", "redirectUrl": f"{self.prefix}/"}, headers=[("Set-Cookie", cookie)])
        if path == "/api/user/signup":
            if yes("USERS_ALLOW_SIGN_UP"):
                return self.answer(200, {"status": "SignUpCreated"})
            return self.answer(401, {"message": "User signup is disabled"})
        return self.answer(401 if not self.logged_in() else 404, {"message": "the stand-in keeps nothing"})


def main():
    """Reads what is provisioned, and serves."""
    standin.announce("Grafana 12.1.1", "that Grafana itself accepts these settings, data sources and dashboards, "
                                       "that a panel draws, or its memory use")
    try:
        Grafana.users = first_start()
        Grafana.sources, Grafana.boards = provision()
    except (OSError, sqlite3.Error, ValueError, TypeError, KeyError, AttributeError) as error:
        return f"grafana stand-in: {type(error).__name__}: {error}"
    standin.log("provisioned", datasources=sorted(Grafana.sources), dashboards=sorted(Grafana.boards), prefix=Grafana.prefix)
    return standin.serve(int(setting("SERVER_HTTP_PORT", "3000")), Grafana)


if __name__ == "__main__":
    sys.exit(main())
