"""A stand-in for Docker's own package repository: packages of its names, signed by a key of the lab.

What is in them is Debian's: its engine and its containerd under the other names, since the two sets exclude each other, and the Compose client
of the lab's tools. It proves the way from the key's fingerprint to installed packages and Compose's second version, and nothing of Docker's own builds.
"""
import functools
import gzip
import hashlib
import lzma
import os
import pathlib
import re
import shutil
import time
import urllib.request

from lab_common import cache_dir, run, serve_folder

# Each with Debian's package that is in it.
PACKAGES = {"docker-ce": "docker.io", "docker-ce-cli": "", "containerd.io": "containerd", "docker-buildx-plugin": "", "docker-compose-plugin": ""}


def debian(mirror, suite, name, folder):
    """The newest package of that name in Debian's archive, as a file."""
    with urllib.request.urlopen(f"{mirror}/dists/{suite}/main/binary-amd64/Packages.xz", timeout=120) as answer:
        index = lzma.decompress(answer.read()).decode()
    row = next(row for row in index.split("\n\n") if row.startswith(f"Package: {name}\n"))
    place = re.search(r"^Filename: (.*)$", row, re.M)[1]
    path = folder / f"{name}.deb"
    with urllib.request.urlopen(f"{mirror}/{place}", timeout=120) as answer:
        path.write_bytes(answer.read())
    return path


def control(name, text):
    """A package's control file under another name, free of what speaks of the names of before."""
    fields = dict(re.findall(r"^([\w-]+): (.*(?:\n .*)*)$", text, re.M))
    for gone in ("Source", "Conflicts", "Breaks", "Replaces", "Provides", "Recommends", "Suggests", "Built-Using"):
        fields.pop(gone, None)
    depends = re.sub(r"\bcontainerd\b( \([^)]*\))?", "containerd.io", fields.get("Depends", ""))
    fields.update({"Package": name, "Version": "5:99.0-lab", "Depends": depends})
    return "".join(f"{key}: {value}\n" for key, value in fields.items() if value)


def build(work, mirror, suite="bookworm"):
    """Makes the repository in a folder, and tells the fingerprint of its key."""
    site, home = work / "site", work / "gnupg"
    pool, lists = site / "pool", site / "dists" / suite / "stable" / "binary-amd64"
    for folder in (pool, lists):
        folder.mkdir(parents=True)
    home.mkdir(mode=0o700)
    for name, theirs in PACKAGES.items():
        root = work / name
        if theirs:
            run("dpkg-deb", "-R", debian(mirror, suite, theirs, work), root)
            text = (root / "DEBIAN/control").read_text(encoding="utf-8")
        else:
            (root / "DEBIAN").mkdir(parents=True)
            text = f"Architecture: amd64\nMaintainer: lab <lab@example.com>\nDescription: stand-in of the lab for {name}\n"
        (root / "DEBIAN/control").write_text(control(name, text), encoding="utf-8")
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


def serve(address, port, work, mirror):
    """Makes it, serves it from a thread, and tells what a profile must say to use it."""
    fingerprint = build(pathlib.Path(work), mirror)
    serve_folder(address, port, pathlib.Path(work, "site"))
    return ["--set", f"docker.repository=http://{address}:{port}", "--set", f"docker.fingerprint={fingerprint}"]
