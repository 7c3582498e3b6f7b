# Deploys: a new version beside the old one, requests led over, the old one drained. releases.json says what is live; nginx,
# Compose and the containers follow it, by the deploy itself or, after a crash, by whoever comes next.
import contextlib
import json
import os
import re
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, "/usr/local/lib/julia-bootstrap")
import jb  # noqa: E402

NAME = jb.PLAN["name"]
DEPLOY = jb.PLAN.get("deploy", {})
MINE = DEPLOY.get("services", {})
STATE = jb.VAR + "/releases.json"
FROZEN = jb.VAR + "/frozen"
BASE = jb.HOME + "/compose.yaml"
# Compose reads it beside the other by itself.
OVERRIDE = jb.HOME + "/compose.override.yaml"
NEXT = jb.RUN + "/next.yaml"
# A migration may take long.
HOOK = 1800
REMEMBERED = 100


class Failed(Exception):
    pass


def step(text):
    print(text, flush=True)


def docker(*args, fine=False):
    code, text = jb.run(["docker", *args], HOOK)
    if not code:
        return text
    if not fine:
        raise Failed(f"docker {' '.join(args[:2])}: {jb.last_line(text)}")
    return None


def asleep():
    # What is not to run, for it waits for a secret, or because a newer machine speaks for it.
    old = os.path.exists(jb.VAR + "/backup/superseded")
    names = sorted({*jb.waiting(), *(jb.PLAN["backup"]["single"] if old else [])})
    return [y for x in names for y in ([x + "-blue", x + "-green"] if x in jb.COLOURS else [x])]


def resting():
    # The same as options for Compose.
    return [y for x in asleep() for y in ("--scale", x + "=0")]


def compose(*args, services=None, over=OVERRIDE):
    if args[0] == "up":
        # It refuses to scale what it was not asked to start.
        args += (*(resting() if services is None else services),)
    return docker("compose", "-f", BASE, "-f", over, *args)


def tag(group, number):
    return f"{NAME}-release/{group.lower()}:{number}"


def containers(service):
    label = "label=com.docker.compose."
    found = docker("ps", "-aq", *(x for y in (f"project={NAME}", f"service={service}", "oneoff=False") for x in ("--filter", label + y)))
    return json.loads(docker("inspect", *found.split())) if found else []


def commit(service, repository, ref, key):
    # What a branch or tag is at now; of an annotated tag, what it stands for.
    ssh = f"ssh -i {jb.HOME}/credentials/{key} -o IdentitiesOnly=yes -o StrictHostKeyChecking=accept-new"
    names = [f"refs/heads/{ref}", f"refs/tags/{ref}", f"refs/tags/{ref}^{{}}"]
    code, text = jb.run(["git", "ls-remote", "--", repository, *names], env=dict(os.environ, **({"GIT_SSH_COMMAND": ssh} if key else {})))
    if code or not text:
        raise Failed(f"{service}: {jb.last_line(text)}")
    return text.split("\n")[-1].split()[0]


def tell(text):
    step(text)
    url = DEPLOY["slack"] and jb.secret(DEPLOY["slack"])
    data = json.dumps({"text": f"{NAME}: {text}"}).encode()
    for _ in range(3 if url else 0):
        try:
            urllib.request.urlopen(urllib.request.Request(url, data, {"Content-Type": "application/json"}), timeout=10).close()
            return
        except OSError as error:
            why = jb.redact(str(error))
            time.sleep(2)
    if url:
        step(f"Slack was not told: {why}")


