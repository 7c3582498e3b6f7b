"""What Grafana's own packages say of the dashboards: their shape by the types of its schema, LogQL by its grammar.

The packages are fetched into the cache folder, as package-lock.json has them. Neither has to do with a running Grafana or
Loki: a field that is known can still have a value that nothing draws.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "julia-bootstrap/lab/grafana"
TYPES = "@grafana/schema/dist/types/raw/dashboard/x/dashboard_types.gen.d.ts"
TSC = "--noEmit --strict --skipLibCheck --allowImportingTsExtensions --module nodenext --moduleResolution nodenext".split()
# Each must be refused, or the grammar judges nothing.
NO_LOGQL = ['{job=docker}', 'sum(count_over_time({job="docker"}[5m])', '{job="docker"} | jsn', 'rate({job="docker"})', 'up']


class Missing(Exception):
    """Nothing can be judged here."""


def run(*words, **more):
    """A program, its output as text."""
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **more)


def fetch():
    """The packages, in a folder of the cache; fetched once."""
    for tool in ("node", "npm"):
        if not shutil.which(tool):
            raise Missing(f"{tool} is not installed")
    names = ("package.json", "package-lock.json")
    have = [(CACHE / name).read_text() if (CACHE / name).exists() else None for name in names]
    if have != [(HERE / name).read_text() for name in names] or not (CACHE / "node_modules").exists():
        new = CACHE.with_name(f"grafana.{os.getpid()}.new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        for name in names:
            shutil.copy(HERE / name, new)
        done = run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=new)
        if done.returncode:
            shutil.rmtree(new)
            raise Missing(f"npm cannot fetch Grafana's packages:\n{done.stdout}")
        shutil.rmtree(CACHE, ignore_errors=True)
        new.rename(CACHE)
    return CACHE


def same_version():
    """What is wrong if the schema is not of the Grafana that the machine runs."""
    image = re.search(r"grafana/grafana:(\S+)", (TOP / "cloud-init/monitoring/compose.yaml").read_text())[1]
    schema = json.loads((HERE / "package.json").read_text())["dependencies"]["@grafana/schema"]
    return [] if image == schema else [f"Grafana is {image}, but its schema here is {schema}: set it in {(HERE / 'package.json').relative_to(TOP)} and renew the lock with `npm install --package-lock-only --omit-lockfile-registry-resolved`"]


def logql(folder, place):
    """Every LogQL query: those of panels, and the selector in Alloy's file."""
    panels = [panel for path in sorted((place / "grafana/dashboards").iterdir()) for panel in json.loads(path.read_text())["panels"]]
    asked = [target["expr"] for panel in panels if panel["datasource"]["uid"] == "loki" for target in panel["targets"]]
    asked += [json.loads(text) for text in re.findall(r'^\s*selector\s*=\s*(".*")$', (place / "alloy/config.alloy").read_text(), re.M)]
    done = run("node", HERE / "logql.cjs", input=json.dumps(asked + NO_LOGQL), env={**os.environ, "NODE_PATH": str(folder / "node_modules")})
    if done.returncode:
        return [done.stdout]
    refused = dict(json.loads(done.stdout))
    wrong = [f"Grafana's grammar refuses {query!r} at character {refused[query] + 1}" for query in asked if query in refused]
    wrong += [f"Grafana's grammar takes {query!r}, which is no LogQL" for query in NO_LOGQL if query not in refused]
    return wrong if asked else ["no query of Loki was found"]


def schema(folder, place):
    """Every dashboard, held against Grafana's types; fields that those do not know are wrong, and so are values of other types."""
    boards = {path.name: json.loads(path.read_text()) for path in sorted((place / "grafana/dashboards").iterdir())}
    lines = [f"import type {{ Dashboard, Panel }} from '{TYPES}';", "type Board = Omit<Dashboard, 'panels'> & { panels: Panel[] };"]
    for number, board in enumerate(boards.values()):
        lines.append(f"export const b{number}: Board = {json.dumps(board)};")
    # Two that must be refused, or the types judge nothing.
    for number, panel in enumerate(({"type": "logs", "titel": ""}, {"type": "logs", "gridPos": {"h": "8", "w": 1, "x": 0, "y": 0}})):
        lines += ["// @ts-expect-error", f"export const wrong{number}: Board = {json.dumps({'schemaVersion': 39, 'panels': [panel]})};"]
    source = folder / "dashboards.ts"
    source.write_text("\n".join(lines) + "\n")
    done = run(folder / "node_modules/.bin/tsc", *TSC, source.name, cwd=folder)
    names = list(boards)

    def name(found):
        number = int(found[1]) - 3
        return f"{names[number]}: " if number < len(names) else found[0]

    return [] if done.returncode == 0 else [re.sub(r"^dashboards\.ts\((\d+),\d+\): ", name, done.stdout, flags=re.M)]


def check(place):
    """Each check's name and what it finds wrong."""
    folder = fetch()
    return [
        ("Grafana's schema is the running one's", same_version()),
        ("dashboards by Grafana's schema", schema(folder, place)),
        ("LogQL by Grafana's grammar", logql(folder, place)),
    ]
