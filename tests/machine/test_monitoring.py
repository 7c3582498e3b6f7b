"""What the monitoring stage writes, and what `collect` tells of the machine.

Both run as they are but for their absolute paths, which lead into a folder of the test.
"""
import json
import os
import pathlib
import re
import stat
import subprocess
import sys
import time
import unittest

from folder import TOP, Folder

SECRET = "https://hooks.example/T0/secret"
# Answers as $FOLDER/docker.* say; fails where there is none.
DOCKER = """#!/bin/sh
echo "$*" >>"$FOLDER/docker.calls"
exec cat "$FOLDER/docker.$1"
"""
SS = """#!/bin/sh
echo "tcp LISTEN 0 5 0.0.0.0:22 0.0.0.0:*"
echo "tcp LISTEN 0 5 127.0.0.1:8000 0.0.0.0:*"
echo "tcp LISTEN 0 5 [::]:8443 [::]:*"
echo "udp UNCONN 0 0 10.0.0.2%eth0:68 0.0.0.0:*"
"""
OPENSSL = '#!/bin/sh\ncase "$*" in *lost.example*) echo "no such file"; exit 1 ;; esac\necho "notAfter=Jan  2 00:00:00 1970 GMT"\n'
APT = '#!/bin/sh\necho asked >>"$FOLDER/apt.calls"\ncat "$FOLDER/apt"\n'
POLICY = "docker.io:\n  Instalado: {}\n  Candidato: 2.0\n  Tabela de versão:\ncontainerd:\n  Instalado: (nenhum)\n  Candidato: 1.7\n"
UP = "running healthy 0 0 unless-stopped"


