# Follows a signed bundle: the stack's part of the machine is looked at, compared, put in place, and taken back when the
# machine is not well with it. What stood there before is kept until that is known.
import difflib
import glob
import hashlib
import itertools
import json
import os
import re
import shutil
import sys
import tempfile
import time

sys.path.insert(0, "/usr/local/lib/julia-bootstrap")
import ctl_deploy  # noqa: E402
import jb  # noqa: E402
from ctl_deploy import Failed, step, tell  # noqa: E402

PLAN = jb.PLAN
NAME = PLAN["name"]
STATE = jb.VAR + "/follow.json"
# There while a change is under way.
BEFORE = jb.VAR + "/follow-before.json"
LIMIT = 4 << 20
REMEMBERED = 50
# Seconds until what failed is tried once more; then twice that.
AGAIN = 3600
PLANNED = jb.ETC + "/plan.json"
UNITS = f"/etc/systemd/system/{NAME}-"
NGINX = "/etc/nginx/nginx.conf"
# What is decided once for a machine, and what of that a bundle may ask for: what is there.
FIXED = ("name", "stages", "host", "admin", "packages", "docker", "sshd", "ports")
PART = re.compile(
    rf"/opt/{re.escape(NAME)}/\w[\w.-]*|{NGINX}|{PLANNED}|/usr/local/bin/bootstrapctl|{jb.CODE}/(stages/)?\w[\w.-]*|"
    rf"{re.escape(UNITS)}(backup|check|collect|deploy|follow)[\w-]*\.(service|timer)"
)


class Refused(Exception):
    pass


def fetch(source):
    with tempfile.TemporaryDirectory() as folder:
        path = source
        if "://" in source:
            path = folder + "/bundle"
            code, text = jb.run(["curl", "-fsSL", "--max-time", "120", "--max-filesize", str(LIMIT + 1), "-o", path, "--", source], 150)
            if code:
                raise Failed(f"{source}: {jb.last_line(text)}")
        try:
            with open(path, "rb") as f:
                return f.read(LIMIT + 1)
        except OSError as error:
            raise Failed(f"{source} cannot be read: {error}") from error


def opened(data):
    # The signature is minisign's own file, and ends at the first empty line.
    if len(data) > LIMIT:
        raise Refused("it is larger than 4 MiB")
    signature, _, text = data.partition(b"\n\n")
    os.makedirs(jb.RUN, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=jb.RUN) as folder:
        for name, part in (("bundle", text), ("signature", signature + b"\n")):
            with open(f"{folder}/{name}", "wb") as f:
                f.write(part)
        code, said = jb.run(["minisign", "-Vm", folder + "/bundle", "-x", folder + "/signature", "-P", PLAN["follow"]["key"]])
    if code:
        raise Refused("it is not what was signed with the profile's key: " + jb.last_line(said))
    new = json.loads(text)
    if new["name"] != NAME:
        raise Refused(f"it is made for {new['name']}, and this is {NAME}")
    return new


def packages(plan):
    return {x for names in plan["packages"].values() for x in names}


def wanted(new):
    # The files as they are to be, by path; nothing where one is to go.
    files = {path: (mode, text) for path, mode, text in new["files"]}
    strange = [path for path, (mode, _) in files.items() if not PART.fullmatch(path) or mode not in (0o644, 0o755)]
    if strange:
        raise Refused(f"{strange[0]} is no part of a stack")
    plan = json.loads(files[PLANNED][1])
    for what, asked, there in (
        ("packages", packages(plan), packages(PLAN)),
        ("open ports", set(plan["ports"]), set(PLAN["ports"])),
        ("stages", set(plan["stages"]), set(PLAN["stages"])),
    ):
        if asked - there:
            raise Refused(f"it needs {what} that only a new machine gets: {', '.join(sorted(asked - there))}")
    for service, how in PLAN["deploy"]["services"].items():
        ports = plan["deploy"]["services"].get(service, how)["ports"]
        if ports != how["ports"]:
            raise Refused(f"it moves {service} to other ports, between which no request could be led over: write new services after the old ones")
    ours, theirs = PLAN.get("distribution"), plan.get("distribution")
    if ours and theirs and ours != theirs:
        raise Refused(f"it is for {theirs}, and this is {ours}")
    other = [key for key in ("host", "admin", "docker", "sshd") if plan[key] != PLAN[key]]
    if other:
        step("not of the stack, and left as it is: " + ", ".join(other))
    plan.update({key: PLAN[key] for key in FIXED})
    files[PLANNED] = (0o644, json.dumps(plan) + "\n")
    if plan == PLAN:
        del files[PLANNED]
    # One that is still to come is none that a service could start with.
    known = {s["name"] for s in PLAN["secrets"]} - {name for names in jb.waiting().values() for name in names}
    unknown = sorted(s["name"] for s in plan["secrets"] if not {"length", "later"} & {*s} and s["name"] not in known)
    if unknown:
        raise Refused(f"it needs secrets that only a new machine is given: {', '.join(unknown)}")
    for path in itertools.chain(*(glob.glob(x) for x in (UNITS + "*", jb.CODE + "/*", jb.CODE + "/stages/*"))):
        if PART.fullmatch(path) and os.path.isfile(path):
            files.setdefault(path, None)
    return files


