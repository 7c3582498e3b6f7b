"""Following a signed bundle: what is taken, what is refused, and what a machine is left with when it is cut off.

The program runs as it is but for its absolute paths; minisign, systemd and the part that starts containers are played here. The
real ones are in `make test-deploy`.
"""
import argparse
import contextlib
import fcntl
import importlib.util
import json
import pathlib
import re
import subprocess
import sys
import types
import unittest
import unittest.mock

from folder import TOP, Folder

PLAN = {
    "name": "x", "follow": {"url": "", "key": "RWpublic"}, "stages": {"tls": {}, "stack": {}}, "host": {"hostname": "x"}, "admin": {"user": "deploy"},
    "packages": {"edge": ["curl"], "harden": ["minisign"]}, "docker": {}, "sshd": {"port": "22"}, "ports": ["22/tcp"], "sources": [], "secrets": [],
    "wait_seconds": 0, "services": ["api"], "deploy": {"services": {"api": {"blue_green": True, "ports": [[8000, 20000]]}}},
}
UNIT = "/etc/systemd/system/x-"


class Cut(BaseException):
    """The power goes."""


class Failed(Exception):
    """A step that did not succeed."""


class Follow(Folder):
    """One machine each, which follows a file."""

    def setUp(self):
        super().setUp()
        synced = unittest.mock.patch("os.fsync")
        synced.start()
        self.addCleanup(synced.stop)
        self.calls, self.worked, self.unwell, self.cut, self.told = [], lambda: (0, ""), lambda: [], None, []
        self.code = []
        for name in ("jb", "ctl_follow", "follow_back"):
            text = (TOP / f"cloud-init/lib/{name}.py").read_text()
            if name == "follow_back":
                text = text.replace('"systemctl"', '"true"').replace("os.execv(", "sys.exit() #")
            self.write(f"usr/local/lib/julia-bootstrap/{name}.py", re.sub(r'(r?f?)"/(etc|var|run|usr|opt)/', rf'\1"{self.folder}/\2/', text).replace("{NGINX}", "{re.escape(NGINX)}"))
            self.code.append(f"/usr/local/lib/julia-bootstrap/{name}.py")
        self.back = self.text(self.code[-1])
        self.put("/etc/julia-bootstrap/plan.json", json.dumps(PLAN))
        self.put("/opt/x/compose.yaml", "old\n")
        self.put(UNIT + "backup.timer", "[Timer]\n")

    def put(self, path, text):
        """A file of the machine, by its path there."""
        self.write(path.lstrip("/"), text)

    def text(self, path):
        """What it holds; nothing where there is none."""
        place = self.folder / path.lstrip("/")
        return place.read_text() if place.exists() else None

    def run_(self, args, timeout=60, **_):
        """In place of jb.run."""
        self.calls.append(" ".join(args))
        if self.cut is not None and len(self.calls) > self.cut:
            raise Cut
        if args[0] == "minisign":
            signed = pathlib.Path(args[args.index("-x") + 1]).read_text() == "signed\n" + str(hash(pathlib.Path(args[2]).read_text())) + "\n"
            return (0, "") if signed else (1, "Signature verification failed")
        if args[-1] == "--work":
            return self.worked()
        if args[1:] == ["check", "--json"]:
            return 0, json.dumps({"checks": [{"id": i, "detail": "bad", "result": "fail"} for i in self.unwell()]})
        return 0, ""

    def bundle(self, serial, files=(), name="x", plan=PLAN, units=(UNIT + "backup.timer",)):
        """A bundle as the tool writes one."""
        rows = [[self.folder.as_posix() + path, 0o644, text] for path, text in files]
        rows += [[self.folder.as_posix() + path, 0o644, "[Timer]\n"] for path in units]
        rows += [[self.folder.as_posix() + path, 0o644, self.text(path)] for path in self.code]
        rows.append([f"{self.folder}/etc/julia-bootstrap/plan.json", 0o644, json.dumps(plan)])
        text = json.dumps({"name": name, "serial": serial, "files": rows})
        self.write("bundle", f"signed\n{hash(text)}\n\n{text}")

    def follow(self, *args, code=0):
        """One command: what it says, and tells."""
        said = []
        deploy = types.SimpleNamespace(
            Failed=Failed, step=said.append, tell=lambda text: (said.append(text), self.told.append(text)), may_poll=lambda: True,
            apart=lambda *_: None, turn=lambda wait: contextlib.nullcontext(True),
            Machine=lambda: types.SimpleNamespace(groups={}, services={}, state={"current": {"api": 3}}),
        )
        with unittest.mock.patch.dict(sys.modules):
            sys.modules["ctl_deploy"] = deploy
            for name in ("jb", "ctl_follow"):
                spec = importlib.util.spec_from_file_location(name, self.folder / f"usr/local/lib/julia-bootstrap/{name}.py")
                sys.modules[name] = module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
                if name == "jb":
                    module.run = self.run_
            module.PLAN["follow"]["url"] = str(self.folder / "bundle")
            parser = argparse.ArgumentParser()
            module.register(parser.add_subparsers())
            options = parser.parse_args(["follow", *args])
            got = options.function(options)
        self.assertEqual(got, code, said)
        return "\n".join(said)

    def remembered(self):
        """What was applied and refused."""
        return json.loads(self.text("/var/lib/julia-bootstrap/follow.json"))

    def test_what_is_signed_is_applied_once(self):
        plan = dict(PLAN, services=["api", "new"], admin={"user": "mallory"})
        self.bundle(5, [("/opt/x/compose.yaml", "new\n"), ("/opt/x/RUNBOOK.md", "read\n")], plan=plan, units=[UNIT + "deploy.timer"])
        said = self.follow("--poll")
        self.assertRegex(said, "(?s)-old.*\\+new.*is applied")
        self.assertEqual(self.text("/opt/x/compose.yaml"), "new\n")
        self.assertIsNone(self.text(UNIT + "backup.timer"))
        self.assertIn("systemctl disable -q --now x-backup.timer", self.calls)
        now = json.loads(self.text("/etc/julia-bootstrap/plan.json"))
        self.assertEqual((now["services"], now["admin"]), (["api", "new"], {"user": "deploy"}))
        self.assertEqual(self.remembered()["serial"], 5)
        self.assertIsNone(self.text("/var/lib/julia-bootstrap/follow-before.json"))
        self.assertEqual(self.follow("--poll"), "")
        self.assertEqual(len(self.told), 1)

    def test_what_is_refused(self):
        inner = dict(PLAN, packages={"edge": ["curl", "netcat"]})
        moved = dict(PLAN, deploy={"services": {"api": {"blue_green": True, "ports": [[8000, 20002]]}}})
        self.bundle(5, [("/opt/x/compose.yaml", "new\n")])
        self.follow("--poll")
        for what, make in (
            ("not what was signed", lambda: (self.bundle(9), self.write("bundle", self.text("/bundle").replace("curl", "evil")))),
            ("not what was signed", lambda: (self.bundle(9), self.write("bundle", self.text("/bundle")[:-40]))),
            ("not above 5", lambda: self.bundle(4, [("/opt/x/compose.yaml", "older\n")])),
            ("made for y", lambda: self.bundle(9, name="y")),
            ("no part of a stack", lambda: self.bundle(9, [("/etc/sudoers.d/90-julia-bootstrap", "all\n")])),
            ("no part of a stack", lambda: self.bundle(9, [("/opt/x/.env", "KEY=1\n")])),
            ("no part of a stack", lambda: self.bundle(9, [("/opt/x/../../etc/passwd", "root\n")])),
            ("only a new machine gets: netcat", lambda: self.bundle(9, plan=inner)),
            ("other ports", lambda: self.bundle(9, plan=moved)),
            ("larger than 4 MiB", lambda: self.write("bundle", "x" * (5 << 20))),
        ):
            with self.subTest(what):
                before = len(self.told)
                make()
                self.assertRegex(self.follow("--poll", code=1), what)
                self.assertEqual(self.text("/opt/x/compose.yaml"), "new\n")
                self.assertEqual(self.follow("--poll"), "", "it is told once")
                self.assertEqual(len(self.told), before + 1)
                self.assertEqual(self.remembered()["serial"], 5)

    def test_what_is_not_well_is_taken_back(self):
        for kind in ("worked", "unwell"):
            with self.subTest(kind):
                self.setUp()
                old = {path: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}
                is_new = lambda: self.text("/opt/x/compose.yaml") == "new\n"
                if kind == "worked":
                    self.worked = lambda: (1, "stack: api is unhealthy") if is_new() else (0, "")
                else:
                    self.unwell = lambda: ["modes", "health"] if is_new() else ["modes"]
                self.bundle(5, [("/opt/x/compose.yaml", "new\n"), ("/opt/x/RUNBOOK.md", "read\n")], units=[])
                said = self.follow("--poll", code=1)
                self.assertRegex(said, "all stays as it was: (stack: api is unhealthy|health: bad)")
                self.assertEqual({path: path.read_bytes() for path in old}, old)
                self.assertIsNone(self.text("/opt/x/RUNBOOK.md"))
                self.assertEqual(self.remembered()["serial"], 0)
                self.assertEqual(self.follow("--poll"), "", "not at once again")

    def test_a_secret_that_a_failed_bundle_brought_is_taken_back(self):
        self.put("/opt/x/.env", 'A="old"\nB="b"\n')
        self.put("/opt/x/credentials/key", "old key")
        before = self.folder / "var/lib/julia-bootstrap/follow-before.json"
        home = f"{self.folder}/opt/x"

        def worked():
            self.worked = lambda: (0, "")
            kept = json.loads(before.read_text())
            kept["old"] = [[home + "/.env", "A", '"old"'], [home + "/credentials/key", "", "old key"]]
            before.write_text(json.dumps(kept))
            self.put("/opt/x/.env", 'B="b"\nA="wrong"\nMADE="m"\n')
            self.put("/opt/x/credentials/key", "wrong key")
            return 1, "web is unhealthy"

        self.worked = worked
        self.bundle(5, [("/opt/x/compose.yaml", "new\n")])
        self.assertIn("all stays as it was: web is unhealthy", self.follow(code=1))
        # What was made meanwhile stays: a database may have it already.
        self.assertEqual(self.text("/opt/x/.env"), 'B="b"\nMADE="m"\nA="old"\n')
        self.assertEqual(self.text("/opt/x/credentials/key"), "old key")
        self.assertEqual(self.text("/opt/x/compose.yaml"), "old\n")

    def test_a_cut_leads_back(self):
        self.bundle(5, [("/opt/x/compose.yaml", "new\n"), ("/opt/x/RUNBOOK.md", "read\n")], units=[])
        self.follow("--poll")
        calls = len(self.calls)
        self.assertGreater(calls, 4)
        for then in ("boot", "now"):
            for call in range(calls):
                with self.subTest(f"after {call} calls, then {then}"):
                    self.setUp()
                    self.put("/var/lib/julia-bootstrap/done/secrets", "")
                    self.put("/var/lib/julia-bootstrap/releases.json", '{"current": {"api": 4}}')
                    self.bundle(5, [("/opt/x/compose.yaml", "new\n"), ("/opt/x/RUNBOOK.md", "read\n")], units=[])
                    self.cut = call
                    with self.assertRaises(Cut):
                        self.follow("--poll")
                    self.cut = None
                    begun = self.text("/var/lib/julia-bootstrap/follow-before.json")
                    if begun:
                        # Whatever the programs are by now, this one works.
                        self.put("/usr/local/lib/julia-bootstrap/follow_back.py", "half")
                        subprocess.run([sys.executable, self.folder / "var/lib/julia-bootstrap/follow_back.py", then], check=True)
                        self.put("/usr/local/lib/julia-bootstrap/follow_back.py", self.back)
                    if begun and then == "now":
                        self.follow("--recover")
                    elif begun:
                        self.assertIsNone(self.text("/var/lib/julia-bootstrap/done/secrets"))
                        self.assertEqual(json.loads(self.text("/var/lib/julia-bootstrap/releases.json"))["current"], {"api": 3})
                    if begun:
                        self.assertEqual([row["result"] for row in self.remembered()["history"]], ["interrupted"])
                        self.assertEqual(self.follow("--poll"), "", "not at once again")
                    self.assertEqual((self.text("/opt/x/compose.yaml"), self.text("/opt/x/RUNBOOK.md")), ("old\n", None))
                    self.assertEqual(self.text(UNIT + "backup.timer"), "[Timer]\n")
                    self.follow()
                    self.assertEqual(self.text("/opt/x/compose.yaml"), "new\n")

    def test_the_end_of_another_look_takes_nothing_back(self):
        self.put("/var/lib/julia-bootstrap/follow-before.json", json.dumps({"files": {f"{self.folder}/opt/x/compose.yaml": [0o644, "old\n"]}}))
        self.put("/opt/x/compose.yaml", "new\n")
        self.put("/run/julia-bootstrap/operation.lock", "")
        words = [sys.executable, self.folder / self.code[-1].lstrip("/"), "now"]
        with (self.folder / "run/julia-bootstrap/operation.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with subprocess.Popen(words) as waits:
                with self.assertRaises(subprocess.TimeoutExpired):
                    waits.wait(0.5)
                # Whoever is at work comes to his end meanwhile.
                before = self.folder / "var/lib/julia-bootstrap/follow-before.json"
                text = before.read_text()
                before.unlink()
                fcntl.flock(lock, fcntl.LOCK_UN)
        self.assertEqual(self.text("/opt/x/compose.yaml"), "new\n")
        before.write_text(text)
        subprocess.run(words, check=True)
        self.assertEqual(self.text("/opt/x/compose.yaml"), "old\n")

    def test_a_place_that_is_away_is_no_news(self):
        self.assertIn("cannot be read", self.follow("--poll", code=1))
        self.assertEqual(self.told, [])


if __name__ == "__main__":
    unittest.main()
