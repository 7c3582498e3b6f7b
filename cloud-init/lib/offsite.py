# The copy elsewhere, by restic; the machine that begins with it; and which of two machines may speak.
import contextlib
import fcntl
import importlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time

sys.path.insert(0, "/usr/local/lib/julia-bootstrap")
import ctl_backup as b  # noqa: E402
import jb  # noqa: E402
from ctl_backup import COMPOSE, NAME, PARTS, PLAN, ROOT, STATE, TAR, Stop, out  # noqa: E402

OFF = PLAN["offsite"]
# Who was told that a newer machine took over; the stack's stage asks for it, too.
BEATEN = STATE + "/superseded"
# An old machine looks for a newer one this often, in seconds, takes its time to ask and to stop; a new one waits so much longer before it speaks.
LOOK, MORE = 180, 90


def secret(name):
    # Before there is a .env, what was given still lies here.
    given = json.loads(jb.read(jb.ETC + "/given.json", "{}"))
    return given[name]["value"] if name in given else jb.secret(name)


def restic(*args, **more):
    where = re.sub(r"\$\{(\w+)\}", lambda m: secret(m[1]).strip(), OFF["repository"])
    env = {"RESTIC_REPOSITORY": where, "RESTIC_PASSWORD": secret(OFF["password"]).strip(), "RESTIC_CACHE_DIR": "/var/cache/restic", "HOME": "/root"}
    env.update({k: secret(v).strip() for k, v in OFF["environment"].items()})
    options = []
    if OFF["ssh_key"]:
        login, port = re.fullmatch(r"sftp:(?://)?([^:/]+)(?::(\d+)/)?.*", where).groups()
        ssh = f"ssh -i {jb.HOME}/credentials/{OFF['ssh_key']} -o IdentitiesOnly=yes -o StrictHostKeyChecking=accept-new -p {port or 22} {login} -s sftp"
        options = ["-o", "sftp.command=" + ssh]
    try:
        p = subprocess.run(["restic", *options, *args], env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, **more)
    except subprocess.TimeoutExpired:
        raise Stop("the off-site repository does not answer") from None
    if p.returncode:
        # What went wrong comes before what might be done about it.
        raise Stop("restic: " + jb.last_line("".join(re.findall(r"(?m)^.*Fatal.*$", p.stderr)[:1]) or p.stderr))
    return p.stdout


def snapshots(tag, *more):
    rows = json.loads(restic("snapshots", "--json", "--no-lock", "--host", NAME, "--tag", tag, *more, timeout=150) or "[]")
    # In the order in which they were made, whatever the clock said: those of a newer machine come after those of the one before it.
    number = lambda row, what: max(int(n) for n in re.findall(what + r"-(\d+)", f"{what}-0 " + " ".join(row["tags"])))  # noqa: E731
    return sorted(rows or [], key=lambda row: (number(row, "epoch"), number(row, "serial"), row["time"]))


def owner():
    # The epoch and the machine that the newest claim names.
    claims = [(int(epoch), name) for row in snapshots("owner") for epoch, name in re.findall(r"epoch-(\d+) machine-(\w+)", " ".join(row["tags"]))]
    return max(claims, default=(0, ""))


def own():
    epoch, _, name = jb.read(STATE + "/epoch").strip().partition(" ")
    return (int(epoch or 0), name)


def claim(epoch=None):
    # First here, then there: after a cut it is made up for.
    if epoch:
        jb.write(STATE + "/epoch", f"{epoch} {secrets.token_hex(8)}\n")
    if owner() < own():
        tags = "owner,epoch-{},machine-{}".format(*own())
        restic("backup", "--stdin", "--stdin-filename", "owner", "--host", NAME, "--tag", tags, input="owner\n")
    # Also where a cut came between these two.
    if not os.path.exists(STATE + "/claimed"):
        jb.write(STATE + "/claimed", "")