def there(path):
    try:
        with open(path, encoding="utf-8", newline="") as f:
            return os.stat(path).st_mode & 0o777, f.read()
    except OSError:
        return None


def differences(files):
    changed = {}
    for path, new in files.items():
        old = there(path)
        if old == new:
            continue
        changed[path] = old
        lines = [(x[1] if x else "").splitlines() for x in (old, new)]
        step(f"{'new' if not old else 'changed' if new else 'gone'}: {path}")
        if not path.startswith("/usr/local/"):
            for line in list(difflib.unified_diff(*lines, lineterm="", n=1))[2:100]:
                step("  " + jb.redact(line)[:300])
    return changed


def put(files):
    for path, row in files.items():
        if row:
            jb.write(path, row[1], row[0])
        elif os.path.exists(path):
            if path.startswith(UNITS):
                jb.run(["systemctl", "disable", "-q", "--now", os.path.basename(path)])
            os.remove(path)
            jb.sync_dir(os.path.dirname(path))
    jb.run(["systemctl", "daemon-reload"])


def stage(name, *args):
    if os.path.exists(f"{jb.CODE}/stages/{name}"):
        step(PLAN["stages"][name]["title"])
        more = dict(os.environ, JB_LOCKED="1", LC_ALL="C.UTF-8", HOME="/root")
        code, text = jb.run([f"{jb.CODE}/stages/{name}", *args], PLAN["stages"][name]["timeout"], env=more)
        if code:
            raise Failed(f"{name}: {jb.last_line(text)}")


def specs(machine):
    # What Compose makes of each service, in short.
    services = machine.services.items()
    return {jb.service(name): hashlib.sha256(json.dumps(s, sort_keys=True).encode()).hexdigest() for name, s in services if not name.endswith("-green")}


def differs(machine, name, hashes):
    # Whether what runs is not what Compose would start now.
    live = [machine.live(m) for m in machine.groups[name]["members"] if m not in machine.jobs]
    return any(c["Config"]["Labels"]["com.docker.compose.config-hash"] != hashes[s] for s in live for c in ctl_deploy.containers(s))


def forward(machine, name, before, new, now):
    group, current = machine.groups[name], machine.state["current"][name]
    members = group["members"]
    if before["images"].get(name, group["image"]) != group["image"] or new & {*members}:
        if machine.update(name, "", "bundle", force=bool(new & {*members})):
            return 1
    if machine.state["current"][name] != current or all(before["specs"].get(m) in (None, now.get(m)) for m in members):
        return 0
    row = machine.release(current)
    return machine.deploy(name, row["image"], "bundle", asked=row["asked"], version=row["version"])


def backward(machine, name, before, hashes):
    current = machine.state["current"][name]
    row = machine.release(before["current"].get(name, current)) or machine.release(current)
    if row["id"] == current and not differs(machine, name, hashes):
        return 0
    return machine.deploy(name, row["image"], "bundle", asked=row["asked"], version=row["version"], of=row["id"])


def groups(before, new):
    # What takes turns changes without a lost request; what it may need is there before.
    machine = ctl_deploy.Machine()
    machine.recover()
    mine = [name for name in machine.groups if name in ctl_deploy.MINE and not machine.waits(name)]
    for name in mine:
        machine.first(name)
    machine.save()
    machine.follow()
    # What a bundle brought that is not well is still there on the way back.
    wait = [] if before["back"] else ["--wait", "--wait-timeout", str(PLAN["wait_seconds"])]
    ctl_deploy.compose("up", "-d", "--no-recreate", *wait)
    hashes = before["back"] and dict(line.split() for line in ctl_deploy.compose("config", "--hash", "*").splitlines() if line.count(" ") == 1)
    now = specs(machine)
    for name in mine:
        if backward(machine, name, before, hashes) if before["back"] else forward(machine, name, before, new, now):
            raise Failed(f"{name}: " + machine.state["releases"][-1]["why"].partition("\n")[0])


