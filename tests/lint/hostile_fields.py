"""The string fields of a profile, what stands in them on a good day, and who reads them back on the machine."""
import base64
import copy
import json
import pathlib
import re

import yaml

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPuBXTSvcXQmxo9ZT1pYwq1owWKY8R6qDCJ7W5WYaWEJ"

# What has broken programs of this kind: quotes, expansions, templates, YAML 1.1's words, white space, other alphabets.
HOSTILE = [
    "'", '"', "it's", 'a"b', "`id`", "$(id)", "$HOME", "${HOME}", "$", "a$b$$c", "%n", "100%", "%%", "\\", "a\\nb", "\\\\", "\\'", "x\\",
    "a\nb", "\n", "a\n", "\na", "a\r\nb", "\r", "\t", "a\tb", "\tb", " a", "a ", " ", "", "no", "yes", "on", "off", "true", "null", "~",
    "012", "0o14", "0x1F", "1:30", "1e3", "1_000", ".5", ".inf", "2001-01-01", "=", "<<", "{{ x }}", "{% if x %}", "${x}", "#{x}", "{#x#}",
    "-", "- a", "-rf", "--help", "# a", "#", "a #b", "a: b", ": ", ":", "?", "? a", "[a]", "{a: b}", "&a", "*a", "!a", "!!str a", "|", ">",
    "@a", "`", "a,b", "a;b", "a|b", "a&b", "a>b", "a<b", "(a)", "*", "~root", "../../etc/passwd", "/", "..", "<script>", "E", "\nE\n", "PY",
    "'''", '"""', "---", "...", "é", "ção", "日本語", "🦀", "\u00a0", "\u200b", "\u202e", "\u2028", "\u0085", "\ufeff", "\ufeffa", "\ufffd",
    "e\u0301", "\u0000", "a\u0000b", "\u0001", "\u001b[31m", "\u007f", "\u009b", "x" * 300, "x" * 5000, "a b" * 400, "\\x41", "%41", "&amp;",
    "$$", "$${x}", "$1", "!", "!x", "^", "a=b", "A=B\nC=D", "export A=1", "a\\", "'\\''", "EOF", "julia-bootstrap", "\\u0041", "\x7f\x80",
]

# The services that come by themselves with the monitoring.
OURS = yaml.safe_load((pathlib.Path(__file__).resolve().parents[2] / "cloud-init/monitoring/compose.yaml").read_text())["services"]
# What looks like a certificate.
CERTIFICATE = f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(b'0' * 120).decode()}\n-----END CERTIFICATE-----\n"

