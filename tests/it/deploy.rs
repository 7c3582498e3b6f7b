//! Deploys: what Compose, nginx and the machine are told of a service that takes turns with itself.

use crate::support::{Test, compose_client};
use julia_bootstrap::plan;
use julia_bootstrap::profile::model::Profile;
use julia_bootstrap::yaml::{self, Node};

const STACK: &str = "domain: t.dev
deploy: {poll: 5m, windows: [\"Fri-Mon 22:00-02:00\", \"09:00-17:00\"]}
services:
  api:
    image: x:1
    restart: always
    healthcheck: {test: x}
    networks: {front: , back: }
    depends_on: [db]
    x-bootstrap:
      routes: [{path: /, port: 8000}, {path: /a.b/, port: 8000, strip_prefix: true}, {path: /c/, port: 8001}]
      deploy: blue-green
      before: [migrate, \"--all\"]
      after: echo done
  near: {image: \"x:1\", restart: always, healthcheck: {test: x}, networks: [back], depends_on: {api: {condition: service_healthy}, db: {condition: service_started}}}
  far: {image: \"x:1\", restart: always, healthcheck: {test: x}, depends_on: [api]}
  db: {image: \"y:1\", restart: always, healthcheck: {test: x}, networks: {back: {aliases: [store]}}}
networks: {front: , back: }
";

fn profile() -> Profile {
    Test::new(STACK).clean()
}

fn file(path: &str) -> String {
    let plan = plan::plan(&profile()).expect("a plan");
    plan.files.into_iter().find(|file| file.path == path).expect("the file is there").content
}

fn part(node: &Node, path: &[&str]) -> String {
    let node = path.iter().fold(node, |node, key| node.get(key).unwrap_or_else(|| panic!("{key} in {path:?}")));
    yaml::emit(node)
}

#[test]
fn two_of_it_take_turns_and_one_bears_its_name() {
    let stack = profile().stack.expect("a stack").compose;
    let get = |path: &[&str]| part(&stack, path);
    assert_eq!(get(&["services", "api-blue", "ports"]), "- \"127.0.0.1:8000:8000\"\n- \"127.0.0.1:8001:8001\"\n");
    assert_eq!(get(&["services", "api-green", "ports"]), "- \"127.0.0.1:20000:8000\"\n- \"127.0.0.1:20001:8001\"\n");
    assert_eq!(get(&["services", "api-green", "scale"]), "0\n");
    let services = stack.get("services").expect("services");
    assert!(services.get("api").is_none() && services.get("api-blue").is_some_and(|blue| blue.get("scale").is_none()));
    // Nobody else is on `front`, so that nobody can ask there.
    assert_eq!(get(&["networks", "back-api"]), "name: \"t-back-api\"\ninternal: true\n");
    assert!(stack.get("networks").is_some_and(|all| all.get("front-api").is_none()));
    assert_eq!(get(&["services", "near", "networks"]), "- back\n- \"back-api\"\n");
    assert_eq!(get(&["services", "db", "networks"]), "back:\n  aliases:\n    - store\nback-api: null\n");
    assert!(services.get("far").is_some_and(|far| far.get("networks").is_none()));
    assert!(!get(&["services", "api-green", "networks"]).contains("back-api"));
    let either = "\"api-blue\":\n  condition: service_healthy\n  \"required\": false\n\"api-green\":\n  condition: service_healthy\n  \"required\": false\n";
    assert!(get(&["services", "near", "depends_on"]).replace('"', "").starts_with(&either.replace('"', "")));
    assert!(get(&["services", "far", "depends_on"]).contains("service_started"));
}

#[test]
fn compose_takes_it() {
    let Some(mut client) = compose_client() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("compose.yaml");
    std::fs::write(&path, file("/opt/t/compose.yaml")).expect("writing it");
    let output = client.arg("-f").arg(&path).args(["config", "-q"]).output().expect("running Compose");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn nginx_looks_up_which_is_live() {
    let text = file("/etc/nginx/nginx.conf");
    for line in [
        "upstream api-8000-blue {",
        "upstream api-8001-green {",
        "server 127.0.0.1:20000 max_fails=0 backup;",
        "set $live api-8000-blue;",
        "if (-f /var/lib/julia-bootstrap/green/api) {",
        "rewrite \"(?s)^.{4}(.*)$\" $1 break;",
        "proxy_pass http://$live;",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert_eq!(text.matches("upstream api-8000-blue {").count(), 1);
    assert!(!text.contains("proxy_pass http://127.0.0.1"));
}

#[test]
fn the_machine_is_told() {
    let plan: serde_json::Value = serde_json::from_str(&file("/etc/julia-bootstrap/plan.json")).expect("JSON");
    assert_eq!(
        plan["deploy"]["services"],
        serde_json::json!({"api": {
            "blue_green": true, "networks": ["t-back-api"], "ports": [[8000, 20000], [8001, 20001]],
            "before": ["migrate", "--all"], "after": ["sh", "-c", "echo done"],
        }})
    );
    // Friday to Monday from 22:00, past midnight; and every day.
    let day = 1440;
    let mut windows: Vec<(u32, u32)> = [4, 5, 6, 0].iter().map(|n| (n * day + 22 * 60, n * day + 26 * 60)).collect();
    windows.extend((0..7).map(|n| (n * day + 9 * 60, n * day + 17 * 60)));
    assert_eq!(plan["deploy"]["windows"], serde_json::json!(windows));
    assert!(file("/etc/systemd/system/t-deploy.timer").contains("OnUnitInactiveSec=300\nRandomizedDelaySec=30\n"));
}
