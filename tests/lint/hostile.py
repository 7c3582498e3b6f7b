#!/usr/bin/env python3
"""Sends hostile strings through every string field of a profile.

Each is refused (exit code 2, with a position on its line, nothing written) or comes back byte for byte from all forms of
user-data, and from the program that reads it on the machine. The cases follow from the seed.
"""
import argparse
import json
import multiprocessing
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
import hostile_fields as fields  # noqa: E402
import lab_common  # noqa: E402
import lint_checks  # noqa: E402
import lint_roots  # noqa: E402

TOP = pathlib.Path(__file__).resolve().parents[2]
SENTINEL = "where is it"


class Wrong(Exception):
    """What a case showed to be wrong."""


def text_of(profile):
    """A profile as JSON, which is YAML: one scalar a line."""
    return json.dumps(profile, indent=1, ensure_ascii=False)


def place(path):
    """The line of the base profile on which the value at a path begins."""
    lines = text_of(fields.with_value(path, SENTINEL)).split("\n")
    return next(number for number, part in enumerate(lines, 1) if SENTINEL in part)


class Rendered:
    """A profile rendered, and its files in a root with the programs that read them."""

    def __init__(self, bundle, root):
        self.bundle, self.root, self.cache = bundle, root, {}
        self.manifest = {row["path"]: row for row in json.loads((bundle / "manifest.json").read_text())}
        for path, row in self.manifest.items():
            root.write(path, self.file(path).read_bytes(), int(row["mode"], 8))
        self.plan = json.loads(self.text("/etc/julia-bootstrap/plan.json"))

    def file(self, path):
        """A file of the machine, in the bundle."""
        return self.bundle / "root" / path.lstrip("/")

    def text(self, path):
        """The text of a file of the machine."""
        return self.file(path).read_bytes().decode()

    def output(self, *command):
        """What a program in the root prints, whatever it thinks."""
        return self.root.run(*command)[1]

    def shell(self, script, *arguments):
        """What a POSIX shell in the root prints."""
        code, out = self.root.run("sh", "-c", script, "sh", *arguments)
        if code:
            raise Wrong(f"the shell ended with status {code}: {out}")
        return out

    def stage(self, name):
        """Runs a stage's script in the root."""
        for path in (f"/opt/{self.plan['name']}/.env", "/root/.docker/config.json"):
            self.root.at(path).unlink(missing_ok=True)
        code, out = self.root.run(f"/usr/local/lib/julia-bootstrap/stages/{name}")
        if code:
            raise Wrong(f"the stage {name} ended with status {code}: {out}")

    def daemon(self):
        """Docker's configuration."""
        return json.loads(self.text("/etc/docker/daemon.json"))

    def nginx(self, directive, distinct=True):
        """The arguments of a directive in what nginx says it read, without the machine's own."""
        wrong = lint_checks.nginx(self, self.root)
        if wrong:
            raise Wrong(wrong[0])
        found = re.findall(rf'^\s*{directive} "((?:[^"\\]|\\.)*)"', self.output("nginx", "-T"), re.M)
        plain = [re.sub(r"\\(.)", r"\1", text) for text in found]
        return list(dict.fromkeys(plain)) if distinct else plain

    def compose_file(self):
        """The stack as PyYAML reads it."""
        return yaml.safe_load(self.text(f"/opt/{self.plan['name']}/compose.yaml"))

    def compose(self):
        """The stack as Compose reads it, with the .env that the secrets stage made."""
        self.stage("secrets")
        script = 'cd "$1" && docker compose --env-file .env config --format json 2>/tmp/said || { cat /tmp/said; exit 1; }'
        return json.loads(self.shell(script, f"/opt/{self.plan['name']}"))