BASE = {
    "version": 1,
    "name": "hostile",
    "distribution": "debian-13",
    "host": {"hostname": "hostile", "timezone": "America/Sao_Paulo", "locale": "C.UTF-8", "swap": "1GiB", "size": {"cpus": 2, "memory": "4GiB", "disk": "40GB"}},
    "admin": {"user": "deploy", "ssh_keys": [f"{KEY} me@laptop"]},
    "ssh": {"idle_timeout": "10m", "allow_users": ["ops"]},
    "firewall": {"allow": ["51820/udp"]},
    "fail2ban": {"find_time": "10m", "ban_time": "1h", "ignore": ["203.0.113.7"]},
    "updates": {"reboot": "04:30"},
    "apt": {"mirror": "http://mirror.example.net/debian", "security_mirror": "http://mirror.example.net/security"},
    "docker": {
        "source": "docker", "repository": "https://mirror.example.net/docker", "fingerprint": "0123456789ABCDEF0123456789ABCDEF01234567", "registry_mirrors": ["https://mirror.example.net"],
        "logins": [{"registry": "registry.example.net", "username": "me", "password": "TOKEN"}],
        "authorities": [{"registry": "private.example.net", "ca": CERTIFICATE}],
    },
    "domain": "hostile.example.net",
    "aliases": ["www.hostile.example.net"],
    "trusted_proxies": ["192.0.2.0/24"],
    "tls": {"email": "ops@example.net", "directory": "https://acme.example.net/dir", "staging_directory": "https://staging.example.net/dir"},
    "monitoring": "lite",
    "language": "en",
    "backup": {"at": "03:00", "keep": "7d", "offsite": {"repository": "sftp:me@backup.example.net:/srv/x", "password": "TOKEN", "ssh_key": "DEPLOY"}},
    "deploy": {"wait": "60s", "drain": "60s", "poll": "5m", "windows": ["Mon-Fri 09:00-17:00"]},
    "follow": {"url": "https://files.example.net/hostile.bundle", "key": "RWRvZLwehmTlEGn0uvBNYN6kfJIvgsSD81X1HfC8nGVnnpTctWcAP4qp", "poll": "5m"},
    "runbook": "## Contacts",
    "alerts": {"slack": "TOKEN", "heartbeat": "GIVEN", "receivers": {"webhook_configs": [{"url": "https://hook.example.net/"}]}},
    "secrets": {
        "TOKEN": {"env": "TOKEN"}, "GIVEN": {"env": "GIVEN"}, "DEPLOY": {"env": "DEPLOY", "as": "credential"},
        "file.json": {"file": "secret", "as": "credential"}, "LOCKED": {"env": "TOKEN", "sealed": True},
        # The dot keeps a last newline, which is no part of a value.
        "TOLD": {"command": ["printf", "%s.", "told"], "as": "credential"}, "UNUSED": {"generate": 32},
    },
    "sealed": {"url": "https://files.example.net/hostile.sealed", "file": "sealed.json"},
    "services": {
        "web": {
            "image": "docker.io/library/web:1", "environment": {"VALUE": "v", "GIVEN": "${GIVEN}"}, "command": ["run", "argument"],
            "labels": {"label": "l"}, "configs": ["text"], "restart": "unless-stopped", "healthcheck": {"test": ["CMD", "true"]},
            "x-bootstrap": {"routes": [{"path": "/", "port": 8000}, {"path": "/hooks/", "port": 8000, "host": "hooks.example.net", "body_size": "10MiB", "timeout": "60s"}],
                            "health": "/health", "closed": ["/signup"], "runs_as_root": "because", "public_ports": ["8883/tcp"],
                            "metrics": {"port": 8000, "path": "/metrics", "dashboard": "redis"}},
            "ports": ["8883:8883"], "volumes": ["data:/data"], "networks": ["inside"],
        },
        "tagged": {
            "restart": "unless-stopped", "healthcheck": {"test": ["CMD", "true"]},
            "x-bootstrap": {"source": {"git": "https://git.example.net/me/app.git", "tag": "v1"}},
        },
        "store": {
            "image": "docker.io/library/redis:7", "restart": "unless-stopped", "healthcheck": {"test": ["CMD", "true"]}, "x-bootstrap": {"backup": "redis"},
        },
        "app": {
            "restart": "unless-stopped", "healthcheck": {"test": ["CMD", "true"]},
            "x-bootstrap": {"source": {"git": "git@git.example.net:me/app.git", "branch": "main", "deploy_key": "DEPLOY"},
                            "deploy": "recreate", "before": "true", "after": ["true"],
                            "route": {"host": "app.example.net", "path": "/app/", "port": 9000, "body_size": "10MiB", "timeout": "60s"}},
        },
    },
    "configs": {"text": {"content": "text"}},
    "volumes": {"data": {"labels": {"label": "l"}, "x-bootstrap": {"backup": "live"}}},
    "networks": {"inside": {"labels": {"label": "l"}}},
}
# What looks like a deploy key without being anybody's.
DEPLOY = "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"


# The last step of a path that means the key itself.
NAME = object()


def at(tree, path):
    """The value at a path of keys and indices."""
    for number, step in enumerate(path):
        if step is NAME:
            return path[number - 1]
        tree = tree[step]
    return tree