class Machine:
    hurry = False

    def __init__(self):
        self.state = {"current": {}, "green": [], "bare": [], "jobs": {}, "pending": None, "releases": [], **json.loads(jb.read(STATE, "{}"))}
        p = subprocess.run(["docker", "compose", "-f", BASE, "config", "--format", "json"], stdout=-1, stderr=-1, text=True, check=False)
        if p.returncode:
            raise Failed(jb.last_line(p.stderr))
        self.jobs, images, self.groups = set(), {}, {}
        self.services = json.loads(p.stdout)["services"]
        for name, s in self.services.items():
            images.setdefault(s.get("image", name), set()).add(jb.service(name))
            self.jobs |= {on for on, how in (s.get("depends_on") or {}).items() if how["condition"] == "service_completed_successfully"}
        # What shares an image is one group, called after the service that says how to deploy. Jobs come first.
        for image, members in images.items():
            members = sorted(members, key=lambda m: (m not in self.jobs, m))
            name = next((m for m in MINE if m in members), members[-1])
            source = next((x.split("\t") for x in jb.PLAN["sources"] if x.split("\t")[0] in members), None)
            self.groups[name] = {"image": image, "members": members, "source": source, "turns": [m for m in members if m in jb.COLOURS], "jobs": [m for m in members if m in self.jobs]}

    def save(self):
        jb.write(STATE, json.dumps(self.state, indent=1) + "\n", 0o600)

    def live(self, service, other=False):
        if service not in jb.COLOURS:
            return service
        return f"{service}-{'green' if (service in self.state['green']) != other else 'blue'}"

    def release(self, number):
        return next((r for r in self.state["releases"] if r["id"] == number), None)

    def of(self, group):
        return [r for r in self.state["releases"] if r["group"] == group]

    def record(self, group, image, **more):
        number = 1 + max((r["id"] for r in self.state["releases"]), default=0)
        row = {"id": number, "group": group, "image": image, "at": time.strftime("%Y-%m-%d %H:%M:%S"), "result": "running", "seconds": 0, "why": "", **more}
        digests = image and docker("image", "inspect", "-f", "{{json .RepoDigests}}", image, fine=True)
        row["digest"] = (json.loads(digests or "null") or [""])[0]
        if image:
            docker("tag", image, tag(group, number))
        self.state["releases"].append(row)
        return row

    def wanted(self, group=None, image=None):
        # Images and colours as they stand; of one group also the new ones beside them.
        rows, pin = {}, lambda image: {"image": image, "pull_policy": "never"}
        for name, g in self.groups.items():
            number = self.state["current"].get(name)
            pinned = pin(tag(name, number)) if number else {}
            new = pin(image) if name == group else None
            for m in g["members"]:
                if m in g["turns"]:
                    rows[self.live(m)] = {**pinned, "scale": 1}
                    rows[self.live(m, True)] = {**(new or pinned), "scale": int(bool(new))}
                elif not new and docker("image", "inspect", last := tag(name, self.state["jobs"].get(m)), fine=True):
                    # The job that ended well last: what a newer one did to a database, an older one may not know.
                    rows[m] = pin(last)
                elif new or pinned:
                    rows[m] = new or pinned
        for name in sorted({*self.state["bare"]} & {*self.services}):
            rows[name] = {**rows.get(name, {}), "depends_on": "!reset"}
        return json.dumps({"services": rows}, indent=1).replace('"!reset"', "!reset {}") + "\n"

    def up(self, *services, over=OVERRIDE):
        # By itself, whatever it depends on. To Compose it is from then on another service, to be made again by whoever starts
        # all of them, unless those dependencies are gone from what it reads.
        sleeping = asleep()
        services = [s for s in services if s not in sleeping]
        if not services:
            return
        self.state["bare"] = sorted({*self.state["bare"], *services})
        self.save()
        if over == OVERRIDE:
            self.follow()
        compose("up", "-d", "--no-deps", services=services, over=over)

    def follow(self):
        jb.write(OVERRIDE, self.wanted())
        os.makedirs(jb.GREEN, exist_ok=True)
        for service in jb.COLOURS:
            if service in self.state["green"]:
                jb.write(jb.GREEN + service, "")
            elif os.path.exists(jb.GREEN + service):
                os.remove(jb.GREEN + service)
                jb.sync_dir(jb.GREEN)

    def first(self, group):
        # What runs before any deploy is a release too: something to return to. A power cut may have taken its image.
        number = self.state["current"].get(group)
        if number:
            name = tag(group, number)
            if docker("image", "inspect", name, fine=True) or docker("tag", self.release(number)["image"], name, fine=True) is not None:
                return
            del self.state["current"][group]
        asked = self.groups[group]["image"]
        running = containers(self.live(group))
        image = running[0]["Image"] if running else docker("image", "inspect", "-f", "{{.Id}}", asked, fine=True)
        if image:
            source = self.groups[group]["source"]
            version = jb.run(["git", "-C", f"{jb.HOME}/src/{source[0]}", "rev-parse", "HEAD"])[1] if source else image
            row = self.record(group, image, asked=asked, version=version, by="first start", result="ok")
            self.state["current"][group] = row["id"]

    def name(self, service, other=False):
        # The live one bears the service's name for the other containers.
        for c in containers(self.live(service, other)):
            for network in MINE[service]["networks"]:
                code, text = jb.run(["docker", "network", "connect", "--alias", service, network, c["Id"]])
                if code and "already exists" not in text:
                    raise Failed(jb.last_line(text))

    def stop(self, services):
        # Each has its own stop_grace_period.
        ids = [c["Id"] for s in services for c in containers(s)]
        if ids:
            docker("stop", *ids)
        return ids

    def settle(self, group):
        g = self.groups[group]
        self.follow()
        for m in g["turns"]:
            self.name(m)
        rest = [m for m in g["members"] if m not in g["turns"] + g["jobs"]]
        if rest:
            self.up(*rest)
        for m in g["turns"]:
            self.drain(m)
        ids = self.stop([self.live(m, True) for m in g["turns"]])
        if ids:
            docker("rm", "-f", *ids)

    def well(self, service):
        job = service in self.jobs
        began = time.monotonic()
        what, log = "has no container", ""
        while time.monotonic() - began < (HOOK if job else DEPLOY["wait"]):
            for c in containers(service):
                s = c["State"]
                health = (s.get("Health") or {}).get("Status")
                what = f"is {s['Status']}" + (f", {health}" if health else "")
                if job and s["Status"] == "exited" and not s["ExitCode"]:
                    return
                # Without a health check: it stays up for a while.
                if not job and s["Running"] and (health == "healthy" or not health and time.monotonic() - began > 10):
                    return
                if health == "unhealthy" or s["Status"] in ("exited", "dead") or c["RestartCount"] > 2:
                    began = -1e9
            time.sleep(0.5)
        for c in containers(service):
            log = "\n" + (docker("logs", "--tail", "15", c["Id"], fine=True) or "")
        raise Failed(f"{service} {what}{log}")

    def hook(self, group, when):
        for m in self.groups[group]["members"]:
            words = MINE.get(m, {}).get(when)
            if words:
                step(f"{when}: {' '.join(words)}")
                name = NAME + "-hook"
                docker("rm", "-f", name, fine=True)
                service = self.live(m, when == "before")
                args = ["docker", "compose", "-f", BASE, "-f", NEXT, "run", "--rm", "--no-deps", "-T", "--name", name, service, *words]
                code, text = jb.run(args, HOOK)
                docker("rm", "-f", name, fine=True)
                if code:
                    raise Failed(f"the command `{when}` of {m} ended with {code}\n" + "\n".join(text.splitlines()[-15:]))

    def save_databases(self, row):
        # As they are before a new version may change them.
        if not DEPLOY.get("backup") or self.hurry or "of" in row:
            return
        import ctl_backup  # pylint: disable=import-outside-toplevel

        parts = [p for p in ctl_backup.PARTS if p["kind"] == "postgres"]
        try:
            row["backup"] = ctl_backup.make(parts, True)[0] if parts else ""
        except (ctl_backup.Stop, OSError) as error:
            raise Failed(f"the databases could not be saved first (--no-backup leaves that out): {error}") from None
        if parts:
            step("databases saved as " + row["backup"])

    def drain(self, service):
        # Requests are led to the other by now; those in hand, and what is on its way, end in peace.
        old = containers(self.live(service, True))
        if not old:
            return
        step("draining")
        column = int(service not in self.state["green"])
        ports = " or ".join(f"dport = :{pair[column]}" for pair in MINE[service]["ports"])
        began = time.monotonic()
        while ports and time.monotonic() - began < DEPLOY["drain"]:
            if time.monotonic() - began > 3 and not jb.run(["ss", "-Htn", "state", "established", f"( {ports} )"])[1]:
                break
            time.sleep(0.5)
        # Nobody asks for it by name any more, unless somebody still does.
        for c in old:
            for network in MINE[service]["networks"]:
                address = c["NetworkSettings"]["Networks"].get(network, {}).get("IPAddress")
                busy = address and jb.run(["nsenter", "-n", "-t", str(c["State"]["Pid"]), "ss", "-Htn", "state", "established", "src", address])[1]
                if address and not busy:
                    docker("network", "disconnect", network, c["Id"], fine=True)

    def deploy(self, group, image, by, **more):
        g, state, began = self.groups[group], self.state, time.monotonic()
        back = {"current": dict(state["current"]), "green": list(state["green"])}
        row = self.record(group, image, by=by, **more)
        state["pending"] = row["id"]
        self.save()
        step(f"release {row['id']} of {group}: {row['asked']}")
        sleeping = asleep()
        awake = [m for m in g["members"] if m not in sleeping]
        others = [m for m in awake if m not in g["turns"] + g["jobs"]]
        try:
            self.save_databases(row)
            jb.write(NEXT, self.wanted(group, tag(group, row["id"])), durable=False)
            self.hook(group, "before")
            # Jobs do their work first, while all that serves is the old version.
            for m in [m for m in awake if m in g["jobs"]]:
                step("running " + m)
                self.up(m, over=NEXT)
                self.well(m)
                state["jobs"][m] = row["id"]
                self.save()
            if g["turns"]:
                step("starting beside the old one")
                beside = [self.live(m, True) for m in g["turns"]]
                self.up(*beside, over=NEXT)
                for service in beside:
                    self.well(service)
                # New work is for new workers: the old ones finish what they have.
                step("stopping the others")
                self.stop(others)
                for m in g["turns"]:
                    self.name(m, True)
            step("switching")
            state["current"][group] = row["id"]
            state["green"] = [s for s in jb.COLOURS if (s in state["green"]) != (s in g["turns"])]
            self.save()
            self.follow()
            # What was stopped starts together, else one after the other.
            for batch in [others] if g["turns"] and others else [[m] for m in others]:
                step("starting " + ", ".join(batch))
                self.up(*batch)
                for m in batch:
                    self.well(m)
            self.hook(group, "after")
        except (Failed, OSError) as error:
            step("going back")
            state.update(back)
            self.save()
            # A job may be at work still.
            self.stop(g["jobs"])
            self.settle(group)
            return self.end(row, began, "failed", jb.redact(str(error)))
        self.settle(group)
        return self.end(row, began, "ok", "")

    def end(self, row, began, result, why):
        row.update(result=result, why=why[-4000:], seconds=round(time.monotonic() - began))
        self.state["pending"] = None
        self.save()
        self.prune(row["group"])
        what = f"release {row['id']} of {row['group']} ({row['asked']}, by {row['by']})"
        tell(f"{what} is live, {row['seconds']} s" if result == "ok" else f"{what} failed, the old version stays: {why}")
        return int(result != "ok")

    def cut(self):
        # What was at work, if anything, and whether it was live by then.
        row = self.release(self.state["pending"])
        done = bool(row) and self.state["current"].get(row["group"]) == row["id"]
        if row:
            row.update(result="ok" if done else "interrupted", why="it was interrupted" + ", and finished" * done)
        return row, done

    def recover(self):
        row, done = self.cut()
        if row:
            if not done:
                self.stop(self.groups[row["group"]]["jobs"])
            self.settle(row["group"])
            self.state["pending"] = None
            self.save()
            step(f"release {row['id']} of {row['group']} {row['why']}")

    def prune(self, group):
        rows = self.of(group)
        kept = {r["id"] for r in rows if r["result"] == "ok"}
        kept = {*sorted(kept)[-DEPLOY["keep"] :], self.state["current"].get(group), rows[-1]["id"], *self.state["jobs"].values()}
        needed = {r["image"] for r in self.state["releases"] if r["group"] != group or r["id"] in kept}
        needed |= {docker("image", "inspect", "-f", "{{.Id}}", g["image"], fine=True) for g in self.groups.values()}
        for r in rows:
            if r["id"] not in kept and not r.get("gone"):
                docker("rmi", tag(group, r["id"]), fine=True)
                if r["image"] not in needed:
                    refs = docker("image", "inspect", "-f", "{{join .RepoTags \" \"}} {{join .RepoDigests \" \"}}", r["image"], fine=True)
                    docker("rmi", *(refs or "").split(), fine=True)
                r["gone"] = True
        gone = [r for r in rows if r.get("gone")][:-REMEMBERED]
        self.state["releases"] = [r for r in self.state["releases"] if r not in gone]
        self.save()

    def obtain(self, group, asked, known):
        # Image and version, unless it is known. What is built on the machine is known by its commit.
        built = asked == self.groups[group]["image"] and self.groups[group]["source"]
        version = built and commit(*built)
        if version in known:
            return None
        if built:
            code, text = jb.run([jb.CODE + "/stages/pull", built[0]], HOOK)
            if code:
                return "", version, "building it: " + jb.last_line(text)
        else:
            docker("pull", "-q", asked)
        # Docker does not sync what it unpacks, and pulls nothing again that it believes to have.
        os.sync()
        image = docker("image", "inspect", "-f", "{{.Id}}", asked)
        version = version or image
        return None if version in known else (image, version, "")

    def waits(self, group):
        # There is nothing to replace before its secrets are there.
        return jb.waiting().keys() & {*self.groups[group]["members"]}

    def update(self, group, asked, by, force=False):
        if self.waits(group):
            step(f"{group} waits for its secrets")
            return 0
        self.first(group)
        self.save()
        current = self.release(self.state["current"].get(group)) or {"asked": self.groups[group]["image"]}
        # What a reboot cut off comes again; not for ever, since it may be why.
        cut = [r["version"] for r in self.of(group) if r["result"] == "interrupted"]
        met = {r["version"] for r in self.of(group) if r["result"] != "interrupted" or cut.count(r["version"]) > 2}
        known = met if by == "poll" else {current.get("version")}
        if asked.startswith((":", "@")):
            asked = re.sub(r"(:[^/:]+)?(@.*)?$", "", self.groups[group]["image"]) + asked
        asked = asked or (current["asked"] if by == "poll" else self.groups[group]["image"])
        found = self.obtain(group, asked, set() if force else known)
        if found:
            image, version, why = found
            if why:
                return self.end(self.record(group, "", asked=asked, version=version, by=by, gone=True), time.monotonic(), "failed", why)
            return self.deploy(group, image, by, asked=asked, version=version)
        if by != "poll":
            step(f"{asked} is live already")
        return 0


