"""What a power cut leaves in files that grew: taken out before Docker starts."""
import os
import subprocess

import folder


class Zeros(folder.Folder):
    """One start of Docker."""

    def start(self):
        """What Docker's unit runs first."""
        words = [folder.TOP / "cloud-init/lib/zeros", self.folder / "docker", self.folder / "mark"]
        done = subprocess.run(words, stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.stderr, b"")
        return done.returncode

    def bytes(self, path, data):
        """A file below Docker's folder."""
        path = self.folder / "docker" / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def test_an_append_only_file_loses_its_zeros_and_nothing_else(self):
        good = b"*1\r\n$3\r\na\0\0\r\n"
        cases = [good, good + bytes(1), good + bytes(65536 - len(good)), good + bytes(200_000), good[:-2], b"", bytes(70_000)]
        paths = [self.bytes(f"volumes/v{n}/_data/appendonlydir/appendonly.aof.{n}.incr.aof", case) for n, case in enumerate(cases)]
        deep = self.bytes("volumes/v/_data/redis/appendonlydir/a.aof.1.incr.aof", good + bytes(5))
        self.assertEqual(self.start(), 0)
        self.assertEqual([path.read_bytes() for path in paths], [good, good, good, good, good[:-4], b"", b""])
        self.assertEqual(deep.read_bytes(), good)

    def test_snapshots_and_other_files_may_end_with_zeros(self):
        paths = [self.bytes(f"volumes/v/_data/{name}", b"x\0\0") for name in ("d/a.aof.1.base.rdb", "d/appendonly.aof", "d/photo")]
        self.assertEqual(self.start(), 0)
        self.assertEqual({path.read_bytes() for path in paths}, {b"x\0\0"})

    def test_a_log_loses_the_lines_with_zeros(self):
        log = self.bytes("containers/c/c-json.log", b'{"log":"a"}\n\0\0\0{"log":"b"}\n{"log":"c"}\n')
        old = self.bytes("containers/c/c-json.log.1", b'{"log":"a"}\n\0\0')
        packed = self.bytes("containers/c/c-json.log.2.gz", b"\x1f\x8b\0\0\n\0")
        self.assertEqual(self.start(), 0)
        self.assertEqual(log.read_bytes(), b'{"log":"a"}\n{"log":"c"}\n')
        self.assertEqual(old.read_bytes(), b'{"log":"a"}\n')
        self.assertEqual(packed.read_bytes(), b"\x1f\x8b\0\0\n\0")

    def test_it_is_done_once_after_power_on(self):
        self.assertEqual(self.start(), 0)
        path = self.bytes("volumes/v/_data/d/a.aof.1.incr.aof", b"x\0")
        self.assertEqual(self.start(), 0)
        self.assertEqual(path.read_bytes(), b"x\0")

    def test_links_pipes_and_holes_are_left_alone(self):
        outside = self.write("outside", "x")
        outside.write_bytes(b"x\0\0")
        folder_ = self.folder / "docker/volumes/v/_data/d"
        folder_.mkdir(parents=True)
        (folder_ / "a.incr.aof").symlink_to(outside)
        os.link(outside, folder_ / "b.incr.aof")
        os.mkfifo(folder_ / "c.incr.aof")
        (self.folder / "docker/volumes/v/_data/e").symlink_to(self.folder)
        with open(folder_ / "d.incr.aof", "wb") as file:
            file.truncate(200 << 30)
        log = self.bytes("containers/c/c-json.log", b"a\n\0\n")
        self.assertEqual(self.start(), 0)
        self.assertEqual(outside.read_bytes(), b"x\0\0")
        self.assertEqual(log.read_bytes(), b"a\n")
        self.assertEqual((folder_ / "d.incr.aof").stat().st_size, 200 << 30)
