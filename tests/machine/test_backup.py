"""Backups: what is kept, what is refused, what comes back.

The program runs as it is but for its absolute paths, which lead into a folder of the test, and a `docker` that remembers
what it was asked. That dumps and snapshots are right is for the lab, which has the databases.
"""
import contextlib
import io
import json
import os
import re
import sys
import tarfile
import types
import unittest
from unittest import mock

from folder import TOP, Folder

DAY = 86400
CONFIG = {
    "services": {
        "db": {}, "api": {"depends_on": {"db": {}}, "volumes": [{"type": "volume", "source": "files"}, {"type": "bind", "source": "/x"}]},
        "web": {"depends_on": {"api": {}}}, "other": {"volumes": []},
    },
    "volumes": {"files": {"name": "x-files"}},
}
# `compose exec` gives what $FOLDER/answer holds; services run as $FOLDER/running says.
# What a deploy lays over the stack hides on whom a service depends: only the stack itself is answered.
DOCKER = """#!/bin/sh
echo "$*" >>"$FOLDER/calls"
case "$*" in
*"/compose.yaml config "*) cat "$FOLDER/config" ;;
*"--status running"*) cat "$FOLDER/running" ;;
*"volume inspect"*) echo "$FOLDER/volume" ;;
*" exec "*) cat "$FOLDER/answer" ;;
esac
[ ! -e "$FOLDER/fails" ] || ! echo "$*" | grep -q "$(cat "$FOLDER/fails")" || { echo "no such thing" >&2; exit 1; }
"""