def who():
    return os.environ.get("SUDO_USER") or "root"


@contextlib.contextmanager
def turn(args=None):
    # Who puts in order comes again. Who looks by himself, too, but outlasts a start that waits for what may never be well: what he brings may mend it.
    looks = args and args.poll
    with jb.operation(5 if args and args.recover else 960 if looks else float("inf")) as mine:
        finished()
        # The hour may have come meanwhile at which nothing is to come in.
        yield mine and (not looks or may_poll())


def finished():
    # By the stack's stage, which comes at once: nothing is to run on half of a restore.
    cut = jb.VAR + "/backup/restoring"
    if os.path.exists(cut) and not os.path.exists(cut + "-served"):
        sys.exit("a restore was cut short and is finished first: try again later")


def apart(what="deploy", after="/usr/local/bin/bootstrapctl deploy --recover", text=None):
    # A unit of its own: a lost SSH connection does not end it, and whatever ends it, what it left is put in order.
    if "JB_APART" not in os.environ:
        unit = ["systemd-run", "-q", "--wait", "--pipe", "--collect", f"--unit={NAME}-{what}ing", "-p", "ExecStopPost=" + after, "-p", "TimeoutStopSec=1800"]
        words = [*unit, "-E", "JB_APART=1", "-E", "SUDO_USER=" + who(), "/usr/local/bin/bootstrapctl", *sys.argv[1:]]
        if text is None:
            os.execvp("systemd-run", words)
        sys.exit(subprocess.run(words, input=text, text=True, check=False).returncode)


