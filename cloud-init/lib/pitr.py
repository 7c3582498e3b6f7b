# A PostgreSQL as it was at any moment: its log, received as it is written and taken off-site every two minutes, and
# copies of its files to begin with. All with the programs of the database's own image, so that nothing must be added to it.
import contextlib
import ctypes
import datetime
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, "/usr/local/lib/julia-bootstrap")
import ctl_backup as b  # noqa: E402
import jb  # noqa: E402
import offsite  # noqa: E402
from ctl_backup import COMPOSE, NAME, STATE, Stop, ask, out  # noqa: E402

WAL = b.ROOT + ".wal"
PARTS = [p["name"] for p in b.PARTS if p["kind"] == "postgres" and "image" not in p]
SLOT = "bootstrap_pitr"
# While nobody receives, a database keeps this much for whoever comes, and then forgets it rather than fill the disk.
KEEP = "2GB"
RECEIVER = NAME + "-backup-log.service"
SPARE = NAME + "-replay"
DAY = 86400
AT_FDCWD, RENAME_EXCHANGE = -100, 2


class Server:
    """What Docker knows of a database's container, running or not."""

    def __init__(self, name):
        self.name, self.folder, self.log = name, f"{WAL}/{name}", f"{WAL}/{name}/log"
        self.id = out([*COMPOSE, "ps", "-aq", name])
        if not self.id:
            raise Stop(f"{name} has no container")
        c = json.loads(out(["docker", "inspect", self.id]))[0]
        self.image, config = c["Image"], c["Config"]
        self.user, self.command = config["User"], config["Cmd"] or []
        env = dict(x.partition("=")[::2] for x in config["Env"])
        self.inside = env.get("PGDATA", "/var/lib/postgresql/data")
        self.account, self.password = env.get("POSTGRES_USER", "postgres"), env.get("POSTGRES_PASSWORD", "")
        above = lambda m: (self.inside + "/").startswith(m["Destination"] + "/")  # noqa: E731
        mounts = sorted(c["Mounts"], key=lambda m: len(m["Destination"]))
        under = [m for m in mounts if above(m)]
        if not under:
            raise Stop(f"{name} keeps its files in no volume")
        source = under[-1]["Source"]
        self.place = source + self.inside[len(under[-1]["Destination"]):]
        self.others = [f"{m['Source']}:{m['Destination']}:ro" for m in mounts if not above(m)]
        # Beside the data, on the same disk: they change places in one instant. Where its container does not reach, unless that is another disk.
        self.new = (self.place if os.path.ismount(source) else source) + "~pitr"
        beside = os.path.dirname(self.new)
        if os.path.exists(beside) and os.stat(beside).st_uid:
            raise Stop(f"{beside} must be root's, for whoever owns it could change what is restored there: chown root {beside}")
        if os.path.ismount(self.place):
            raise Stop(f"{self.place} is a disk of its own: for a restore to any moment the data must lie one folder below")

    def tool(self, name, words, mount, network, user="0:0"):
        run = ["docker", "run", "--rm", "--log-driver", "none", "--name", f"{NAME}-{name}", "--network", network, "--user", user]
        for one in mount:
            run += ["-v", one]
        return [*run, "--cap-drop", "ALL", "-e", "PGPASSWORD", "-e", "TZ=UTC", "--entrypoint", words[0], self.image, *words[1:]]

    def login(self):
        return ["-h", "127.0.0.1", "-U", self.account, "-w"]

    def environment(self):
        return {**os.environ, "PGPASSWORD": self.password}

    def known(self):
        return json.loads(jb.read(self.folder + "/state", "{}"))

    def keep(self, **state):
        jb.write(self.folder + "/state", json.dumps({**self.known(), **state}), 0o600)


def pg(name):
    return b.postgres({"name": name})


def generation(name):
    # A restore begins another one: its log is no sequel.
    return ask(pg(name), "SELECT system_identifier || '-' || timeline_id FROM pg_control_system(), pg_control_checkpoint()")


def fresh(folder):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder, mode=0o700)


