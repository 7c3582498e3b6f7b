"""The page that visitors meet while the machine builds itself, or its services start again."""
import os
import pathlib
import re
import sys
import tempfile
import unittest

# Debian's packages also serve a python3 that is not Debian's own.
sys.path.append("/usr/lib/python3/dist-packages")
try:
    import html5lib
except ImportError:
    html5lib = None

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "page"))
import sample  # noqa: E402

NAMESPACE = "{http://www.w3.org/1999/xhtml}"


def words(text):
    """What people read, without what the browser reads."""
    return re.sub(r"<[^>]*>", " ", re.sub(r"(?s)<(script|style|title)>.*?</\1>", "", text))


class Page(unittest.TestCase):
    """Each machine's page."""

    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.folder = pathlib.Path(place.name)
        self.jb = sample.library(self.folder)

    def page(self, letters, titles=sample.TITLES):
        """The page of stages in these states."""
        return self.jb.page(sample.status(self.jb, letters, titles))

    def test_an_html5_parser_takes_it(self):
        if html5lib is None:
            if os.environ.get("CI") == "true":
                self.fail("python3-html5lib is not installed")
            self.skipTest("python3-html5lib is not installed")
        for name, letters in sample.MACHINES.items():
            with self.subTest(name):
                tree = html5lib.HTMLParser(strict=True).parse(self.page(letters, ["<i>&\"'"] * 11))
                self.assertEqual("en", tree.get("lang"))
                self.assertEqual(11 if name != "up" else 0, len(tree.findall(f".//{NAMESPACE}li")))
                self.assertIsNone(tree.find(f".//{NAMESPACE}i"))
        for wrong in ("<p>a</p", "<ul><li>a</ul></div>", '<p class="a"class="b">'):
            with self.assertRaises(html5lib.html5parser.ParseError):
                html5lib.HTMLParser(strict=True).parse(f"<!doctype html><title>a</title>{wrong}")

    def test_each_step_says_how_it_is(self):
        text = self.page("draw")
        for state, title in zip(("done", "running", "retrying", "waiting"), sample.TITLES):
            self.assertRegex(text, f'<li class="{state}"><b>.?</b><small>{state}</small>{title}</li>')
        self.assertIn('1 of 4 steps done<progress max="4" value="1"></progress>', text)
        self.assertEqual(2, self.page("dAWd").count('<li class="stuck"><b>!</b><small>stuck</small>'))

    def test_titles_are_escaped_and_reasons_not_told(self):
        text = self.page("rA", ["<b>&", "%s @TITLE@ \"'"])
        self.assertIn("&lt;b&gt;&amp;</li>", text)
        self.assertIn("%s @TITLE@ \"'</li>", text)
        self.assertNotIn("secret", text)

    def test_nothing_comes_from_elsewhere(self):
        for letters in sample.MACHINES.values():
            self.assertNotRegex(self.page(letters), r"(?i)\b(src|href)=|url\(|@import|https?:")

    def test_a_machine_that_serves_nothing_has_no_page(self):
        (self.folder / "usr/local/lib/julia-bootstrap/page.html").unlink()
        self.assertEqual("", self.page("drr"))

    def test_who_was_here_before_hears_of_a_pause(self):
        self.assertIn("Being set up", words(self.page("drr")))
        self.assertEqual("Back in a moment This service is restarting. The page renews itself.", " ".join(words(self.page("ddd")).split()))
        mark = self.folder / "var/lib/julia-bootstrap/done/stack-up"
        mark.parent.mkdir(parents=True)
        mark.touch()
        self.assertEqual(self.page("ddd"), self.page("drr"))


if __name__ == "__main__":
    unittest.main()