def unpacked(user_data):
    """Runs the payload's own Python in an empty root: what it wrote, as {path: bytes}."""
    document = yaml.safe_load(user_data)
    code = re.fullmatch(r"python3 - <<'([E{])'\n(.*\n)\1\n", document["bootcmd"][0], re.S)[2]
    with tempfile.TemporaryDirectory(dir="/mnt") as folder:
        top = pathlib.Path(folder)
        cloud = top / "var/lib/cloud/instance"
        cloud.mkdir(parents=True)
        # As cloud-init writes down what it merged.
        merged = yaml.safe_dump(document, indent=4, explicit_start=True, explicit_end=True, default_flow_style=False)
        (cloud / "cloud-config.txt").write_text(f"#cloud-config\n\n{merged}")
        said = top / "said"
        child = os.fork()
        if child == 0:
            status = 1
            with said.open("w") as out:
                try:
                    os.chroot(folder)
                    os.sync = lambda: None
                    os.execv = lambda *_: os._exit(0)
                    exec(compile(code, "payload", "exec"), {"__name__": "__main__"})  # pylint: disable=exec-used
                except SystemExit as end:
                    print(end, file=out)
                except BaseException:  # pylint: disable=broad-except
                    traceback.print_exc(file=out)
                finally:
                    out.flush()
                    os._exit(status)
        _, status = os.waitpid(child, 0)
        if status:
            raise Wrong(f"the payload did not unpack: {said.read_text()}")
        return {f"/{path.relative_to(top)}": path.read_bytes() for path in top.rglob("*") if path.is_file() and path != said}


