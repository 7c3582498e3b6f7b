# Listeners that must not be reachable from outside: a process on every address, and a published container.
# Arguments: port of the process, port of the container, image. Prints what answers on the machine itself.
import json
import socket
import subprocess
import sys
import time

process_port, container_port, image = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
LISTENER = """
import selectors, socket
picker = selectors.DefaultSelector()
for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
    one = socket.socket(family)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    one.bind((address, PORT))
    one.listen(64)
    picker.register(one, selectors.EVENT_READ)
while True:
    for key, _ in picker.select():
        key.fileobj.accept()[0].close()
""".replace("PORT", str(process_port))


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.returncode == 0, (done.stderr or done.stdout).strip()[-300:]


def answers(address, port):
    for _ in range(30):
        try:
            socket.create_connection((address, port), 2).close()
            return True
        except OSError:
            time.sleep(0.5)
    return False


run("systemctl", "stop", "lab-canary")
run("docker", "rm", "-f", "lab-canary")
errors = []
for words in (
    ("systemd-run", "--unit=lab-canary", "--collect", "python3", "-c", LISTENER),
    ("docker", "run", "-d", "--name", "lab-canary", "-p", f"0.0.0.0:{container_port}:{container_port}",
     "-p", f"[::]:{container_port}:{container_port}", image),
):
    ok, said = run(*words)
    if not ok:
        errors.append(said)
print(json.dumps({
    "errors": errors,
    "process4": answers("127.0.0.1", process_port),
    "process6": answers("::1", process_port),
    "container4": answers("127.0.0.1", container_port),
    "container6": answers("::1", container_port),
}))
