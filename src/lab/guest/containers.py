# Every container of the stack: its state, its health and the user its first process runs as.
# Argument: the Compose project.
import json
import subprocess
import sys

sys.path.insert(0, "/usr/local/lib/julia-bootstrap")
import jb  # noqa: E402


def out(*words):
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


rows = []
for name in out("docker", "ps", "-aq", "--filter", f"label=com.docker.compose.project={sys.argv[1]}").split():
    data = json.loads(out("docker", "inspect", name))[0]
    service = data["Config"]["Labels"].get("com.docker.compose.service", "")
    if jb.is_idle(service):
        continue
    state = data["State"]
    uid = None
    if state.get("Pid"):
        with open(f"/proc/{state['Pid']}/status", encoding="ascii", errors="replace") as file:
            uid = next(int(line.split()[2]) for line in file if line.startswith("Uid:"))
    rows.append({
        "service": jb.service(service),
        "state": state["Status"],
        "health": (state.get("Health") or {}).get("Status"),
        "exit": state.get("ExitCode"),
        "restarts": data.get("RestartCount", 0),
        "uid": uid,
    })
print(json.dumps(rows))
