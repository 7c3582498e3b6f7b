"""The page that visitors meet, as the machine's own code makes it for machines in several states."""
import importlib.util
import json
import pathlib
import re
import tempfile

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
TITLES = ["Name, clock and limits", "Admin login by key", "Firewall and web server", "Docker", "Secrets", "Monitoring", "Container images",
          "Hardening", "Certificates", "Services", "Acceptance test"]
# The state of each stage, by its first letter; a capital one has gone on for too long.
MACHINES = {"start": "rrwwrwwwwww", "middle": "dddaddwrwww", "stuck": "ddddddAdWww", "up": "d" * 11}
STATES = {"d": "done", "r": "running", "a": "retrying", "w": "waiting"}


def library(folder):
    """The machine's library, with its absolute paths led into a folder."""
    plan = {"name": "x", "ports": [], "stages": {f"s{number}": {"title": title} for number, title in enumerate(TITLES)}}
    for path, text in (
        ("etc/julia-bootstrap/plan.json", json.dumps(plan)),
        ("usr/local/lib/julia-bootstrap/page.html", (TOP / "cloud-init/page.html").read_text(encoding="utf-8")),
        ("jb.py", re.sub(r'"/(etc|var|run|usr|opt)/', rf'"{folder}/\1/', (TOP / "cloud-init/lib/jb.py").read_text(encoding="utf-8"))),
    ):
        path = pathlib.Path(folder, path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("jb", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def status(jb, letters, titles=TITLES):
    """What the machine says of itself."""
    stages = []
    for number, (letter, title) in enumerate(zip(letters, titles)):
        long = letter.isupper()
        stages.append({"name": f"s{number}", "title": title, "state": STATES[letter.lower()], "attempts": jb.PATIENCE if long else 1,
                       "seconds": 3601 if long else 9, "error": "a secret reason"})
    said = {"stages": stages}
    return {"state": jb.overall(said), **said}


def pages():
    """Each machine's page."""
    with tempfile.TemporaryDirectory() as folder:
        jb = library(folder)
        return {name: jb.page(status(jb, letters)) for name, letters in MACHINES.items()}
