# Data that a backup must bring back, made and looked at again.
# Arguments: `fill` makes it, a backup of it, and waits until that is off-site where the machine has such a place; `look` tells what is
# there; `change` spoils it; `restore`, `flip`, `running`, `down`; `unit` with a unit's name after the profile's.
import glob
import hashlib
import json
import os
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, "/usr/local/lib/julia-bootstrap")
import jb  # noqa: E402

with open("/etc/julia-bootstrap/plan.json", encoding="utf-8") as file:
    PLAN = json.load(file)
NAME = PLAN["name"]
PARTS = PLAN["backup"]["parts"]
ROOT = "/opt/backups/" + NAME


def run(*words, check=True, **more):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="backslashreplace", check=False, stdin=None if "input" in more else subprocess.DEVNULL, **more)
    if check and done.returncode:
        sys.exit(f"{' '.join(words)[:200]}: {done.stdout[-400:]}")
    return done.stdout.strip() if check else (done.returncode, done.stdout.strip())


def compose(*words, **more):
    return run("docker", "compose", "--project-directory", "/opt/" + NAME, *words, **more)


def psql(service, sql):
    return compose("exec", "-T", service, "psql", "-qAtU", "postgres", "-c", sql)


def redis(service, *words):
    return compose("exec", "-T", service, "redis-cli", *words)


def parts(kind):
    return [part["name"] for part in PARTS if part["kind"] == kind and "image" not in part]


def folder(volume):
    return run("docker", "volume", "inspect", "-f", "{{.Mountpoint}}", f"{NAME}-{volume}")


def look():
    data = {}
    for service in parts("postgres"):
        data["rows"] = psql(service, "SELECT count(*), md5(string_agg(id || text, ',' ORDER BY id)) FROM lab_rows")
        # Rights come back in another order.
        data["databases"] = psql(service, "SELECT datname, (SELECT string_agg(one::text, ' ' ORDER BY one::text) FROM unnest(datacl) one) FROM pg_database WHERE NOT datistemplate ORDER BY 1")
        data["roles"] = psql(service, "SELECT rolname, rolpassword FROM pg_authid WHERE rolname !~ '^pg_' AND rolcanlogin ORDER BY 1").count("SCRAM")
    for service in parts("redis"):
        names = sorted(redis(service, "--scan", "--pattern", "lab:*").split())
        data["keys"] = hashlib.sha256("".join(name + redis(service, "dump", name) for name in names).encode()).hexdigest() if names else ""
    for volume in parts("volume"):
        rows = []
        for path in sorted(glob.glob(folder(volume) + "/lab/**", recursive=True)):
            info = os.lstat(path)
            with open(path, "rb") if os.path.isfile(path) else open(os.devnull, "rb") as file:
                rows.append([os.path.basename(path), info.st_mode, info.st_uid, info.st_gid, int(info.st_mtime), hashlib.sha256(file.read()).hexdigest()])
        data["files of " + volume] = hashlib.sha256(json.dumps(rows).encode()).hexdigest() if rows else ""
    made = {s["name"] for s in PLAN["secrets"] if "length" in s}
    with open(f"/opt/{NAME}/.env", encoding="utf-8") as file:
        lines = sorted(line for line in file if line.partition("=")[0] in made)
    data["secrets"] = hashlib.sha256("".join(lines).encode()).hexdigest()
    return {"data": data}


# What the owner of a table may lay in wait for whoever turns its rows into text, and who is that as the server's superuser?
TRAP = """CREATE SCHEMA IF NOT EXISTS lab_trap; CREATE TABLE IF NOT EXISTS lab_trap.t (a int); INSERT INTO lab_trap.t VALUES (1);
CREATE OR REPLACE FUNCTION lab_trap.f(lab_trap.t) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the cast of an owner was run'; END $$;
DROP CAST IF EXISTS (lab_trap.t AS text); CREATE CAST (lab_trap.t AS text) WITH FUNCTION lab_trap.f(lab_trap.t)"""


