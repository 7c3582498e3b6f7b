"""Deploys, against a Docker that is a few lines of Python: what becomes of them, and of the machine when they are killed.

The program runs as it is but for its absolute paths, which lead into a folder of the test, and its waits.
"""
import argparse
import contextlib
import importlib.util
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import types
import unittest
import unittest.mock

from folder import TOP, Folder


def written(path):
    """A file for Compose: JSON, but for one tag."""
    return json.loads(pathlib.Path(path).read_text().replace("!reset {}", '"gone"'))


class Killed(BaseException):
    """The program's end in the middle of a step: nothing in it takes notice."""


class Docker:
    """Images and containers, as far as deploys need them."""

    def __init__(self, model):
        self.model, self.calls, self.dies, self.guard, self.unserved = model, 0, None, None, []
        self.images, self.registry = {"app:1": "i1", "db:1": "d1"}, {"app:1": "i1", "app:2": "i2", "app:3": "i3", "db:1": "d1"}
        self.head, self.asked, self.built = "", [], []
        self.bad, self.dead, self.containers, self.made, self.hooks, self.connections = [], [], {}, 0, [], ""

    def run(self, args, timeout=60, **more):
        """In place of jb.run: code and output. It may be the last thing that happens."""
        if args[0] == "git":
            self.asked.append((args, more.get("env", {}).get("GIT_SSH_COMMAND")))
            # Of an annotated tag the last line is what it stands for.
            return (0, f"0000\trefs/tags/v1\n{self.head}\trefs/tags/v1^{{}}" if "ls-remote" in args else self.head) if self.head else (128, "no such repository")
        if args[0].endswith("/stages/pull"):
            self.built.append(args[1])
            if self.head == "broken":
                return 1, "no such file: setup.py"
            self.images[f"x-{args[1]}:built"] = "i" + self.head
            return 0, ""
        if args[0] != "docker":
            return 0, self.connections if args[0] == "ss" else ""
        self.calls += 1
        dies = self.dies and self.calls == self.dies[0]
        if dies and self.dies[1] == "before":
            raise Killed
        result = self.answer(args[1:])
        live = self.guard and self.guard()
        if live and not any(v["service"] == live and v["running"] and v["well"] for v in self.containers.values()):
            self.unserved.append(" ".join(args))
        if dies:
            raise Killed
        return result if isinstance(result, tuple) else (0, result.strip())

    def create(self, name, rows, alone=False):
        """A container, unless there is one of this image, and of this kind: Compose 2.26 holds one that was started with --no-deps for another; never two."""
        deps = not alone and "depends_on" in self.model[name] and "depends_on" not in rows.get(name, {})
        wanted = rows.get(name, {}).get("image") or self.model[name]["image"]
        image = self.images[wanted]
        there = next((c for c, v in self.containers.items() if v["service"] == name), None)
        if there and (self.containers[there]["image"], self.containers[there]["deps"]) == (image, deps):
            self.containers[there]["running"] = True
            return
        self.containers.pop(there, None)
        self.made += 1
        state = {"running": image not in self.dead, "well": image not in self.bad + self.dead}
        if name == "migrate":
            # A job: it was run, beside whatever ran then, and has ended.
            state["running"] = False
            self.hooks.append([name, image, sorted(v["service"] + " " + v["image"] for v in self.containers.values() if v["running"] and v["image"] != "d1")])
        self.containers[f"c{self.made}"] = {"service": name, "image": image, "deps": deps, "nets": [], **state}

    def answer(self, args):
        """One command."""
        # compose -f BASE -f OVER COMMAND ...
        rows = written(args[4])["services"] if args[0] == "compose" else {}
        match args[0] if args[0] != "compose" else args[5]:
            case "up" if "--no-start" in args:
                sleeping = [word.partition("=")[0] for word in args if word.endswith("=0")]
                for name in self.model:
                    if name not in sleeping and rows.get(name, {}).get("scale", self.model[name].get("scale", 1)):
                        self.create(name, rows)
                    else:
                        self.containers = {c: v for c, v in self.containers.items() if v["service"] != name}
            case "up" if "--scale" in args:
                return 1, "no such service: disabled"
            case "up":
                for name in [word for word in args[7:] if not word.startswith("--")]:
                    self.create(name, rows, "--no-deps" in args)
            case "run":
                self.hooks.append([args[11], self.images[rows[args[11]]["image"]], args[12:]])
                if "fail" in args:
                    return 1, "no such table"
            case "ps":
                service = [word.partition("service=")[2] for word in args if "service=" in word]
                return "\n".join(c for c, v in self.containers.items() if not service or v["service"] == service[0])
            case "inspect" if args[1] == "-f":
                return "\n".join(self.containers[c]["image"] for c in args[3:])
            case "inspect":
                return json.dumps([self.inspect(c) for c in args[1:]])
            case "image":
                form, name = (args[3], args[4]) if args[2] == "-f" else ("", args[2])
                image = self.images.get(name) or (name if name in self.images.values() else None)
                if not image:
                    return 1, "No such image"
                answers = {"{{.Id}}": image, "{{json .RepoDigests}}": json.dumps([f"repo@sha256:{image}"])}
                return answers.get(form) or " ".join(n for n, i in self.images.items() if i == image)
            case "tag":
                if args[1] not in self.images.values():
                    return 1, "No such image"
                self.images[args[2]] = args[1]
            case "pull":
                if args[2] not in self.registry:
                    return 1, "manifest unknown"
                self.images[args[2]] = self.registry[args[2]]
            case "rmi":
                for name in args[1:]:
                    self.images.pop(name, None)
            case "stop" | "rm":
                for c in [c for c in args[1:] if c in self.containers]:
                    self.containers[c]["running"] = False
                    if args[0] == "rm":
                        del self.containers[c]
            case "network":
                nets = self.containers[args[-1]]["nets"]
                if args[1] == "connect" and args[-2] in nets:
                    return 1, "endpoint with name x already exists in network"
                nets.append(args[-2]) if args[1] == "connect" else nets.remove(args[-2])
            case "logs":
                return "the new version says: my password is hunter22"
            case other:
                raise AssertionError(f"what is {other}?")
        return ""

    def inspect(self, name):
        """As Docker tells of a container."""
        v = self.containers[name]
        state = {"Status": "running" if v["running"] else "exited", "Running": v["running"], "ExitCode": int(not v["well"]), "Pid": 1}
        if "health" in self.model[v["service"]]:
            state["Health"] = {"Status": "healthy" if v["well"] else "unhealthy"}
        nets = {net: {"IPAddress": "10.0.0.2"} for net in v["nets"]}
        return {"Id": name, "Image": v["image"], "State": state, "RestartCount": 0, "NetworkSettings": {"Networks": nets}}