def brought(before):
    # The values that come with it, put where they belong; what was there is kept for the way back.
    if not before.get("secrets"):
        return {}
    import late  # pylint: disable=import-outside-toplevel

    values = late.taken(before["secrets"])
    before["old"] = [late.raw(late.MINE[name]) for name in values]
    jb.write(BEFORE, json.dumps(before), 0o600)
    os.makedirs(jb.HOME + "/credentials", mode=0o700, exist_ok=True)
    for name, value in values.items():
        late.store(late.MINE[name], value)
    return values


def replaced(before, values):
    # Compose does not see that a file is another one: who has it mounted is made again.
    names = {secret for secret, (_, name, text) in zip(values, before.get("old", [])) if not name and text}
    if not names:
        return
    import late  # pylint: disable=import-outside-toplevel

    users = {x for x, wants in PLAN.get("needs", {}).items() if names & {*wants}}
    if late.replace(users - set(jb.waiting()), True):
        raise Failed("a service is not well with its new secret")


def work():
    # In a process of its own: the programs themselves may be new.
    before = json.loads(jb.read(BEFORE))
    values = {} if before["back"] else brought(before)
    for service, names in ({} if before["back"] else jb.waiting()).items():
        if any(c["State"]["Running"] for s in (service, service + "-blue", service + "-green") for c in ctl_deploy.containers(s)):
            raise Failed(f"{service} runs, and would stop to wait for {', '.join(names)}: bring it along, by `sign --bring`")
    stage("secrets")
    stage("monitoring")
    new = {row.split("\t")[0] for row in PLAN["sources"] if row not in before["sources"]}
    for service in new - set(ctl_deploy.MINE):
        stage("pull", service)
    step("Container images")
    ctl_deploy.docker("compose", "--project-directory", jb.HOME, "pull", "-q", "--ignore-buildable", "--policy", "missing")
    groups(before, new)
    stage("stack")
    replaced(before, values)
    if NGINX in before["files"]:
        stage("edge")
    for path in before["files"]:
        if path.endswith(".timer") and os.path.exists(path):
            jb.ok_run("systemctl", "enable", "-q", os.path.basename(path))
            # Not that which runs this.
            jb.ok_run("systemctl", "restart" if "-follow" not in path else "start", os.path.basename(path))


def child():
    code, text = jb.run(["/usr/local/bin/bootstrapctl", "follow", "--work"], 7200)
    for line in text.splitlines():
        step("  " + jb.redact(line))
    if code:
        raise Failed(jb.last_line(text))


def failing():
    code, text = jb.run(["/usr/local/bin/bootstrapctl", "check", "--json"], 300)
    try:
        return {row["id"]: row["detail"] for row in json.loads(text)["checks"] if row["result"] == "fail" and row["id"] != "certificates"}
    except ValueError:
        return {"check": jb.last_line(text)}


def gone():
    os.sync()
    os.remove(BEFORE)
    jb.sync_dir(jb.VAR)


def back():
    before = json.loads(jb.read(BEFORE))
    before["back"] = True
    jb.write(BEFORE, json.dumps(before), 0o600)
    put(before["files"])
    for path, name, text in before.get("old", []):
        # A line of .env, or all of a file; late.py does the same, but what is gone back to may be without it.
        if name:
            lines = [line for line in jb.read(path).split("\n") if line and not line.startswith(name + "=")]
            text = "\n".join([*lines, f"{name}={text}", ""])
        jb.write(path, text, 0o600)
    child()
    gone()


def load():
    return {"serial": 0, "sum": "", "refused": "", "again": 0, "trying": "", "tries": 0, "history": [], **json.loads(jb.read(STATE, "{}"))}


def store(state):
    jb.write(STATE, json.dumps(state, indent=1) + "\n", 0o600)


def end(state, number, result, why, began):
    seconds = round(time.monotonic() - began)
    row = {"serial": number, "at": time.strftime("%Y-%m-%d %H:%M:%S"), "result": result, "why": why[-2000:], "seconds": seconds}
    state["history"] = [*state["history"], row][-REMEMBERED:]
    store(state)
    what = f"bundle {number}" if number else "the bundle"
    tell(f"{what} is applied, {seconds} s" if result == "ok" else f"{what} {'failed' if result == 'failed' else 'was ' + result}, all stays as it was: {why}")
    return int(result != "ok")