class Machine(Folder):
    """One machine each."""

    def setUp(self):
        super().setUp()
        self.backup = {}
        self.monitoring = {
            "level": "full", "slack": "SLACK", "heartbeat": "HEART", "backup": True, "public": ["api"], "url": "https://x.example/grafana/",
            "targets": [{"job": "api", "address": "api:8000", "path": "/metrics"}],
            "receivers": {"email_configs": [{"to": "ops@x.example", "auth_password": "${MAIL}"}], "webhook_configs": [{"url": "http://${KEY}/"}]},
        }
        self.write("opt/x/.env", f'SLACK={SECRET}\nHEART="https://heart.example/\\$1"\nMAIL="a\\\\b\\"c"\n')
        self.write("opt/x/credentials/key-file", "key.example\n")
        for source, path in (("lib/jb.py", "usr/local/lib/julia-bootstrap/jb.py"), ("stages/monitoring", "generate"), ("monitoring/collect", "collect")):
            text = (TOP / "cloud-init" / source).read_text()
            text = text.replace("65534, 65534", f"{os.getuid()}, {os.getgid()}").replace('"/proc/net/', f'"{self.folder}/proc/')
            self.write(path, re.sub(r'(f?)"/(etc|var|run|usr|opt)/', rf'\1"{self.folder}/\2/', text))

    def run_program(self, name):
        """Exit code and output of one of the two."""
        plan = {
            "name": "x", "stages": {"host": {"title": "Host"}, "tls": {"title": "TLS"}}, "hosts": ["x.example", "lost.example"],
            "ports": ["22/tcp", "80/tcp"], "services": ["api", "worker", "job"], "monitoring": self.monitoring,
            "secrets": [{"name": "SLACK"}, {"name": "KEY", "credential": "key-file"}],
        }
        self.write("etc/julia-bootstrap/plan.json", json.dumps({**plan, "backup": self.backup}))
        path = f"{self.folder}/bin:{os.environ['PATH']}" if (self.folder / "bin").exists() else "/nothing"
        environment = dict(os.environ, FOLDER=str(self.folder), PATH=path)
        done = subprocess.run(
            [sys.executable, "-W", "error", self.folder / name], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        return done.returncode, done.stdout


class Generate(Machine):
    """The stage."""

    def written(self):
        """Path and text of each file that the stage wrote."""
        place = self.folder / "opt/x/monitoring"
        return {str(path.relative_to(place)): path.read_text() for path in place.rglob("*") if path.is_file()}

    def test_files_can_be_read_by_containers_and_secrets_stand_in_one(self):
        os.umask(0o77)
        self.addCleanup(os.umask, 0o22)
        self.assertEqual(self.run_program("generate"), (0, ""))
        files = self.written()
        fixed = [
            "alertmanager/alertmanager.yml", "alloy/config.alloy", "grafana/provisioning/dashboards/all.yml", "grafana/provisioning/datasources/all.yml",
            "haproxy.cfg", "loki/loki.yml", "prometheus/prometheus.yml", "prometheus/rules.yml",
        ]
        boards = [f"grafana/dashboards/{name}.json" for name in ("alerts", "app", "backups", "containers", "host", "logs", "nginx")]
        self.assertEqual(sorted(files), sorted(fixed + boards))
        place = self.folder / "opt/x/monitoring"
        for path in [place, *place.rglob("*")]:
            mode = stat.S_IMODE(path.stat().st_mode)
            self.assertEqual(mode, 0o755 if path.is_dir() else 0o400 if path.name == "alertmanager.yml" else 0o644, path)
        for name, text in files.items():
            if name.endswith(".json") or "team" in text or "machine" in text:
                json.loads(text)
            self.assertEqual("secret" in text or "key.example" in text, name == "alertmanager/alertmanager.yml", name)
        self.assertEqual(self.run_program("generate"), (0, ""))
        self.assertEqual(self.written(), files, "the same again")

    def test_receivers_have_their_secrets_as_they_are(self):
        self.run_program("generate")
        config = json.loads(self.written()["alertmanager/alertmanager.yml"])
        team, heartbeat = config["receivers"]
        self.assertEqual(team["slack_configs"][0]["api_url"], SECRET)
        self.assertEqual(team["email_configs"], [{"to": "ops@x.example", "auth_password": 'a\\b"c', "send_resolved": True}])
        self.assertEqual(team["webhook_configs"], [{"url": "http://key.example/", "send_resolved": True}])
        self.assertEqual(heartbeat["webhook_configs"], [{"url": "https://heart.example/$1", "send_resolved": False}])

    def test_a_secret_that_is_not_there_is_named(self):
        self.monitoring["slack"] = "OTHER"
        code, text = self.run_program("generate")
        self.assertEqual((code, text), (1, "the secret OTHER has no value\n"))

    def test_without_receivers_nobody_is_told(self):
        self.monitoring.update(slack=None, heartbeat=None, receivers={})
        self.assertEqual(self.run_program("generate"), (0, ""))
        config = json.loads(self.written()["alertmanager/alertmanager.yml"])
        self.assertEqual(config["receivers"], [{"name": "team"}, {"name": "heartbeat"}])

    def test_lite_leaves_logs_and_cadvisor_out_and_removes_what_was_there(self):
        self.run_program("generate")
        self.monitoring.update(level="lite", backup=False)
        self.run_program("generate")
        files = self.written()
        boards = sorted(name for name in files if "dashboards/" in name and name.endswith(".json"))
        self.assertEqual([os.path.basename(name)[:-5] for name in boards], ["alerts", "app", "containers", "host", "nginx"])
        for name, text in files.items():
            if name not in ("loki/loki.yml", "alloy/config.alloy"):
                self.assertNotRegex(text, r"\bcontainer_|loki|cadvisor", name)
        self.assertNotIn("Backup", files["prometheus/rules.yml"])

    def test_databases_have_dashboards_where_they_are_exported(self):
        self.monitoring["targets"] += [{"job": name, "address": f"{name}-exporter:9", "path": "/m", "dashboard": name} for name in ("postgres", "redis")]
        self.run_program("generate")
        files = self.written()
        self.assertTrue({"grafana/dashboards/postgresql.json", "grafana/dashboards/redis.json"} <= set(files))
        scrapes = json.loads(files["prometheus/prometheus.yml"])["scrape_configs"]
        self.assertEqual(
            [(s["job_name"], s["metrics_path"], s["static_configs"][0]["targets"]) for s in scrapes],
            [("prometheus", "/metrics", ["localhost:9090"]), ("alertmanager", "/metrics", ["alertmanager:9093"]),
             ("node", "/metrics", ["node-exporter:9100"]), ("cadvisor", "/metrics", ["cadvisor:8080"]), ("loki", "/metrics", ["loki:3100"]),
             ("api", "/metrics", ["api:8000"]),
             ("postgres", "/m", ["postgres-exporter:9"]), ("redis", "/m", ["redis-exporter:9"])],
        )

    def test_no_two_panels_of_a_dashboard_lie_upon_each_other(self):
        self.run_program("generate")
        for name, text in self.written().items():
            if name.startswith("grafana/dashboards/"):
                board = json.loads(text)
                places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in board["panels"]]
                self.assertEqual(len(set(places)), len(places))
                self.assertEqual(board["uid"], os.path.basename(name)[:-5])
                self.assertTrue(all(p["targets"][0]["expr"] for p in board["panels"]))


