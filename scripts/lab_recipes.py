"""What each of the lab's container images is: its names, what is in it beside the shared layer, and how it starts.

Two kinds. Real programs out of Debian's packages, started in the manner of the official images: entry point, account, ports, paths and
variables. And stand-ins for programs that cannot be had here, small Python programs that say so in their first line. Either way an image
has the shell, wget and curl of the official one and no more, so that a health check that works here has what it needs there.
"""
from lab_common import APP

PACKAGES = """redis-server redis-tools postgresql-17 postgresql-17-pgvector postgresql-client-17 python3 python3-redis python3-psycopg2
python3-systemd python3-yaml ca-certificates curl busybox prometheus prometheus-alertmanager prometheus-node-exporter
prometheus-redis-exporter prometheus-postgres-exporter haproxy""".split()
IMAGES = APP.parent / "images"

PG_BIN = "/usr/lib/postgresql/17/bin"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Links stand in usr/bin and never in bin: a directory bin in a layer would hide the base's link of that name.
STAND_IN = "opt/stand-in"
BUSYBOX = {"links": {"usr/bin/wget": "busybox"}, "without": ["usr/bin/curl"]}
NO_SHELL = {"without": [f"usr/bin/{name}" for name in ("sh", "dash", "bash", "busybox", "curl")]}
NOBODY = ("nobody", 65534, 65534, "/")


def real(name, account, port, config, kind=BUSYBOX, **more):
    """A recipe of a real program whose official image is small: made of busybox, Alpine, or nothing."""
    return {"names": [name], "account": account, **kind, **more, "links": kind.get("links", {}) | more.get("links", {}),
            "config": {"User": account[0], "ExposedPorts": {f"{port}/tcp": {}}, "Env": [f"PATH={PATH}"], **config}}


def stand_in(name, program, config, *modules, kind=BUSYBOX, **more):
    """A recipe of a Python program with the modules that it needs."""
    files = {f"{STAND_IN}/{module}": IMAGES / module for module in (program, "standin.py", *modules)}
    environment = [f"PATH={PATH}", "PYTHONDONTWRITEBYTECODE=1", *config.pop("Env", [])]
    return {"names": [name], **kind, **more, "files": files | more.get("files", {}), "links": kind.get("links", {}) | more.get("links", {}),
            "config": {"Entrypoint": [f"/{STAND_IN}/{program}"], "Env": environment, **config}}


# Each image: its names, the account that its process runs as (name, uid, gid, home), files, links, directories, what it must not have,
# and its configuration.
STORES_AND_APP = [
    {
        "names": ["library/redis:7-alpine", "library/redis:7.4-alpine"],
        "account": ("redis", 999, 1000, "/data"),
        "files": {"usr/local/bin/docker-entrypoint.sh": IMAGES / "redis-entrypoint.sh"},
        "directories": {"data": 0o755},
        "config": {"Entrypoint": ["docker-entrypoint.sh"], "Cmd": ["redis-server"], "WorkingDir": "/data", "Volumes": {"/data": {}},
                   "ExposedPorts": {"6379/tcp": {}}, "Env": [f"PATH={PATH}"]},
    },
    {
        "names": ["pgvector/pgvector:pg17", "library/postgres:17", "library/postgres:17-alpine"],
        "account": ("postgres", 999, 999, "/var/lib/postgresql"),
        "files": {"usr/local/bin/docker-entrypoint.sh": IMAGES / "postgres-entrypoint.sh"},
        "directories": {"var/lib/postgresql": 0o755, "var/lib/postgresql/data": 0o1777, "run/postgresql": 0o3777},
        "config": {"Entrypoint": ["docker-entrypoint.sh"], "Cmd": ["postgres"], "StopSignal": "SIGINT",
                   "Volumes": {"/var/lib/postgresql/data": {}}, "ExposedPorts": {"5432/tcp": {}},
                   "Env": [f"PATH={PATH}:{PG_BIN}", "PGDATA=/var/lib/postgresql/data", "LANG=C.UTF-8", "PG_MAJOR=17"]},
    },
    {
        "names": ["library/python:3.13-slim"],
        "config": {"Cmd": ["python3"], "Env": [f"PATH={PATH}"]},
    },
    # What differs between versions is what they say of themselves; one is never well, one does not start.
    *({
        "names": [f"example/agent:{version}"],
        "account": ("app", 1000, 1000, "/app"),
        "files": {"app/agent.py": APP / "agent.py"},
        "directories": {"app": 0o755},
        "config": {"Cmd": ["python3", "/app/agent.py"], "User": "1000:1000", "WorkingDir": "/app", "ExposedPorts": {"8000/tcp": {}},
                   "Env": [f"PATH={PATH}", "PYTHONUNBUFFERED=1", f"APP_VERSION={version}", f"BROKEN={broken}"]},
    } for version, broken in (("1.0.0", ""), ("1.1.0", ""), ("1.2.0", ""), ("1.3.0", ""), ("1.4.0-unwell", "1"), ("1.5.0-dead", "2"))),
    {
        "names": ["library/canary:1"],
        "account": ("canary", 1000, 1000, "/"),
        "files": {"usr/local/bin/canary.py": IMAGES / "canary.py"},
        "config": {"Cmd": ["python3", "/usr/local/bin/canary.py", "7778"], "User": "1000:1000", "ExposedPorts": {"7778/tcp": {}},
                   "Env": [f"PATH={PATH}"]},
    },
]