def may_poll():
    now = time.localtime()
    minute = now.tm_wday * 1440 + now.tm_hour * 60 + now.tm_min
    return not os.path.exists(FROZEN) and (not DEPLOY["windows"] or any(a <= m < b for a, b in DEPLOY["windows"] for m in (minute, minute + 10080)))


def deploy(args):
    if args.poll and not may_poll():
        return 0
    if not args.poll and not args.recover:
        if os.path.exists(FROZEN) and not args.force:
            step("deploys are frozen: `bootstrapctl unfreeze`, or --force")
            return 1
        apart()
    if args.recover and not json.loads(jb.read(STATE, "{}")).get("pending"):
        return 0
    # Who is at work recovers by itself.
    with turn(args) as mine:
        if not mine:
            return 0
        machine = Machine()
        machine.recover()
        if args.recover:
            return 0
        group, asked = args.service, args.image or ""
        if group:
            group = next((name for name, g in machine.groups.items() if group in g["members"]), None)
            if not group:
                step(f"there is no service {args.service}: the groups are " + ", ".join(sorted(machine.groups)))
                return 2
        code, machine.hurry = 0, args.no_backup
        for name in [group] if group else [name for name in machine.groups if name in MINE]:
            try:
                code |= machine.update(name, asked, "poll" if args.poll else who(), args.force)
            except Failed as error:
                step(f"{name}: {error}")
                code = 1
        return code