class Collect(Machine):
    """The collector."""

    def setUp(self):
        super().setUp()
        for name, text in (("docker", DOCKER), ("ss", SS), ("openssl", OPENSSL), ("apt-cache", APT), ("systemctl", "#!/bin/sh\nprintf 'active\\nfailed\\nactive\\n'\n")):
            self.write(f"bin/{name}", text, 0o755)
        self.write("proc/dev", "Inter-|   Receive\n face |bytes\n    lo: 9 0 0 0 0 0 0 0 9 0\n  eth0: 123 1 0 0 0 0 0 0 456 1 0\nveth1a: 1 0 0 0 0 0 0 0 1 0\n")
        self.write("apt", POLICY.format("2.0"))
        self.docker(f"api {UP}\nworker exited - 137 4 unless-stopped\njob exited - 0 0 no\n")
        self.status([])

    def docker(self, rows, killed=""):
        """What Docker shows from now on."""
        shown = []
        for row in rows.splitlines():
            service, status, health, code, restarts, policy = row.split()
            state = {"Status": status, "ExitCode": int(code), **({} if health == "-" else {"Health": {"Status": health}})}
            shown.append({
                "State": state, "RestartCount": int(restarts), "HostConfig": {"RestartPolicy": {"Name": policy}},
                "Config": {"Labels": {"com.docker.compose.service": service}},
            })
        for name, text in (("ps", "a1\nb2\n"), ("inspect", json.dumps(shown)), ("events", killed)):
            self.write(f"docker.{name}", text)

    def status(self, stages, state="ready"):
        """The status file."""
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        self.write("run/julia-bootstrap/status.json", json.dumps({"boot": boot, "bundle": "", "state": state, "stages": stages}))

    def log(self, *rows):
        """Appends to nginx's log."""
        with open(self.write("var/log/nginx/.keep", "").parent / "routes.log", "a", encoding="utf-8") as log:
            for service, route, status, seconds in rows:
                log.write(json.dumps({"time": "t", "service": service, "route": route, "status": status, "seconds": seconds}) + "\n")

    def collect(self):
        """Runs the collector; returns its metrics without their common prefix."""
        self.assertEqual(self.run_program("collect")[0], 0)
        path = self.folder / "var/lib/julia-bootstrap/metrics/machine.prom"
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o644)
        found = {}
        for line in path.read_text().splitlines():
            name, value = re.fullmatch(r"machine_([a-z_]+\{.*\}) (\S+)", line).groups()
            self.assertNotIn(name, found, "a metric stands twice")
            found[name] = float(value)
        return found

    def test_what_is_there_is_told(self):
        stages = [{"name": n, "attempts": a, "state": s, "seconds": t} for n, a, s, t in (
            ("a", 9, "done", 1), ("b", 5, "retrying", 1), ("c", 0, "waiting", 3601), ("d", 4, "running", 9999))]
        self.status(stages, "failed")
        success = self.write("var/lib/julia-bootstrap/backup/success", "")
        begun = self.write("var/lib/julia-bootstrap/started", "")
        for path, when in ((success, 7000), (begun, 5000)):
            os.utime(path, (when, when))
        found = self.collect()
        want = {
            "ready{}": 0, 'stage_failing{stage="a"}': 0, 'stage_failing{stage="b"}': 1, 'stage_failing{stage="c"}': 1, 'stage_failing{stage="d"}': 0,
            'certificate_not_after_seconds{host="x.example"}': 86400, 'certificate_not_after_seconds{host="lost.example"}': 0,
            'listener_unexpected{port="8443"}': 1, 'unit_active{unit="fail2ban"}': 1, 'unit_active{unit="docker"}': 0, 'unit_active{unit="nginx"}': 1,
            "reboot_required_since_seconds{}": 0, "docker_update_since_seconds{}": 0, "backup_success_seconds{}": 7000,
            "backup_since_seconds{}": 5000, 'backup_due_seconds{unit="backup-drill"}': 5000 + 8 * 86400,
            'backup_failed{unit="backup"}': 0, 'backup_failed{unit="backup-drill"}': 1,
            'network_receive_bytes_total{device="eth0"}': 123, 'network_transmit_bytes_total{device="eth0"}': 456,
            'container_running{service="api"}': 1, 'container_healthy{service="api"}': 1, 'container_restarts_total{service="api"}': 0,
            'container_oom_total{service="api"}': 0, 'container_running{service="worker"}': 0, 'container_healthy{service="worker"}': 0,
            'container_restarts_total{service="worker"}': 4, 'container_oom_total{service="worker"}': 0,
        }
        self.assertEqual(found, want)
        self.status([])
        drill = self.write("var/lib/julia-bootstrap/backup/drill", "")
        os.utime(drill, (9000, 9000))
        found = self.collect()
        self.assertEqual(found["ready{}"], 1)
        self.assertNotIn("superseded{}", found)
        self.assertEqual([found["backup_drill_success_seconds{}"], found['backup_due_seconds{unit="backup-drill"}']], [9000, 9000 + 8 * 86400])

    def test_the_copy_elsewhere_is_watched_too(self):
        self.backup = {"offsite": {}}
        for path in ("started", "backup/offsite", "backup/superseded"):
            os.utime(self.write("var/lib/julia-bootstrap/" + path, ""), (5000, 5000))
        found = self.collect()
        want = {"backup_offsite_success_seconds{}": 5000, 'backup_due_seconds{unit="backup-offsite"}': 5000 + 1.1 * 86400,
                'backup_due_seconds{unit="backup-check"}': 5000 + 8 * 86400, "superseded{}": 1}
        self.assertEqual({name: found.get(name) for name in want}, want)

    def test_of_two_containers_of_a_service_one_is_enough_and_none_is_missed(self):
        self.docker(f"api {UP}\napi running unhealthy 0 2 unless-stopped\n")
        found = self.collect()
        self.assertEqual([found[f'container_{name}{{service="api"}}'] for name in ("running", "healthy", "restarts_total")], [1, 1, 2])
        self.assertEqual([found[f'container_{name}{{service="worker"}}'] for name in ("running", "healthy")], [0, 0])
        self.docker("api running starting 0 0 unless-stopped\nworker exited healthy 0 0 unless-stopped\n")
        found = self.collect()
        self.assertEqual([found[f'container_{name}{{service="api"}}'] for name in ("running", "healthy")], [1, 0])
        self.assertEqual(found['container_running{service="worker"}'], 0, "who ends well but should not end is missed")

    def test_kills_are_counted_once(self):
        self.docker(f"api {UP}\n", "api\napi\n")
        self.assertEqual(self.collect()['container_oom_total{service="api"}'], 2)
        self.docker(f"api {UP}\n", "api\n")
        self.assertEqual(self.collect()['container_oom_total{service="api"}'], 3)
        calls = [line.split() for line in (self.folder / "docker.calls").read_text().splitlines() if line.startswith("events")]
        spans = [(call[call.index("--since") + 1], call[call.index("--until") + 1]) for call in calls]
        self.assertEqual(spans[0][0], spans[0][1], "what was before the first run is not known")
        self.assertEqual(spans[1][0], spans[0][1])

    def test_requests_are_counted_over_rotation_and_restart(self):
        self.log(("api", "/", 200, 0.05), ("api", "/", 200, 0.7), ("api", "/a \"b\"\\", "502", "60.0"))
        log = self.folder / "var/log/nginx/routes.log"
        with open(log, "a", encoding="utf-8") as file:
            file.write('not JSON\n{"service": "api"}\n{"service": "api", "route": "/", "status": 101, "seconds": 999}\n{"service": "a')
        found = self.collect()
        requests = {'service="api",route="/",status="200"': 2, 'service="api",route="/",status="101"': 1, 'service="api",route="/a \\"b\\"\\\\",status="502"': 1}
        self.assertEqual({k[20:-1]: v for k, v in found.items() if k.startswith("http_requests_total")}, requests)
        times = [found[f'http_request_duration_seconds_bucket{{service="api",route="/",le="{le}"}}'] for le in ("0.1", "0.5", "1", "2.5", "5", "10", "+Inf")]
        self.assertEqual(times, [1, 1, 2, 2, 2, 2, 2])
        self.assertEqual(found['http_request_duration_seconds_count{service="api",route="/"}'], 2)
        self.assertEqual(found['http_request_duration_seconds_sum{service="api",route="/"}'], 0.75)
        self.assertEqual(self.collect(), found, "nothing is counted twice")
        with open(log, "a", encoding="utf-8") as file:
            file.write('pi", "route": "/", "status": 200, "seconds": 1}\n')
        log.rename(f"{log}.1")
        self.log(("api", "/", 200, 1))
        self.assertEqual(self.collect()['http_requests_total{service="api",route="/",status="200"}'], 4)
        # Emptied where it stands.
        log.write_text("")
        self.collect()
        self.log(("web", "/", 200, 1))
        self.assertEqual(self.collect()['http_requests_total{service="web",route="/",status="200"}'], 1)

    def test_an_update_is_told_since_when_and_asked_for_once_an_hour(self):
        self.write("apt", POLICY.format("1.9"))
        since = self.collect()["docker_update_since_seconds{}"]
        self.assertLess(abs(time.time() - since), 60)
        saved = self.folder / "var/lib/julia-bootstrap/metrics.json"
        state = json.loads(saved.read_text())
        saved.write_text(json.dumps(dict(state, docker_update=1000, hour=time.time() // 3600)))
        self.assertEqual(self.collect()["docker_update_since_seconds{}"], 1000)
        self.assertEqual(len((self.folder / "apt.calls").read_text().splitlines()), 1)
        self.write("apt", POLICY.format("2.0"))
        saved.write_text(json.dumps(dict(state, hour=0)))
        self.assertEqual(self.collect()["docker_update_since_seconds{}"], 0)

    def test_a_restart_is_due_since_the_first_package_that_asked_for_it(self):
        self.write("run/reboot-required", "")
        first = self.collect()["reboot_required_since_seconds{}"]
        os.utime(self.folder / "run/reboot-required", (time.time() + 500,) * 2)
        self.assertEqual(self.collect()["reboot_required_since_seconds{}"], first)
        (self.folder / "run/reboot-required").unlink()
        self.assertEqual(self.collect()["reboot_required_since_seconds{}"], 0)

    def test_the_oldest_logs_go_when_there_are_too_many(self):
        chunks = self.folder / "var/lib/docker/volumes/x-loki-data/_data/chunks"
        chunks.mkdir(parents=True)
        for age in (3, 2, 1):
            path = chunks / str(age)
            path.touch()
            # Sparse: nothing is written.
            os.truncate(path, 1 << 30)
            os.utime(path, (10000 - age,) * 2)
        self.collect()
        self.assertEqual(sorted(os.listdir(chunks)), ["1", "2"])

    def test_no_log_is_looked_for_behind_a_link(self):
        data = self.folder / "var/lib/docker/volumes/x-loki-data/_data"
        foreign = self.folder / "foreign"
        for folder in (data / "real", foreign):
            folder.mkdir(parents=True)
            for name in ("a", "b"):
                (folder / name).touch()
                os.truncate(folder / name, 3 << 30)
        for name, target in (("chunks", foreign), ("real/within", foreign)):
            (data / name).symlink_to(target)
        self.collect()
        (data / "chunks").unlink()
        (data / "real").rename(data / "chunks")
        (self.folder / "var/lib/julia-bootstrap/metrics.json").unlink(missing_ok=True)
        self.collect()
        self.assertEqual(sorted(os.listdir(foreign)), ["a", "b"])
        self.assertEqual(sorted(os.listdir(data / "chunks")), ["within"])

    def test_a_part_that_fails_is_told_and_the_others_stand(self):
        (self.folder / "docker.ps").unlink()
        self.write("bin/ss", "#!/bin/sh\necho nonsense\n", 0o755)
        found = self.collect()
        self.assertEqual([name for name in found if name.startswith("collect_failed")], ['collect_failed{part="listeners"}', 'collect_failed{part="containers"}'])
        self.assertEqual(found['unit_active{unit="fail2ban"}'], 1)

    def test_nothing_at_all_is_no_reason_to_end_badly(self):
        for path in ("bin", "proc", "var", "run", "opt"):
            subprocess.run(["rm", "-rf", self.folder / path], check=True)
        found = self.collect()
        self.assertEqual(found["ready{}"], 0)
        self.assertNotIn('container_running{service="api"}', found)
        self.write("var/lib/julia-bootstrap/metrics.json", "{half")
        self.collect()


if __name__ == "__main__":
    unittest.main()
