# Secrets that are not in the user-data: those that lie sealed at a URL, and those that somebody brings.
import base64
import getpass
import hashlib
import json
import os
import re
import sys
import tempfile

sys.path.insert(0, "/usr/local/lib/julia-bootstrap")
import jb  # noqa: E402

SEALED = jb.ETC + "/sealed.json"
MINE = {s["name"]: s for s in jb.PLAN["secrets"] if s.get("sealed") or s.get("later")}


def has(s):
    # Whether it has its value by now.
    _, name, text = raw(s)
    return bool(text.strip('"') if name else text)


def waiting():
    lack = {name for name, s in MINE.items() if s.get("later") and not has(s)}
    needs = jb.PLAN.get("needs", {}).items()
    return {x: [n for n in names if n in lack] for x, names in needs if lack & {*names}}


def opened():
    # What lies at the URL, once: the URL may have ended by the next time. What somebody brought is as good.
    lack = [name for name, s in MINE.items() if s.get("sealed") and not has(s)]
    if not lack or not os.path.exists(SEALED):
        return {}
    try:
        return fetched(json.loads(jb.read(SEALED)))
    except AssertionError as error:
        sys.exit(f"{error}; or bring them by `bootstrapctl secrets set`: {', '.join(lack)}")


def fetched(row):
    with tempfile.TemporaryDirectory(dir=jb.RUN) as folder:
        blob, key = folder + "/blob", folder + "/key"
        code, text = jb.run(["curl", "-fsSL", "--max-time", "60", "--max-filesize", "1048576", "-o", blob, "--", row["url"]], 90)
        jb.need(code == 0, "the sealed secrets cannot be fetched: " + jb.last_line(text))
        with open(blob, "rb") as f:
            same = hashlib.sha256(f.read()).hexdigest() == row["sha256"]
        jb.need(same, "what lies at the URL is not what was sealed")
        jb.write(key, row["key"] + "\n", 0o600, durable=False)
        code, text = jb.run(["age", "-d", "-i", key, blob])
        jb.need(code == 0, "the sealed secrets cannot be opened")
        return json.loads(text)


def taken(blob):
    # What a signed bundle brings, encrypted for this machine's own SSH key; the programs and the plan are the bundle's by now.
    with tempfile.TemporaryDirectory(dir=jb.RUN) as folder:
        with open(folder + "/blob", "wb") as f:
            f.write(base64.b64decode(blob))
        code, text = jb.run(["age", "-d", "-i", "/etc/ssh/ssh_host_ed25519_key", folder + "/blob"])
    if code and "no identity matched" in text:
        print("the secrets in the bundle are for another machine")
        return {}
    jb.need(code == 0, "the secrets in the bundle cannot be opened: " + jb.last_line(text))
    values = json.loads(text)
    wrong = [name for name in values if name not in MINE]
    jb.need(not wrong, f"no secrets that come later: {', '.join(wrong)}")
    return values


def raw(row):
    # Where a value stands, after which name, and as what: for the way back.
    if "credential" in row:
        path = f"{jb.HOME}/credentials/{row['credential']}"
        return [path, "", jb.read(path)]
    found = re.search(rf"^{row['name']}=(.*)$", jb.read(jb.HOME + "/.env"), re.M)
    return [jb.HOME + "/.env", row["name"], found[1] if found else ""]


def quoted(value):
    # As src/dotenv.rs writes it.
    for plain, escaped in (("\\", "\\\\"), ('"', '\\"'), ("$", "\\$"), ("\n", "\\n"), ("\r", "\\r")):
        value = value.replace(plain, escaped)
    return f'"{value}"'


def store(row, value):
    path, name, _ = raw(row)
    if name:
        lines = [line for line in jb.read(path).split("\n") if line and not line.startswith(name + "=")]
        value = "\n".join([*lines, f"{name}={quoted(value)}", ""])
    jb.write(path, value, 0o600)


def asked(row):
    # From a terminal unseen; from a pipe, a line break at the end is the pipe's, but a file's own.
    if sys.stdin.isatty():
        return getpass.getpass(row["name"] + ": ")
    value = sys.stdin.read()
    return value if "credential" in row else value.removesuffix("\n")


def replace(names, credential):
    # What runs with an old value: turn by turn where there are two, else one after the other.
    import ctl_deploy  # pylint: disable=import-outside-toplevel

    ctl_deploy.finished()
    machine = ctl_deploy.Machine()
    machine.recover()
    for group, g in machine.groups.items():
        members = [m for m in g["members"] if m in names and m not in machine.jobs]
        row = machine.release(machine.state["current"].get(group))
        if machine.waits(group):
            continue
        if members and row and group in ctl_deploy.MINE:
            if machine.deploy(group, row["image"], ctl_deploy.who(), asked=row["asked"], version=row["version"]):
                return 1
        elif members:
            ctl_deploy.compose("up", "-d", *(["--force-recreate"] if credential else []), services=members)
    return 0


def bring(words):
    if jb.PLAN.get("backup", {}).get("restore_from") and not os.path.exists(jb.VAR + "/backup/fetched") and (
        os.path.exists(jb.VAR + "/backup/fetching") or not os.path.exists(jb.HOME + "/.env")
    ):
        print("the backup that this machine begins with is not here yet: try again when `bootstrapctl status` shows it")
        return 1
    row = MINE.get(words[0]) if len(words) == 1 else None
    if not row:
        print("bootstrapctl secrets set NAME, one of: " + (", ".join(MINE) or "none comes later here"))
        return 2
    value = asked(row)
    if value and "deploy" in jb.PLAN:
        import ctl_deploy  # pylint: disable=import-outside-toplevel

        ctl_deploy.apart(f"secret-{os.getpid()}-sett", text=value if "credential" in row else value + "\n")
    if not value or "\0" in value:
        print("the value is empty, or has a NUL in it: nothing was changed")
        return 2
    had = has(row)
    names = [x for x, wants in jb.PLAN.get("needs", {}).items() if row["name"] in wants]
    # The first start may wait for this very value.
    with jb.operation(float("inf"), not os.path.exists(jb.VAR + "/started")):
        os.makedirs(jb.HOME + "/credentials", mode=0o700, exist_ok=True)
        store(row, value)
        jb.update()
        if any(login["password"] == row["name"] for login in jb.PLAN["docker"]["logins"]):
            code, text = jb.run([jb.CODE + "/stages/secrets"], 120)
            if code:
                print(jb.last_line(text))
                return 1
        if had and os.path.exists(jb.VAR + "/started"):
            return replace(set(names) - set(jb.waiting()), "credential" in row)
    still = jb.waiting()
    for x in names:
        print(f"{x} still waits for {', '.join(still[x])}" if x in still else f"starting {x}", flush=True)
    if set(names) - set(still) and os.path.exists(jb.VAR + "/started"):
        # A unit of its own: it goes on when this connection is lost.
        code, text = jb.job("restart", jb.PLAN["name"] + "-stack.service", 1800)
        jb.update()
        print(jb.last_line(text) if code else "done")
        return int(code != 0)
    return 0
