"""The copy elsewhere: what is written there and by whom, and the machine that begins with it.

As in test_backup, beside it a `restic` that keeps snapshots as folders, and can be told to fail.
"""
import json
import os
import pathlib
import re
import shutil
import sys
import types
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import test_backup  # noqa: E402

RESTIC = """#!/usr/bin/env python3
import json, os, pathlib, shutil, sys
folder = pathlib.Path(os.environ["FOLDER"])
store, words = folder / "store", sys.argv[1:]
if (folder / "down").exists():
    print("Fatal: unable to open config file: connection refused\\nIs there a repository at the following location?\\nrest:x", file=sys.stderr)
    sys.exit(1)
if os.environ["RESTIC_PASSWORD"] != "geheim" or os.environ["RESTIC_REPOSITORY"] != "rest:https://geheim@h/" or os.environ["KEY"] != "geheim":
    print("Fatal: wrong password or no key found", file=sys.stderr)
    sys.exit(1)
with open(folder / "restic.calls", "a") as calls:
    calls.write(" ".join(words) + "\\n")
option = lambda name: words[words.index(name) + 1]
if words[0] == "init":
    store.mkdir()
elif not store.exists():
    print("Fatal: unable to open config file: no such file\\nIs there a repository at the following location?\\nrest:x", file=sys.stderr)
    sys.exit(1)
elif words[0] == "backup":
    number = len(list(store.iterdir()))
    place = store / f"{number:08x}"
    place.mkdir()
    row = {"id": place.name, "time": f"{number:04}", "tags": option("--tag").split(","), "paths": ["/owner" if "--stdin" in words else words[-1]]}
    (place / "row").write_text(json.dumps(row))
    if "--stdin" in words:
        assert sys.stdin.read()
    else:
        shutil.copytree(words[-1], str(place / "files") + words[-1])
elif words[0] == "snapshots":
    rows = [json.loads((place / "row").read_text()) for place in store.iterdir()]
    named = [word for word in words if len(word) == 8 and word.isdigit()]
    print(json.dumps([row for row in rows if option("--tag") in row["tags"] and (not named or row["id"] in named)]))
elif words[0] == "stats":
    print('{"total_size": 1000}')
elif words[0] == "restore":
    shutil.copytree(store / words[1] / "files", option("--target"))
"""