def with_value(path, value):
    """The base profile with another value, or key, at a path."""
    tree = copy.deepcopy(BASE)
    if path[0] != "sealed":
        # The secrets stage would wait for it.
        del tree["sealed"], tree["secrets"]["LOCKED"]
    if path[-1] is NAME:
        mapping = at(tree, path[:-2])
        mapping[value] = mapping.pop(path[-2])
    else:
        at(tree, path[:-1])[path[-1]] = value
    return tree


def plan(*path):
    """Reads a value of plan.json as Python on the machine does, and as a stage's shell does through `get`."""
    def read(machine):
        yield "plan.json", at(machine.plan, path)
        if all(isinstance(step, str) for step in path):
            found = machine.shell(f'. /usr/local/lib/julia-bootstrap/lib.sh; v=$(get "$1"; echo .); printf %s "${{v%.}}"', ".".join(path))
            yield "the shell's `get`", found.removesuffix("\n")
    return read


def identity(machine):
    """Reads the host name as the stages do, and as cloud-init does before any of them runs."""
    yield from plan("host", "hostname")(machine)
    yield "meta-data", yaml.safe_load((machine.bundle / "meta-data").read_text())["local-hostname"]


def hosts(index):
    """Reads a host name of the web edge: in plan.json and in nginx."""
    def read(machine):
        yield "plan.json", machine.plan["hosts"][index]
        yield "nginx's server_name", machine.nginx("server_name")[index]
    return read


def location(index):
    """Reads a path of the web edge as nginx does."""
    def read(machine):
        yield "nginx's location", machine.nginx("location", distinct=False)[index]
    return read


def compose(*path):
    """Reads a value of the stack as Compose does, and as any reader of YAML."""
    def read(machine):
        yield "PyYAML", at(machine.compose_file(), path).replace("$$", "$")
        try:
            yield "Compose", at(machine.compose(), path).replace("$$", "$")
        except KeyError:
            # Compose leaves out what is empty.
            yield "Compose", ""
    return read


def compose_key(index, *path):
    """Reads the last key of a mapping of the stack as Compose does, and as any reader of YAML."""
    def read(machine):
        yield "PyYAML", list(at(machine.compose_file(), path))[index]
        keys = {key.replace("$$", "$") for key in at(machine.compose(), path)} - set(at(BASE, path)) - set(OURS)
        yield "Compose", keys.pop() if keys else list(at(BASE, path))[index]
    return read


def sshd_user(machine):
    """Reads a user of AllowUsers as sshd does."""
    users = re.findall(r"^allowusers (.*)$", machine.output("sshd", "-T"), re.M)
    yield "sshd -T", users[1]


def admin_user(machine):
    """Reads the admin user as the stages, sshd and sudo do."""
    yield from plan("admin", "user")(machine)
    yield "sshd -T", re.findall(r"^allowusers (.*)$", machine.output("sshd", "-T"), re.M)[0]
    yield "sudoers", machine.text("/etc/sudoers.d/90-julia-bootstrap").split()[-4] if not machine.output("visudo", "-cq") else "refused"


def authorized_key(machine):
    """Reads the key's line; ssh-keygen must take it, and it must be one."""
    yield "authorized_keys", machine.text("/etc/julia-bootstrap/authorized_keys").removesuffix("\n")
    yield "ssh-keygen", f"{KEY}{machine.output('ssh-keygen', '-lf', '/etc/julia-bootstrap/authorized_keys').count(chr(10)) - 1 or ''}"


def apt(name, index):
    """Reads a mirror as apt does."""
    def read(machine):
        machine.root.write(f"/etc/apt/sources.list.d/hostile-{name}.sources", machine.text(f"/etc/julia-bootstrap/{name}.sources"))
        lines = machine.output("apt-get", "indextargets", "--no-release-info", "--format", "$(SOURCESENTRY)\t$(REPO_URI)").splitlines()
        ours = [line.split("\t")[1].rstrip("/") for line in lines if f"hostile-{name}." in line]
        yield "apt", list(dict.fromkeys(ours))[index]
    return read


