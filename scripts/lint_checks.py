"""What is asked of a rendered machine: each check takes a case and a view of its root, and returns what is wrong."""
import ast
import hashlib
import json
import pathlib
import re
import stat

import yaml

CODE = "/usr/local/lib/julia-bootstrap"


class Missing(Exception):
    """A tool that is not there: told as missing, not as failed."""


def demand(root, tool):
    """Stops a check whose tool the root lacks."""
    if not root.has(tool):
        raise Missing(f"{tool} is not in the root of {root.distribution}")


def tool(root, *command, silent=True, **options):
    """Runs a tool that must succeed, and, if asked for, without a word; returns what is wrong."""
    demand(root, command[0])
    code, out = root.run(*command, **options)
    return [] if code == 0 and not (silent and out.strip()) else [f"{command[0]} ended with status {code}: {out.strip()}"]


# --- the files by themselves ------------------------------------------------------------------------------------------


def user_data(case, _root):
    """User-data is ASCII where it is packed, and begins as cloud-init demands."""
    wrong = []
    if case.packed != (case.bundle / "user-data").read_bytes():
        wrong.append("the bundle's user-data differs from the packed form")
    for name, data in (("packed", case.packed), ("lzma", case.lzma), ("readable", case.readable)):
        if not data.startswith(b"#cloud-config\n"):
            wrong.append(f"the {name} form does not begin with `#cloud-config`")
        if b"\r" in data or b"\0" in data:
            wrong.append(f"the {name} form holds control characters")
        if name == "readable":
            continue
        if not data.isascii():
            wrong.append(f"the {name} form is not ASCII")
        if max(map(len, data.split(b"\n"))) > 4095:
            wrong.append(f"the {name} form has a line that a terminal would cut")
    return wrong


def manifest(case, _root):
    """The manifest names every file of the bundle, with its mode and its sum."""
    wrong = []
    for path, row in case.manifest.items():
        file = case.file(path)
        if hashlib.sha256(file.read_bytes()).hexdigest() != row["sha256"]:
            wrong.append(f"the sum of {path} is another")
        if f"{stat.S_IMODE(file.stat().st_mode):04o}" != row["mode"]:
            wrong.append(f"the mode of {path} is not {row['mode']}")
    found = {f"/{path.relative_to(case.bundle / 'root')}" for path in (case.bundle / "root").rglob("*") if not path.is_dir()}
    return wrong + [f"{path} is in the folder or in the manifest only" for path in sorted(found ^ set(case.manifest))]


def readable_form(case, _root):
    """PyYAML reads from the readable form the bundle's files, byte for byte."""
    entries = yaml.safe_load(case.readable)["write_files"]
    wrong = []
    if [entry["path"] for entry in entries] != list(case.manifest):
        wrong.append("the readable form lists other files than the manifest")
    for entry in entries:
        path = entry["path"]
        if entry["content"].encode() != case.file(path).read_bytes():
            wrong.append(f"{path} reads differently")
        if entry["permissions"] != case.manifest[path]["mode"]:
            wrong.append(f"{path} has the permissions {entry['permissions']!r}")
    return wrong


def json_files(case, _root):
    """Whatever is called JSON is JSON, without a key twice."""
    def once(pairs):
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a key stands twice")
        return dict(pairs)

    wrong = []
    for path in case.manifest:
        if path.endswith(".json"):
            try:
                json.loads(case.file(path).read_text(), object_pairs_hook=once)
            except ValueError as error:
                wrong.append(f"{path}: {error}")
    return wrong


# --- programs ---------------------------------------------------------------------------------------------------------


def shellcheck(root, scripts, *options):
    """shellcheck of scripts, following what they source where it is there."""
    return tool(root, "shellcheck", "-x", "-e", "SC1091", *options, *scripts) if scripts else ["no shell script is there"]


def compiles(root, programs):
    """Python compiles programs, and finds nothing to warn of."""
    command = "import pathlib, sys; [compile(pathlib.Path(path).read_bytes(), path, 'exec') for path in sys.argv[1:]]"
    return tool(root, "python3", "-W", "error", "-c", command, *programs)