def rollback(args):
    apart()
    with turn():
        machine = Machine()
        machine.recover()
        rows = machine.state["releases"]
        if args.id:
            row = machine.release(args.id)
        else:
            # What came last.
            group = next((r["group"] for r in rows[::-1] if r["result"] == "ok" and r["by"] != "first start"), None)
            now = machine.release(machine.state["current"].get(group)) or {}
            good = [r for r in rows if r["group"] == group and r["result"] == "ok" and r["image"] != now.get("image")]
            row = next((r for r in good[::-1] if r["id"] < now.get("of", now["id"])), None)
        if not row or row.get("gone"):
            step("there is no such release on the disk: see `bootstrapctl releases`")
            return 2
        return machine.deploy(row["group"], row["image"], who(), asked=row["asked"], version=row["version"], of=row["id"])


def releases(args):
    state = json.loads(jb.read(STATE, '{"current": {}, "releases": []}'))
    if args.json:
        step(json.dumps(state))
        return 0
    for r in state["releases"]:
        mark = "*" if state["current"].get(r["group"]) == r["id"] else "-" if r.get("gone") else " "
        step(f"{mark}{r['id']:>4}  {r['at']}  {r['result']:11}  {r['seconds']:>4} s  {r['by']:11}  {r['group']}: {r['asked']}  {r['digest'].partition('@')[2][:19]}")
    return 0


