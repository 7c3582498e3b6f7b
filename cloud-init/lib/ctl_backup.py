# Backups: made, listed, restored, tried. Units run this file itself; people say `bootstrapctl backup`.
import contextlib
import datetime
import glob
import hashlib
import importlib
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.parse

sys.path.insert(0, "/usr/local/lib/julia-bootstrap")
import jb  # noqa: E402

NAME = jb.PLAN["name"]
PLAN = jb.PLAN["backup"]
ROOT = "/opt/backups/" + NAME
STATE = jb.VAR + "/backup"
# A restore that has begun, and services that are held: both outlive whoever was killed.
CUT = STATE + "/restoring"
# Services run on what a restore left half done: from then on nobody but a person goes on with it.
SERVED = CUT + "-served"
HELD = jb.RUN + "/held"
COMPOSE = ["docker", "compose", "--project-directory", jb.HOME]
SPARE = NAME + "-throwaway"
# In a database's own container its own variables say who may come in.
SHELL = 'export PGUSER="${POSTGRES_USER:-postgres}" PGPASSWORD="$POSTGRES_PASSWORD"; exec nice -n 19 "$@"'
DATABASES = "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1"
# Whoever owns a database may have it find his own functions and casts first, and these would run as its superuser.
BEGIN = "SET search_path=''; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT pg_export_snapshot();\n"
# Rows, and a sum over them that knows no order; each setting is one on which a row's text depends.
COUNT = r"""SET timezone=UTC; SET datestyle=ISO; SET intervalstyle=postgres; SET extra_float_digits=3; SET bytea_output=hex; SET search_path='';
SELECT format('SELECT %L, count(*), coalesce(sum((''x''||left(md5(textin(record_out(row_.*))),15))::bit(60)::bigint),0) FROM ONLY %I.%I AS row_',
n.nspname||'.'||c.relname, n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid=c.relnamespace
WHERE c.relkind='r' AND n.nspname !~ '^pg_' AND n.nspname<>'information_schema'
AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid='pg_class'::regclass AND d.objid=c.oid AND d.deptype='e') ORDER BY 1 \gexec
"""
ALONE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname=:'a';\n"
MOVE = """ALTER DATABASE :"a" ALLOW_CONNECTIONS false;\n""" + ALONE + """ALTER DATABASE :"a" RENAME TO :"b";\n"""
DROP = ALONE + """DROP DATABASE IF EXISTS :"a";\n"""


class Stop(Exception):
    pass


def out(args, **more):
    if "input" not in more:
        more.setdefault("stdin", subprocess.DEVNULL)
    p = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", check=False, **more)
    if p.returncode:
        raise Stop(jb.last_line(p.stderr or p.stdout))
    return p.stdout.strip()


def stack():
    # Without what a deploy wrote beside it, which hides on whom a service depends.
    return json.loads(out([*COMPOSE, "-f", jb.HOME + "/compose.yaml", "config", "--format", "json"]))


@contextlib.contextmanager
def locked(wait=1800):
    with jb.operation(wait) as mine:
        if not mine:
            raise Stop("another operation has not ended: try again later")
        yield


def size(number):
    return f"{number / (1 << 20):.1f} MiB"


def room(need, folder=ROOT):
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    if free - need < disk.f_blocks * disk.f_frsize // 20:
        raise Stop(f"the disk is nearly full: {size(free)} are free, about {size(need)} are needed, and a twentieth of the disk stays free")


def save(path, args, fine=(0,)):
    digest, total = hashlib.sha256(), 0
    with open(path, "xb") as f, tempfile.TemporaryFile() as said:
        with subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said) as p:
            try:
                for block in iter(lambda: p.stdout.read(1 << 20), b""):
                    room(0)
                    f.write(block)
                    digest.update(block)
                    total += len(block)
            except BaseException:
                p.kill()
                raise
        if p.returncode not in fine:
            said.seek(0)
            raise Stop(jb.last_line(said.read().decode(errors="replace")))
        f.flush()
        os.fsync(f.fileno())
    return {"sha256": digest.hexdigest(), "bytes": total}