def shell_scripts(case, root):
    """The machine's shell scripts; those without a first line of their own are sourced by sh."""
    return shellcheck(root, case.programs("sh"), "--shell=sh")


def script_form(case, root):
    """User-data that is a script, which dash must read too."""
    path = "/root/user-data.sh"
    root.write(path, case.script)
    return shellcheck(root, [path], "--shell=sh") + tool(root, "dash", "-n", path)


def python_programs(case, root):
    """The machine's Python programs."""
    return compiles(root, case.programs("python3"))


# --- the configuration of the programs on the machine -----------------------------------------------------------------


def units(case, root):
    """systemd-analyze takes every unit, with drop-ins, and every program that they start is there."""
    names = [path for path in case.manifest if re.fullmatch(r"/etc/systemd/system/[^/]+\.(service|timer|target|swap|socket|mount|path)", path)]
    wrong = tool(root, "systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *names)
    for path in names:
        for key, value in re.findall(r"^(OnCalendar|On\w+Sec)=(.+)$", case.file(path).read_text(), re.M):
            wrong += tool(root, "systemd-analyze", "calendar" if key == "OnCalendar" else "timespan", value, silent=False)
    return wrong


def nginx(case, root):
    """nginx takes its configuration, with throwaway certificates at the paths it names."""
    if "/etc/nginx/nginx.conf" not in case.manifest:
        return None
    demand(root, "nginx")
    text = case.file("/etc/nginx/nginx.conf").read_text()
    root.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", "/CN=lint.invalid", "-keyout", "/run/lint.key", "-out", "/run/lint.pem")
    for kind, path in re.findall(r"^\s*(ssl_certificate|ssl_certificate_key|include) (/etc/julia-bootstrap/\S+);", text, re.M):
        hsts = b'add_header Strict-Transport-Security "max-age=63072000" always;\n'
        root.write(path, {"ssl_certificate": lambda: root.read("/run/lint.pem"), "include": lambda: hsts}.get(kind, lambda: root.read("/run/lint.key"))())
    if " http2;" in text:
        # Of Ubuntu 22.04, whose nginx knows no other spelling; the one here warns of it.
        code, out = root.run("nginx", "-q", "-t")
        rest = [line for line in out.splitlines() if 'http2" directive is deprecated' not in line and "protocol options redefined" not in line]
        return [] if code == 0 and not rest else [f"nginx ended with status {code}: {' '.join(rest)}"]
    return tool(root, "nginx", "-q", "-t")


def sshd(case, root):
    """sshd takes its configuration, and its values are the planned ones although cloud-init sets others."""
    root.write("/etc/ssh/sshd_config.d/50-cloud-init.conf", "PasswordAuthentication yes\nPermitRootLogin yes\n")
    wrong = tool(root, "sshd", "-t")
    code, out = root.run("sshd", "-T")
    values = dict(line.partition(" ")[::2] for line in out.splitlines())
    for key, value in case.plan["sshd"].items():
        if values.get(key) != value:
            wrong.append(f"sshd -T says {key} {values.get(key)}, planned is {value}")
    return wrong


def sudoers(_case, root):
    """visudo takes the sudoers files, their owners and their modes."""
    return tool(root, "visudo", "-c", "-q")


def firewall(_case, root):
    """nft takes the table, also over itself."""
    path = "/etc/julia-bootstrap/firewall.nft"
    return tool(root, "nft", "-c", "-f", path) + tool(root, "nft", "-f", path) + tool(root, "nft", "-f", path)


def compose(case, root):
    """Compose takes the stack without a warning, with the .env that the machine makes itself."""
    path = f"/opt/{case.plan['name']}/compose.yaml"
    if path not in case.manifest or root.distribution == "debian-12":
        return None
    wrong = tool(root, "python3", f"{CODE}/stages/secrets")
    demand(root, "docker")
    return wrong + tool(root, "sh", "-c", 'cd "$1" && docker compose config -q', "sh", f"/opt/{case.plan['name']}")


def daemon(_case, root):
    """dockerd takes its configuration."""
    if root.distribution == "debian-12":
        return None
    return tool(root, "dockerd", "--validate", "--config-file=/etc/docker/daemon.json", silent=False)


def fail2ban(_case, root):
    """fail2ban takes its jails, and reports none as without a log."""
    for name in ("access", "error"):
        root.write(f"/var/log/nginx/{name}.log")
    wrong = tool(root, "fail2ban-client", "-t", silent=False)
    code, out = root.run("fail2ban-client", "-d")
    return wrong + [line for line in out.splitlines() if re.search(r"\b(ERROR|WARNING)\b(?!.*allowipv6)", line)]


def apt(case, root):
    """apt reads its options and sources; unattended-upgrades would leave Docker alone."""
    for name in ("apt", "docker"):
        path = f"/etc/julia-bootstrap/{name}.sources"
        if path in case.manifest:
            root.write(f"/etc/apt/sources.list.d/lint-{name}.sources", case.file(path).read_bytes())
    demand(root, "apt-get")
    code, out = root.run("apt-get", "indextargets", "--no-release-info", "--format", "$(SOURCESENTRY) $(REPO_URI)")
    wrong = [f"apt-get ended with status {code}: {out}"] if code or re.search("^[EW]:", out, re.M) else []
    for name in ("apt", "docker"):
        if f"/etc/julia-bootstrap/{name}.sources" in case.manifest and f"lint-{name}.sources" not in out:
            wrong.append(f"apt finds nothing in {name}.sources")
    code, out = root.run("apt-config", "dump")
    if code or re.search(r"^[EW]:", out, re.M):
        wrong.append(f"apt-config ended with status {code}: {out[:2000]}")
    for package in ("docker", "containerd", "runc"):
        if f'Unattended-Upgrade::Package-Blacklist:: "{package}' not in out:
            wrong.append(f"{package} is not on the list of what unattended-upgrades leaves alone")
    return wrong


def restarts(case, root):
    """needrestart's settings are read as it reads them, and say what is meant."""
    program = "our %nrconf; my $unit = shift; local $/; eval <>; die $@ if $@; exit !($nrconf{restart} eq 'a' && $unit =~ (keys %{$nrconf{override_rc}})[0])"
    unit = json.loads(case.file("/etc/julia-bootstrap/plan.json").read_text())["name"] + "-deploying.service"
    return tool(root, "perl", "-we", program, unit, "/etc/needrestart/conf.d/julia-bootstrap.conf")


def ufw(case, root):
    """ufw takes every port that the stage opens."""
    wrong = []
    for port in case.plan["ports"]:
        wrong += tool(root, "ufw", "--dry-run", "allow", port, silent=False)
    return wrong


def mends(case, root):
    """Whatever is done to UFW, the machine puts it right; of one profile, since the program is the same in all."""
    if case.profile != "minimal":
        return None
    path = "/root/firewall.py"
    root.write(path, (pathlib.Path(__file__).parent.parent / "tests/lint/firewall.py").read_bytes())
    return tool(root, "unshare", "--net", "python3", path)


def zone_and_locale(case, root):
    """The time zone is one that the distribution knows."""
    zone = case.plan["host"]["timezone"]
    return [] if root.at(f"/usr/share/zoneinfo/{zone}").is_file() else [f"the distribution knows no time zone {zone}"]


# --- cloud-init -------------------------------------------------------------------------------------------------------


def schema(case, root):
    """cloud-init's own schema takes all forms."""
    wrong = []
    for name, data in (("packed", case.packed), ("lzma", case.lzma), ("readable", case.readable)):
        root.write(f"/root/{name}.yaml", data)
        wrong += tool(root, "cloud-init", "schema", "--config-file", f"/root/{name}.yaml", silent=False)
    if root.distribution != "debian-12":
        root.write("/root/network.yaml", (case.bundle / "network-config").read_bytes())
        wrong += tool(root, "cloud-init", "schema", "--schema-type", "network-config", "--config-file", "/root/network.yaml", silent=False)
    return wrong


SYSTEMCTL = """#!/bin/sh
# No systemd runs here: what a unit file says is done, what a running systemd would do is only noted.
echo "$*" >>/run/systemctl.log
case " $* " in *" enable "*) exec /usr/bin/systemctl --root=/ "$@" ;; esac
"""
CARRIER = "datasource_list: [NoCloud]\ncloud_init_modules: [bootcmd, write_files]\nnetwork: {config: disabled}\n"


def carried(case, root, form):
    """cloud-init itself, in a root that has nothing of ours yet, turns a form into the bundle's files and starts it."""
    seed = {"user-data": getattr(case, form), "meta-data": (case.bundle / "meta-data").read_bytes()}
    for name, data in seed.items():
        root.write(f"/var/lib/cloud/seed/nocloud/{name}", data)
    root.write("/etc/cloud/cloud.cfg.d/99-lint.cfg", CARRIER)
    root.write("/usr/local/bin/systemctl", SYSTEMCTL, 0o755)
    demand(root, "cloud-init")
    wrong = []
    for command in (("init", "--local"), ("init",)):
        code, out = root.run("cloud-init", *command)
        if code or "julia-bootstrap:" in out or "Traceback" in out:
            wrong.append(f"`cloud-init {' '.join(command)}` ended with status {code}: {out.strip()}")
    if not root.at("/var/lib/julia-bootstrap/bundle").exists():
        log = root.at("/var/log/cloud-init-output.log")
        return [*wrong, f"nothing was unpacked: {log.read_text()[-1500:] if log.exists() else 'no log'}"]
    for path, row in case.manifest.items():
        target = root.at(path)
        if not target.is_file():
            wrong.append(f"{path} was not written")
            continue
        if f"{stat.S_IMODE(target.stat().st_mode):04o}" != row["mode"]:
            wrong.append(f"{path} has the mode {stat.S_IMODE(target.stat().st_mode):04o}, not {row['mode']}")
        original, got = case.file(path).read_bytes(), target.read_bytes()
        same = original == got if form == "readable" else same_but_for_comments(path, original.decode(), got.decode())
        if not same:
            wrong.append(f"{path} arrived changed")
    wanted = root.at(f"/etc/systemd/system/multi-user.target.wants/{case.plan['name']}-bootstrap.target")
    if not wanted.is_symlink():
        wrong.append("the target of the stages was not enabled")
    if "start" not in root.at("/run/systemctl.log").read_text().split():
        wrong.append("the stages were not started")
    scripts = [path for path in case.programs("sh") if root.at(path).is_file()]
    for path in scripts:
        wrong += tool(root, "sh", "-n", path)
    return wrong


def same_but_for_comments(path, original, got):
    """Whether a file is the original without full-line comments and blank lines, and still means the same."""
    if original == got:
        return True
    python = original.startswith("#!/usr/bin/python3") or path.endswith(".py")
    same = (lambda a, b: b is not None and a.lstrip() == b.lstrip()) if python else (lambda a, b: a == b)
    rest = iter(got.splitlines())
    line = next(rest, None)
    for number, have in enumerate(original.splitlines()):
        if same(have, line):
            line = next(rest, None)
        elif have.strip() and (have.startswith("#!") and number == 0 or not have.lstrip().startswith(("#", "// "))):
            return False
    if line is not None:
        return False
    if path.endswith((".json", ".yaml", ".sources", ".pem", "authorized_keys")):
        return False
    if python:
        return ast.dump(ast.parse(original)) == ast.dump(ast.parse(got))
    return True


PLAIN = [
    ("user-data", user_data), ("manifest", manifest), ("write_files by PyYAML", readable_form), ("JSON", json_files),
]
IN_ROOT = [
    ("shellcheck", shell_scripts), ("user-data as a script", script_form), ("python", python_programs), ("systemd-analyze verify", units), ("nginx -t", nginx),
    ("sshd -t, -T", sshd), ("visudo -c", sudoers), ("nft -c", firewall), ("docker compose config", compose),
    ("dockerd --validate", daemon), ("fail2ban-client -t", fail2ban), ("apt configuration", apt), ("needrestart", restarts), ("ufw --dry-run", ufw),
    ("UFW is put right", mends),
    ("time zone", zone_and_locale),
]
