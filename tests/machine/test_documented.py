"""What the documentation tells people to type on the machine is taken by the program there."""
import argparse
import contextlib
import importlib
import io
import json
import re
import shlex
import sys
import unittest

from folder import TOP, Folder

PAGES = ["README.md", "docs/README.pt-BR.md", "docs/guide.md"]
# A machine that has everything, so that every option is there.
PLAN = {
    "name": "x", "hosts": ["x.example"], "services": ["api"], "stages": {}, "ports": [], "secrets": [], "health": [], "closed": [], "tls": {"acme": True},
    "admin": {"user": "deploy"}, "sshd": {}, "needs": {}, "variables": {},
    "deploy": {"services": {}, "keep": 5, "wait": 60, "drain": 60, "backup": True, "windows": [], "poll": 300},
    "backup": {"keep": 7, "parts": [], "pitr": True, "offsite": {"repository": "r", "password": "P", "environment": {}, "keep": {}}}, "follow": {"url": "u", "key": "k"},
}


def commands(text):
    """Each `bootstrapctl …` of a page, in blocks and within lines, words in brackets included."""
    text = text.replace("\\\n", " ")
    for span in re.findall(r"`(bootstrapctl [^`]*)`", re.sub(r"(?ms)^```.*?^```$", "", text)):
        yield span
    for block in re.findall(r"(?ms)^```sh$(.*?)^```$", text):
        for line in block.splitlines():
            found = re.search(r"bootstrapctl .*", line.split(" #")[0])
            if found:
                yield found[0]


class Documented(Folder):
    """The program's own reader of the command line, without what comes after."""

    def setUp(self):
        super().setUp()
        self.write("etc/julia-bootstrap/plan.json", json.dumps(PLAN))
        code = self.folder / "usr/local/lib/julia-bootstrap"
        for path in (TOP / "cloud-init/lib").iterdir():
            text = path.read_text()
            text = re.sub(r'(f?)"/(etc|var|run|usr|opt)/', rf'\1"{self.folder}/\2/', text)
            # The program ends where it would do something.
            self.write(code / path.name, text.partition("\noptions = parser.parse_args()")[0])
        # Other tests have modules of these names, from folders of their own.
        ours = {path.stem for path in code.glob("*.py")}
        others = {name: sys.modules.pop(name) for name in ours & set(sys.modules)}
        self.addCleanup(sys.modules.update, others)
        self.addCleanup(lambda: [sys.modules.pop(name, None) for name in ours])
        self.addCleanup(setattr, sys, "path", sys.path[:])
        sys.path.insert(0, str(code))
        importlib.invalidate_caches()
        names = {"__name__": "bootstrapctl"}
        exec(compile((code / "bootstrapctl").read_text(), "bootstrapctl", "exec"), names)  # pylint: disable=exec-used
        self.parser = names["parser"]

    def judge(self, command):
        """What the program has against a command, or nothing."""
        # Usage becomes a use: brackets go, a name of a value becomes one.
        words = shlex.split(re.sub(r"\[|\]| …|…", "", command))[1:]
        words = ["3" if word == "ID" else word for word in words]
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said):
                self.parser.parse_args([word for word in words if word != "--only"] if words[-1] == "--only" else words)
        except SystemExit:
            return said.getvalue().splitlines()[-1]
        return ""

    def test_every_command_is_one(self):
        """In each page; and all that the program has is told somewhere."""
        told = set()
        for page in PAGES:
            found = list(commands((TOP / page).read_text()))
            self.assertGreater(len(found), 5, page)
            for command in found:
                self.assertEqual(self.judge(command), "", f"{page}: {command}")
                told.add(command.split()[1])
        choices = next(action for action in self.parser._actions if isinstance(action, argparse._SubParsersAction)).choices  # pylint: disable=protected-access
        self.assertLessEqual(set(choices) - {"help", "completion"}, told)

    def test_a_wrong_one_is_seen(self):
        """The test itself."""
        self.assertIn("invalid choice", self.judge("bootstrapctl backpu"))
        self.assertIn("unrecognized", self.judge("bootstrapctl restore --at 14:05"))
        self.assertEqual(list(commands("a `bootstrapctl x` b\n```sh\nssh h bootstrapctl y # z\n```\n")), ["bootstrapctl x", "bootstrapctl y"])


if __name__ == "__main__":
    unittest.main()
