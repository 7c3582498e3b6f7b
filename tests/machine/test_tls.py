"""The certificate stage's state machine, with a certbot that can be cut short or refuse.

The stage runs as it is but for its absolute paths, which lead into a folder of the test.
"""
import functools
import http.server
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import textwrap
import threading
import unittest

from folder import TOP, Folder

WAITING = 75
# Fails on what it cannot read, as certbot does; syncs nothing; acts as $FOLDER/mode says.
CERTBOT = """
    import json, os, pathlib, signal, sys
    folder = pathlib.Path(os.environ["FOLDER"])
    option = lambda name: sys.argv[sys.argv.index(name) + 1]
    config, host = pathlib.Path(option("--config-dir")), option("-d")
    mode = (folder / "mode").read_text()
    with open(folder / "calls", "a") as calls:
        calls.write(f"{host} {option('--server')}\\n")
    account = config / "accounts/acme.example/directory/1"
    parts = [account / f"{name}.json" for name in ("meta", "regr", "private_key")]
    live, renewal = config / "live" / host, config / "renewal" / f"{host}.conf"
    if mode == "refused":
        print("  Type:   unauthorized\\n  Detail: no such page\\n\\nAsk for help at the forum")
        sys.exit(1)
    if account.exists():
        for part in parts:
            json.loads(part.read_text())
    if live.exists() and not renewal.exists():
        print("live directory exists for " + host)
        sys.exit(1)
    account.mkdir(parents=True, exist_ok=True)
    live.mkdir(parents=True, exist_ok=True)
    renewal.parent.mkdir(exist_ok=True)
    if mode == "cut":
        parts[0].write_text("")
        (live / "privkey.pem").write_text("")
        os.kill(os.getppid(), signal.SIGKILL)
        sys.exit(1)
    for part in parts:
        part.write_text('{"is": "whole"}')
    renewal.write_text("whole")
    for name in ("fullchain.pem", "privkey.pem"):
        (live / name).write_text(f"{name} of {host}")
"""


class Silent(http.server.SimpleHTTPRequestHandler):
    """Serves the folder of the nonce, without a word on the terminal."""

    def log_message(self, *_):
        """Says nothing."""


