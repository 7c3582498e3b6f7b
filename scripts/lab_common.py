"""What the lab's scripts share: where things are kept, running commands, and the mirrors that apt on this machine uses."""
import functools
import hashlib
import http.server
import os
import pathlib
import re
import subprocess
import sys
import threading

SCRIPTS = pathlib.Path(__file__).resolve().parent
APP = SCRIPTS.parent / "tests" / "lab" / "app"
STATE_ROOT = pathlib.Path("/run/julia-bootstrap-lab")


class LabError(Exception):
    """A failure told as a sentence."""


def cache_dir(*parts):
    """A directory in the lab's cache, outside of the checkout; made when missing."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    path = pathlib.Path(base, "julia-bootstrap", "lab", *parts)
    path.mkdir(parents=True, exist_ok=True)
    return path


def run(*command, check=True, **options):
    """Runs a command quietly; its output is shown only when it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **options)
    if check and done.returncode != 0:
        raise LabError(f"`{' '.join(words)}` ended with status {done.returncode}:\n{done.stdout.strip()}")
    return done


def say(message):
    """Progress goes to stderr: stdout carries the result only."""
    print(message, file=sys.stderr, flush=True)


def mirrors():
    """The archive and the security archive of Debian as apt on this machine is set up: {"debian": url, "debian-security": url}."""
    lines = run("apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages").stdout.splitlines()
    found = {}
    for line in lines:
        label, _, url = line.partition(" ")
        found.setdefault(label.lower(), url.rstrip("/"))
    if "debian" not in found:
        raise LabError("apt knows no Debian mirror on this machine: check its sources and run `apt-get update`")
    found.setdefault("debian-security", re.sub(r"/debian$", "/debian-security", found["debian"]))
    return {name: found[name] for name in ("debian", "debian-security")}


def apt_proxy():
    """The proxy that apt on this machine goes through, or None."""
    out = run("apt-config", "shell", "proxy", "Acquire::http::Proxy").stdout
    match = re.search(r"proxy='(http[^']*)'", out)
    return match.group(1) if match else None


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and says nothing of it."""

    def log_message(self, *_):
        pass


def serve_folder(address, port, folder):
    """Serves a folder from a thread, until this process ends."""
    server = http.server.ThreadingHTTPServer((address, port), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def digest(*things):
    """A short hash over strings and the contents of files: the key of a cached image."""
    total = hashlib.sha256()
    for thing in things:
        data = thing.read_bytes() if isinstance(thing, pathlib.Path) else str(thing).encode()
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()[:16]


def main(function, root=True):
    """Runs a script's main function and turns failures into one sentence and exit status 1."""
    if root and os.geteuid() != 0:
        sys.exit("the lab makes network namespaces and file systems, which needs root: run it with sudo")
    try:
        status = function()
        sys.stdout.flush()
        sys.exit(status)
    except LabError as error:
        sys.exit(f"{pathlib.Path(sys.argv[0]).name}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os._exit(141)
