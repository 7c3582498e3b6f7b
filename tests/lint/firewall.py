#!/usr/bin/env python3
"""Run by scripts/lint in a root with our files, UFW and a network of its own: whatever is done to UFW, `firewall` puts it right.

Prints what it did not put right; ends with 1 then.
"""
import os
import pathlib
import subprocess
import sys

MINE = "/usr/local/lib/julia-bootstrap/firewall"
VAR = pathlib.Path("/var/lib/julia-bootstrap")
DEFAULTS = pathlib.Path("/etc/default/ufw")
BEFORE = pathlib.Path("/etc/ufw/before.rules")
# Each of them stands by itself, on a machine that was well.
ACTS = (
    "ufw --force reset",
    "ufw --force reset; iptables -F; ip6tables -F",
    "ufw disable",
    "ufw disable; iptables -F; ip6tables -F",
    "iptables -F; ip6tables -F",
    "ip6tables -F",
    "iptables -F INPUT",
    "iptables -F FORWARD",
    "iptables -F ufw-user-input",
    "ip6tables -F ufw6-before-input",
    "iptables -D INPUT -j ufw-before-input; iptables -D INPUT -j ufw-after-input",
    "iptables -F; iptables -X; iptables -P INPUT ACCEPT",
    "nft flush ruleset; nft -f /etc/julia-bootstrap/firewall.nft",
    "nft flush ruleset; ufw --force reset; nft -f /etc/julia-bootstrap/firewall.nft",
)


def run(command, **more):
    """Its exit code, and what it said."""
    done = subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, check=False, **more)
    return done.returncode, done.stdout


def rules():
    """Of each chain, in their order, UFW's rules and what leads to them."""
    chains = {}
    for program in ("iptables", "ip6tables"):
        for line in run(f"{program} -w -S")[1].splitlines():
            if line.startswith("-A") or line.startswith("-P"):
                chains.setdefault(f"{program} {line.split()[1]}", []).append(line)
    return chains


def main():
    """Every act, and what became of it."""
    wrong = []
    run("nft -f /etc/julia-bootstrap/firewall.nft")
    code, said = run(MINE, env=os.environ | {"STAGE": "harden"})
    well = rules()
    if code or "-A INPUT -j ufw-before-input" not in well.get("iptables INPUT", []) or "-P INPUT DROP" not in well["iptables INPUT"]:
        print(f"at first, it ended with {code}: {said}")
        return 1
    if run(MINE)[1]:
        wrong.append("it worked before its stage was done")
    (VAR / "done").mkdir(parents=True, exist_ok=True)
    (VAR / "done/harden").touch()
    if run(MINE)[0]:
        wrong.append("it fails where all is well")
    for act in ACTS:
        run(act)
        changed = rules() != well or "inactive" in run("ufw status")[1]
        code, said = run(MINE)
        now = rules()
        if code or now != well or "Status: active" not in run("ufw status")[1]:
            other = [f"{chain}: {now.get(chain)} instead of {well.get(chain)}" for chain in well.keys() | now.keys() if now.get(chain) != well.get(chain)]
            wrong.append(f"after `{act}`, it ended with {code}: {'; '.join(other[:2])}\n{said[-600:]}")
        if not changed:
            wrong.append(f"`{act}` changed nothing, so that it proves nothing")
    # Who broke UFW's own files is told, and not shut out.
    kept = BEFORE.read_text()
    BEFORE.write_text("*filter\n-A nowhere -j nothing\nCOMMIT\n")
    run("ufw disable; iptables -F")
    code, said = run(MINE)
    if not code or "-P INPUT ACCEPT" not in rules()["iptables INPUT"]:
        wrong.append(f"with rules that cannot be read, it ended with {code}, and {rules()['iptables INPUT']}")
    BEFORE.write_text(kept)
    if run(MINE)[0] or rules() != well:
        wrong.append("it does not come back once they can be read")
    # Who does without IPv6 is let be.
    DEFAULTS.write_text(DEFAULTS.read_text().replace("IPV6=yes", "IPV6=no"))
    run("ufw reload; iptables -F INPUT")
    if run(MINE)[0] or run(MINE)[1]:
        wrong.append(f"without IPv6 it comes to no end: {run(MINE)}")
    print("\n".join(wrong))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