def within(service):
    container = out([*COMPOSE, "ps", "-q", service])
    if not container:
        raise Stop(f"{service} does not run")
    return ["docker", "exec", "-i", container]


# PostgreSQL: `pg` is the beginning of a command that reaches a server.


def postgres(part):
    if "image" not in part:
        return [*within(part["name"]), "sh", "-c", SHELL, "sh"]
    # It runs elsewhere. The password is in no process list.
    env = dict(part["env"], PGPASSWORD=jb.secret(part["password"]))
    os.environ.update(env)
    return ["docker", "run", "--rm", "-i", *(x for k in env for x in ("-e", k)), "--entrypoint", "nice", part["image"], "-n", "19"]


def psql(pg, database, *more):
    return [*pg, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", database, *more]


def ask(pg, sql, database="template1", **variables):
    return out(psql(pg, database, *(x for k, v in variables.items() for x in ("-v", f"{k}={v}"))), input=sql)


def counts(text):
    return {table: [int(rows), sums] for table, rows, sums in (line.rsplit("|", 2) for line in text.splitlines())}


def databases(pg):
    # Their size in bytes.
    return int(ask(pg, "SELECT sum(pg_database_size(oid)) FROM pg_database"))


def save_postgres(part, put):
    pg = postgres(part)
    roles = [*pg, "pg_dumpall", "--globals-only", "-l", "template1"]
    try:
        put("globals.sql", roles)
    except Stop:
        # Who rents a database may not read passwords.
        put("globals.sql", [*roles, "--no-role-passwords"])
    part["user"] = ask(pg, "SELECT current_user")
    part["size"] = databases(pg)
    part["databases"] = {}
    for name in ask(pg, DATABASES).splitlines():
        # What is counted is what is dumped: both see the same snapshot.
        with subprocess.Popen(psql(pg, name), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as p:
            p.stdin.write(BEGIN)
            p.stdin.flush()
            shot = p.stdout.readline().strip()
            file = put(urllib.parse.quote(name, safe="") + ".dump", [*pg, "pg_dump", "-Fc", f"--snapshot={shot}", "-d", name])
            text = p.communicate(COUNT)[0]
        if p.returncode:
            raise Stop(f"the rows of {name} could not be counted")
        part["databases"][name] = {"file": file, "tables": counts(text)}


def load_database(pg, name, one, path):
    # The old one stays beside the new one until that is whole.
    old = name + "~old"
    there = ask(pg, "SELECT datname FROM pg_database").splitlines()
    if name in there and old not in there:
        ask(pg, MOVE, a=name, b=old)
    try:
        ask(pg, DROP, a=name)
        with open(path, "rb") as f:
            out([*pg, "pg_restore", "--create", "--exit-on-error", "-d", "template1"], stdin=f)
        have = counts(ask(pg, COUNT, name))
        wrong = [t for t in {*have, *one["tables"]} if have.get(t) != one["tables"].get(t)]
        if wrong:
            raise Stop(f"{name} is not what was recorded: {', '.join(sorted(wrong)[:5])}")
    except Stop:
        if old in there or name in there:
            ask(pg, DROP + 'ALTER DATABASE :"b" RENAME TO :"a"; ALTER DATABASE :"a" ALLOW_CONNECTIONS true;', a=name, b=old)
        raise
    ask(pg, DROP, a=old)


def load_postgres(pg, part, folder, own=True):
    user = ask(pg, "SELECT quote_ident(current_user)")
    text = jb.read(f"{folder}/{part['name']}.globals.sql")
    if not own:
        # The server's own account keeps the password that .env has now.
        mine = f"CREATE ROLE {user};", f"ALTER ROLE {user} "
        text = "".join(x for x in text.splitlines(True) if not x.startswith(mine))
    # Roles that are there already are complaints of no weight.
    out([*pg, "psql", "-Xqd", "template1"], input=text)
    for name, one in part["databases"].items():
        load_database(pg, name, one, f"{folder}/{one['file']}")


def image(name):
    c = json.loads(out(["docker", "inspect", out([*COMPOSE, "ps", "-aq", name])]))[0]
    return c["Image"], c["Config"]["Cmd"] or []


def try_postgres(part, folder):
    source, command = (part["image"], []) if "image" in part else image(part["name"])
    user = "PGUSER=" + part["user"]
    spare(source, "--network", "none", "--shm-size", "256m", "-e", "POSTGRES_HOST_AUTH_METHOD=trust", "-e", "POSTGRES_" + user[2:], "--", *command)
    pg = ["docker", "exec", "-i", "-e", user, SPARE]
    until("starting a database", lambda: jb.run([*pg, "pg_isready", "-qh", "127.0.0.1"])[0] == 0)
    load_postgres(pg, part, folder, False)


# Redis


def keys(cli):
    # Of keys that expire nobody knows how many are left when it is read again.
    text = out([*cli, "info", "keyspace"])
    if "keyspace" not in text.lower():
        raise Stop("redis-cli: " + jb.last_line(text))
    rows = (line.partition(":") for line in text.split() if line.startswith("db"))
    fields = {db: dict(x.split("=") for x in rest.split(",")) for db, _, rest in rows}
    return {db: int(f["keys"]) - int(f["expires"]) for db, f in fields.items()}


def save_redis(part, put):
    cli = [*within(part["name"]), "redis-cli"]
    before = keys(cli)
    file = put("rdb", [*cli, "--rdb", "-"])
    with open(put.folder + "/" + file, "rb") as f:
        if f.read(5) != b"REDIS":
            raise Stop("what redis-cli sent is no snapshot")
    after = keys(cli)
    part["keys"] = {db: sorted((before.get(db, 0), after.get(db, 0))) for db in {*before, *after}}


def same_keys(cli, part):
    have = keys(cli)
    wrong = [db for db in {*have, *part["keys"]} if not part["keys"].get(db, [0, 0])[0] <= have.get(db, 0) <= part["keys"].get(db, [0, 0])[1]]
    if wrong:
        raise Stop(f"{part['name']}: the keys of {', '.join(sorted(wrong))} are not what was recorded")


def until(what, test, seconds=900):
    end = time.monotonic() + seconds
    while not test():
        if time.monotonic() > end:
            raise Stop(what + " took too long")
        time.sleep(0.5)


def spare(source, *args):
    # `docker rm` takes the volumes along, and Docker itself does when it starts after a cut.
    jb.run(["docker", "rm", "-fv", SPARE])
    return out(["docker", "run", "-d", "--rm", "--name", SPARE, "--memory", "1g", *args[: args.index("--")], source, *args[args.index("--") + 1:]])


def spare_redis(source, path, network):
    mount = ["-v", f"{path}:/spare.rdb:ro", "--network", network, "--user", "0:0", "--cap-drop", "ALL", "--entrypoint", "redis-server"]
    options = "--port 16379 --bind 127.0.0.1 --appendonly no --dir / --dbfilename spare.rdb --repl-diskless-sync yes --repl-diskless-sync-delay 0"
    spare(source, *mount, "--", *options.split(), "--save", "")
    cli = ["docker", "exec", SPARE, "redis-cli", "-p", "16379"]
    until("reading the snapshot", lambda: jb.run([*cli, "ping"])[1].endswith("PONG"))
    return cli


def load_redis(part, path):
    # By replication from a second Redis: no matter how and where the first keeps its files.
    cli = [*within(part["name"]), "redis-cli"]
    spare_redis(image(part["name"])[0], path, "container:" + cli[3])
    info = lambda what, *words: all(w in jb.run([*cli, "info", what])[1].split() for w in words)  # noqa: E731
    try:
        out([*cli, "replicaof", "127.0.0.1", "16379"])
        until("copying", lambda: info("replication", "master_link_status:up", "master_sync_in_progress:0"))
    finally:
        jb.run([*cli, "replicaof", "no", "one"])
        jb.run(["docker", "rm", "-fv", SPARE])
    until("writing the append-only file", lambda: info("persistence", "aof_rewrite_in_progress:0", "aof_rewrite_scheduled:0"))
    out([*cli, "save"])
    same_keys(cli, part)


def try_redis(part, folder):
    same_keys(spare_redis(image(part["name"])[0], f"{folder}/{part['name']}.rdb", "none"), part)


# Volumes and files


def users(config, volume):
    mounts = {s: [v.get("source") for v in spec.get("volumes", []) if v.get("type") == "volume"] for s, spec in config["services"].items()}
    return [s for s, sources in mounts.items() if volume in sources]


def place(config, volume):
    return out(["docker", "volume", "inspect", "-f", "{{.Mountpoint}}", config["volumes"][volume]["name"]])


def resume():
    text = jb.read(HELD)
    if text:
        how, services = json.loads(text)
        said = [jb.run([*COMPOSE, {"pause": "unpause", "stop": "start"}[how], service], 300)[1] for service in services]
        left = {*services} - {*out([*COMPOSE, "ps", "--status", "running", "--services"]).split()}
        if left:
            raise Stop(f"{', '.join(sorted(left))} did not go on after a {how}: {jb.last_line(said[-1])}")
        os.remove(HELD)


@contextlib.contextmanager
def held(services, how):
    running = out([*COMPOSE, "ps", "--status", "running", "--services"]).split()
    services = [s for s in services if s in running and how in ("pause", "stop")]
    try:
        if services:
            jb.write(HELD, json.dumps([how, services]), durable=False)
            out([*COMPOSE, how, *services])
        yield
    finally:
        resume()


# Without what a restore that failed may have left.
TAR = ["tar", "--numeric-owner", "--xattrs", "--acls", "--exclude=./.restore~"]


def entries(path):
    return len(out(["tar", "-tf", path]).splitlines())


def save_volume(part, put):
    config = stack()
    with held(users(config, part["name"]), part["hold"]):
        # 1: a file changed meanwhile, as it may where nobody is held.
        file = put("tar", [*TAR, "-C", place(config, part["name"]), "-cf", "-", "."], (0, 1) if part["hold"] == "live" else (0,))
    part["entries"] = entries(put.folder + "/" + file)


def unpack(path, folder):
    # All of it or nothing: what stood there goes when the new files are whole. The folder may be a mount, so it stays.
    new = folder + "/.restore~"
    shutil.rmtree(new, ignore_errors=True)
    os.mkdir(new)
    try:
        out([*TAR, "-C", new, "-xpf", path])
    except Stop:
        shutil.rmtree(new)
        raise
    os.sync()
    for name in set(os.listdir(folder)) - {".restore~"}:
        full = f"{folder}/{name}"
        shutil.rmtree(full) if os.path.isdir(full) and not os.path.islink(full) else os.remove(full)
    for name in os.listdir(new):
        os.rename(f"{new}/{name}", f"{folder}/{name}")
    shutil.copystat(new, folder)
    os.chown(folder, os.stat(new).st_uid, os.stat(new).st_gid)
    os.rmdir(new)
    os.sync()


def try_volume(part, folder):
    path, place_ = f"{folder}/{part['name']}.tar", ROOT + "/.drill"
    shutil.rmtree(place_, ignore_errors=True)
    os.mkdir(place_)
    try:
        out([*TAR, "-C", place_, "-xpf", path])
        out([*TAR, "-C", place_, "--compare", "-f", path])
    finally:
        shutil.rmtree(place_)
    if entries(path) != part.get("entries", entries(path)):
        raise Stop(f"{part['name']}: {entries(path)} entries, and {part['entries']} were recorded")


def save_machine(part, put):
    paths = [jb.HOME + "/.env", jb.HOME + "/compose.yaml", jb.HOME + "/credentials", "/etc/letsencrypt"]
    put("tar", [*TAR, "-C", "/", "-cf", "-", *(p[1:] for p in paths if os.path.exists(p))])


def load_machine(path):
    # Only what was made on the machine comes back: what was given is newer here.
    made = {s["name"]: s.get("credential") for s in jb.PLAN["secrets"] if "length" in s}
    lines = dict(x.split("=", 1) for x in jb.read(jb.HOME + "/.env").splitlines() if "=" in x)
    with tarfile.open(path) as tar:
        read = lambda name: tar.extractfile(f"{jb.HOME[1:]}/{name}").read().decode()  # noqa: E731
        for line in read(".env").splitlines():
            if line.partition("=")[0] in made:
                lines[line.partition("=")[0]] = line.partition("=")[2]
        for file in filter(None, made.values()):
            with contextlib.suppress(KeyError):
                os.makedirs(jb.HOME + "/credentials", mode=0o700, exist_ok=True)
                jb.write(f"{jb.HOME}/credentials/{file}", read("credentials/" + file), 0o600)
    jb.write(jb.HOME + "/.env", "".join(f"{k}={v}\n" for k, v in lines.items()), 0o600)


# The whole


TRY = {"postgres": try_postgres, "redis": try_redis, "volume": try_volume}
SAVE = {"postgres": save_postgres, "redis": save_redis, "volume": save_volume, "machine": save_machine}
PARTS = [{"kind": "machine", "name": "machine"}, *PLAN["parts"]]


def manifest(folder):
    try:
        m = json.loads(jb.read(folder + "/manifest.json"))
        if m.pop("sum") == hashlib.sha256(json.dumps(m, sort_keys=True).encode()).hexdigest():
            return m
    except (ValueError, KeyError):
        pass
    return None


def complete():
    # In the order in which they were made, whatever the clock said.
    found = [(os.path.basename(path), manifest(path)) for path in glob.glob(ROOT + "/*Z")]
    return sorted((x for x in found if x[1]), key=lambda x: x[1]["serial"])


def whole():
    # One that was fetched to be looked at may be of another history.
    return [x for x in complete() if not x[1]["safety"] and not os.path.exists(f"{ROOT}/{x[0]}/fetched")]


def total(m):
    return sum(f["bytes"] for f in m["files"].values())


def verify(when):
    folder = f"{ROOT}/{when}"
    m = manifest(folder)
    if not m:
        raise Stop(f"{when} is damaged: its manifest is not what was written. Nothing was touched; take another one (bootstrapctl backups)")
    for name, row in m["files"].items():
        digest = hashlib.sha256()
        with contextlib.suppress(OSError), open(f"{folder}/{name}", "rb") as f:
            for block in iter(lambda: f.read(1 << 20), b""):
                digest.update(block)
        if digest.hexdigest() != row["sha256"]:
            raise Stop(f"{when} is damaged: {name} is not what was written. Nothing was touched; take another one (bootstrapctl backups)")
    return m


def remove(path):
    # Out of the way in one instant: a cut leaves no half of one.
    gone = os.path.join(os.path.dirname(path), "." + os.path.basename(path).strip("."))
    os.rename(path, gone)
    shutil.rmtree(gone)


def prune(but=None):
    # As many newer ones as days are kept: a clock that is wrong must not take them all.
    now, rows = time.time(), whole()
    for when, m in complete():
        newer = sum(n["serial"] > m["serial"] for _, n in rows)
        if not 0 <= now - m["time"] <= PLAN["keep"] and newer >= max(1, PLAN["keep"] // 86400) and when not in (but, *jb.read(CUT).split()[:1]):
            remove(f"{ROOT}/{when}")


def uploaded():
    # The number of what went off-site last: what is made later has a higher one, even if all that is here were lost.
    return int(jb.read(STATE + "/offsite").partition(" ")[2] or 0)


def estimate(parts):
    rows = whole()
    if rows:
        return total(rows[-1][1]) * 11 // 10
    need, config = 1 << 26, stack() if PLAN["parts"] else {}
    for part in parts:
        if part["kind"] == "postgres":
            need += databases(postgres(part))
        elif part["kind"] == "volume":
            need += int(out(["du", "-sb", place(config, part["name"])]).split()[0])
    return need


def make(parts, safety=False, but=None):
    # What a deploy does afterwards is not for root alone.
    mask = os.umask(0o077)
    try:
        return made(parts, safety, but)
    finally:
        os.umask(mask)


def made(parts, safety, but):
    start = time.time()
    os.makedirs(ROOT, exist_ok=True)
    resume()
    for left in glob.glob(ROOT + "/.[!.]*"):
        shutil.rmtree(left)
    prune(but)
    room(estimate(parts))
    rows, files = complete(), {}
    name = lambda seconds: datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")  # noqa: E731
    when = next(w for w in map(name, itertools.count(start)) if not os.path.exists(f"{ROOT}/{w}"))
    new = f"{ROOT}/.{when}"
    os.mkdir(new)
    parts = json.loads(json.dumps(parts))
    try:
        for part in parts:
            def put(suffix, args, fine=(0,)):
                name = f"{part['name']}.{suffix}"
                files[name] = save(f"{new}/{name}", args, fine)
                return name
            put.folder = new
            try:
                SAVE[part["kind"]](part, put)
            except Stop as error:
                raise Stop(f"{part['name']}: {error}") from None
        m = {
            "name": NAME, "time": start, "serial": 1 + max(uploaded(), *(m["serial"] for _, m in rows), 0), "safety": safety, "seconds": round(time.time() - start, 1),
            "bundle": jb.bundle(), "files": files, "parts": parts,
        }
        m["sum"] = hashlib.sha256(json.dumps(m, sort_keys=True).encode()).hexdigest()
        jb.write(new + "/manifest.json", json.dumps(m, indent=1) + "\n", 0o600)
        os.rename(new, f"{ROOT}/{when}")
        jb.sync_dir(ROOT)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    prune(but)
    return when, m


def waits():
    # For the first start: until then there is nothing to save.
    early = "stack" in jb.PLAN["stages"] and not os.path.exists(jb.VAR + "/started")
    if early:
        print("the services were not up yet")
    return early


def backup():
    if waits():
        return
    with locked():
        uncut()
        when, m = make(PARTS)
        jb.write(STATE + "/success", when + "\n")
    if "offsite" in PLAN:
        jb.run(["systemctl", "--no-block", "start", NAME + "-backup-offsite.service"])
    print(f"{when}: {size(total(m))} in {m['seconds']} s, {ROOT}/{when}")


def uncut():
    """no restore was cut short"""
    if os.path.exists(CUT):
        raise Stop(f"a restore was cut short: run `bootstrapctl restore {jb.read(CUT).strip()}` again")


def find(when):
    want = re.sub("[-: ]", "", when or "")
    rows = [x for x in complete() if x[0].startswith(want)] if want else whole()
    if not rows:
        raise Stop(f"there is no backup {when or 'yet'}: `bootstrapctl backups` shows what there is")
    return rows[-1][0]


def pick(parts, only):
    # Before anything is touched.
    config, chosen = stack(), [] if only else parts
    for part in parts if only else []:
        bases = part.get("databases", {})
        one = [d for d in bases if only in (d, f"{part['name']}/{d}")]
        if only == part["name"] or part["kind"] == "volume" and only in users(config, part["name"]):
            chosen.append(part)
        elif one:
            chosen.append(dict(part, databases={one[0]: bases[one[0]]}))
    if not chosen:
        raise Stop(f"the backup has nothing that is called {only}: it has {', '.join(p['name'] for p in parts)}")
    here = {p["name"]: p["kind"] for p in PARTS}
    strange = [p["name"] for p in chosen if here.get(p["name"]) != p["kind"]]
    if strange:
        raise Stop(f"this machine has no {', '.join(strange)}: name by --only what it has")
    return chosen


def dependents(config, name):
    found, new = set(), {name}
    while new:
        found |= new
        new = {s for s, spec in config["services"].items() if {*spec.get("depends_on", {})} & found} - found
    return found - {name}


def bring(folder, parts, everything):
    config, now = stack(), {p["name"]: p for p in PARTS}
    stores, stop = [], set()
    for part in parts:
        if part["kind"] == "volume":
            stop |= {*users(config, part["name"])}
        elif "image" in now[part["name"]]:
            stop |= {*config["services"]}
        elif part["kind"] != "machine":
            stores.append(part["name"])
            stop |= dependents(config, part["name"])
    try:
        if stop - {*stores}:
            out([*COMPOSE, "stop", *sorted(stop - {*stores})])
        if parts[0]["kind"] == "machine":
            load_machine(folder + "/machine.tar")
        if stores:
            out([*COMPOSE, "up", "-d", "--no-deps", "--wait", *stores])
        for part in parts:
            here, path = now[part["name"]], f"{folder}/{part['name']}."
            if part["kind"] == "postgres":
                load_postgres(postgres(here), part, folder, everything and "image" not in here)
            elif part["kind"] == "redis":
                load_redis(part, path + "rdb")
            elif part["kind"] == "volume":
                unpack(path + "tar", place(config, part["name"]))
    finally:
        jb.run(["docker", "rm", "-fv", SPARE])


def go_on():
    code, text = jb.run([jb.CODE + "/stages/stack"], 1800, env={**os.environ, "JB_LOCKED": "1"})
    return code and f"everything is restored, but not all services are healthy: {jb.last_line(text)}"


def safety(names, args, but=None):
    if not args.no_safety_copy:
        try:
            print(f"What is there now was saved as {make([p for p in PARTS if p['name'] in names], True, but)[0]}.")
        except Stop as error:
            raise Stop(f"nothing was touched: no copy of what is there now can be made ({error}). Without one: --no-safety-copy") from None


def restore(args):
    if getattr(args, "to", None):
        importlib.import_module("pitr").restore(args)
        return
    when = find(args.when)
    this = when + (f" --only {args.only}" if args.only else "") + "\n"
    m = verify(when)
    parts = pick(m["parts"], args.only)
    names = [p["name"] for p in parts]
    print(f"{', '.join(names)} will be as at {when}: what was written since then is replaced, and services that use it stop meanwhile.", flush=True)
    # Who thinks about it keeps nobody from working.
    if not args.yes and input("Type yes to go on: ") != "yes":
        raise Stop("nothing was touched")
    with locked(960):
        verify(when)
        # The copy from before this restore, when it was cut, is there already; unless services went on since.
        if jb.read(CUT) != this or os.path.exists(SERVED):
            safety(names, args, when)
        start = time.monotonic()
        begin(this)
        try:
            bring(f"{ROOT}/{when}", parts, not args.only)
        except (Exception, SystemExit):
            # Each part is the old one or the new one, and the stack goes on with it.
            jb.write(SERVED, "")
            go_on()
            raise
        whole_again(CUT)
        unwell = go_on()
        if unwell:
            raise Stop(unwell)
    print(f"Restored from {when} in {time.monotonic() - start:.0f} s.")


def begin(what):
    jb.write(CUT, what)
    whole_again(SERVED)


def whole_again(mark):
    with contextlib.suppress(FileNotFoundError):
        os.remove(mark)
        jb.sync_dir(STATE)


def finish():
    # What was cut off, from its beginning: each part is done anew, and whoever calls starts the rest.
    when, _, only = jb.read(CUT).strip().partition(" --only ")
    if when.startswith("-"):
        uncut()
    m = verify(when)
    bring(f"{ROOT}/{when}", pick(m["parts"], only), not only)
    whole_again(CUT)
    print("the restore that was cut off is finished")


def drill():
    if not whole():
        print("there is no backup yet")
        return
    with locked():
        when = find(None)
        m = verify(when)
        room(sum(p.get("size", 0) for p in m["parts"]) * 13 // 10 + max(f["bytes"] for f in m["files"].values()))
        for part in m["parts"]:
            if part["kind"] != "machine":
                TRY[part["kind"]](part, f"{ROOT}/{when}")
        jb.write(STATE + "/drill", when + "\n")
    print(f"{when} was restored by way of trial, and is what was recorded")


def tidy():
    # After whoever was killed; whoever still works tidies up himself.
    with contextlib.suppress(Stop), locked(0):
        resume()
        jb.run(["docker", "rm", "-fv", SPARE])
        for left in glob.glob(ROOT + "/.[!.]*"):
            shutil.rmtree(left)


def guarded(function, *args):
    try:
        return function(*args) or 0
    except (Stop, OSError, ValueError, EOFError) as error:
        text = jb.redact(str(error))
        print(text, file=sys.stderr)
        jb.console(f"{function.__name__} failed: {text}")
        return 1


def ctl_restore(args):
    if "JB_APART" not in os.environ:
        # What is killed is finished at once: nothing is to run on half of it.
        importlib.import_module("ctl_deploy").apart("restor", f"-/bin/sh -c '[ $EXIT_CODE = exited ] || {{ python3 {jb.CODE}/ctl_backup.py tidy; exec systemctl --no-block restart {NAME}-stack; }}'")
    return guarded(restore, args)


def ctl_backup(args):
    unit = NAME + "-backup.service"
    code = jb.job("start", unit)[0]
    print(jb.run(["journalctl", "-qu", unit, "-n", "1", "-o", "cat", "_TRANSPORT=stdout"])[1])
    return code


def elsewhere(args):
    offsite = importlib.import_module("offsite")
    if args.fetch:
        print(f"{offsite.bring_here(args.fetch)} is here")
        return
    rows = offsite.elsewhere()
    print(json.dumps({"backups": rows}) if args.json else "\n".join(f"{row['when']}  {row['id']}" for row in rows) or "nothing is off-site yet")


def ctl_backups(args):
    if getattr(args, "fetch", None) or getattr(args, "off_site", False):
        return guarded(elsewhere, args)
    rows = [{"when": w, "bytes": total(m), "safety": m["safety"], "parts": [p["name"] for p in m["parts"]]} for w, m in complete()]
    if args.json:
        print(json.dumps({"backups": rows, "restoring": jb.read(CUT).strip()}))
        return 0
    for row in rows:
        print(f"{row['when']}  {size(row['bytes']):>12}  {'before a restore: ' if row['safety'] else ''}{' '.join(row['parts'])}")
    try:
        uncut()
        print(f"{len(rows)} in {ROOT}")
    except Stop as error:
        print(error)
    with contextlib.suppress(OSError):
        print(time.strftime("off-site, PostgreSQL as it was at any moment until %H:%M:%S (restore --to)", time.localtime(os.path.getmtime(STATE + "/ship"))))
    return 0


def alone():
    """no newer machine has taken over from this one"""
    if os.path.exists(STATE + "/superseded"):
        raise Stop("one was restored from this one's backups: what may run only once is stopped here")


CHECKS = [uncut, alone] if "offsite" in PLAN else [uncut]


def register(commands):
    commands.add_parser("backup", help="make a backup now").set_defaults(function=ctl_backup)
    sub = commands.add_parser("backups", help="the backups on this machine")
    sub.add_argument("--json", action="store_true", help="for scripts")
    if "offsite" in PLAN:
        sub.add_argument("--off-site", action="store_true", help="those elsewhere; restore_from takes their ID")
        sub.add_argument("--fetch", metavar="WHEN|ID", help="brings one of those here")
    sub.set_defaults(function=ctl_backups)
    sub = commands.add_parser("restore", help="put a backup back: asks first, and saves what is there now")
    sub.add_argument("when", nargs="?", help="as `backups` shows it, or its beginning; without it: the newest")
    sub.add_argument("--only", metavar="SERVICE|VOLUME|DATABASE")
    if PLAN.get("pitr"):
        sub.add_argument("--to", metavar="MOMENT", help='PostgreSQL as it was then: "2026-01-31 14:05", or latest')
    sub.add_argument("--yes", action="store_true", help="do not ask")
    sub.add_argument("--no-safety-copy", action="store_true", help="where what is there now cannot be saved")
    sub.set_defaults(function=ctl_restore)


if __name__ == "__main__":
    sys.exit(guarded({f.__name__: f for f in (backup, drill, finish, tidy)}[sys.argv[1]]))
