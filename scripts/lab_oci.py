"""Container images out of Debian packages, pushed to the lab's registry under the names that a Compose stack asks docker.io for.

What they are is written in lab_recipes. All share one large layer, so that a guest fetches it once; each adds a small layer of its own.
"""
import gzip
import hashlib
import io
import json
import pathlib
import posixpath
import re
import shutil
import socket
import subprocess
import tarfile
import time

import lab_aptcache
import lab_common
import lab_recipes
import lab_roots
from lab_common import LabError, run

UNUSED = ["usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian", "var/lib/apt/lists", "var/cache/apt",
          "usr/share/zoneinfo/right", "usr/share/perl5/PostgreSQL", "usr/share/javascript", "usr/share/nodejs", "var/log",
          # PostgreSQL's compiler for long queries, 150 MB; without it they run uncompiled.
          "usr/lib/postgresql/*/lib/llvmjit*", "usr/lib/postgresql/*/lib/bitcode", "usr/lib/*/libLLVM*", "usr/lib/*/libz3*"]


class Layout:
    """An OCI image layout on disk, filled blob by blob."""

    def __init__(self, directory):
        self.blobs = directory / "blobs" / "sha256"
        self.directory = directory
        self.blobs.mkdir(parents=True)
        (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def blob(self, data, kind):
        """Stores bytes and describes them."""
        digest = hashlib.sha256(data).hexdigest()
        (self.blobs / digest).write_bytes(data)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    def layer(self, tar):
        """Stores a tar as a compressed layer; returns its description and the digest of what is inside.

        gzip and not zstd: Docker 20.10, which Debian 12 has, cannot read zstd.
        """
        inside = hashlib.sha256(tar).hexdigest()
        packed = gzip.compress(tar, compresslevel=4, mtime=0)
        return self.blob(packed, "layer.v1.tar+gzip"), f"sha256:{inside}"

    def image(self, name, layers, config):
        """Writes configuration and manifest of one image and makes the layout's index point at it."""
        created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(0))
        whole = {"created": created, "architecture": "amd64", "os": "linux", "config": config,
                 "rootfs": {"type": "layers", "diff_ids": [inside for _, inside in layers]},
                 "history": [{"created": created, "created_by": "julia-bootstrap lab"} for _ in layers]}
        manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "config": self.blob(json.dumps(whole).encode(), "config.v1+json"), "layers": [layer for layer, _ in layers]}
        entry = self.blob(json.dumps(manifest).encode(), "manifest.v1+json") | {"annotations": {"org.opencontainers.image.ref.name": name}}
        (self.directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))


def base(work, mirror):
    """The shared root: every package, without what no process reads."""
    root = work / "root"
    lab_roots.debootstrap("trixie", lab_recipes.PACKAGES, root, mirror)
    for path in [found for pattern in UNUSED for found in root.glob(pattern)]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
    for name in ("var/log", "var/cache/apt", "var/lib/apt/lists"):
        (root / name).mkdir(parents=True, exist_ok=True)
    sample = root / "usr/share/postgresql/17/postgresql.conf.sample"
    sample.write_text(re.sub(r"(?m)^#?listen_addresses = .*$", "listen_addresses = '*'", sample.read_text()))
    (root / "usr/local/bin/python").symlink_to("python3")
    (root / "usr/local/bin/python3").symlink_to("/usr/bin/python3")
    (root / "docker-entrypoint-initdb.d").mkdir()
    return root


def accounts(root, account):
    """passwd and group of the base with one account at its number; a package's account of the same name gives way."""
    name, uid, gid, home = account
    texts = {}
    lines = [("etc/passwd", f"{name}:x:{uid}:{gid}:{name}:{home}:/bin/sh"), ("etc/group", f"{name}:x:{gid}:")]
    for path, line in lines if gid else lines[:1]:
        number = str(uid if path.endswith("passwd") else gid)
        kept = [old for old in (root / path).read_text().splitlines() if old.split(":")[0] != name and old.split(":")[2] != number]
        texts[path] = "\n".join([*kept, line, ""])
    return texts


def small_layer(root, recipe):
    """The layer of one image: account, directories, files and links, and marks that hide what the official image does not have."""
    buffer = io.BytesIO()
    account, made = recipe.get("account"), {""}
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        def add(name, mode, data=None, owner=(0, 0), target=""):
            # Every parent by name: which rights an unnamed one gets depends on Docker's storage driver.
            parent = posixpath.dirname(name)
            if parent not in made:
                add(parent, 0o755)
            made.add(name)
            entry = tarfile.TarInfo(name)
            entry.mode, entry.uid, entry.gid = mode, *owner
            entry.type = tarfile.SYMTYPE if target else tarfile.REGTYPE if data is not None else tarfile.DIRTYPE
            entry.linkname, entry.size = target, len(data or b"")
            tar.addfile(entry, io.BytesIO(data or b""))

        for name, text in (accounts(root, account) if account else {}).items():
            add(name, 0o644, text.encode())
        for name, mode in recipe.get("directories", {}).items():
            add(name, mode, owner=account[1:3] if account else (0, 0))
        for name, source in recipe.get("files", {}).items():
            add(name, 0o755, source.read_bytes())
        for name, target in recipe.get("links", {}).items():
            add(name, 0o777, target=target)
        for name in recipe.get("without", ()):
            add(f"{posixpath.dirname(name)}/.wh.{posixpath.basename(name)}", 0o644, b"")
    return buffer.getvalue()


def build(work, mirror):
    """Builds every image and pushes it to the registry's storage in the cache."""
    root = base(work, mirror)
    tar = subprocess.run(["tar", "--sort=name", "--numeric-owner", "-C", root, "-c", "."], stdout=subprocess.PIPE, check=True).stdout
    layout = Layout(work / "oci")
    shared = layout.layer(tar)
    del tar
    with registry(work) as address:
        for recipe in lab_recipes.RECIPES:
            layers = [shared, layout.layer(small_layer(root, recipe))] if len(recipe) > 2 else [shared]
            for name in recipe["names"]:
                layout.image(name, layers, recipe["config"])
                run("skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci:{layout.directory}:{name}", f"docker://{address}/{name}")


class registry:
    """A registry on the loopback address for the time of the pushes, writing into the cache."""

    def __init__(self, work):
        self.settings = work / "registry.yml"

    def __enter__(self):
        with lab_aptcache.Server("127.0.0.1", 0, None) as free:
            port = free.server_address[1]
        storage = {"filesystem": {"rootdirectory": str(lab_common.cache_dir("registry"))}}
        settings = {"version": 0.1, "log": {"level": "error"}, "storage": storage, "http": {"addr": f"127.0.0.1:{port}"}}
        self.settings.write_text(json.dumps(settings))
        self.process = subprocess.Popen(["docker-registry", "serve", self.settings], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(100):
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return f"127.0.0.1:{port}"
            except OSError:
                time.sleep(0.1)
        raise LabError("docker-registry does not start: is the package complete?")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def recipe():
    """What the images are made of, for the key of the cache."""
    files = sorted(path for path in [*lab_recipes.IMAGES.iterdir(), *lab_common.APP.iterdir()] if path.is_file())
    return [pathlib.Path(__file__), pathlib.Path(lab_recipes.__file__), *files]