class Bench:
    """Renders profiles and judges them; one for each process."""

    def __init__(self, binary):
        self.binary, self.root, self.rendered = binary, lint_roots.Root("debian-13"), 0
        self.root.write("/etc/apt/sources.list", "")

    def tool(self, folder, *arguments, env=None):
        """Runs the tool."""
        command = [self.binary, *map(str, arguments)]
        full = {"PATH": os.environ["PATH"], "TOKEN": "t0ken", "GIVEN": "given", "DEPLOY": fields.DEPLOY, "NO_COLOR": "1", **(env or {})}
        return subprocess.run(command, cwd=folder, env=full, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)

    def bundle(self, folder, *arguments, env=None):
        """Renders what stands in a folder as p.yaml: None when it is refused as it must be, else what was rendered."""
        done = self.tool(folder, "render", "p.yaml", "--format", "bundle", "-o", "bundle", *arguments, env=env)
        if done.returncode == 2:
            if (folder / "bundle").exists() or done.stdout:
                raise Wrong("it was refused, and yet something was written")
            return None
        if done.returncode or b"panicked" in done.stderr:
            raise Wrong(f"render ended with status {done.returncode}: {done.stderr.decode(errors='replace')[-1500:]}")
        rendered = Rendered(folder / "bundle", self.root)
        # The forms differ in nothing that a profile's text could change: one in four is unpacked, and now and then `packed`, which takes half a minute.
        self.rendered += 1
        names = ("cloud-config", "lzma") if self.rendered % 4 == 1 else ()
        forms = {form: self.tool(folder, "-q", "render", "p.yaml", "--format", form, *arguments, env=env).stdout for form in names}
        if self.rendered % 100 == 1:
            forms["packed"] = (rendered.bundle / "user-data").read_bytes()
        self.all_forms(rendered, forms)
        return rendered

    def all_forms(self, rendered, forms):
        """The payloads of all forms, run, write the bundle's files."""
        for form, data in forms.items():
            found = unpacked(data)
            for path in rendered.manifest:
                want = rendered.file(path).read_bytes()
                have = found.get(path, b"nothing")
                if want != have and (form == "cloud-config" or not lint_checks.same_but_for_comments(path, want.decode(), have.decode())):
                    raise Wrong(f"{path} differs in the {form} form")

    def refusal(self, folder, lines):
        """A refusal tells a position: one of its errors stands on a line where the hostile string is."""
        done = self.tool(folder, "check", "p.yaml", "--json")
        if done.returncode != 2:
            raise Wrong(f"render refused it, and check ended with status {done.returncode}")
        errors = [row for row in json.loads(done.stdout)["findings"] if row["severity"] == "error"]
        if not any(row["line"] in lines and row["column"] >= 1 and row["file"].endswith("p.yaml") for row in errors):
            places = [(row["code"], row["file"], row["line"], row["column"]) for row in errors]
            raise Wrong(f"it was refused, but not at line {lines[0]}: {places}")

    def one(self, path, reader, value):
        """One string in one field: "refused" or "kept"."""
        written = value.replace("$", "$$") if path[0] in fields.INTERPOLATED and not {"x-bootstrap", fields.NAME} & set(path) else value
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            text = text_of(fields.with_value(path, written))
            (folder / "p.yaml").write_text(text)
            (folder / "secret").write_text("{}")
            (folder / "sealed.json").write_text(json.dumps(fields.SEALED))
            lines = [place(path)]
            rendered = self.bundle(folder)
            if rendered is None:
                self.refusal(folder, lines)
                return "refused"
            if isinstance(reader, str):
                if not re.fullmatch(reader, value):
                    raise Wrong("it was accepted, and is nothing that this field can mean")
            elif reader:
                for who, found in reader(rendered):
                    want = value.encode("idna").decode() if tuple(path) in fields.DOMAINS and not value.isascii() else value
                    want = fields.KEY if who == "ssh-keygen" else want
                    if found != (want.lower() if tuple(path) in fields.DOMAINS else want):
                        raise Wrong(f"{who} reads {found!r}")
        return "kept"

    def secrets(self, values):
        """Every string as the value of a secret; halved where they fail together, to find which ones do."""
        try:
            return list(self.secrets_at_once(values))
        except Wrong as error:
            if len(values) == 1:
                return [f"a secret, {values[0][:80]!r}: {error}"]
            half = len(values) // 2
            return self.secrets(values[:half]) + self.secrets(values[half:])

    def secrets_at_once(self, values):
        """Strings as the values of secrets: through .env and Compose, and as files."""
        names = [f"S{number}" for number in range(len(values))]
        profile = fields.with_value(["secrets"], {
            "TOKEN": {"env": "TOKEN"}, "GIVEN": {"env": "GIVEN"}, "DEPLOY": {"env": "DEPLOY", "as": "credential"},
            **{name: {"env": name} for name in names}, **{f"f{name}": {"file": f"f{name}", "as": "credential"} for name in names},
        })
        profile["services"]["web"]["environment"] = {name: f"${{{name}}}" for name in names}
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "p.yaml").write_text(text_of(profile))
            for name, value in zip(names, values):
                (folder / f"f{name}").write_bytes(value.encode())
            rendered = self.bundle(folder, env=dict(zip(names, values)))
            if rendered is None:
                raise Wrong("secrets were refused: " + self.tool(folder, "-q", "check", "p.yaml", env=dict(zip(names, values))).stderr.decode()[:1500])
            found = rendered.compose()["services"]["web"]["environment"]
            for name, value in zip(names, values):
                if found[name].replace("$$", "$") != value:
                    yield f"a secret in .env: {value[:80]!r} is {found[name][:80]!r} to Compose"
                if self.root.read(f"/opt/hostile/credentials/f{name}") != value.encode():
                    yield f"a secret in a file: {value[:80]!r} came out changed"

    def plain_words(self, _values):
        """Unquoted words in a service mean to Compose what they mean without us."""
        words = ["no", "yes", "on", "012", "0o14", "0x1F", "1:30", "1e3", "1_000", ".5", "2001-01-01", "~", "true", "null", "y", "8080"]
        environment = "".join(f"      W{number}: {word}\n" for number, word in enumerate(words))
        overlay = f"services:\n  web:\n    environment:\n{environment}    command: [no, on, ~a, '1:30', y, 2001-01-01x]\n    mem_limit: 1g\n"
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "p.yaml").write_text(text_of(fields.with_value(["version"], 1)))
            (folder / "secret").write_text("{}")
            (folder / "sealed.json").write_text(json.dumps(fields.SEALED))
            (folder / "more.yaml").write_text(overlay)
            rendered = self.bundle(folder, "--overlay", "more.yaml")
            if rendered is None:
                raise Wrong("plain words were refused")
            self.root.write("/root/compose.yaml", overlay.replace("web:\n", "web:\n    image: x\n"))
            want = json.loads(self.root.run("docker", "compose", "-f", "/root/compose.yaml", "config", "--format", "json")[1])
            have = rendered.compose()
            for key in ("environment", "command", "mem_limit"):
                a, b = want["services"]["web"][key], have["services"]["web"][key]
                b = {name: b[name] for name in a} if isinstance(a, dict) else b
                if a != b:
                    yield f"{key} without us {a}, with us {b}"


