"""A stand-in for Docker's own package repository: packages of its names, signed by a key of the lab.

What is in them is Debian's: `docker-ce` draws in Debian's engine, `docker-compose-plugin` holds the Compose client of the lab's tools. It
proves the way from the key's fingerprint to installed packages and Compose's second version, and nothing of Docker's own builds.
"""
import functools
import gzip
import hashlib
import http.server
import os
import pathlib
import shutil
import threading
import time

from lab_common import cache_dir, run

PACKAGES = {"docker-ce": "docker.io", "docker-ce-cli": "", "containerd.io": "", "docker-buildx-plugin": "", "docker-compose-plugin": ""}


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder."""

    def log_message(self, *_):
        pass


def build(work, suite="bookworm"):
    """Makes the repository in a folder, and tells the fingerprint of its key."""
    site, home = work / "site", work / "gnupg"
    pool, lists = site / "pool", site / "dists" / suite / "stable" / "binary-amd64"
    for folder in (pool, lists):
        folder.mkdir(parents=True)
    home.mkdir(mode=0o700)
    for name, depends in PACKAGES.items():
        root = work / name
        (root / "DEBIAN").mkdir(parents=True)
        lines = [f"Package: {name}", "Version: 5:99.0-lab", "Architecture: amd64", "Maintainer: lab <lab@example.com>", f"Description: stand-in of the lab for {name}"]
        (root / "DEBIAN/control").write_text("\n".join(lines + ([f"Depends: {depends}"] if depends else [])) + "\n", encoding="ascii")
        if name == "docker-compose-plugin":
            plugin = root / "usr/libexec/docker/cli-plugins/docker-compose"
            plugin.parent.mkdir(parents=True)
            shutil.copy(cache_dir("tools") / "docker-compose", plugin)
            plugin.chmod(0o755)
        run("dpkg-deb", "--root-owner-group", "-Znone", "--build", root, pool)
    packages = run("dpkg-scanpackages", "-m", "pool", cwd=site).stdout
    packages = packages[packages.index("Package:"):].split("dpkg-scanpackages:")[0].encode()
    (lists / "Packages").write_bytes(packages)
    (lists / "Packages.gz").write_bytes(gzip.compress(packages, mtime=0))
    rows = [(hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size, path.relative_to(site / "dists" / suite)) for path in sorted(lists.iterdir())]
    release = [f"Suite: {suite}", f"Codename: {suite}", "Components: stable", "Architectures: amd64", time.strftime("Date: %a, %d %b %Y %H:%M:%S UTC", time.gmtime()), "SHA256:"]
    (site / "dists" / suite / "Release").write_text("\n".join(release + [f" {sum_} {size} {path}" for sum_, size, path in rows]) + "\n", encoding="ascii")
    gpg = functools.partial(run, "gpg", "--homedir", home, "--batch", "--pinentry-mode", "loopback", "--passphrase", "", env=os.environ | {"LC_ALL": "C"})
    gpg("--quick-generate-key", "Lab <lab@example.com>", "rsa3072", "sign", "never")
    gpg("--clearsign", "-o", site / "dists" / suite / "InRelease", site / "dists" / suite / "Release")
    gpg("--armor", "--export", "-o", site / "gpg")
    lines = gpg("--list-keys", "--with-colons").stdout.splitlines()
    run("gpgconf", "--homedir", home, "--kill", "all", check=False)
    return next(line.split(":")[9] for line in lines if line.startswith("fpr"))


def serve(address, port, work):
    """Makes it, serves it from a thread, and tells what a profile must say to use it."""
    fingerprint = build(pathlib.Path(work))
    server = http.server.ThreadingHTTPServer((address, port), functools.partial(Quiet, directory=str(pathlib.Path(work, "site"))))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return ["--set", f"docker.repository=http://{address}:{port}", "--set", f"docker.fingerprint={fingerprint}"]
