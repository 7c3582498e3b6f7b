"""A folder that stands for the machine in the tests of its programs."""
import pathlib
import tempfile
import unittest

TOP = pathlib.Path(__file__).resolve().parent.parent.parent


class Folder(unittest.TestCase):
    """Each test has a folder of its own."""

    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.folder = pathlib.Path(place.name)

    def write(self, path, text, mode=0o644):
        """A file of the machine."""
        path = self.folder / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path