def label(path):
    """A path for people."""
    return ".".join("(key)" if step is fields.NAME else str(step) for step in path)


def cases(seed, count):
    """For each field first its good value, which shows that the readers read; then hostile strings, alone or put into it."""
    chance = random.Random(seed)
    for number in range(count):
        path = fields.FIELDS[number % len(fields.FIELDS)][0]
        good = ABSENT[path[-1]] if path[-1] in ABSENT else fields.at(fields.BASE, path)
        value = chance.choice(fields.HOSTILE)
        if number < len(fields.FIELDS):
            value = good
        elif chance.random() < 0.6:
            cut = chance.choice([0, len(good), chance.randrange(len(good) + 1)])
            value = good[:cut] + value + good[cut:]
        yield number, path, value


# What stands nowhere in the base profile, or as something else than text.
ABSENT = {"size": "minimum", "compose": "compose.yaml", "ca": "certificate", "ca_file": "ca.pem", "as": "env"}
BENCH = None


def start(binary):
    """A process's own bench."""
    global BENCH  # pylint: disable=global-statement
    BENCH = Bench(binary)


def work(job):
    """Judges one case in a process: (what came out, the sentence if it is wrong)."""
    number, value = job
    path, reader = fields.FIELDS[number % len(fields.FIELDS)]
    where = label(path)
    try:
        return BENCH.one(path, reader, value), where, None
    except Exception as error:  # pylint: disable=broad-except
        kind = "" if isinstance(error, Wrong) else f"{type(error).__name__}: "
        return "wrong", where, f"case {number}, {where}, {value[:120]!r}: {kind}{error}"


def batch(name):
    """Judges all strings at once in one way."""
    values = [value for value in fields.HOSTILE if "\0" not in value and value]
    try:
        return list(getattr(BENCH, name)(values))
    except Exception as error:  # pylint: disable=broad-except
        return [f"{name}: {type(error).__name__}: {error}"]


def main():
    """Reads the command line and runs the cases on all processors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=440)
    parser.add_argument("--only", metavar="FIELD", help="only fields whose path begins so")
    parser.add_argument("-v", "--verbose", action="store_true", help="say for each field what came out")
    options = parser.parse_args()
    binary = os.environ.get("JULIA_BOOTSTRAP") or shutil.which("julia-bootstrap", path=f"{TOP}/target/release:{TOP}/target/debug")
    if not binary:
        raise lab_common.LabError("the tool is not built: run `cargo build --release`, or say in $JULIA_BOOTSTRAP where it is")
    if not lint_roots.place("debian-13").exists():
        print("MISSING root of debian-13: build it with scripts/lint-root")
        return os.environ.get("CI") == "true"
    started = time.monotonic()
    page = subprocess.run([binary, "docs", "profile"], stdout=subprocess.PIPE, check=True).stdout.decode()
    if fields.forgotten(page):
        print(f"FAIL    no case is about {', '.join(fields.forgotten(page))}")
        return True
    lint_roots.seclude()
    jobs = [(n, v) for n, p, v in cases(options.seed, options.cases) if label(p).startswith(options.only or "")]
    counts, wrong = {}, []
    with multiprocessing.Pool(os.cpu_count(), start, (str(pathlib.Path(binary).resolve()),)) as pool:
        batches = pool.map_async(batch, ["secrets", "plain_words"], 1)
        for state, where, sentence in pool.imap_unordered(work, jobs):
            counts.setdefault(where, {}).setdefault(state, 0)
            counts[where][state] += 1
            wrong += [sentence] if sentence else []
        wrong += [sentence for sentences in batches.get() for sentence in sentences]
    if options.verbose:
        for where, states in counts.items():
            print(f"{where:50} {', '.join(f'{number} {state}' for state, number in sorted(states.items()))}")
    for sentence in wrong:
        print(f"FAIL    {sentence[:1800]}")
    total = {state: sum(states.get(state, 0) for states in counts.values()) for state in ("kept", "refused", "wrong")}
    print(f"hostile strings, seed {options.seed}: {total['kept']} kept byte for byte, {total['refused']} refused, "
          f"{len(wrong)} wrong, {time.monotonic() - started:.0f} s")
    return bool(wrong)


if __name__ == "__main__":
    lab_common.main(main)