def begin_log(server):
    """Where nothing is missing the log goes on; else it begins afresh."""
    name = server.name
    now, slot = generation(name), ask(pg(name), f"SELECT wal_status FROM pg_replication_slots WHERE slot_name = '{SLOT}'")
    if slot == "lost":
        ask(pg(name), f"SELECT pg_drop_replication_slot('{SLOT}')")
    if slot in ("", "lost") or server.known().get("generation") != now:
        fresh(server.log)
        jb.write(server.folder + "/state", json.dumps({"generation": now}), 0o600)
    if slot in ("", "lost"):
        ask(pg(name), f"SELECT pg_create_physical_replication_slot('{SLOT}', true)")
    if ask(pg(name), "SHOW max_slot_wal_keep_size") == "-1":
        ask(pg(name), f"ALTER SYSTEM SET max_slot_wal_keep_size = '{KEEP}'; SELECT pg_reload_conf()")


def receive():
    os.umask(0o077)
    receivers = []
    for server in map(Server, PARTS):
        with turn("log"):
            begin_log(server)
        jb.run(["docker", "rm", "-f", f"{NAME}-log-{server.name}"])
        words = ["pg_receivewal", *server.login(), "-D", "/log", "-S", SLOT, "-s", "1", "--no-loop"]
        tool = server.tool("log-" + server.name, words, [server.log + ":/log"], "container:" + server.id)
        receivers.append(subprocess.Popen(tool, stdin=subprocess.DEVNULL, env=server.environment()))
    # The first that ends takes the others along; systemd starts all of them again.
    os.wait()
    for receiver in receivers:
        receiver.terminate()
    return 1


def quiet():
    for name in PARTS:
        jb.run(["docker", "rm", "-f", f"{NAME}-log-{name}"])


def give_up():
    # The database comes first.
    jb.run(["systemctl", "stop", RECEIVER])
    for name in PARTS:
        shutil.rmtree(f"{WAL}/{name}", ignore_errors=True)
        ask(pg(name), f"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{SLOT}'")


def received(server):
    return server.known().get("generation") == generation(server.name)


def take(server):
    """Takes off-site what was logged until now."""
    state, name = server.known(), server.name
    # What is received still may be the log of what was here before a restore.
    if not received(server):
        raise Stop(f"the log of {name} is not received yet")
    end = ask(pg(name), "SELECT pg_current_wal_flush_lsn()")
    if state.get("shipped") != end:
        there = f"SELECT count(*) FROM pg_stat_replication WHERE application_name = 'pg_receivewal' AND write_lsn >= '{end}'"
        b.until(f"the log of {name}: receiving it", lambda: ask(pg(name), there) != "0", 60)
        # Links: a file that gets its last name meanwhile is not missed.
        fresh(server.folder + "/ship")
        for file in os.listdir(server.log):
            os.link(f"{server.log}/{file}", f"{server.folder}/ship/{file}")
        with offsite.turn():
            offsite.restic("backup", "--host", NAME, "--tag", f"wal,part-{name},generation-{state['generation']},{number()}", server.folder + "/ship", timeout=900)
        server.keep(shipped=end)


def entitled():
    if os.path.exists(STATE + "/claimed"):
        offsite.entitled()
    else:
        with offsite.ready(True):
            offsite.entitled()


def ship():
    if b.waits():
        return
    with turn("log", False) as free:
        if not free:
            print("a restore is going on")
            return
    jb.run(["systemctl", "--no-block", "start", RECEIVER])
    for server in map(Server, PARTS):
        b.until(f"the log of {server.name}: receiving it", lambda server=server: received(server), 90)
    with turn("log"):
        os.umask(0o077)
        os.makedirs(b.ROOT, exist_ok=True)
        try:
            b.room(0)
        except Stop as error:
            give_up()
            raise Stop(f"{error}; until there is room nothing more is logged for restores to any moment") from None
        entitled()
        for server in map(Server, PARTS):
            take(server)
            if "base" not in server.known():
                jb.run(["systemctl", "--no-block", "start", NAME + "-backup-base.service"])
        jb.write(STATE + "/ship", "", durable=False)