def freeze(args):
    jb.write(FROZEN, time.strftime("%F %T\n"))
    step("no version comes in by itself until `bootstrapctl unfreeze`")
    return 0


def unfreeze(args):
    if os.path.exists(FROZEN):
        os.remove(FROZEN)
    return 0


def register(commands):
    sub = commands.add_parser("deploy", help="a new version of SERVICE and of what shares its image; without one, of all that say how to deploy")
    sub.add_argument("service", nargs="?", metavar="SERVICE")
    sub.add_argument("image", nargs="?", metavar="IMAGE", help="another image than the profile's, or :TAG or @DIGEST of it")
    sub.add_argument("--force", action="store_true", help="what is live already, too, and while frozen")
    sub.add_argument("--no-backup", action="store_true", help="without saving the databases first")
    sub.add_argument("--poll", action="store_true", help="as the timer does")
    sub.add_argument("--recover", action="store_true", help="after an interrupted deploy")
    sub.set_defaults(function=deploy)
    sub = commands.add_parser("rollback", help="back to the version before, or to release ID")
    sub.add_argument("id", nargs="?", type=int, metavar="ID")
    sub.set_defaults(function=rollback)
    sub = commands.add_parser("releases", help="what was deployed; * is live, - is no longer on the disk")
    sub.add_argument("--json", action="store_true", help="for scripts")
    sub.set_defaults(function=releases)
    for function, text in (freeze, "no version comes in by itself"), (unfreeze, "the end of that"):
        commands.add_parser(function.__name__, help=text).set_defaults(function=function)


def boot():
    # Before the stack is started: what is live, with its name, by what was last decided.
    with turn():
        machine = Machine()
        for group in machine.groups:
            if group in MINE:
                machine.first(group)
        machine.cut()
        machine.state["pending"] = None
        machine.save()
        machine.follow()
        compose("up", "--no-start", "--remove-orphans")
        for service in jb.COLOURS:
            machine.name(service)


if __name__ == "__main__":
    try:
        boot()
    except Failed as error:
        sys.exit(str(error))