SLACK = "HOOK=https://hooks.example/T0\nDB=hunter22\n"


class Machine(Folder):
    """One machine each."""

    def setUp(self):
        os.environ["JB_APART"] = "1"
        # A disk's waits would be most of this test.
        synced = unittest.mock.patch("os.fsync")
        synced.start()
        self.addCleanup(synced.stop)
        super().setUp()
        self.plan = {
            "name": "x", "secrets": [], "sources": [], "stages": {},
            "deploy": {"wait": 1, "drain": 5, "keep": 2, "poll": 300, "windows": [], "slack": None, "services": {
                "api": {"blue_green": True, "networks": ["x-net-api"], "ports": [[8000, 20000]]},
            }},
        }
        app = {"image": "app:1", "health": 1, "depends_on": {"db": {"condition": "service_healthy"}}}
        self.model = {"api-blue": dict(app), "api-green": {**app, "scale": 0}, "worker": dict(app), "scheduler": dict(app), "db": {"image": "db:1", "health": 1}}
        self.docker = Docker(self.model)
        self.write("opt/x/.env", SLACK)
        code = "usr/local/lib/julia-bootstrap/"
        for source, path in (("lib/jb.py", code + "jb.py"), ("lib/ctl_deploy.py", code + "ctl_deploy.py"), ("lib/late.py", code + "late.py")):
            text = (TOP / "cloud-init" / source).read_text()
            text = text.replace("sleep(0.5)", "sleep(0.01)").replace("else 960 if", "else 0.1 if").replace("began > 3 and", "began > 0 and").replace("began > 10)", "began > 0.2)")
            self.write(path, re.sub(r'(f?)"/(etc|var|run|usr|opt)/', rf'\1"{self.folder}/\2/', text))
        self.write("run/julia-bootstrap/x", "")

    def load(self):
        """The program as a new process would find the machine; it says what it says to `said`."""
        self.write("etc/julia-bootstrap/plan.json", json.dumps(self.plan))
        self.said = []
        for name in ("jb", "late", "ctl_deploy"):
            spec = importlib.util.spec_from_file_location(name, self.folder / f"usr/local/lib/julia-bootstrap/{name}.py")
            sys.modules[name] = module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            if name == "jb":
                module.run = self.docker.run
        module.step = self.said.append
        config = subprocess.CompletedProcess([], 0, json.dumps({"services": self.model}), "")
        module.subprocess = types.SimpleNamespace(run=lambda *args, **more: config)
        return module

    def boot(self):
        """As the stack's stage does before it starts anything."""
        self.docker.guard = None
        self.load().boot()
        self.assertEqual(self.said, [])
        live = self.folder / "var/lib/julia-bootstrap/green/api"
        self.docker.guard = lambda: f"api-{'green' if live.exists() else 'blue'}"

    def ctl(self, *args, code=0):
        """One command: what it says."""
        program = self.load()
        parser = argparse.ArgumentParser()
        program.register(parser.add_subparsers())
        options = parser.parse_args(args)
        got = options.function(options)
        said = "\n".join(self.said)
        self.assertEqual(got, code, said)
        return said

    def state(self):
        """What is remembered."""
        return json.loads((self.folder / "var/lib/julia-bootstrap/releases.json").read_text())

    def running(self):
        """Image by service of what runs."""
        return {v["service"]: v["image"] for v in self.docker.containers.values() if v["running"]}

    def settled(self, colour, image):
        """One colour is live, everything of the app has this image, and nobody was ever without an answer."""
        self.assertEqual(self.running(), {f"api-{colour}": image, "worker": image, "scheduler": image, "db": "d1"})
        self.assertEqual((self.folder / "var/lib/julia-bootstrap/green/api").exists(), colour == "green")
        named = [v["service"] for v in self.docker.containers.values() if "x-net-api" in v["nets"]]
        self.assertEqual(named, [f"api-{colour}"])
        self.assertEqual(self.docker.unserved, [])
        self.assertIsNone(self.state()["pending"])
        rows = written(self.folder / "opt/x/compose.override.yaml")["services"]
        other = "blue" if colour == "green" else "green"
        self.assertEqual((rows[f"api-{colour}"]["scale"], rows[f"api-{other}"]["scale"]), (1, 0))
        self.assertEqual(self.docker.images[rows[f"api-{colour}"]["image"]], image)

    def test_a_first_start_is_a_release(self):
        self.boot()
        self.settled("blue", "i1")
        self.assertEqual([(r["id"], r["by"], r["image"]) for r in self.state()["releases"]], [(1, "first start", "i1")])
        self.boot()
        self.assertEqual(len(self.state()["releases"]), 1)

    def test_colours_take_turns_and_return(self):
        self.plan["deploy"]["keep"] = 5
        self.boot()
        said = self.ctl("deploy", "api", ":2")
        self.assertRegex(said, "(?s)beside.*stopping the others.*switching.*draining.*is live")
        self.settled("green", "i2")
        self.ctl("deploy", "worker", "app:3")
        self.settled("blue", "i3")
        self.assertIn("is live already", self.ctl("deploy", "api", ":3"))
        self.ctl("rollback")
        self.settled("green", "i2")
        # Back once more leads on, not to what was just left.
        self.ctl("rollback")
        self.settled("blue", "i1")
        self.assertEqual([r["result"] for r in self.state()["releases"]], ["ok"] * 5)
        self.assertIn("* ", self.ctl("releases"))
        self.assertEqual(json.loads(self.ctl("releases", "--json"))["current"], {"api": 5})

    def test_what_runs_is_not_made_again_by_a_start_of_everything(self):
        self.boot()
        for image, code in ((":2", 0), (":bad", 1), (":3", 0)):
            self.docker.images["app:bad"], self.docker.bad = "bad", ["bad"]
            self.ctl("deploy", "api", image, code=code)
            made = self.docker.made
            self.boot()
            self.assertEqual(self.docker.made, made, image)

    def bring(self, name, value, code=0):
        """`bootstrapctl secrets set`, with what is typed: what it says."""
        self.load()
        said = io.StringIO()
        with unittest.mock.patch("sys.stdin", io.StringIO(value)), contextlib.redirect_stdout(said):
            self.assertEqual(sys.modules["late"].bring([name]), code, said.getvalue())
        return said.getvalue()

    def test_who_waits_for_a_secret_keeps_nobody_from_a_deploy(self):
        self.plan |= {"secrets": [{"name": "A", "later": True}, {"name": "B", "later": True}], "needs": {"cache": ["A"], "api": ["B"]}, "docker": {"logins": []}}
        self.model["cache"] = {"image": "db:1", "health": 1}
        self.model["mail"] = {"image": "db:1", "health": 1}
        self.write("var/lib/julia-bootstrap/started", "")
        self.write("opt/x/.env", SLACK + 'B="b"\n')
        self.boot()
        self.assertNotIn("cache", self.running())
        self.ctl("deploy", "api", ":2")
        self.assertEqual({k: v for k, v in self.running().items() if k.startswith("api")}, {"api-green": "i2"})
        self.assertNotIn("cache", self.running())
        # A secret of one is replaced while another still waits for its own; `api` gets it by a deploy of what it runs.
        said = self.bring("B", "c$d\n")
        self.assertNotIn("waits", said)
        self.assertEqual({k: v for k, v in self.running().items() if k.startswith("api")}, {"api-blue": "i2"})
        self.assertIn('B="c\\$d"\n', (self.folder / "opt/x/.env").read_text())
        self.assertIn("starting cache", self.bring("A", "a"))

    def test_no_secret_is_brought_before_the_backup_that_a_machine_begins_with(self):
        self.plan |= {"secrets": [{"name": "A", "later": True}], "backup": {"restore_from": "latest", "single": []}, "docker": {"logins": []}}
        (self.folder / "opt/x/.env").unlink()
        self.assertIn("is not here yet", self.bring("A", "a", code=1))
        self.assertFalse((self.folder / "opt/x/.env").exists())
        self.write("opt/x/.env", SLACK)
        self.write("var/lib/julia-bootstrap/backup/fetched", "then\n")
        self.bring("A", "a")
        self.assertIn('A="a"\n', (self.folder / "opt/x/.env").read_text())

    def test_what_is_not_well_stays_out(self):
        for kind in ("bad", "dead"):
            with self.subTest(kind):
                self.setUp()
                setattr(self.docker, kind, ["i2"])
                self.boot()
                said = self.ctl("deploy", "api", ":2", code=1)
                self.settled("blue", "i1")
                row = self.state()["releases"][-1]
                self.assertEqual(row["result"], "failed")
                self.assertIn("my password is [redacted]", row["why"])
                self.assertIn("the old version stays", said)
                self.assertNotIn("stopping the others", said)

    def test_a_failure_after_the_switch_takes_all_back(self):
        self.boot()
        self.plan["deploy"]["services"]["api"]["after"] = ["fail"]
        said = self.ctl("deploy", "api", ":2", code=1)
        self.assertRegex(said, "(?s)switching.*going back.*the command `after` of api ended with 1\nno such table")
        self.settled("blue", "i1")

    def test_hooks(self):
        self.plan["deploy"]["services"]["api"] |= {"before": ["migrate", "all"], "after": ["clear"]}
        self.boot()
        self.ctl("deploy", "api", ":2")
        self.assertEqual(self.docker.hooks, [["api-green", "i2", ["migrate", "all"]], ["api-green", "i2", ["clear"]]])
        self.plan["deploy"]["services"]["api"]["before"] = ["fail"]
        said = self.ctl("deploy", "api", ":3", code=1)
        self.assertNotIn("beside", said)
        self.settled("green", "i2")

    def test_jobs_of_a_new_version_end_before_it_starts(self):
        for name in ("api-blue", "api-green", "worker", "scheduler"):
            self.model[name]["depends_on"] = {**self.model[name]["depends_on"], "migrate": {"condition": "service_completed_successfully"}}
        self.model["migrate"] = {"image": "app:1", "depends_on": {"db": {"condition": "service_healthy"}}}
        self.boot()
        self.docker.hooks = []
        old = ["api-blue i1", "scheduler i1", "worker i1"]
        self.ctl("deploy", "api", ":2")
        self.settled("green", "i2")
        self.assertEqual(self.docker.hooks, [["migrate", "i2", old]])
        made = self.docker.made
        self.boot()
        self.assertEqual(self.docker.made, made, "it is not run again by the next start")
        # A migration that fails: nothing of the new version ever ran.
        self.docker.bad = ["i3"]
        self.assertIn("migrate is exited", self.ctl("deploy", "api", ":3", code=1))
        self.settled("green", "i2")
        self.assertEqual([x[:2] for x in self.docker.hooks[1:]], [["migrate", "i3"]])
        self.assertNotIn("i3", [v["image"] for v in self.docker.containers.values() if v["service"] != "migrate"])
        self.docker.bad = []
        self.boot()
        self.assertEqual(self.job(), "i2", "the next start runs the one that ended well last")
        # What failed later stays out, but the database is by now what its migration made of it.
        self.plan["deploy"]["services"]["api"]["after"] = ["fail"]
        self.ctl("deploy", "api", ":3", code=1)
        self.settled("green", "i2")
        self.boot()
        self.assertEqual(self.job(), "i3")
        # A power cut may take its image's name.
        self.docker.images = {name: image for name, image in self.docker.images.items() if not name.startswith("x-release/api:4")}
        self.boot()
        self.assertEqual(self.job(), "i2")

    def job(self):
        """What the migration was last run from."""
        return next(v["image"] for v in self.docker.containers.values() if v["service"] == "migrate")

    def test_jobs_come_first_where_nothing_takes_turns(self):
        self.plan["deploy"]["services"]["api"]["blue_green"] = False
        self.model["api"] = {**self.model.pop("api-blue"), "depends_on": {"migrate": {"condition": "service_completed_successfully"}}}
        del self.model["api-green"], self.model["scheduler"], self.model["worker"]
        self.model["migrate"] = {"image": "app:1"}
        self.load().boot()
        self.docker.hooks = []
        self.ctl("deploy", "api", ":2")
        self.assertEqual(self.docker.hooks, [["migrate", "i2", ["api i1"]]])
        self.assertEqual(self.running(), {"api": "i2", "db": "d1"})

    def test_a_service_that_says_nothing_is_recreated(self):
        self.boot()
        self.docker.registry["db:2"] = "d2"
        self.ctl("deploy", "db", ":2")
        self.assertEqual(self.running()["db"], "d2")
        self.docker.bad = ["d3"]
        self.docker.registry["db:3"] = "d3"
        self.ctl("deploy", "db", ":3", code=1)
        self.assertEqual(self.running()["db"], "d2")
        self.assertIn("the groups are api, db", self.ctl("deploy", "nope", code=2))

    def test_a_killed_deploy_leaves_a_machine_that_serves(self):
        self.boot()
        before = self.docker.calls
        self.ctl("deploy", "api", ":2")
        calls = self.docker.calls - before
        self.assertGreater(calls, 25)
        for when in ("before", "after"):
            for call in range(1, calls + 1):
                for then in ("deploy", "recover", "boot"):
                    with self.subTest(f"{when} call {call}, then {then}"):
                        self.setUp()
                        self.boot()
                        start = self.docker.calls
                        self.docker.dies = (start + call, when)
                        with self.assertRaises(Killed):
                            self.ctl("deploy", "api", ":2")
                        self.docker.dies = None
                        self.assertEqual(self.docker.unserved, [])
                        if then == "boot":
                            # Docker starts again what it knows, but for what was stopped.
                            self.boot()
                        else:
                            self.ctl("deploy", *(["--recover"] if then == "recover" else ["api", ":3"]))
                        if then == "deploy":
                            self.assertIn("i3", self.running().values())
                        image = self.running().get("worker")
                        self.settled("green" if (self.folder / "var/lib/julia-bootstrap/green/api").exists() else "blue", image)
                        self.assertNotIn("running", [r["result"] for r in self.state()["releases"]])

    def test_polls_try_each_version_once(self):
        self.boot()
        self.assertEqual(self.ctl("deploy", "--poll"), "")
        self.docker.registry["app:1"] = "i2"
        self.assertIn("by poll", self.ctl("deploy", "--poll"))
        self.settled("green", "i2")
        self.docker.registry["app:1"] = "i4"
        self.docker.bad = ["i4"]
        self.ctl("deploy", "--poll", code=1)
        self.assertEqual(self.ctl("deploy", "--poll"), "")
        self.settled("green", "i2")
        # What was left by hand does not come back by itself.
        self.ctl("rollback")
        self.assertEqual(self.ctl("deploy", "--poll"), "")
        self.settled("blue", "i1")
        self.docker.registry["app:1"] = "i5"
        self.ctl("deploy", "--poll")
        self.settled("green", "i5")
        del self.docker.registry["app:1"]
        self.assertIn("manifest unknown", self.ctl("deploy", "--poll", code=1))

    def test_what_a_reboot_cut_off_comes_again_but_not_for_ever(self):
        self.boot()
        self.docker.registry["app:1"] = "i2"
        state = self.state()
        row = dict(state["releases"][-1], version="i2", image="i2", result="interrupted")
        for number in (2, 3, 4):
            state["releases"].append(dict(row, id=number))
            if number == 3:
                (self.folder / "var/lib/julia-bootstrap/releases.json").write_text(json.dumps(dict(state, last=number)))
                copy = json.loads(json.dumps(state))
        (self.folder / "var/lib/julia-bootstrap/releases.json").write_text(json.dumps(state))
        self.assertEqual(self.ctl("deploy", "--poll"), "")
        (self.folder / "var/lib/julia-bootstrap/releases.json").write_text(json.dumps(copy))
        self.assertIn("by poll", self.ctl("deploy", "--poll"))
        self.settled("green", "i2")

    def test_the_way_back_is_that_of_what_came_last(self):
        self.boot()
        self.ctl("deploy", "api", ":2")
        self.docker.registry["db:2"] = "d2"
        self.ctl("deploy", "db", ":2")
        self.assertIn(" of db", self.ctl("rollback"))
        self.settled("green", "i2")

    def test_what_is_built_here_follows_its_repository(self):
        self.plan["sources"] = ["api\tgit@git.example:me/app.git\tv1\tkey-file"]
        for service in ("api-blue", "api-green", "worker", "scheduler"):
            self.model[service]["image"] = "x-api:built"
        self.docker.images["x-api:built"], self.docker.head = "ic1", "c1"
        self.boot()
        self.assertEqual(self.ctl("deploy", "--poll"), "")
        args, ssh = self.docker.asked[-1]
        self.assertEqual(args, ["git", "ls-remote", "--", "git@git.example:me/app.git", "refs/heads/v1", "refs/tags/v1", "refs/tags/v1^{}"])
        self.assertIn(f"-i {self.folder}/opt/x/credentials/key-file ", ssh)
        self.assertEqual(self.docker.built, [])
        self.docker.head = "c2"
        self.ctl("deploy", "--poll")
        self.settled("green", "ic2")
        self.assertIn("is live already", self.ctl("deploy"))
        self.assertEqual(self.docker.built, ["api"])
        # What cannot be built is not tried again and again.
        self.docker.head = "broken"
        self.assertIn("building it: no such file: setup.py", self.ctl("deploy", "--poll", code=1))
        self.assertEqual(self.ctl("deploy", "--poll"), "")
        self.assertEqual(self.docker.built, ["api", "api"])
        self.settled("green", "ic2")
        self.docker.head = ""
        self.assertIn("no such repository", self.ctl("deploy", "--poll", code=1))
        self.ctl("rollback")
        self.settled("blue", "ic1")

    def test_frozen_and_out_of_hours_nothing_comes_in(self):
        self.boot()
        self.docker.registry["app:1"] = "i2"
        now = time.localtime()
        minute = now.tm_wday * 1440 + now.tm_hour * 60 + now.tm_min
        self.plan["deploy"]["windows"] = [[(minute + 120) % 10080, (minute + 120) % 10080 + 60]]
        self.ctl("deploy", "--poll")
        self.settled("blue", "i1")
        self.plan["deploy"]["windows"].append([minute + 10080 - 60, minute + 10080 + 60])
        self.ctl("freeze")
        self.ctl("deploy", "--poll")
        self.assertIn("frozen", self.ctl("deploy", code=1))
        self.settled("blue", "i1")
        self.ctl("unfreeze")
        self.ctl("deploy", "--poll")
        self.settled("green", "i2")

    def test_images_that_are_needed_stay(self):
        self.boot()
        for number in range(2, 8):
            self.docker.registry[f"app:{number}"] = f"i{number}"
            self.ctl("deploy", "api", f":{number}")
        kept = {name for name in self.docker.images if name.startswith("x-release/")}
        self.assertEqual(kept, {"x-release/api:6", "x-release/api:7"})
        # What the profile names, what can be returned to, and what others use.
        self.assertEqual({name for name in self.docker.images if not name.startswith("x-")}, {"app:1", "app:6", "app:7", "db:1"})
        self.assertIn("no such release", self.ctl("rollback", "3", code=2))
        self.ctl("rollback", "6")
        self.assertEqual(self.running()["worker"], "i6")

    def test_an_image_that_a_power_cut_took_is_found_again(self):
        self.boot()
        del self.docker.images["x-release/api:1"]
        self.boot()
        self.settled("blue", "i1")
        del self.docker.images["x-release/api:1"], self.docker.images["app:1"]
        self.docker.images["app:1"] = "i9"
        self.docker.containers = {}
        self.boot()
        self.settled("blue", "i9")

    def test_requests_in_hand_are_waited_for(self):
        self.boot()
        self.docker.connections = "0 0 127.0.0.1:1 127.0.0.1:8000"
        self.plan["deploy"]["drain"] = 1
        began = time.monotonic()
        self.ctl("deploy", "api", ":2")
        self.assertGreater(time.monotonic() - began, 1)
        self.settled("green", "i2")

    def test_one_at_a_time(self):
        self.boot()
        lock = (self.folder / "run/julia-bootstrap/operation.lock").open("w")
        subprocess.run(["flock", "-x", str(lock.fileno())], pass_fds=[lock.fileno()], check=True)
        self.docker.registry["app:1"] = "i2"
        self.assertEqual(self.ctl("deploy", "--poll"), "")
        self.settled("blue", "i1")
        lock.close()
        self.ctl("deploy", "--poll")
        self.settled("green", "i2")


if __name__ == "__main__":
    unittest.main()
