# What the monitoring knows, asked from the machine itself.
# Arguments: the profile's name; `targets`, `panels`, `alerts`, or `logs` with a service and a line that it shall log.
import glob
import json
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, "/usr/local/lib/julia-bootstrap")
import jb  # noqa: E402

name, what = sys.argv[1:3]
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def out(*words):
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def container(service):
    rows = out("docker", "ps", "--filter", f"label=com.docker.compose.project={name}", "--format", '{{.ID}} {{.Label "com.docker.compose.service"}}')
    found = (row.split() for row in rows.splitlines())
    return next(one for one, label in found if jb.service(label) == service and not jb.is_idle(label))


def ask(service, port, path, **query):
    networks = json.loads(out("docker", "inspect", container(service)))[0]["NetworkSettings"]["Networks"]
    address = next(one["IPAddress"] for one in networks.values() if one["IPAddress"])
    url = f"http://{address}:{port}{path}?{urllib.parse.urlencode(query)}"
    try:
        with OPENER.open(url, timeout=20) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return {"status": error.code, "error": error.read(300).decode(errors="replace")}


def targets():
    active = ask("prometheus", 9090, "/api/v1/targets", state="active")["data"]["activeTargets"]
    return [[one["labels"]["job"], one["labels"]["instance"], one["health"], one["lastError"]] for one in active]


def panels():
    # Each query: dashboard, panel, query, number of series, error.
    rows = []
    for path in sorted(glob.glob(f"/opt/{name}/monitoring/grafana/dashboards/*.json")):
        with open(path, encoding="utf-8") as file:
            board = json.load(file)
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                query = target["expr"]
                for variable, value in (("$__rate_interval", "5m"), ("$__interval", "1m"), ("$__range", "1h")):
                    query = query.replace(variable, value)
                source = (target.get("datasource") or panel.get("datasource") or {}).get("uid")
                if source == "loki":
                    now = time.time_ns()
                    answer = ask("loki", 3100, "/loki/api/v1/query_range", query=query, start=now - 3600 * 10**9, end=now, limit=10)
                else:
                    answer = ask("prometheus", 9090, "/api/v1/query", query=query)
                found = len((answer.get("data") or {}).get("result", []))
                rows.append([board["title"], panel["title"], query, found, str(answer.get("error") or "")])
    return rows


def alerts():
    rows = ask("alertmanager", 9093, "/api/v2/alerts")
    return [{"alert": row["labels"]["alertname"], "of": row["labels"].get("mountpoint") or row["labels"].get("service"),
             "inhibited": bool(row["status"]["inhibitedBy"])} for row in rows]


def logs(service, line):
    subprocess.run(["docker", "exec", container(service), "sh", "-c", 'echo "$1" >/proc/1/fd/1', "sh", line], check=True)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        now = time.time_ns()
        query = f'{{service="{service}"}} |= "{line}"'
        answer = ask("loki", 3100, "/loki/api/v1/query_range", query=query, start=now - 600 * 10**9, end=now)
        found = (answer.get("data") or {}).get("result", [])
        if found:
            return {"found": True, "labels": found[0]["stream"]}
        time.sleep(2)
    return {"found": False, "answer": answer}


print(json.dumps({"targets": targets, "panels": panels, "alerts": alerts, "logs": logs}[what](*sys.argv[3:])))