def units(machine):
    """Reads the name as systemd does, and as the shell does."""
    yield from plan("name")(machine)
    yield "meta-data", str(yaml.safe_load((machine.bundle / "meta-data").read_text())["instance-id"]).rpartition("-")[0]
    found = machine.output("systemd-analyze", "verify", "--man=no", f"{machine.plan['name']}-bootstrap.target")
    yield "systemd-analyze", found or machine.plan["name"]
    unit = machine.text(f"/etc/systemd/system/{machine.plan['name']}-host.service")
    yield "Description", re.search(r"^Description=(.*): ", unit, re.M)[1].replace("%%", "%")


def login(machine):
    """Reads a registry's user as Docker does from the file that the secrets stage writes."""
    yield "plan.json", machine.plan["docker"]["logins"][0]["username"]
    machine.stage("secrets")
    (entry,) = json.loads(machine.root.read("/root/.docker/config.json"))["auths"].values()
    yield "Docker's config.json", base64.b64decode(entry["auth"]).decode().rpartition(":")[0]


def told(machine):
    """Reads what a secret's command said from the file that the secrets stage writes."""
    machine.stage("secrets")
    yield "the credential", machine.root.read("/opt/hostile/credentials/TOLD").decode().removesuffix(".")


def source(index, row):
    """Reads a git source as the pull stage's shell does."""
    def read(machine):
        yield "plan.json", machine.plan["sources"][row].split("\t")[index]
        lines = machine.shell('. /usr/local/lib/julia-bootstrap/lib.sh; get sources | cut -f"$1"', str(index + 1)).split("\n")
        yield "the shell's read", lines[row]
    return read