class Certificates(Folder):
    """One machine each, with two host names."""

    def setUp(self):
        super().setUp()
        self.site = self.folder / "var/www/julia-bootstrap"
        self.site.mkdir(parents=True)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Silent, directory=self.site))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        port = server.server_address[1]
        self.hosts = [f"127.0.0.1:{port}", f"localhost:{port}"]
        tls = {"email": "", "directory": "https://acme.example/directory", "staging": "https://staging.example/directory"}
        self.write("etc/julia-bootstrap/plan.json", json.dumps({"name": "x", "hosts": self.hosts, "tls": tls, "stages": {}}))
        for host in self.hosts:
            self.write(f"etc/julia-bootstrap/tls/.{host}.self/fullchain.pem", "self-signed")
            (self.folder / "etc/julia-bootstrap/tls" / host).symlink_to(f".{host}.self")
        self.write("run/julia-bootstrap/.keep", "")
        for source, path in (("lib/jb.py", "usr/local/lib/julia-bootstrap/jb.py"), ("stages/tls", "tls")):
            text = (TOP / "cloud-init" / source).read_text()
            self.write(path, re.sub(r'"/(etc|var|run|usr|opt)/', rf'"{self.folder}/\1/', text))
        self.program("certbot", f"#!{sys.executable}\n{textwrap.dedent(CERTBOT)}")
        self.program("nginx", "#!/bin/sh\n")
        self.program("systemctl", "#!/bin/sh\n")
        self.mode("well")

    def program(self, name, text):
        """A program that the stage finds first."""
        self.write(f"bin/{name}", text).chmod(0o755)

    def mode(self, word):
        """What certbot does from now on."""
        self.write("mode", word)
        self.write("calls", "")

    def run_stage(self):
        """Exit code and output of the stage."""
        environment = dict(os.environ, FOLDER=str(self.folder), PATH=f"{self.folder}/bin:{os.environ['PATH']}")
        done = subprocess.run(
            [sys.executable, self.folder / "tls"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        return done.returncode, done.stdout

    def calls(self):
        """Host and directory of each run of certbot since the mode was set."""
        return [tuple(line.split()) for line in (self.folder / "calls").read_text().splitlines()]

    def served(self, host):
        """What nginx would serve for a host name."""
        return (self.folder / "etc/julia-bootstrap/tls" / host / "fullchain.pem").read_text()

    def age(self, seconds):
        """Makes every refusal so much older."""
        for path in (self.folder / "var/lib/julia-bootstrap/acme").glob("*.failed"):
            count, last, reason = path.read_text().split(" ", 2)
            path.write_text(f"{count} {float(last) - seconds} {reason}")

    def test_each_host_name_gets_its_certificate_staging_first(self):
        self.assertEqual(self.run_stage(), (0, ""))
        directories = ["https://staging.example/directory", "https://acme.example/directory"]
        self.assertEqual(self.calls(), [(host, directory) for host in self.hosts for directory in directories])
        for host in self.hosts:
            self.assertEqual(self.served(host), f"fullchain.pem of {host}")
        self.mode("well")
        self.assertEqual(self.run_stage(), (0, ""))
        self.assertEqual(self.calls(), [], "nothing is asked for twice")

    def test_what_a_cut_left_half_written_is_made_anew(self):
        for _ in range(2):
            self.mode("cut")
            self.assertEqual(self.run_stage()[0], -signal.SIGKILL)
        # The same again in production, which has an account and another host's certificate to lose.
        state = self.folder / "var/lib/julia-bootstrap/acme"
        (state / f"{self.hosts[0]}.staging").write_text("ok")
        kept = [self.write(f"etc/letsencrypt/{path}", "{}") for path in ("renewal/other.example.conf", f"live/www.{self.hosts[0]}/x")]
        whole = [self.write(f"etc/letsencrypt/accounts/a/directory/2/{name}.json", "[1]") for name in ("meta", "regr", "private_key")]
        self.mode("cut")
        self.assertEqual(self.run_stage()[0], -signal.SIGKILL)
        self.mode("well")
        self.assertEqual(self.run_stage(), (0, ""))
        self.assertTrue(all(path.exists() for path in kept + whole))
        self.assertEqual([self.served(host) for host in self.hosts], [f"fullchain.pem of {host}" for host in self.hosts])

    def test_a_refusal_is_told_and_waited_out(self):
        self.mode("refused")
        code, text = self.run_stage()
        self.assertEqual(code, WAITING)
        said = rf"no certificate for {re.escape(self.hosts[0])} \(no such page\), next try at \d\d:\d\d UTC"
        self.assertRegex(text.splitlines()[-1], said)
        self.assertEqual(len(self.calls()), 2, "one run a host: production is not asked after staging refused")
        self.mode("well")
        self.assertRegex(self.run_stage()[1], said)
        self.assertEqual(self.calls(), [])
        self.age(121)
        self.assertEqual(self.run_stage(), (0, ""))

    def test_no_more_than_four_tries_an_hour(self):
        self.mode("refused")
        for _ in range(12):
            self.run_stage()
            self.age(300)
        tries = len([host for host, _ in self.calls() if host == self.hosts[0]])
        self.assertEqual(tries, 4)

    def test_a_clock_that_was_set_back_stretches_no_wait(self):
        self.mode("refused")
        self.run_stage()
        self.age(-86400)
        self.mode("well")
        self.assertEqual(self.run_stage(), (0, ""))

    def test_a_name_that_leads_elsewhere_is_not_asked_for(self):
        path = self.folder / "etc/julia-bootstrap/plan.json"
        plan = json.loads(path.read_text())
        plan["hosts"] = [f"{self.hosts[0].split(':')[0]}:1"]
        path.write_text(json.dumps(plan))
        code, text = self.run_stage()
        self.assertEqual((code, self.calls()), (WAITING, []))
        self.assertIn("does not reach this machine yet", text)


if __name__ == "__main__":
    unittest.main()