def apply(state, new, files):
    before = failing()
    machine = ctl_deploy.Machine()
    changed = differences(files)
    if not changed and not new.get("secrets"):
        step("nothing is different")
        return ""
    # Whatever becomes of this, it is not tried again at once.
    tries = state["tries"] + 1 if state["refused"] == state["trying"] else 1
    state.update(trying=state["refused"], tries=tries, again=time.time() + min(AGAIN << tries - 1, 86400))
    store(state)
    # Stands alone: the programs here may be half new when it is needed.
    shutil.copy(jb.CODE + "/follow_back.py", jb.VAR + "/follow_back.py")
    was = {
        "files": changed, "serial": new["serial"], "back": False, "images": {name: g["image"] for name, g in machine.groups.items()},
        "current": machine.state["current"], "sources": PLAN["sources"], "specs": specs(machine),
        "secrets": new.get("secrets"),
    }  # fmt: skip
    jb.write(BEFORE, json.dumps(was), 0o600)
    try:
        put({path: files[path] for path in changed})
        child()
        until = time.monotonic() + PLAN["wait_seconds"]
        while worse := {k: v for k, v in failing().items() if k not in before}:
            if time.monotonic() > until:
                raise Failed("; ".join(f"{k}: {v}" for k, v in worse.items()))
            time.sleep(5)
    except Failed as error:
        step("going back")
        try:
            back()
        except Failed as then:
            return f"{error}; and going back is tried again, since {then}"
        return str(error)
    gone()
    if NGINX in changed and "tls" in PLAN["stages"] and os.path.exists(jb.VAR + "/done/tls"):
        os.remove(jb.VAR + "/done/tls")
        jb.run(["systemctl", "restart", "--no-block", NAME + "-tls.service"])
    return ""


def look(args, data):
    began = time.monotonic()
    state = load()
    if os.path.exists(BEFORE):
        number = json.loads(jb.read(BEFORE))["serial"]
        back()
        end(state, number, "interrupted", "it went back to what was", began)
    if args.recover:
        return 0
    digest = hashlib.sha256(data).hexdigest()
    # What could not be applied may have met a registry that was down.
    ahead = state["again"] - time.time()  # more than the longest wait: the clock was set back
    if digest == state["sum"] or args.poll and digest == state["refused"] and not (state["again"] and not 0 < ahead < 86400):
        if not args.poll:
            step("it is applied already")
        return 0
    state.update(refused=digest, again=0)
    try:
        new = opened(data)
        if new["serial"] <= state["serial"]:
            raise Refused(f"its serial number {new['serial']} is not above {state['serial']}, the one that is applied")
        files = wanted(new)
    except Refused as error:
        return end(state, 0, "refused", str(error), began)
    why = apply(state, new, files)
    if not why:
        state.update(serial=new["serial"], sum=digest, refused="")
    return end(state, new["serial"], "failed" if why else "ok", why, began)


def follow(args):
    if args.work:
        work()
        return 0
    if args.list and args.json:
        step(json.dumps(load()))
        return 0
    if args.list:
        for row in load()["history"]:
            step(f"{row['at']}  {row['result']:11}  {row['seconds']:>4} s  {row['serial'] or '?'}  {row['why'].partition(chr(10))[0]}")
        return 0
    if args.poll and not ctl_deploy.may_poll() or args.recover and not os.path.exists(BEFORE):
        return 0
    if not args.poll and not args.recover:
        if args.source and "://" not in args.source:
            args.source = sys.argv[2] = os.path.abspath(args.source)
        ctl_deploy.apart("follow", f"-/bin/sh -c '[ ! -e {BEFORE} ] || exec python3 {jb.VAR}/follow_back.py now'")
    data = b"" if args.recover else fetch(args.source or PLAN["follow"]["url"])
    with ctl_deploy.turn(args) as mine:
        return look(args, data) if mine else 0


def guarded(args):
    try:
        return follow(args)
    except (Failed, AssertionError) as error:
        step(str(error))
        return 1


def register(commands):
    sub = commands.add_parser("follow", help="looks for a newer signed bundle with the stack's part of the machine, and applies it")
    sub.add_argument("source", nargs="?", metavar="URL", help="from there, or a file, instead of the profile's URL")
    sub.add_argument("--list", action="store_true", help="what was applied and refused")
    sub.add_argument("--json", action="store_true", help="for scripts")
    sub.add_argument("--poll", action="store_true", help="as the timer does")
    sub.add_argument("--recover", action="store_true", help="go back over what was interrupted")
    sub.add_argument("--work", action="store_true", help="a part of it")
    sub.set_defaults(function=guarded)
