# What there is to do and to test where services run: bootstrapctl's part for a stack.
import argparse
import json
import os
import sys

sys.path.insert(0, "/usr/local/lib/julia-bootstrap")
import jb  # noqa: E402

PLAN = jb.PLAN
HOSTS = PLAN["hosts"]


def containers():
    """every container runs and is healthy"""
    rows = jb.ok_run("docker", "compose", "--project-directory", jb.HOME, "ps", "-a", "--format", "json").splitlines()
    seen = set()
    # Between the rows Compose may have something to say.
    for row in [json.loads(r) for r in rows if r.startswith("{")]:
        if jb.is_idle(row["Service"]):
            continue
        seen.add(jb.service(row["Service"]))
        well = row["State"] == "running" and row["Health"] in ("", "healthy")
        # A job that has done its work.
        well |= row["State"] == "exited" and row["ExitCode"] == 0
        jb.need(well, f"{row['Name']} is {row['State']} {row['Health']}")
    wait = jb.waiting()
    jb.need(seen >= {*PLAN["services"]} - {*wait}, "missing: " + ", ".join(sorted({*PLAN["services"]} - seen)))
    return "; ".join(f"{x} waits for {', '.join(names)}" for x, names in wait.items())


def ask(host, path, *more):
    return jb.ok_run("curl", "-ksS", *more, "-o", "/dev/null", "--resolve", f"{host}:443:127.0.0.1", f"https://{host}{path}")


def web():
    """nginx answers on every host name"""
    jb.active("nginx")
    for host in HOSTS:
        ask(host, "/nginx-health", "-f")


def health():
    """the services answer through nginx"""
    for host, path, service in PLAN["health"]:
        if service not in jb.waiting():
            ask(host, path, "-f")


def closed():
    """what must be closed is closed"""
    for method, host, path, service in PLAN["closed"]:
        if service in jb.waiting():
            continue
        code = ask(host, path, "-X", method, "-w", "%{http_code}")
        jb.need(code[0] == "3" or code in "401 403 404 405 410", f"{method} {path} was answered with {code}")


def certificates():
    """certificates are real and valid for another week"""
    for host in HOSTS:
        pem = f"{jb.ETC}/tls/{host}/fullchain.pem"
        jb.need("self-signed" not in os.path.realpath(os.path.dirname(pem)), f"{host} still has its self-signed one")
        jb.ok_run("openssl", "x509", "-noout", "-checkend", "604800", "-in", pem)


CHECKS = []
if PLAN["services"]:
    CHECKS += [containers]
if HOSTS:
    CHECKS += [web, health, closed]
if PLAN["tls"]["acme"]:
    CHECKS += [certificates]


def compose(args):
    more = [f"{x}-{'green' if os.path.exists(jb.GREEN + x) else 'blue'}" if x in jb.COLOURS else x for x in args.more]
    os.execvp("docker", ["docker", "compose", "--project-directory", jb.HOME, *args.words, *more])


def secrets(args):
    if args.name[:1] == ["set"]:
        import late  # pylint: disable=import-outside-toplevel

        return late.bring(args.name[1:])
    for name in args.name:
        print(jb.secret(name))
    if args.json:
        print(json.dumps(PLAN["secrets"]))
    still = sum(jb.waiting().values(), [])
    for s in [] if args.name or args.json else PLAN["secrets"]:
        print(f"{s['name']:30} {'credentials/' + s['credential'] if 'credential' in s else '.env'}, {'made here' if 'length' in s else 'still to come' if s['name'] in still else 'given'}")
    return 0


def register(commands):
    for name, words, text in (("logs", ["logs", "-n", "100"], "what services say; options are Compose's"), ("restart", ["restart"], "restarts services")):
        # Compose's own options are none of ours.
        sub = commands.add_parser(name, help=text, prefix_chars="+")
        sub.add_argument("more", nargs=argparse.REMAINDER, metavar="SERVICE", help="all when none is named")
        sub.set_defaults(function=compose, words=words)
    sub = commands.add_parser("secrets", help="the secrets, and where they lie")
    sub.add_argument("name", nargs="*", metavar="NAME", help="print the value of this one; `set NAME` reads one that comes later")
    sub.add_argument("--json", action="store_true", help="for scripts")
    sub.set_defaults(function=secrets)