class Offsite(test_backup.Machine):
    """One machine, and sometimes another."""

    def setUp(self):
        super().setUp()
        self.write("bin/restic", RESTIC, 0o755)
        self.become()

    def become(self, restore_from=None):
        """The plan of a machine with a copy elsewhere."""
        self.plan["backup"].update(single=["web", "other"], restore_from=restore_from, offsite={
            "repository": "rest:https://${SECRET}@h/", "password": "SECRET", "environment": {"KEY": "SECRET"}, "ssh_key": None,
            "keep": {"daily": 7, "weekly": 0, "monthly": 6},
        })
        self.write("opt/x/.env", 'MADE=old\nGIVEN=old\nSECRET="geheim\\n"\n')
        self.load()
        text = (test_backup.TOP / "cloud-init/lib/offsite.py").read_text()
        text = re.sub(r'(f?)"/(etc|var|run|usr|opt)/', rf'\1"{self.folder}/\2/', text).replace('"-C", "/", ', f'"-C", "{self.folder}", ')
        self.o = types.ModuleType("offsite")
        with mock.patch.dict(sys.modules):
            exec(compile(text, "offsite.py", "exec"), self.o.__dict__)

    def test_the_newest_is_the_last_that_was_made(self):
        # A clock that was ahead for a while gave the second of three the latest time.
        self.newest([(7, "serial-7"), (9, "serial-8"), (8, "serial-9"), (10, "other")], "serial-9")
        # A machine that began with an older one counts from there on.
        self.newest([(7, "epoch-1,serial-5"), (8, "epoch-2,serial-2"), (6, "serial-9")], "epoch-2,serial-2")

    def newest(self, rows, wanted):
        """Which snapshot is taken for the newest."""
        text = json.dumps([{"id": tag, "time": f"{time:04}", "tags": ["backup", *tag.split(",")], "paths": []} for time, tag in rows])
        with mock.patch.object(self.o, "restic", lambda *_, **__: text):
            self.assertEqual(self.o.snapshots("backup")[-1]["id"], wanted)

    def another(self):
        """A fresh machine, which knows nothing but what was given to it."""
        for path in ("var", "opt", "volume", "run"):
            shutil.rmtree(self.folder / path)
        (self.folder / "volume").mkdir()
        (self.folder / "run/julia-bootstrap").mkdir(parents=True)
        (self.folder / "calls").unlink(missing_ok=True)
        self.write("usr/local/lib/julia-bootstrap/ctl_deploy.py", 'import os\nopen(os.environ["FOLDER"] + "/calls", "a").write("created\\n")\n')
        self.write("etc/julia-bootstrap/given.json", json.dumps({"SECRET": {"value": "geheim\n", "dotenv": '"geheim\\n"'}}))
        self.become("latest")
        (self.folder / "opt/x/.env").unlink()

    def restic(self):
        """What restic was asked."""
        return (self.folder / "restic.calls").read_text().splitlines()

    def state(self, name):
        """A file of the backups' own."""
        path = self.folder / "var/lib/julia-bootstrap/backup" / name
        return path.read_text().strip() if path.exists() else None

    def taken(self):
        """A machine with a backup off-site."""
        when = self.make()
        self.o.offsite()
        return when

    def test_the_newest_goes_there_once_and_old_ones_are_forgotten(self):
        when = self.taken()
        calls = self.restic()
        self.assertIn(f"backup --host x --tag backup,epoch-1,serial-1 {self.b.ROOT}/{when}", calls)
        self.assertIn("forget --prune --host x --tag backup --group-by host --keep-last 1 --keep-tag serial-1 --keep-daily 7 --keep-monthly 6", calls)
        self.assertEqual([c.split()[0] for c in calls if c.split()[0] in ("init", "backup")], ["init", "backup", "backup"])
        self.assertRegex(self.state("epoch"), r"^1 \w{16}$")
        self.o.offsite()
        self.assertEqual(self.restic(), calls, "nothing is done twice")
        self.make(1e9 + 60)
        self.o.offsite()
        self.assertEqual([c.split()[0] for c in self.restic()[len(calls):] if c.split()[0] in ("init", "backup")], ["backup"])

    def test_what_is_elsewhere_is_listed_and_brought_here(self):
        when = self.taken()
        (row,) = self.o.elsewhere()
        self.assertEqual(row["when"], when)
        shutil.rmtree(self.folder / "opt/backups/x" / when)
        self.assertEqual(self.o.bring_here(row["id"]), when)
        self.b.verify(when)
        self.assertEqual(os.listdir(self.folder / "opt/backups/x"), [when])
        self.assertEqual([x for x, _ in self.b.whole()], [when], "it is this machine's own")
        self.assertEqual(self.o.bring_here(row["id"]), when, "what is here already stays")
        self.assertEqual([c.split()[0] for c in self.restic()].count("restore"), 1)
        (self.folder / "opt/backups/x" / when / "files.tar").write_bytes(b"damaged")
        self.o.bring_here(row["id"])
        self.b.verify(when)
        with self.assertRaisesRegex(self.b.Stop, "^there is no other off-site"):
            self.o.bring_here("other")

    def test_what_another_machine_made_is_there_by_its_name_and_never_the_newest(self):
        when = self.taken()
        (row,) = self.o.elsewhere()
        shutil.rmtree(self.folder / "opt/backups/x" / when)
        self.write("var/lib/julia-bootstrap/backup/epoch", "2 other\n")
        self.assertEqual(self.o.bring_here(row["id"]), when)
        self.assertEqual((self.b.whole(), len(self.b.complete())), ([], 1))

    def test_an_older_one_takes_no_newer_one_s_place(self):
        older = self.taken()
        newer = self.make(1e9 + 60)
        self.o.offsite()
        calls = self.restic()
        shutil.rmtree(self.folder / "opt/backups/x" / newer)
        self.o.offsite()
        self.assertEqual(self.restic(), calls)
        shutil.rmtree(self.folder / "opt/backups/x" / older)
        last = self.make(1e9 + 120)
        self.o.offsite()
        self.assertIn(f"serial-3 {self.b.ROOT}/{last}", " ".join(self.restic()[len(calls):]))

    def test_a_place_that_is_down_is_told_and_the_local_one_is_good(self):
        self.write("down", "")
        when = self.make()
        with self.assertRaisesRegex(self.b.Stop, "^restic: Fatal: unable to open config file: connection refused$"):
            self.o.offsite()
        self.assertIsNone(self.state("offsite"))
        self.b.verify(when)
        self.write("var/lib/julia-bootstrap/backup/epoch", "1 a\n")
        self.assertIsNone(self.o.watch(), "who reaches nobody goes on")
        self.assertNotIn("stop", " ".join(self.calls()))

    def test_a_wrong_password_makes_no_new_repository(self):
        self.make()
        self.write("opt/x/.env", "SECRET=other\n")
        with self.assertRaisesRegex(self.b.Stop, "wrong password"):
            self.o.offsite()
        self.assertFalse((self.folder / "store").exists())

    def test_a_machine_that_knows_nothing_of_a_repository_does_not_write_there(self):
        self.taken()
        shutil.rmtree(self.folder / "var/lib/julia-bootstrap/backup")
        with self.assertRaisesRegex(self.b.Stop, "^the off-site repository belongs to another machine: write `restore_from: latest`"):
            self.o.offsite()

    def test_a_claim_that_was_cut_is_made_up_for(self):
        self.make()
        with mock.patch.object(self.o, "restic", side_effect=KeyboardInterrupt), self.assertRaises(KeyboardInterrupt):
            self.o.claim(1)
        self.write("var/lib/julia-bootstrap/backup/epoch", "1 abc\n")
        self.o.offsite()
        self.assertEqual(self.o.owner(), (1, "abc"))

    def revive(self):
        """Both stages of a machine that begins with a backup; the wait for the old one is over."""
        self.o.fetch()
        with mock.patch.object(self.b, "bring", wraps=self.b.bring) as bring:
            code = self.o.revive()
        return code, bring.call_count

    def test_a_new_machine_begins_with_it_and_the_old_one_falls_silent(self):
        when = self.taken()
        old = self.folder / "old"
        shutil.copytree(self.folder / "var", old)
        self.another()
        self.o.fetch()
        self.assertIn("MADE=old\n", (self.folder / "opt/x/.env").read_text())
        self.assertNotIn("GIVEN", (self.folder / "opt/x/.env").read_text())
        self.assertEqual((self.folder / "opt/x/credentials/file").read_text(), "old")
        # The secrets' stage makes the rest.
        self.write("opt/x/.env", "MADE=old\nSECRET=geheim\n")
        (self.folder / "etc/julia-bootstrap/given.json").unlink()
        self.assertEqual(self.revive(), (75, 1), "the old one has not heard of it yet")
        # A cut between the claim and its mark.
        (self.folder / "var/lib/julia-bootstrap/backup/claimed").unlink()
        self.assertEqual(self.revive(), (75, 0))
        claimed = self.folder / "var/lib/julia-bootstrap/backup/claimed"
        os.utime(claimed, (claimed.stat().st_mtime - 271,) * 2)
        self.assertEqual(self.revive(), (0, 0))
        self.assertEqual((self.folder / "volume/a/b").read_text(), "hello")
        self.assertIn("created", self.calls())
        self.assertNotIn("up", self.calls(), "the stack is started by its own stage")
        self.assertTrue((self.folder / "var/lib/julia-bootstrap/started").exists(), "nothing is set aside after this")
        self.assertEqual(self.state("offsite"), when + " 1")
        self.write("volume/a/b", "new")
        self.assertEqual(self.revive(), (0, 0), "never twice")
        self.assertEqual((self.folder / "volume/a/b").read_text(), "new")
        self.assertEqual(self.o.owner(), (2, self.state("epoch").split()[1]))
        # The old one comes back.
        shutil.rmtree(self.folder / "var")
        shutil.copytree(old, self.folder / "var")
        (self.folder / "calls").unlink()
        self.o.watch()
        self.assertEqual(self.calls(), ["stop web other"])
        self.assertEqual(self.state("superseded"), "epoch 2")
        with self.assertRaisesRegex(self.b.Stop, "what may run only once is stopped here"):
            self.b.alone()
        self.make(1e9 + 60)
        count = len(list((self.folder / "store").iterdir()))
        with self.assertRaisesRegex(self.b.Stop, "^a newer machine took over"):
            self.o.offsite()
        self.assertEqual(len(list((self.folder / "store").iterdir())), count)

    def test_a_power_cut_at_any_place_ends_in_the_same_machine(self):
        self.taken()
        for name in ("load_machine", "verify", "bring"):
            self.another()
            with mock.patch.object(self.b, name, side_effect=KeyboardInterrupt), self.assertRaises(KeyboardInterrupt):
                self.revive()
            # What was half done.
            if name == "bring":
                self.write("volume/half", "x")
            else:
                self.write("opt/x/.env", "MADE=o\n")
            self.assertEqual(self.revive(), (75, 1), name)
            self.assertIn("MADE=old\n", (self.folder / "opt/x/.env").read_text())
            self.assertEqual(os.listdir(self.folder / "volume"), ["a"])

    def test_nothing_is_restored_where_something_is(self):
        self.taken()
        self.another()
        self.write("volume/there", "x")
        self.o.fetch()
        with self.assertRaisesRegex(self.b.Stop, "^there is something in x-files: nothing is restored"):
            self.o.revive()
        self.assertEqual(os.listdir(self.folder / "volume"), ["there"])

    def test_a_machine_that_lives_already_stays_as_it_is(self):
        self.taken()
        self.become("latest")
        self.assertEqual(self.revive(), (0, 0))
        self.assertEqual((self.folder / "opt/x/.env").read_text(), 'MADE=old\nGIVEN=old\nSECRET="geheim\\n"\n')

    def test_an_empty_repository_is_no_backup(self):
        self.taken()
        for place in (self.folder / "store").iterdir():
            shutil.rmtree(place)
        self.another()
        with self.assertRaisesRegex(self.b.Stop, "^the off-site repository has no backup of x"):
            self.o.fetch()
        self.assertFalse((self.folder / "opt/x/.env").exists())

    def test_what_comes_back_damaged_is_not_taken(self):
        when = self.taken()
        damaged = next((self.folder / "store").glob(f"*/files/**/{when}/files.tar"))
        damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
        self.another()
        with self.assertRaisesRegex(self.b.Stop, "is damaged: files.tar"):
            self.o.fetch()
        self.assertIsNone(self.state("fetched"))

    def test_ssh_goes_by_the_key_that_was_given(self):
        self.o.OFF.update(repository="sftp://me@h:2222//b", ssh_key="SECRET")
        with mock.patch.object(self.o.subprocess, "run", return_value=types.SimpleNamespace(returncode=0, stdout="")) as run:
            self.o.restic("check")
        words = run.call_args[0][0]
        key = f"{self.folder}/opt/x/credentials/SECRET"
        wanted = f"sftp.command=ssh -i {key} -o IdentitiesOnly=yes -o StrictHostKeyChecking=accept-new -p 2222 me@h -s sftp"
        self.assertEqual(words, ["restic", "-o", wanted, "check"])
        self.assertNotIn("geheim", " ".join(words))


if __name__ == "__main__":
    unittest.main()