def beaten(newest):
    # Once more each time: somebody may have started them again.
    if not os.path.exists(BEATEN):
        jb.write(BEATEN, f"epoch {newest[0]}\n")
        jb.console(f"a newer machine took over (epoch {newest[0]}): stopping {', '.join(PLAN['single'])}")
    if PLAN["single"]:
        out([*COMPOSE, "stop", *PLAN["single"]])


def watch():
    try:
        newest = owner() if own()[0] else (0, "")
    except Stop as error:
        # Nobody is to stop for want of a network.
        print(error)
        return
    if newest > own():
        beaten(newest)


@contextlib.contextmanager
def turn():
    # One at a time: two that make a repository at once make one that nobody can read, and who thins it out suffers nobody beside him.
    with open(jb.RUN + "/offsite.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def ready(make=False):
    with turn():
        try:
            restic("cat", "config", timeout=150)
        except Stop as error:
            # Where there is none, one is made; where nobody answers, this says so.
            if not make or "unable to open config" not in str(error) and "does not exist" not in str(error):
                raise
            restic("init", timeout=150)
        restic("unlock", timeout=150)
        yield


def entitled():
    newest = owner()
    if newest[0] and not own()[0]:
        raise Stop("the off-site repository belongs to another machine: write `restore_from: latest` to take its place, or another repository")
    if newest > own():
        beaten(newest)
        raise Stop("a newer machine took over the off-site repository: nothing is written there from here")
    claim(None if own()[0] else 1)


def sent(when, m):
    jb.write(STATE + "/offsite", f"{when} {m['serial']}\n")


def offsite():
    if not b.whole():
        print("there is no backup yet")
        return
    when, m = b.whole()[-1]
    # What is older than that, should that be lost here, would take its place there.
    if m["serial"] <= b.uploaded():
        return
    with ready(True):
        entitled()
        restic("backup", "--host", NAME, "--tag", f"backup,epoch-{own()[0]},serial-{m['serial']}", f"{ROOT}/{when}")
        # Its own serial: should the clock have been ahead once, restic takes another one for the last.
        keep = ["--keep-last", "1", "--keep-tag", f"serial-{m['serial']}"] + [x for k, v in OFF["keep"].items() for x in ("--keep-" + k, str(v)) if v]
        restic("forget", "--prune", "--host", NAME, "--tag", "backup", "--group-by", "host", *keep)
    sent(when, m)
    print(f"{when} is off-site")


def check():
    if not os.path.exists(STATE + "/offsite"):
        print("nothing is off-site yet")
        return
    with ready():
        restic("check", "--read-data-subset=5%")
    jb.write(STATE + "/check", "")
    print("the off-site repository is whole")


def download(row, strange=False):
    path, new = row["paths"][0], ROOT + "/.fetch"
    when = os.path.basename(path)
    os.makedirs(ROOT, exist_ok=True)
    shutil.rmtree(new, ignore_errors=True)
    try:
        restic("restore", row["id"], "--target", new)
        b.verify(".fetch" + path)
        if strange:
            # Another machine's, to be looked at: not the newest here, whatever its number.
            jb.write(f"{new}{path}/fetched", "")
        shutil.rmtree(f"{ROOT}/{when}", ignore_errors=True)
        os.rename(new + path, f"{ROOT}/{when}")
    finally:
        shutil.rmtree(new, ignore_errors=True)
    os.sync()
    return when


def elsewhere():
    return [{"when": os.path.basename(row["paths"][0]), "id": row["id"][:8]} for row in snapshots("backup")]


def bring_here(want):
    for row in reversed(snapshots("backup")):
        when = os.path.basename(row["paths"][0])
        if want in (when, row["id"], row["id"][:8]):
            break
    else:
        raise Stop(f"there is no {want} off-site: see `bootstrapctl backups --off-site`")
    os.umask(0o077)
    with b.locked():
        with contextlib.suppress(Stop):
            b.verify(when)
            return when
        b.room(json.loads(restic("stats", "--json", row["id"]))["total_size"], "/opt")
        return download(row, f"epoch-{own()[0]}" not in row["tags"])


def fetch():
    # Before any secret is made; never on a machine that has begun to live.
    begun = STATE + "/fetching"
    if os.path.exists(STATE + "/fetched") or os.path.exists(jb.HOME + "/.env") and not os.path.exists(begun):
        return
    jb.write(begun, "")
    os.umask(0o077)
    if OFF["ssh_key"]:
        os.makedirs(jb.HOME + "/credentials", exist_ok=True)
        jb.write(f"{jb.HOME}/credentials/{OFF['ssh_key']}", secret(OFF["ssh_key"]), 0o600)
    with b.locked():
        rows = snapshots("backup", *([] if PLAN["restore_from"] == "latest" else [PLAN["restore_from"]]))
        if not rows:
            raise Stop(f"the off-site repository has no backup of {NAME}: mend backup.offsite, or take restore_from out")
        when = download(rows[-1])
        tar = f"{ROOT}/{when}/machine.tar"
        b.load_machine(tar)
        if "etc/letsencrypt/" in out(["tar", "-tf", tar]):
            out([*TAR, "-C", "/", "--exclude", "etc/letsencrypt/renewal-hooks", "-xpf", tar, "etc/letsencrypt"])
        os.sync()
        jb.write(STATE + "/fetched", when + "\n")
    print(f"{when} came from off-site")


def revive():
    when, begun = jb.read(STATE + "/fetched").strip(), STATE + "/reviving"
    if not when or os.path.exists(STATE + "/revived"):
        return 0
    with b.locked():
        start = time.time()
        if not os.path.exists(begun):
            names = [v["name"] for v in b.stack()["volumes"].values()]
            folders = [jb.run(["docker", "volume", "inspect", "-f", "{{.Mountpoint}}", name]) for name in names]
            full = [name for name, (code, folder) in zip(names, folders) if not code and os.listdir(folder)]
            if full:
                raise Stop(f"there is something in {', '.join(full)}: nothing is restored into volumes that are not empty")
            jb.write(begun, "")
        if not own()[0]:
            # Makes volumes and containers, and starts none.
            code, text = jb.run(["python3", jb.CODE + "/ctl_deploy.py"], 600, env={**os.environ, "JB_LOCKED": "1"})
            if code:
                raise Stop(jb.last_line(text))
            here = {p["name"]: p["kind"] for p in PARTS if "image" not in p}
            parts = [p for p in b.verify(when)["parts"] if p["kind"] != "machine"]
            left = [p["name"] for p in parts if here.get(p["name"]) != p["kind"]]
            if left:
                jb.console(f"not restored, since this profile has no such part: {', '.join(left)}; it is in {ROOT}/{when}")
            b.bring(f"{ROOT}/{when}", [p for p in parts if p["name"] not in left], True)
            if PLAN.get("pitr") and PLAN["restore_from"] == "latest":
                importlib.import_module("pitr").catch_up(b.verify(when)["time"])
            restic("unlock")
            claim(owner()[0] + 1)
            print(f"{when} was restored in {time.time() - start:.0f} s", flush=True)
            jb.console(f"{when} was restored in {time.time() - start:.0f} s")
        claim()
        rest = os.path.getmtime(STATE + "/claimed") + LOOK + MORE - time.time()
        if PLAN["single"] and own()[0] > 1 and 0 < rest <= LOOK + MORE:
            print("waiting until the machine that was here before has heard of it")
            return 75
        # What was restored is never set aside as the rest of a first start.
        jb.write(jb.VAR + "/started", "")
        sent(when, b.manifest(f"{ROOT}/{when}"))
        jb.write(STATE + "/revived", when + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(b.guarded({f.__name__: f for f in (offsite, check, watch, fetch, revive)}[sys.argv[1]]))