REAL = [
    real("prom/prometheus:v2.53.5", NOBODY, 9090, {
        "Entrypoint": ["/bin/prometheus"], "WorkingDir": "/prometheus", "Volumes": {"/prometheus": {}},
        "Cmd": ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus",
                "--web.console.libraries=/etc/prometheus/console_libraries", "--web.console.templates=/etc/prometheus/consoles"],
    }, directories={"prometheus": 0o755}),
    real("prom/alertmanager:v0.28.1", NOBODY, 9093, {
        "Entrypoint": ["/bin/alertmanager"], "WorkingDir": "/alertmanager", "Volumes": {"/alertmanager": {}},
        "Cmd": ["--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/alertmanager"],
    }, directories={"alertmanager": 0o755, "etc/alertmanager": 0o755}, links={"usr/bin/alertmanager": "prometheus-alertmanager"}),
    # Alpine with HAProxy, which the stack starts with its own settings.
    real("tecnativa/docker-socket-proxy:v0.4.1", ("haproxy", 99, 99, "/var/lib/haproxy"), 2375, {"User": "root", "Entrypoint": ["/usr/local/bin/docker-entrypoint.sh"]}),
    real("prom/node-exporter:v1.9.1", NOBODY, 9100, {"Entrypoint": ["/bin/node_exporter"]},
         links={"usr/bin/node_exporter": "prometheus-node-exporter"}),
    real("prometheuscommunity/postgres-exporter:v0.17.1", NOBODY, 9187, {"Entrypoint": ["/bin/postgres_exporter"]},
         links={"usr/bin/postgres_exporter": "prometheus-postgres-exporter"}),
    # The plain tag is the program alone, without a shell; the other is Alpine.
    *(real(name, ("exporter", 59000, 59000, "/"), 9121, {"Entrypoint": ["/redis_exporter"], "User": "59000:59000"}, kind,
           links={"redis_exporter": "usr/bin/prometheus-redis-exporter"})
      for name, kind in (("oliver006/redis_exporter:v1.74.0", NO_SHELL), ("oliver006/redis_exporter:v1.74.0-alpine", BUSYBOX))),
]

STAND_INS = [
    stand_in("grafana/loki:3.5.7", "loki.py", {
        "Cmd": ["-config.file=/etc/loki/local-config.yaml"], "User": "10001", "ExposedPorts": {"3100/tcp": {}},
    }, "logql.py", account=("loki", 10001, 10001, "/"), directories={"loki": 0o755, "etc/loki": 0o755}),
    stand_in("grafana/grafana:12.1.1", "grafana.py", {
        "Entrypoint": ["/run.sh"], "User": "472", "ExposedPorts": {"3000/tcp": {}}, "WorkingDir": "/usr/share/grafana",
        "Env": ["GF_PATHS_DATA=/var/lib/grafana", "GF_PATHS_PROVISIONING=/etc/grafana/provisioning"],
    }, kind={"links": BUSYBOX["links"]}, account=("grafana", 472, 0, "/usr/share/grafana"), links={"run.sh": f"{STAND_IN}/grafana.py"},
             directories={"usr/share/grafana": 0o755, "var/lib/grafana": 0o777, "etc/grafana": 0o755, "etc/grafana/provisioning": 0o755}),
    # Ubuntu: bash, and neither wget nor curl.
    stand_in("grafana/alloy:v1.10.2", "alloy.py", {
        "Entrypoint": ["/bin/alloy"], "Cmd": ["run", "/etc/alloy/config.alloy", "--storage.path=/var/lib/alloy/data"],
    }, kind={"without": ["usr/bin/curl", "usr/bin/busybox"]}, account=("alloy", 473, 473, "/home/alloy"),
             directories={"var/lib/alloy": 0o770, "var/lib/alloy/data": 0o770}, links={"usr/bin/alloy": f"/{STAND_IN}/alloy.py"}),
    stand_in("cadvisor/cadvisor:v0.52.1", "cadvisor.py", {"ExposedPorts": {"8080/tcp": {}}}),
    stand_in("nickfedor/watchtower:1.12.1", "watchtower.py", {"Entrypoint": ["/watchtower"]}, kind=NO_SHELL,
             links={"watchtower": f"{STAND_IN}/watchtower.py"}),
    stand_in("evoapicloud/evolution-api:v2.3.6", "evolution.py", {
        "WorkingDir": "/evolution", "ExposedPorts": {"8080/tcp": {}}, "Env": ["DOCKER_ENV=true"],
    }, directories={"evolution": 0o755, "evolution/instances": 0o755}),
    stand_in("chatwoot/chatwoot:v4.6.0", "chatwoot.py", {
        "Entrypoint": [], "Cmd": ["bundle", "console"], "WorkingDir": "/app", "ExposedPorts": {"3000/tcp": {}},
        "Env": ["RAILS_ENV=production"],
    }, links={"usr/local/bin/bundle": f"/{STAND_IN}/chatwoot.py"}, files={"app/docker/entrypoints/rails.sh": IMAGES / "chatwoot-rails.sh"},
             directories={"app": 0o755, "app/tmp": 0o755, "app/tmp/pids": 0o755, "app/log": 0o755, "app/storage": 0o755}),
]

RECIPES = STORES_AND_APP + REAL + STAND_INS
