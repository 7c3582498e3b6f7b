"""Restores to a moment: which copy and which log are chosen, what is kept, what is refused.

That PostgreSQL reads them again is for the lab (`make test-pitr`), which has it.
"""
import datetime
import json
import os
import pathlib
import re
import sys
import types
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import test_offsite  # noqa: E402
from test_backup import DAY, TOP  # noqa: E402

NOW = 1_800_000_000


class Pitr(test_offsite.Offsite):
    """A machine whose database is called `db`."""

    def become(self, restore_from=None):
        self.plan["backup"]["parts"] = [{"kind": "postgres", "name": "db"}]
        super().become(restore_from)
        text = (TOP / "cloud-init/lib/pitr.py").read_text()
        text = re.sub(r'(f?)"/(etc|var/lib/julia|run|usr|opt)', rf'\1"{self.folder}/\2', text)
        self.p = types.ModuleType("pitr")
        with mock.patch.dict(sys.modules, {"offsite": self.o, "ctl_backup": self.o.b, "jb": self.o.jb}):
            exec(compile(text, "pitr.py", "exec"), self.p.__dict__)

    def have(self, *rows):
        """What is off-site: kind, moment, generation; the ID is the place in the list."""
        found = []
        for number, (kind, at, generation) in enumerate(rows):
            tags = [kind, "part-db", f"generation-{generation}", "start-0/2000028", "end-0/2000100", "bytes-1"]
            found.append({"id": str(number), "time": datetime.datetime.fromtimestamp(at, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.123456789Z"), "tags": tags})
        self.o.snapshots = lambda tag, *_: [row for row in found if tag in row["tags"]]

    def chosen(self, moment):
        """IDs of the copy and the log."""
        return tuple(row["id"] for row in self.p.choose("db", moment))

    def refused(self, function, *arguments):
        """The sentence of a refusal."""
        with self.assertRaises(self.p.Stop) as caught:
            function(*arguments)
        return str(caught.exception)

    def test_the_copy_before_and_the_first_log_after_the_moment(self):
        self.have(("wal", 10, "7-1"), ("base", 20, "7-1"), ("wal", 30, "7-1"), ("wal", 40, "7-1"), ("base", 50, "7-1"), ("wal", 60, "7-1"))
        self.assertEqual(self.chosen(25), ("1", "2"))
        self.assertEqual(self.chosen(35), ("1", "3"))
        self.assertEqual(self.chosen(45), ("1", "5"))
        self.assertEqual(self.chosen(55), ("4", "5"))
        self.assertEqual(self.chosen(99), ("4", "5"))
        self.assertEqual(self.chosen(None), ("4", "5"))
        self.assertIn("reaches back to 1970-01-01", self.refused(self.chosen, 15))

    def test_a_clock_that_was_ahead_hides_nothing_that_came_later(self):
        self.have(("wal", 10, "7-1"), ("base", 20, "7-1"), ("wal", 30 + DAY, "7-1"), ("wal", 40, "7-1"))
        self.assertEqual(self.chosen(None), ("1", "3"))
        self.assertEqual(self.chosen(35), ("1", "3"))
        self.have(("wal", 10, "7-1"), ("base", 20 + DAY, "7-1"), ("wal", 30, "7-2"))
        self.assertIn("another history began", self.refused(self.chosen, None))
        numbers = [self.p.number() for _ in range(3)]
        self.assertEqual(numbers, ["epoch-0,serial-1", "epoch-0,serial-2", "epoch-0,serial-3"])

    def test_a_copy_that_nothing_was_logged_after(self):
        self.have(("wal", 10, "7-1"), ("base", 20, "7-1"))
        self.assertEqual(self.chosen(None), ("1", "0"))

    def test_nothing_off_site(self):
        self.have()
        self.assertIn("no copy to begin with", self.refused(self.chosen, None))
        self.have(("base", 20, "7-1"))
        self.assertIn("no log", self.refused(self.chosen, None))

    def test_another_history_is_not_run_into(self):
        self.have(("wal", 10, "7-1"), ("base", 20, "7-1"), ("wal", 30, "7-1"), ("wal", 40, "7-2"), ("base", 50, "7-2"), ("wal", 60, "7-2"))
        self.assertEqual(self.chosen(35), ("1", "2"))
        self.assertEqual(self.chosen(55), ("4", "5"))
        self.assertIn("another history began", self.refused(self.chosen, 45))
        self.have(("wal", 10, "7-1"), ("base", 20, "7-1"), ("wal", 30, "7-1"), ("wal", 40, "8-1"))
        self.assertIn("another history began", self.refused(self.chosen, None))

    def test_what_is_kept(self):
        rows = []
        for day in range(20):
            for minute in range(0, 1440, 60):
                rows.append(("wal", NOW + day * DAY + minute * 60, "7-1"))
                if minute == 180:
                    rows.append(("base", NOW + day * DAY + minute * 60 + 1, "7-1"))
        self.have(*rows)
        gone = []
        self.o.restic = lambda *words, **_: gone.extend(words[1:])
        self.p.thin("db")
        left = [row for number, row in enumerate(rows) if str(number) not in gone]
        self.assertEqual(sum(row[0] == "base" for row in left), 8)
        self.have(*left)
        # Every moment of the last seven days can still be had, to the copy and a log that goes beyond it.
        for moment in range(NOW + 13 * DAY, NOW + 19 * DAY + 20 * 3600, 1800):
            begin, log = self.p.choose("db", moment)
            self.assertLessEqual(begin["time"], moment)
            self.assertLessEqual(moment - begin["time"], DAY)
            self.assertGreaterEqual(log["time"], moment)
            # A log's folder goes back to the copy before the last one made until then.
            later = [row for row in left if row[0] == "base" and begin["time"] < row[1] < log["time"]]
            self.assertLessEqual(len(later), 1)
        self.assertLess(len(left), 60)

    def test_a_clock_that_was_wrong_takes_nothing_whole(self):
        self.have(("wal", NOW, "7-1"), ("base", NOW + 1, "7-1"), ("wal", NOW + 100 * DAY, "7-1"), ("base", NOW + 100 * DAY + 1, "7-1"))
        gone = []
        self.o.restic = lambda *words, **_: gone.extend(words[1:])
        self.p.thin("db")
        self.assertEqual(gone, [])

    def test_names_of_segments(self):
        self.assertEqual(self.p.segment(1, "0/2000028", 1 << 24), "000000010000000000000002")
        self.assertEqual(self.p.segment(3, "2A/FF000000", 1 << 24), "000000030000002A000000FF")
        self.assertEqual(self.p.segment(1, "1/40000000", 1 << 30), "000000010000000100000001")

    def logs(self, *names):
        """A folder of segments."""
        folder = self.folder / "wal"
        for path in folder.glob("*"):
            path.unlink()
        for name in names:
            self.write(f"wal/{name}", "x" * (1 << 20))
        return str(folder)

    def test_a_log_with_a_hole_is_refused(self):
        begin = {"generation": "7-1", "start": "0/200028", "end": "0/300100"}
        one = "00000001000000000000000"
        folder = self.logs(one + "1", one + "2", one + "3", one + "4.partial", "00000002.history", "000000020000000000000009")
        os.truncate(f"{folder}/{one}4.partial", 100)
        self.p.whole(folder, begin)
        self.assertEqual(os.path.getsize(f"{folder}/{one}4"), 1 << 20)
        for names in ((one + "2", one + "4"), (one + "3", one + "4"), (one + "2",), ()):
            self.assertIn("not complete", self.refused(self.p.whole, self.logs(*names), begin))

    def test_a_log_of_what_was_before_a_restore_is_not_taken_for_this_ones(self):
        server = types.SimpleNamespace(name="db", folder=str(self.folder), known=lambda: {"generation": "7-1", "shipped": "0/1"})
        self.p.pg, self.p.ask = lambda name: [], lambda *_: "7-2"
        self.assertIn("not received yet", self.refused(self.p.take, server))

    def test_moments(self):
        self.assertIsNone(self.p.parse("latest"))
        self.assertEqual(self.p.parse("2026-01-31T14:05:00Z"), self.p.parse("2026-01-31 15:05+01:00"))
        self.assertIn("is no moment", self.refused(self.p.parse, "yesterday"))
        self.assertIn("yet to come", self.refused(self.p.parse, "2999-01-01"))

    def test_data_change_places(self):
        self.write("d/data/a", "old")
        self.write("d/data~pitr/data/a", "new")
        server = types.SimpleNamespace(place=str(self.folder / "d/data"), new=str(self.folder / "d/data~pitr"))
        self.p.exchange(server)
        self.assertEqual((self.folder / "d/data/a").read_text(), "new")
        self.assertEqual((self.folder / "d/data~pitr/data/a").read_text(), "old")

    def test_where_the_data_lies(self):
        container = {
            "Image": "sha256:1", "Config": {"User": "", "Cmd": None, "Env": ["PGDATA=/var/lib/postgresql/18/docker", "POSTGRES_USER=me"]},
            "Mounts": [{"Source": "/srv/conf", "Destination": "/etc/conf"}, {"Source": "/volumes/v/_data", "Destination": "/var/lib/postgresql"}],
        }
        self.p.out = lambda words, **_: json.dumps([container]) if "inspect" in words else "id"
        server = self.p.Server("db")
        self.assertEqual((server.place, server.account, server.others), ("/volumes/v/_data/18/docker", "me", ["/srv/conf:/etc/conf:ro"]))
        del container["Mounts"][1]
        self.assertIn("in no volume", self.refused(self.p.Server, "db"))


# What is inherited is tested where it stands.
for name in [name for name in dir(test_offsite.Offsite) if name.startswith("test_")]:
    setattr(Pitr, name, None)

if __name__ == "__main__":
    unittest.main()