# Path, the good value, and either who reads it back or the shape that an accepted value must have.
FIELDS = [
    (["name"], units), (["host", "hostname"], identity), (["host", "timezone"], plan("host", "timezone")),
    (["host", "locale"], plan("host", "locale")), (["host", "swap"], r"\d+ ?(MiB|GiB|MB|GB|M|G|m|g)?|none|0"),
    (["admin", "user"], admin_user), (["admin", "ssh_keys", 0], authorized_key), (["ssh", "allow_users", 0], sshd_user),
    (["ssh", "idle_timeout"], r"\d+ ?[a-z]+"), (["firewall", "allow", 0], r"\d+/(tcp|udp)"), (["fail2ban", "find_time"], r"[1-9]\d* ?[a-z]+"),
    (["fail2ban", "ban_time"], r"[1-9]\d* ?[a-z]+"), (["docker", "source"], r"distribution|docker"), (["tls", "ca"], r"(?!)"), (["tls", "ca_file"], r"(?!)"),
    (["secrets", "UNUSED", "as"], r"env|credential"), (["services", "app", "x-bootstrap", "route", "host"], hosts(3)),
    (["services", "app", "x-bootstrap", "route", "path"], location(-1)),
    (["services", "app", "x-bootstrap", "route", "body_size"], r"[1-9]\d*(MiB|GiB)"),
    (["services", "app", "x-bootstrap", "route", "timeout"], r"[1-9]\d* ?[a-z]+"),
    (["services", "web", "x-bootstrap", "routes", 1, "body_size"], r"[1-9]\d*(MiB|GiB)"),
    (["services", "web", "x-bootstrap", "routes", 1, "timeout"], r"[1-9]\d* ?[a-z]+"),
    (["services", "web", "x-bootstrap", "public_ports", 0], r"\d+/(tcp|udp)"), (["services", "tagged", "x-bootstrap", "source", "tag"], source(2, 0)),
    (["volumes", "data", "labels", "label"], compose("volumes", "data", "labels", "label")),
    (["networks", "inside", "labels", "label"], compose("networks", "inside", "labels", "label")),
    (["volumes", "data", "labels", "label", NAME], compose_key(-1, "volumes", "data", "labels")),
    (["fail2ban", "ignore", 0], r"[0-9a-f.:]+(/\d+)?"), (["trusted_proxies", 0], r"[0-9a-f.:]+(/\d+)?"),
    (["updates", "reboot"], r"\d\d:\d\d|never"), (["apt", "mirror"], apt("apt", 0)), (["apt", "security_mirror"], apt("apt", 1)),
    (["docker", "repository"], apt("docker", 0)), (["docker", "fingerprint"], r"([0-9A-Fa-f]{4} *){10}"), (["docker", "registry_mirrors", 0], lambda m: [("daemon.json", m.daemon()["registry-mirrors"][0])]),
    (["docker", "logins", 0, "registry"], lambda m: [("plan.json", m.plan["docker"]["logins"][0]["registry"])]),
    (["docker", "logins", 0, "username"], login), (["docker", "logins", 0, "password"], r"TOKEN"),
    (["docker", "authorities", 0, "registry"], lambda m: [("certs.d", path.split("/")[4]) for path in m.manifest if "/certs.d/" in path]),
    (["docker", "authorities", 0, "ca"], r"(?s)-----BEGIN CERTIFICATE-----\n.*"), (["monitoring"], r"none|lite|full"),
    (["host", "size"], r"minimum|recommended"), (["host", "size", "memory"], r"[1-9]\d* ?\w+"), (["host", "size", "disk"], r"[1-9]\d* ?\w+"),
    (["backup", "at"], r"\d\d:\d\d"), (["backup", "keep"], r"[1-9]\d* ?[a-z]+"), (["deploy", "wait"], r"[1-9]\d* ?[a-z]+"),
    (["backup", "offsite", "repository"], plan("backup", "offsite", "repository")), (["backup", "offsite", "password"], r"TOKEN|GIVEN"),
    (["backup", "offsite", "ssh_key"], r"DEPLOY"),
    (["deploy", "drain"], r"[1-9]\d* ?[a-z]+"), (["deploy", "poll"], r"[1-9]\d* ?[a-z]+"),
    (["deploy", "windows", 0], r"([A-Z][a-z]{2}(-[A-Z][a-z]{2})? )?\d\d:\d\d-\d\d:\d\d"),
    (["follow", "url"], plan("follow", "url")), (["follow", "key"], plan("follow", "key")), (["follow", "poll"], r"[1-9]\d* ?[a-z]+"),
    (["services", "app", "x-bootstrap", "deploy"], r"recreate|blue-green"),
    (["services", "app", "x-bootstrap", "before"], lambda m: [("plan.json", m.plan["deploy"]["services"]["app"]["before"][-1])]),
    (["services", "app", "x-bootstrap", "after", 0], lambda m: [("plan.json", m.plan["deploy"]["services"]["app"]["after"][0])]),
    (["services", "store", "x-bootstrap", "backup"], r"postgres|redis"), (["volumes", "data", "x-bootstrap", "backup"], r"live|pause|stop|none"),
    (["language"], r"en|pt-BR"), (["runbook"], lambda m: [("RUNBOOK.md", m.text(f"/opt/{m.plan['name']}/RUNBOOK.md").split("Alertmanager first.\n\n", 1)[1])]),
    (["alerts", "slack"], r"TOKEN|GIVEN"), (["alerts", "heartbeat"], r"TOKEN|GIVEN"),
    (["alerts", "receivers", "webhook_configs", 0, "url"], plan("monitoring", "receivers", "webhook_configs", 0, "url")),
    (["services", "web", "x-bootstrap", "metrics", "path"], lambda m: [("plan.json", m.plan["monitoring"]["targets"][0]["path"])]),
    (["services", "web", "x-bootstrap", "metrics", "dashboard"], r"postgres|redis"),
    (["domain"], hosts(0)), (["aliases", 0], hosts(1)), (["services", "web", "x-bootstrap", "routes", 1, "host"], hosts(2)),
    (["tls", "email"], plan("tls", "email")), (["tls", "directory"], plan("tls", "directory")),
    (["tls", "staging_directory"], plan("tls", "staging")), (["distribution"], r"(debian|ubuntu)-[\d.]+"), (["compose"], r"(?!)"),
    (["services", "web", "x-bootstrap", "routes", 1, "path"], location(-2)),
    (["services", "web", "x-bootstrap", "health"], lambda m: [("plan.json", m.plan["health"][0][1])]),
    (["services", "web", "x-bootstrap", "closed", 0], lambda m: [("plan.json", m.plan["closed"][0][2])]),
    (["services", "web", "x-bootstrap", "runs_as_root"], None), (["services", "app", "x-bootstrap", "source", "git"], source(1, 1)),
    (["services", "app", "x-bootstrap", "source", "branch"], source(2, 1)),
    (["services", "app", "x-bootstrap", "source", "deploy_key"], r"DEPLOY"),
    (["services", "web", "image"], compose("services", "web", "image")), (["services", "web", "environment", "VALUE"], compose("services", "web", "environment", "VALUE")),
    (["services", "web", "command", 1], compose("services", "web", "command", 1)),
    (["services", "web", "labels", "label"], compose("services", "web", "labels", "label")),
    (["configs", "text", "content"], compose("configs", "text", "content")),
    (["services", "app", NAME], compose_key(3, "services")),
    (["services", "web", "environment", "GIVEN", NAME], compose_key(-1, "services", "web", "environment")),
    (["services", "web", "labels", "label", NAME], compose_key(-1, "services", "web", "labels")),
    (["secrets", "UNUSED", NAME], lambda m: [("plan.json", m.plan["secrets"][-2]["name"])]),
    (["secrets", "GIVEN", "env"], r"TOKEN|GIVEN"), (["secrets", "file.json", "file"], r"secret"),
    (["secrets", "TOLD", "command", 2], told), (["sealed", "file"], r"sealed\.json"),
    (["sealed", "url"], lambda m: [("sealed.json", json.loads(m.text("/etc/julia-bootstrap/sealed.json"))["url"])]),
]
# Compose's own interpolation is passed on: a `$` is written `$$` there.
INTERPOLATED = {"services", "configs", "volumes", "networks"}
# Where an international domain becomes ASCII.
DOMAINS = {("domain",), ("aliases", 0), ("services", "web", "x-bootstrap", "routes", 1, "host"), ("services", "app", "x-bootstrap", "route", "host")}
# Types of a profile's fields that hold no text of their own.
TEXTLESS = re.compile(r"number .*|true or false|mapping.*|list of mapping|as in Compose.*|as in Alertmanager|1|`generate` or mapping")

# What `seal` writes beside the sealed file.
SEALED = {"key": f"AGE-SECRET-KEY-1{'Q' * 58}", "sha256": "0" * 64, "secrets": ["LOCKED"]}


def documented(path):
    """A path as the reference page writes it."""
    names = {"data": "<volume>", "store": "<service>", "web": "<service>", "app": "<service>", "tagged": "<service>", "UNUSED": "<NAME>", "GIVEN": "<NAME>", "file.json": "<NAME>", "TOLD": "<NAME>"}
    text = ""
    for number, step in enumerate(path):
        last = isinstance(step, int) and number == len(path) - 1
        text += "" if last else "[]" if isinstance(step, int) else f".{names.get(step, step)}"
    return text.strip(".")


def forgotten(page):
    """Fields of the reference page that hold text and that no case is about."""
    rows = re.findall(r"^\| `([^`]+)` \| ((?:[^|\\]|\\.)*?) \|", page, re.M)
    known = {documented(path) for path, _ in FIELDS}
    return [path for path, kind in rows if not TEXTLESS.fullmatch(kind) and path not in known]
