# Where secrets lie and where else their values turn up.
# Arguments: the folder, a JSON list of {"name", "file"}. Prints modes, values (for the host's own search) and finds.
import glob
import json
import os
import subprocess
import sys

folder, wanted = sys.argv[1], json.loads(sys.argv[2])


def mode(path):
    try:
        data = os.stat(path)
        return f"{data.st_mode & 0o7777:o} {data.st_uid}"
    except OSError as error:
        return str(error)


def value(secret):
    try:
        if secret["file"]:
            with open(f"{folder}/credentials/{secret['file']}", encoding="utf-8") as file:
                return file.read().strip()
        with open(f"{folder}/.env", encoding="utf-8") as file:
            for line in file:
                name, _, text = line.rstrip("\n").partition("=")
                if name == secret["name"]:
                    return text.strip("'\"")
    except OSError:
        pass
    return ""


values = {secret["name"]: value(secret) for secret in wanted}
places = [path for pattern in (
    "/var/log/**/*", "/var/lib/cloud/**/*", "/run/cloud-init/**/*", "/run/julia-bootstrap/**/*", "/etc/julia-bootstrap/**/*",
    "/usr/local/lib/julia-bootstrap/**/*", "/var/www/**/*", "/tmp/**/*", "/var/lib/docker/containers/*/*-json.log",
    "/etc/motd", "/run/motd*", "/proc/[0-9]*/cmdline",
) for path in glob.glob(pattern, recursive=True) if os.path.isfile(path)]
finds = []


def search(place, data):
    for name, text in values.items():
        if len(text) >= 12 and text.encode() in data:
            finds.append([name, place])


for path in places:
    try:
        with open(path, "rb") as file:
            search(path, file.read())
    except OSError:
        continue
for words in (("journalctl", "-a", "-o", "export", "--no-pager"), ("bootstrapctl", "status", "--json"), ("systemctl", "show", "*")):
    try:
        search(words[0], subprocess.run(words, capture_output=True, check=False).stdout)
    except OSError:
        continue
print(json.dumps({
    "env": mode(f"{folder}/.env"),
    "credentials": mode(f"{folder}/credentials"),
    "files": {path: mode(path) for path in glob.glob(f"{folder}/credentials/*")},
    "values": values,
    "searched": len(places),
    "finds": finds,
}))
