//! What `check` makes of a service's values, beside what the real Compose makes of them.

use crate::support::{Test, compose_client};

/// Lines of a service, each as it stands in a Compose file; `!` before one that both refuse.
const LINES: &str = r#"
!user: 1000
container_name: "55"
!environment:
!environment: [A: b]
!environment: {A: [1]}
environment: {A: 1, B: true, C: , D: "x"}
!labels: {A: {b: c}}
!sysctls: {A: [1]}
!command: [a, 5]
command: ""
!depends_on: {z: }
!depends_on: [nobody]
depends_on: {z: {condition: service_started}}
healthcheck: {test: ["CMD", x]}
healthcheck: {test: [NONE]}
!healthcheck: {test: [curl, x]}
!healthcheck: {test: x, interval: 30}
!healthcheck: {test: x, interval: "30"}
!healthcheck: {test: x, timeout: 5x}
healthcheck: {test: x, timeout: 1m30s, interval: 1.5h, start_period: 500ms, retries: "3"}
!healthcheck: {test: x, retries: three}
mem_limit: 512mb
mem_limit: 1.5 GiB
mem_limit: 536870912
!mem_limit: lots
!mem_limit: 5.5.5m
!mem_limit: "-1"
!shm_size: 64 X
cpus: "0.5"
!cpus: half
!deploy: {resources: {limits: {memory: 64X}}}
!deploy: {resources: {limits: {cpus: half}}}
!deploy: {resources: {limits: {pids: x}}}
!deploy: {restart_policy: {delay: soon}}
deploy: {restart_policy: {delay: 5s, max_attempts: 3}}
!scale: two
scale: 0x2
pids_limit: 1_000
!scale: 1.5
configs: []
healthcheck: {test: x, retries: 3.0}
ulimits: {nofile: 1_000}
links: ["${X:-z}:y"]
network_mode: "service:${X:-z}"
restart: any
!scale: "1.0"
read_only: "yes"
!read_only: maybe
!read_only: "1"
!init: 2
!privileged: " true"
!extra_hosts: [host]
extra_hosts: ["host:host-gateway", "other=10.0.0.1"]
ulimits: {nofile: {soft: 5, hard: "6"}, nproc: -1}
!ulimits: {nofile: many}
!ulimits: {nofile: {soft: 5}}
!ulimits: {nofile: {soft: x, hard: 5}}
stop_grace_period: 1m30s
!stop_grace_period: 1 min
!stop_grace_period: 1d
!stop_grace_period: 30
pull_policy: if_not_present
!pull_policy: sometimes
oom_score_adj: -1000
!oom_score_adj: 5000
!links: [nobody]
links: ["z:other"]
!volumes_from: [nobody]
volumes_from: ["z:ro"]
!network_mode: service:nobody
!ipc: service:nobody
tmpfs: ["/x"]
!expose: 3000
!extends: nobody
pids_limit: "-1"
!tty: 1
!cpu_percent: 50.5
cpu_percent: "50"
!cpu_percent: 101
!deploy: {update_config: {delay: 1d}}
!deploy: {update_config: {monitor: 1d}}
deploy: {update_config: {delay: 90s, monitor: 1m}}
!depends_on: {z: {}}
!links: ["z:a:b"]
!mem_limit: 1.g
!volumes: [{type: tmpfs, target: /x, tmpfs: {mode: "1777"}}]
volumes: [{type: tmpfs, target: /x, tmpfs: {mode: 1777}}]
!extra_hosts: [":x"]
!extra_hosts: ["=10.0.0.1"]
!extra_hosts: {a: }
extra_hosts: {a: [10.0.0.1, 10.0.0.2], b: 10.0.0.3}
!logging: {options: {a: [b]}}
!logging: {options: {a: true}}
logging: {options: {max-size: 1m, a: 5, b: }}
!depends_on: [t]
!depends_on: {t: {condition: service_started}}
depends_on: {t: {condition: service_started, required: false}}
!links: [t]
!network_mode: service:t
!configs: [nobody]
!configs: [{source: nobody}]
!configs: [{target: /x}]
configs: [c, {source: c, target: /x}]
!secrets: [nobody]
!volumes: [5]
!volumes: [{}]
!volumes: [null]
!volumes: [[a]]
!volumes: [{source: /v, target: /v}]
!volumes: [{type: tmpfs}]
!volumes: [{type: bind, target: /v}]
!volumes: [":/x"]
!volumes: [""]
volumes: ["/x"]
!expose: [{}]
!expose: [3000.5]
expose: [3000, "3000-3005", "3000/udp", "${P:-80}"]
"#;

#[test]
fn what_compose_refuses_is_refused_and_no_more() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("compose.yaml");
    let mut client = compose_client();
    if let Some(client) = &mut client {
        client.arg("-f").arg(&file).args(["-p", "x", "config", "-q"]);
    }
    let mut wrong = Vec::new();
    for line in LINES.trim().lines() {
        let (line, good) = line.strip_prefix('!').map_or((line, true), |line| (line, false));
        // Not twice of one name.
        let image = if line.starts_with("restart") { "image: x:1" } else { "image: x:1\nrestart: always" };
        let health = if line.starts_with("healthcheck") { "" } else { "\nhealthcheck: {test: x}" };
        let service = format!("{image}{health}\n{line}").replace('\n', "\n    ");
        let services = format!("services:\n  a:\n    {service}\n  z: {{image: \"x:1\", restart: always, healthcheck: {{test: x}}}}\n  t: {{image: \"x:1\", restart: always, healthcheck: {{test: x}}, profiles: [p]}}\nconfigs: {{c: {{content: x}}}}\n");
        let found = Test::new(&services).load();
        if found.profile.is_some() != good {
            wrong.push(format!("check, of `{line}`:\n{}", found.report.render_human(false, 100)));
        }
        if let Some(client) = &mut client {
            std::fs::write(&file, &services).expect("writing the file");
            let output = client.output().expect("running Compose");
            if output.status.success() != good {
                wrong.push(format!("Compose, of `{line}`: {}", String::from_utf8_lossy(&output.stderr)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Unquoted values, of which Compose hands on some in another spelling.
const SPELLINGS: &str = "0 5 -5 012 -0 +5 1_000 0x1F 0o17 0b11 1e3 1.5 1.50 1.0 .5 5. 24.10 0.0001 0.00001 -0.25 123456.5 1000000.5 999999.25 \
    123456789012345678 12345678901234567890123 0.123456789012345 8080 2026-01-01 2026-01-01T10:00:00Z 1.2.3 v1 08 1:30 127.0.0.1 12e .inf 5432 1000000 yes";

#[test]
fn what_arrives_in_another_spelling_is_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("compose.yaml");
    let mut wrong = Vec::new();
    for text in SPELLINGS.split_whitespace() {
        let services = format!("services:\n  a:\n    image: x:1\n    restart: always\n    healthcheck: {{test: x}}\n    environment:\n      A: {text}\n");
        let found = Test::new(&services).load();
        let told = found.report.findings().iter().any(|finding| finding.code == "rewritten-value");
        if let Some(mut client) = compose_client() {
            std::fs::write(&file, &services).expect("writing the file");
            let output = client.arg("-f").arg(&file).args(["-p", "x", "config", "--format", "json"]).output().expect("running Compose");
            let config: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            let arrives = &config["services"]["a"]["environment"]["A"];
            if told != (arrives.as_str() != Some(text)) {
                wrong.push(format!("{text} becomes {arrives}, and that is told: {told}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