def unit(name):
    # As the machine itself does it: its own upgrades may have systemd begin anew meanwhile.
    code, _ = jb.job("start", f"{NAME}-{name}.service")
    return {"code": code, "said": run("journalctl", "-qu", f"{NAME}-{name}", "-n", "1", "-o", "cat", "_TRANSPORT=stdout", check=False)[1]}


def fill():
    for service in parts("postgres"):
        psql(service, "CREATE TABLE IF NOT EXISTS lab_rows (id serial PRIMARY KEY, text text)")
        psql(service, "INSERT INTO lab_rows (text) SELECT md5(random()::text) FROM generate_series(1, 5000)")
        psql(service, TRAP)
    for service in parts("redis"):
        redis(service, "set", "lab:text", "wörd")
        redis(service, "rpush", "lab:queue", *map(str, range(200)))
        redis(service, "zadd", "lab:set", "1", "a", "2", "b")
    for volume in parts("volume"):
        place = folder(volume) + "/lab"
        os.makedirs(place + "/below", exist_ok=True)
        for number in range(20):
            path = f"{place}/below/{number}"
            with open(path, "wb") as file:
                file.write(os.urandom(5000))
            os.chown(path, 1000 + number, 77)
            os.chmod(path, 0o640)
    data = look()
    done = unit("backup")
    if not done["code"] and "offsite" in PLAN["backup"]:
        done = unit("backup-offsite")
    return {**data, **done}


def change():
    for service in parts("postgres"):
        psql(service, "DELETE FROM lab_rows WHERE id % 2 = 0; CREATE TABLE lab_later (a int)")
    for service in parts("redis"):
        redis(service, "del", "lab:queue")
        redis(service, "set", "lab:new", "1")
    for volume in parts("volume"):
        os.remove(folder(volume) + "/lab/below/1")
        with open(folder(volume) + "/lab/new", "w", encoding="ascii") as file:
            file.write("new")
    return look()


def newest():
    return max(name for name in os.listdir(ROOT) if name[0] != "." and not json.load(open(f"{ROOT}/{name}/manifest.json", encoding="utf-8"))["safety"])


def restore():
    code, said = run("bootstrapctl", "restore", "--yes", check=False)
    return {"code": code, "said": said[-300:], **look()}


def flip():
    # One bit of one file, in the middle; put back afterwards.
    path = max(glob.glob(f"{ROOT}/{newest()}/*"), key=os.path.getsize)
    with open(path, "r+b") as file:
        place = os.path.getsize(path) // 2
        file.seek(place)
        byte = file.read(1)
        file.seek(place)
        file.write(bytes([byte[0] ^ 1]))
    before = look()
    code, said = run("bootstrapctl", "restore", "--yes", check=False)
    drill = unit("backup-drill")
    after = look()
    with open(path, "r+b") as file:
        file.seek(place)
        file.write(byte)
    return {"code": code, "said": said[-300:], "same": before == after, "drill": drill["code"]}


def drill():
    done = unit("backup-drill")
    if "monitoring" not in PLAN:
        return done
    run("/usr/local/lib/julia-bootstrap/collect")
    found, end = [], time.monotonic() + 120
    while not found and time.monotonic() < end:
        time.sleep(3)
        networks = json.loads(run("docker", "inspect", compose("ps", "-q", "prometheus")))[0]["NetworkSettings"]["Networks"]
        address = next(one["IPAddress"] for one in networks.values() if one["IPAddress"])
        url = f"http://{address}:9090/api/v1/query?query=machine_backup_drill_success_seconds"
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=20) as answer:
            found = json.load(answer)["data"]["result"]
    return {**done, "metric": bool(found)}


def running():
    return compose("ps", "--status", "running", "--services").split()


def down():
    local = unit("backup")
    unit("backup-offsite")
    return {"local": local["code"], "offsite": run("systemctl", "is-failed", NAME + "-backup-offsite.service", check=False)[1],
            "said": run("journalctl", "-qu", NAME + "-backup-offsite", "-n", "1", "-o", "cat", "_TRANSPORT=stdout", check=False)[1]}


print(json.dumps({"fill": fill, "drill": drill, "look": look, "change": change, "restore": restore, "flip": flip, "running": running, "down": down, "unit": unit}[sys.argv[1]](*sys.argv[2:])))