class Machine(Folder):
    """One machine each."""

    def setUp(self):
        super().setUp()
        self.plan = {
            "name": "x", "stages": {}, "ports": [], "secrets": [
                {"name": "MADE", "length": 32}, {"name": "GIVEN"}, {"name": "FILE", "length": 32, "credential": "file"},
            ],
            "backup": {"keep": 3 * DAY, "parts": [{"kind": "volume", "name": "files", "hold": "pause"}]},
        }
        self.write("opt/x/.env", "MADE=old\nGIVEN=old\n")
        self.write("opt/x/credentials/file", "old")
        self.write("opt/x/compose.yaml", "services: {}\n")
        self.write("volume/a/b", "hello")
        self.write("config", json.dumps(CONFIG))
        self.write("running", "db\napi\nweb\n")
        self.write("answer", "")
        self.write("bin/docker", DOCKER, 0o755)
        self.write("usr/local/lib/julia-bootstrap/stages/stack", "#!/bin/sh\necho up >>$FOLDER/calls\n", 0o755)
        for name in ("run/julia-bootstrap", "opt/backups/x", "etc/letsencrypt"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        environment = {"FOLDER": str(self.folder), "PATH": f"{self.folder}/bin:{os.environ['PATH']}", "JB_APART": "1"}
        for patch in (mock.patch.dict(os.environ, environment), mock.patch("sys.stdout", io.StringIO())):
            patch.start()
            self.addCleanup(patch.stop)
        self.addCleanup(os.umask, os.umask(0o22))
        self.load()

    def load(self):
        """Reads the program anew, for this plan."""
        self.write("etc/julia-bootstrap/plan.json", json.dumps(self.plan))
        for name in ("jb", "ctl_backup"):
            path = TOP / f"cloud-init/lib/{name}.py"
            text = re.sub(r'(f?)"/(etc|var|run|usr|opt)/', rf'\1"{self.folder}/\2/', path.read_text())
            module = types.ModuleType(name)
            module.__file__ = str(path)
            sys.modules[name] = module
            exec(compile(text.replace('"-C", "/", ', f'"-C", "{self.folder}", ').replace("p[1:]", f"p[{len(str(self.folder)) + 1}:]")
                         .replace("{jb.HOME[1:]}", "opt/x"), str(path), "exec"), module.__dict__)
        self.b = sys.modules["ctl_backup"]
        self.addCleanup(sys.modules.pop, "jb", None)
        room = mock.patch.object(self.b.os, "statvfs", lambda path: types.SimpleNamespace(f_bavail=self.free, f_frsize=1, f_blocks=1000))
        self.free = 1 << 40
        room.start()
        self.addCleanup(room.stop)

    def calls(self):
        """What docker and the stack's stage were asked."""
        path = self.folder / "calls"
        return path.read_text().replace(f"compose --project-directory {self.folder}/opt/x ", "").splitlines() if path.exists() else []

    def make(self, at=None, **more):
        """A backup at a time of day."""
        with mock.patch.object(self.b.time, "time", lambda: at or 1e9):
            return self.b.make(self.b.PARTS, **more)[0]

    def restore(self, *words):
        """Exit code, and what was said."""
        said = io.StringIO()
        import argparse
        parser = argparse.ArgumentParser()
        self.b.register(parser.add_subparsers())
        options = parser.parse_args(["restore", "--yes", *words])
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = options.function(options)
        return code, said.getvalue()


class Keeping(Machine):
    """Which ones are kept."""

    def test_a_backup_is_whole_and_roots_alone(self):
        when = self.make()
        self.assertEqual(when, "20010909T014640Z")
        folder = self.folder / "opt/backups/x" / when
        self.assertEqual(sorted(p.name for p in folder.iterdir()), ["files.tar", "machine.tar", "manifest.json"])
        self.assertEqual([oct(p.stat().st_mode & 0o777) for p in (folder, *folder.iterdir())], ["0o700"] + ["0o600"] * 3)
        self.assertEqual(self.b.verify(when)["parts"][1], {"kind": "volume", "name": "files", "hold": "pause", "entries": 3})
        with tarfile.open(folder / "machine.tar") as tar:
            self.assertEqual(
                tar.getnames(), ["opt/x/.env", "opt/x/compose.yaml", "opt/x/credentials", "opt/x/credentials/file", "etc/letsencrypt"]
            )

    def test_old_ones_go_when_enough_newer_ones_are_there(self):
        made = [self.make(1e9 + day * DAY) for day in range(5)]
        self.assertEqual([w for w, _ in self.b.complete()], made[1:])
        # A machine that was off for a month keeps the last three, until there are newer ones.
        later = self.make(1e9 + 40 * DAY)
        self.assertEqual([w for w, _ in self.b.complete()], [*made[3:], later])

    def test_a_clock_that_jumps_takes_nothing_away_at_once(self):
        made = [self.make(1e9 + day * DAY) for day in range(3)]
        ahead = self.make(2e9)
        back = self.make(1e9 + 3 * DAY)
        self.assertEqual([w for w, _ in self.b.complete()], [*made[1:], ahead, back])
        self.assertEqual(self.b.find(None), back, "the newest is the one made last")

    def test_copies_from_before_a_restore_are_not_the_newest_and_keep_nothing_alive(self):
        when = self.make()
        self.make(1e9 + 60, safety=True)
        self.assertEqual(self.b.find(None), when)
        for day in range(1, 6):
            self.make(1e9 + day * DAY)
        self.assertFalse(any(m["safety"] for _, m in self.b.complete()))

    def test_what_is_not_whole_does_not_count_and_goes(self):
        half = self.folder / "opt/backups/x/.20010101T000000Z"
        half.mkdir()
        (self.folder / "opt/backups/x/20010101T000000Z").mkdir()
        when = self.make()
        self.assertFalse(half.exists())
        self.assertEqual([w for w, _ in self.b.complete()], [when])

    def test_a_full_disk_is_refused_before_anything_is_written(self):
        when = self.make()
        self.free = 60
        with self.assertRaisesRegex(self.b.Stop, "^the disk is nearly full: 0.0 MiB are free"):
            self.make(1e9 + 60)
        self.assertEqual(os.listdir(self.folder / "opt/backups/x"), [when])

    def test_a_disk_that_fills_meanwhile_leaves_nothing_behind(self):
        def filling(path, args, fine=(0,)):
            self.free = 0
            return real(path, args, fine)
        real = self.b.save
        with mock.patch.object(self.b, "save", filling), self.assertRaisesRegex(self.b.Stop, "^machine: the disk is nearly full"):
            self.make()
        self.assertEqual(os.listdir(self.folder / "opt/backups/x"), [])

    def test_services_stand_still_while_their_volume_is_copied_and_no_longer(self):
        self.make()
        calls = self.calls()
        self.assertEqual([c for c in calls if "pause" in c], ["pause api", "unpause api"])
        self.assertFalse((self.folder / "run/julia-bootstrap/held").exists())

    def test_who_was_held_by_a_backup_that_was_killed_goes_on(self):
        self.write("run/julia-bootstrap/held", '["stop", ["api"]]')
        self.b.tidy()
        self.assertIn("start api", self.calls())
        self.write("run/julia-bootstrap/held", '["pause", ["other"]]')
        with self.assertRaisesRegex(self.b.Stop, "^other did not go on after a pause"):
            self.b.resume()

    def test_what_a_program_says_when_it_fails_is_told(self):
        self.write("fails", "pause")
        with self.assertRaisesRegex(self.b.Stop, "^files: no such thing"):
            self.make()
        self.assertEqual(os.listdir(self.folder / "opt/backups/x"), [])

    def test_a_backup_goes_on_when_systemd_begins_anew(self):
        lost, failed = "Failed to wait for response: Connection reset by peer", "Job for x-backup.service failed."
        for said, states, ended in ((lost, ["activating success", "", "activating success", "inactive success"], 0), (lost, ["inactive success"], 0),
                                    (lost, ["activating success", "failed exit-code"], 1), (failed, ["failed exit-code"], 4)):
            left = list(states)

            def run(words, *_, left=left, said=said):
                if words[:2] == ["systemctl", "start"]:
                    return 4, said
                if words[1] != "show":
                    return 0, ""
                state, _, result = (left.pop(0) if len(left) > 1 else left[0]).partition(" ")
                return (0, f"Result={result}\nActiveState={state}") if state else (1, "Failed to connect to bus")

            with mock.patch.object(sys.modules["jb"], "run", run), mock.patch.object(self.b.time, "sleep"):
                self.assertEqual(self.b.ctl_backup(None), ended, states)

    def test_one_operation_at_a_time(self):
        with self.b.locked(0), self.assertRaisesRegex(self.b.Stop, "^another operation"), self.b.locked(0):
            pass


class Restoring(Machine):
    """What comes back."""

    def test_files_and_what_the_machine_made_come_back_and_what_was_given_stays(self):
        when = self.make()
        self.write("opt/x/.env", "MADE=new\nGIVEN=new\nMORE=1\n")
        self.write("opt/x/credentials/file", "new")
        self.write("volume/a/b", "changed")
        self.write("volume/c", "more")
        code, said = self.restore()
        self.assertEqual(code, 0, said)
        self.assertEqual((self.folder / "opt/x/.env").read_text(), "MADE=old\nGIVEN=new\nMORE=1\n")
        self.assertEqual((self.folder / "opt/x/credentials/file").read_text(), "old")
        self.assertEqual((self.folder / "volume/a/b").read_text(), "hello")
        self.assertEqual(os.listdir(self.folder / "volume"), ["a"])
        self.assertEqual([c for c in self.calls() if c in ("stop api", "up")], ["stop api", "up"])
        # What was there can be had back.
        copy = next(w for w, m in self.b.complete() if m["safety"])
        self.assertIn(f"saved as {copy}", said)
        self.assertEqual(self.restore(copy)[0], 0)
        self.assertEqual((self.folder / "volume/c").read_text(), "more")
        self.assertEqual(self.b.find(when[:8]), when)

    def test_one_volume_alone_leaves_the_rest(self):
        self.make()
        self.write("opt/x/.env", "MADE=new\n")
        self.write("volume/a/b", "changed")
        for name in ("files", "api"):
            self.assertEqual(self.restore("--only", name)[0], 0)
        self.assertEqual((self.folder / "opt/x/.env").read_text(), "MADE=new\n")
        self.assertEqual((self.folder / "volume/a/b").read_text(), "hello")
        code, said = self.restore("--only", "nothing")
        self.assertEqual((code, said), (1, "the backup has nothing that is called nothing: it has machine, files\n"))

    def test_a_flipped_bit_is_refused_before_anything_is_touched(self):
        when = self.make()
        for name in ("files.tar", "machine.tar", "manifest.json"):
            path = self.folder / "opt/backups/x" / when / name
            data = path.read_bytes()
            for place in (0, len(data) // 2, len(data) - 2):
                path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1:])
                (self.folder / "calls").unlink(missing_ok=True)
                code, said = self.restore(*([when] if name != "manifest.json" else []))
                self.assertEqual(code, 1)
                wrong = rf"^{when} is damaged: {name} is not what was written. Nothing was touched"
                self.assertRegex(said, wrong if name != "manifest.json" else "^there is no backup yet")
                self.assertEqual(self.calls(), [])
            path.write_bytes(data)

    def test_a_restore_that_was_cut_says_so_and_can_be_made_again(self):
        when = self.make()
        self.write("volume/a/b", "changed")
        with mock.patch.object(self.b, "bring", side_effect=KeyboardInterrupt), self.assertRaises(KeyboardInterrupt):
            self.restore()
        with self.assertRaisesRegex(self.b.Stop, f"run `bootstrapctl restore {when}` again"):
            self.b.backup()
        copies = len(self.b.complete())
        self.assertEqual(self.restore(when)[0], 0)
        self.assertEqual(len(self.b.complete()), copies, "half of it is not saved")
        self.assertEqual((self.folder / "volume/a/b").read_text(), "hello")
        self.b.backup()

    def test_a_restore_that_was_cut_is_finished_by_the_next_start(self):
        when = self.make()
        for words in ([], ["--only", "files", when]):
            self.write("volume/a/b", "changed")
            with mock.patch.object(self.b, "bring", side_effect=KeyboardInterrupt), self.assertRaises(KeyboardInterrupt):
                self.restore(*words)
            (self.folder / "calls").unlink(missing_ok=True)
            self.b.finish()
            self.assertEqual((self.folder / "volume/a/b").read_text(), "hello")
            self.assertNotIn("up", self.calls(), "who starts the stack calls this, and not the other way round")
            self.b.uncut()

    def test_a_cut_restore_that_cannot_be_finished_stays_one(self):
        when = self.make()
        with mock.patch.object(self.b, "bring", side_effect=KeyboardInterrupt), self.assertRaises(KeyboardInterrupt):
            self.restore()
        (self.folder / "opt/backups/x" / when / "files.tar").write_bytes(b"")
        with self.assertRaisesRegex(self.b.Stop, "is damaged"):
            self.b.finish()
        with self.assertRaisesRegex(self.b.Stop, f"run `bootstrapctl restore {when}` again"):
            self.b.uncut()

    def test_after_a_failed_restore_services_go_on_and_nobody_goes_back_behind_them(self):
        when = self.make()
        served = self.folder / "var/lib/julia-bootstrap/backup/restoring-served"
        with mock.patch.object(self.b, "bring", side_effect=self.b.Stop("no")):
            self.assertEqual(self.restore(when), (1, mock.ANY))
        self.assertIn("up", self.calls())
        self.assertTrue(served.exists())
        # What was written since is saved before the same restore comes again.
        self.write("volume/a/b", "written since")
        copies = len(self.b.complete())
        self.assertEqual(self.restore(when)[0], 0)
        self.assertEqual(len(self.b.complete()), copies + 1)
        self.assertFalse(served.exists())
        self.b.uncut()

    def test_whatever_ends_a_restore_services_go_on(self):
        when = self.make()
        with mock.patch.object(self.b, "bring", side_effect=SystemExit("the secret A has no value")), self.assertRaises(SystemExit):
            self.restore(when)
        self.assertIn("up", self.calls())
        self.assertTrue((self.folder / "var/lib/julia-bootstrap/backup/restoring-served").exists())

    def test_a_backup_of_what_is_not_here_any_more_touches_nothing(self):
        when = self.make()
        self.b.PARTS[:] = [p for p in self.b.PARTS if p["kind"] == "machine"]
        code, said = self.restore(when)
        self.assertEqual((code, said.splitlines()[-1]), (1, "this machine has no files: name by --only what it has"))
        self.assertEqual(len(self.b.complete()), 1)
        self.b.uncut()

    def test_what_cannot_be_unpacked_leaves_nothing(self):
        when = self.make()
        with mock.patch.object(self.b, "verify", lambda when: self.b.manifest(f"{self.b.ROOT}/{when}")):
            (self.folder / "opt/backups/x" / when / "files.tar").write_bytes(b"no archive" * 100)
            self.assertEqual(self.restore("--only", "files", when)[0], 1)
        self.assertEqual(sorted(p.name for p in (self.folder / "volume").iterdir()), ["a"])

    def test_the_rest_of_a_restore_is_in_no_backup(self):
        self.write("volume/.restore~/a", "half")
        when = self.make()
        with tarfile.open(self.folder / "opt/backups/x" / when / "files.tar") as tar:
            self.assertFalse([name for name in tar.getnames() if "restore~" in name])

    def test_the_backup_of_a_restore_that_was_cut_stays(self):
        when = self.make()
        with mock.patch.object(self.b, "bring", side_effect=KeyboardInterrupt), self.assertRaises(KeyboardInterrupt):
            self.restore(when)
        for n in range(1, 10):
            self.make(1e9 + 9e6 * n)
        self.assertIn(when, [x for x, _ in self.b.complete()])

    def test_nothing_begins_before_the_stack_was_tried_after_power_on(self):
        self.plan["stages"] = {"stack": {}}
        self.load()
        tried = self.folder / "run/julia-bootstrap/stack-tried"
        with self.assertRaisesRegex(self.b.Stop, "^another operation"), self.b.locked(0):
            pass
        with mock.patch.dict(os.environ, {"STAGE": "fetch"}), self.b.locked(0):
            pass
        with mock.patch.object(sys.modules["jb"], "FIRST_START", 0), self.b.locked(0):
            pass
        tried.touch()
        with self.b.locked(0):
            pass

    def test_a_restore_after_which_something_is_unwell_is_no_half_of_one(self):
        when = self.make()
        self.write("volume/a/b", "changed")
        self.write("usr/local/lib/julia-bootstrap/stages/stack", "#!/bin/sh\necho web is unhealthy\nexit 1\n", 0o755)
        code, said = self.restore("--only", "files", when)
        self.assertEqual(code, 1)
        self.assertIn("everything is restored, but not all services are healthy: web is unhealthy", said)
        self.assertEqual((self.folder / "volume/a/b").read_text(), "hello")
        self.b.backup()

    def test_another_restore_than_the_one_that_was_cut_saves_what_is_there(self):
        when = self.make()
        with mock.patch.object(self.b, "bring", side_effect=KeyboardInterrupt), self.assertRaises(KeyboardInterrupt):
            self.restore("--only", "files", when)
        with self.assertRaisesRegex(self.b.Stop, f"run `bootstrapctl restore {when} --only files` again"):
            self.b.uncut()
        copies = len(self.b.complete())
        self.assertEqual(self.restore(when)[0], 0)
        self.assertEqual(len(self.b.complete()), copies + 1)
        self.b.uncut()

    def test_what_cannot_be_saved_before_is_not_overwritten_unless_asked_for(self):
        self.make()
        self.write("volume/a/b", "changed")
        self.write("fails", "pause")
        code, said = self.restore()
        self.assertEqual(code, 1)
        self.assertRegex(said, r"nothing was touched: no copy of what is there now can be made \(files: no such thing")
        self.assertEqual((self.folder / "volume/a/b").read_text(), "changed")
        self.assertEqual(self.restore("--no-safety-copy")[0], 0)
        self.assertEqual((self.folder / "volume/a/b").read_text(), "hello")

    def test_nothing_is_touched_without_a_yes(self):
        self.make()
        with mock.patch("builtins.input", return_value="y"):
            code, said = self.restore_asking()
        self.assertEqual((code, said.splitlines()[-1]), (1, "nothing was touched"))

    def restore_asking(self):
        """The same without --yes."""
        said = io.StringIO()
        options = types.SimpleNamespace(when=None, only=None, yes=False, no_safety_copy=False)
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            return self.b.ctl_restore(options), said.getvalue()

    def test_who_depends_on_a_database_is_stopped_with_it(self):
        self.assertEqual(self.b.dependents(CONFIG, "db"), {"api", "web"})
        self.assertEqual(self.b.dependents(CONFIG, "other"), set())

    def test_the_drill_finds_what_is_not_as_recorded(self):
        when = self.make()
        self.b.drill()
        self.assertEqual((self.folder / "var/lib/julia-bootstrap/backup/drill").read_text(), when + "\n")
        m = self.b.manifest(f"{self.b.ROOT}/{when}")
        m["parts"][1]["entries"] = 4
        with mock.patch.object(self.b, "verify", lambda when: m), self.assertRaisesRegex(self.b.Stop, "3 entries, and 4 were recorded"):
            self.b.drill()

    def test_keys_of_redis_are_counted_without_those_that_expire(self):
        self.write("answer", "# Keyspace\r\ndb0:keys=5,expires=2,avg_ttl=3\r\ndb1:keys=1,expires=0,avg_ttl=0\r\n")
        cli = ["docker", "x", "exec", "y"]
        self.assertEqual(self.b.keys(cli), {"db0": 3, "db1": 1})
        self.b.same_keys(cli, {"name": "r", "keys": {"db0": [2, 3], "db1": [1, 1]}})
        for keys in ({"db0": [4, 5], "db1": [1, 1]}, {"db0": [3, 3]}, {"db0": [3, 3], "db1": [1, 1], "db2": [1, 1]}):
            with self.assertRaisesRegex(self.b.Stop, "^r: the keys of db"):
                self.b.same_keys(cli, {"name": "r", "keys": keys})
        self.write("answer", "NOAUTH Authentication required.")
        with self.assertRaisesRegex(self.b.Stop, "NOAUTH"):
            self.b.keys(cli)


if __name__ == "__main__":
    unittest.main()