@contextlib.contextmanager
def turn(what, wait=True):
    # `base`: who reads or makes a whole copy. `log`: who touches the log's folder. Neither holds up a deploy.
    with open(f"{jb.RUN}/pitr-{what}.lock", "w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def segment(timeline, lsn, size):
    high, low = (int(x, 16) for x in lsn.split("/"))
    number = ((high << 32) + low) // size
    per = (1 << 32) // size
    return f"{timeline:08X}{number // per:08X}{number % per:08X}"


def base():
    os.umask(0o077)
    with turn("base"):
        entitled()
        for server in map(Server, PARTS):
            copy(server)
        with offsite.ready():
            for name in PARTS:
                thin(name)
            offsite.restic("prune")
        jb.write(STATE + "/base", "")
    print("a new beginning for restores to any moment is off-site")


def copy(server):
    name, folder = server.name, server.folder + "/base"
    login = pg(name)
    if ask(login, "SHOW data_directory") != server.inside:
        raise Stop(f"{name} keeps its data elsewhere than in PGDATA")
    if ask(login, "SELECT count(*) FROM pg_tablespace") != "2":
        raise Stop(f"{name} has a tablespace of its own: a restore to any moment cannot bring it back")
    state, size = server.known(), int(ask(login, "SELECT setting FROM pg_settings WHERE name = 'wal_segment_size'"))
    if not state:
        raise Stop(f"the log of {name} is not received yet")
    b.room(b.databases(login))
    fresh(folder)
    try:
        jb.run(["docker", "rm", "-f", f"{NAME}-base-{name}"])
        words = ["pg_basebackup", *server.login(), "-D", "/base", "-Ft", "-Xnone", "-cfast"]
        out(server.tool("base-" + name, words, [folder + ":/base"], "container:" + server.id), env=server.environment())
        (span,) = json.loads(jb.read(folder + "/backup_manifest"))["WAL-Ranges"]
        first, last = (segment(span["Timeline"], span[key], size) for key in ("Start-LSN", "End-LSN"))
        b.until(f"the log of {name}: receiving it", lambda: os.path.exists(f"{server.log}/{last}"), 120)
        if not os.path.exists(f"{server.log}/{first}"):
            raise Stop(f"the log of {name} was not received from the beginning of the copy on")
        with turn("log"):
            take(server)
        with offsite.turn():
            tags = f"base,part-{name},generation-{state['generation']},{number()},start-{span['Start-LSN']},end-{span['End-LSN']},bytes-{os.path.getsize(folder + '/base.tar')}"
            offsite.restic("backup", "--host", NAME, "--tag", tags, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    # What is older than the copy before this one is off-site, too.
    with turn("log"):
        if server.known().get("generation") == state["generation"]:
            for file in os.listdir(server.log):
                if file < state.get("base", ""):
                    os.remove(f"{server.log}/{file}")
            server.keep(base=first)


# What is off-site


def seconds(text):
    m = re.fullmatch(r"(\S+T[\d:]+)(\.\d+)?(\S+)", text)
    return datetime.datetime.fromisoformat(m[1] + m[3].replace("Z", "+00:00")).timestamp() + float(m[2] or 0)


def rows(name):
    found = []
    for row in offsite.snapshots("part-" + name):
        tags = dict(tag.partition("-")[::2] for tag in row["tags"])
        found.append({**tags, "id": row["id"], "time": seconds(row["time"]), "base": "base" in tags})
    return found


def number():
    # Tells in which order they were made, whatever the clock said.
    last = int(jb.read(STATE + "/number", "0")) + 1
    jb.write(STATE + "/number", str(last))
    return f"epoch-{offsite.own()[0]},serial-{last}"


def thin(name):
    """Forgets copies older than the days that are kept, and of the logs all but each day's last and what leads up to a copy."""
    have = rows(name)
    if not have:
        return
    # Measured against the newest: a clock that is wrong must not take them all.
    old = have[-1]["time"] - (max(1, offsite.OFF["keep"]["daily"]) + 1) * DAY
    bases = [row for row in have if row["base"]]
    last, count = {}, 0
    for row in have:
        count += row["base"]
        if not row["base"]:
            last[row["generation"], row["time"] // DAY, count] = row["id"]
    keep = {row["id"] for row in [*bases[-2:], *have[-4:]]} | {row["id"] for row in bases if row["time"] > old}
    oldest = min((row["time"] for row in bases if row["id"] in keep), default=old)
    keep |= {row["id"] for row in have if row["time"] > oldest - DAY and row["id"] in last.values()}
    gone = [row["id"] for row in have if row["id"] not in keep]
    if gone:
        offsite.restic("forget", *gone)


def choose(name, moment):
    """The copy to begin with, and the log from there to the moment (None: as far as it reaches)."""
    have = rows(name)
    bases = [row for row in have if row["base"] and (moment is None or row["time"] <= moment)]
    if not bases:
        first = next((row for row in have if row["base"]), None)
        raise Stop(f"{name}: the off-site repository reaches back to {shown(first['time'])}" if first else f"{name}: there is no copy to begin with off-site yet")
    begin = bases[-1]
    logs = [row for row in have if not row["base"]]
    until = next((row["time"] for row in logs if moment is not None and row["time"] >= moment), float("inf"))
    since = have[have.index(begin) :]
    strange = [row for row in since if not row["base"] and row["generation"] != begin["generation"] and row["time"] <= (moment or until)]
    if strange:
        raise Stop(f"{name}: at {shown(strange[0]['time'])} another history began, and no copy was made since: take a moment before it")
    # Each holds all that was written since the copy before its last one.
    logs = [row for row in logs if row["generation"] == begin["generation"] and row["time"] <= until]
    if not logs:
        raise Stop(f"{name}: there is no log that belongs to the copy of {shown(begin['time'])}")
    return begin, logs[-1]


def shown(moment):
    return datetime.datetime.fromtimestamp(moment).astimezone().isoformat(" ", "seconds")


def whole(folder, begin):
    """Makes of what was received what PostgreSQL reads, and sees to it that no piece is missing."""
    files = set(os.listdir(folder))
    for file in sorted(files):
        name = file.partition(".")[0]
        if file.endswith(".partial") and name not in files:
            os.rename(f"{folder}/{file}", f"{folder}/{name}")
    names = sorted(file for file in os.listdir(folder) if re.fullmatch("[0-9A-F]{24}", file))
    size = max((os.path.getsize(f"{folder}/{file}") for file in names), default=1 << 24)
    timeline = int(begin["generation"].rpartition("-")[2])
    first, last = segment(timeline, begin["start"], size), segment(timeline, begin["end"], size)
    names = [file for file in names if first <= file and file[:8] == first[:8]]
    for file in names:
        os.truncate(f"{folder}/{file}", size)
    per = (1 << 32) // size
    number = lambda file: int(file[8:16], 16) * per + int(file[16:], 16)  # noqa: E731
    if not names or names[0] != first or names[-1] < last or number(names[-1]) - number(first) != len(names) - 1:
        raise Stop(f"the log since {first} is not complete")


def beyond(server, folder, begin, moment, user):
    """Whether something was written after the moment: only then PostgreSQL can stop there."""
    words = ["pg_waldump", "-p", "/wal", "-t", begin["generation"].rpartition("-")[2], "-s", begin["start"], "-r", "Transaction"]
    jb.run(["docker", "rm", "-f", NAME + "-waldump"])
    tool = server.tool("waldump", words, [folder + ":/wal:ro"], "none", user)
    try:
        return later(tool, moment)
    finally:
        jb.run(["docker", "rm", "-f", NAME + "-waldump"])


def later(tool, moment):
    with subprocess.Popen(tool, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace") as p:
        for line in p.stdout:
            found = re.search(r"(?:COMMIT|ABORT)\S* (\d+-\d+-\d+) (\d+:\d+:\d+(?:\.\d+)?) UTC", line)
            if found and datetime.datetime.fromisoformat(f"{found[1]}T{found[2]}+00:00").timestamp() > moment:
                p.kill()
                return True
    return False


def prepare(server, moment):
    """Beside the data a server as it was at that moment, tried and shut down. Nothing that runs is touched. Returns what it reaches to."""
    begin, log = choose(server.name, moment)
    new = server.new
    if not os.path.exists(server.place) or os.stat(server.place).st_dev != os.stat(os.path.dirname(new)).st_dev:
        raise Stop(f"{server.place} is not where {os.path.dirname(new)} is: start {server.name} first")
    fresh(new)
    b.room(int(begin["bytes"]) * 2, new)
    where = f"{WAL}/{server.name}"
    for row in (begin, log):
        offsite.restic("restore", row["id"], "--target", new)
    shutil.move(f"{new}{where}/ship", new + "/wal")
    data = new + "/data"
    os.mkdir(data, mode=0o700)
    out([*b.TAR, "-C", data, "-xpf", f"{new}{where}/base/base.tar"])
    os.remove(f"{new}{where}/base/base.tar")
    owner = os.stat(data + "/PG_VERSION")
    user = f"{owner.st_uid}:{owner.st_gid}"
    os.rename(f"{new}{where}/base/backup_manifest", new + "/manifest")
    whole(new + "/wal", begin)
    for path in (new + "/manifest", data, new + "/wal", *(f"{new}/wal/{file}" for file in os.listdir(new + "/wal"))):
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
    jb.run(["docker", "rm", "-f", NAME + "-verify"])
    out(server.tool("verify", ["pg_verifybackup", "-n", "-m", "/manifest", "/data"], [data + ":/data:ro", new + "/manifest:/manifest:ro"], "none", user))
    stop = moment is not None and beyond(server, new + "/wal", begin, moment, user)
    replay(server, new, user, datetime.datetime.fromtimestamp(moment, datetime.timezone.utc).isoformat(" ") if stop else "")
    return moment if moment is not None and (stop or log["time"] >= moment) else log["time"]


def replay(server, new, user, moment):
    command = server.command if server.command[:1] == ["postgres"] else ["postgres", *(server.command if server.command[:1] and server.command[0][:1] == "-" else [])]
    for setting in ('restore_command=cp "/wal/%f" "%p"', "recovery_target_timeline=current", "recovery_target_action=promote",
                    "recovery_target_time=" + moment, "hot_standby=on", "archive_mode=off"):
        command = [*command, "-c", setting]
    jb.write(new + "/data/recovery.signal", "", 0o600)
    os.chown(new + "/data/recovery.signal", *map(int, user.split(":")))
    mounts = [f"{new}/data:{server.inside}", new + "/wal:/wal:ro", *server.others]
    jb.run(["docker", "rm", "-fv", SPARE])
    run = ["docker", "run", "-d", "--name", SPARE, "--network", "none", "--shm-size", "256m", "--memory", "1g", "-e", "PGDATA=" + server.inside]
    for mount in mounts:
        run += ["-v", mount]
    try:
        out([*run, *(["--user", server.user] if server.user else []), server.image, *command])
        login = ["docker", "exec", "-i", "-e", "PGUSER=" + server.account, "-e", "PGPASSWORD", SPARE]
        os.environ["PGPASSWORD"] = server.password

        def ended():
            if out(["docker", "inspect", "-f", "{{.State.Running}}", SPARE]) != "true":
                said = jb.run(["docker", "logs", "--tail", "40", SPARE])[1]
                raise Stop(f"{server.name} did not come up from its copy: " + jb.last_line("\n".join(re.findall(r"(?m)^.*FATAL.*$", said)) or said))
            return jb.run([*login, "psql", "-XqAt", "-d", "template1", "-c", "SELECT pg_is_in_recovery()"])[1] == "f"

        b.until("reading the log again", ended, 6 * 3600)
        # Its own checkpoint names the new timeline, and nothing is left to be made up for.
        out(["docker", "stop", "-t", "900", SPARE])
        if out(["docker", "inspect", "-f", "{{.State.ExitCode}}", SPARE]) != "0":
            raise Stop(f"{server.name} did not shut down in order after its log was read")
    finally:
        jb.run(["docker", "rm", "-fv", SPARE])


def exchange(server):
    """The data and the new data change places, in one instant and on the disk."""
    os.sync()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(AT_FDCWD, os.fsencode(server.new + "/data"), AT_FDCWD, os.fsencode(server.place), RENAME_EXCHANGE):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), server.place)
    os.sync()


def put(servers, what=""):
    # What was logged until now is of a history that ends here.
    jb.run(["systemctl", "stop", RECEIVER])
    for server in servers:
        out([*COMPOSE, "stop", server.name])
    # Of one alone there is no half.
    if len(servers) > 1:
        b.begin(what)
    for server in servers:
        exchange(server)
    if len(servers) > 1:
        b.whole_again(b.CUT)


def parse(text):
    if text == "latest":
        return None
    try:
        moment = datetime.datetime.fromisoformat(re.sub("Z$", "+00:00", text)).timestamp()
    except ValueError:
        raise Stop(f'{text} is no moment: write it as "2026-01-31 14:05", in this machine\'s time, or latest') from None
    if moment > time.time():
        raise Stop(f"{shown(moment)} is yet to come")
    return moment


def restore(args):
    moment = parse(args.to)
    if args.when or args.only and args.only not in PARTS:
        raise Stop(f"--to is for {', '.join(PARTS)}: all of a server as it was at that moment; other parts come from a backup")
    names = [args.only] if args.only else PARTS
    if not jb.read(b.CUT).startswith("-"):
        b.uncut()
    with turn("base"):
        print(f"{', '.join(names)} will be as at {args.to if moment is None else shown(moment)}: what was written since then is replaced, and services that use it "
              "stop meanwhile. Everything else stays as it is.")
        if not args.yes and input("Type yes to go on: ") != "yes":
            raise Stop("nothing was touched")
        start, servers = time.monotonic(), [Server(name) for name in names]
        try:
            for server in servers:
                try:
                    with turn("log"):
                        entitled()
                        take(server)
                except Stop as error:
                    # A server that is down has nothing to add.
                    print(f"{server.name}: what was logged in the last minutes cannot be added ({error})")
                reached = prepare(server, moment)
            ready = time.monotonic()
            with b.locked(), turn("log"):
                down = change(servers, names, args, f'--to "{shown(reached)}"\n')
        finally:
            for server in servers:
                shutil.rmtree(server.new, ignore_errors=True)
    jb.run(["systemctl", "--no-block", "start", NAME + "-backup-ship.service"])
    print(f"Restored to {shown(reached)} in {time.monotonic() - start:.0f} s, of which {ready - start:.0f} s while everything ran; services were down for {down:.0f} s.")


def change(servers, names, args, what):
    b.safety(names, args)
    config, start = b.stack(), time.monotonic()
    try:
        users = set().union(*(b.dependents(config, name) for name in names))
        if users:
            out([*COMPOSE, "stop", *sorted(users)])
        put(servers, what)
    finally:
        unwell = b.go_on()
    if unwell:
        raise Stop(unwell)
    return time.monotonic() - start


def rehearse():
    """The newest state, restored by way of trial."""
    with turn("base"):
        if not os.path.exists(STATE + "/base"):
            print("there is no copy off-site yet")
            return
        start = time.monotonic()
        for server in map(Server, PARTS):
            try:
                reached = prepare(server, None)
            finally:
                shutil.rmtree(server.new, ignore_errors=True)
        jb.write(STATE + "/rehearse", "")
    print(f"the state of {shown(reached)} was restored by way of trial in {time.monotonic() - start:.0f} s")


def catch_up(since):
    """On a new machine, what was logged after the backup that it began with."""
    for server in map(Server, PARTS):
        try:
            newest = max((row["time"] for row in rows(server.name)), default=0)
            # A backup that was made while the clock was ahead says nothing.
            if newest < since <= time.time():
                continue
            try:
                reached = prepare(server, None)
                put([server])
            finally:
                shutil.rmtree(server.new, ignore_errors=True)
                out([*COMPOSE, "up", "-d", "--no-deps", "--wait", server.name])
            jb.console(f"{server.name} is as at {shown(reached)}")
        except (Stop, OSError) as error:
            # The backup is whole, and a machine that serves yesterday's data is better than none.
            jb.console(f"{server.name} stays as it was backed up: {jb.redact(str(error))}")


if __name__ == "__main__":
    sys.exit(b.guarded({f.__name__: f for f in (receive, quiet, ship, base, rehearse)}[sys.argv[1]]))
