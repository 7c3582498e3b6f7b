//! `explain`: what will be on the machine, for people and for programs.

use crate::support::{KEY, tool};
use std::path::Path;

const MORE: &str = "domain: t.dev
secrets: {DB: generate, TOKEN: {env: TOKEN}}
backup: {}
services:
  api: {image: \"x:1\", restart: always, environment: {T: \"${TOKEN}\"}, depends_on: {db: {condition: service_healthy}}, healthcheck: {test: x},
    x-bootstrap: {route: {path: /, port: 1, websocket: true}, deploy: blue-green}}
  db: {image: \"postgres:16\", restart: always, environment: {P: \"${DB}\"}, volumes: [\"pg:/var/lib/postgresql/data\"], healthcheck: {test: x}, x-bootstrap: {backup: postgres}}
volumes: {pg: }
";

fn explain(folder: &Path, words: &[&str]) -> (Option<i32>, String) {
    let profile = format!("version: 1\nname: t\ndistribution: debian-13\nadmin: {{ssh_keys: [\"{KEY}\"]}}\n{MORE}");
    std::fs::write(folder.join("t.yaml"), profile).expect("writes");
    let output = tool(folder).env("TOKEN", "geheim-1").args(["-q", "explain", "t.yaml"]).args(words).output().expect("runs");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

#[test]
fn all_of_it_is_told_or_one_part() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (code, said) = explain(folder.path(), &[]);
    assert_eq!(code, Some(0), "{said}");
    for line in [
        "t on Debian 13, host name t, UTC",
        "22/tcp   sshd",
        "443/tcp  nginx",
        "deploy  log in by key, and use sudo without a password",
        "t.dev/  api:1  WebSockets",
        "api  x:1          after db; two take turns at a deploy",
        "1  host",
        "t-backup.timer",
        "every day at ",
        "(backup, t.yaml:7)",
        "memory: ",
    ] {
        assert!(said.contains(line), "{line}:\n{said}");
    }
    assert!(said.contains("nowhere else: who loses the machine loses them") && !said.contains("geheim"), "{said}");
    let (code, said) = explain(folder.path(), &["routes"]);
    assert_eq!((code, said.as_str()), (Some(0), "t.dev/  api:1  WebSockets\n"));
    let (code, said) = explain(folder.path(), &["routes", "--json"]);
    let routes: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert!(code == Some(0) && routes[0]["service"] == "api", "{said}");
    let (code, said) = explain(folder.path(), &["nothing"]);
    assert!(code == Some(2) && said.contains("possible values: users, ports"), "{said}");
}

#[test]
fn packages_are_all_that_the_stages_install() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (code, said) = explain(folder.path(), &["packages"]);
    assert!(code == Some(0) && said.contains("logrotate nginx docker.io"), "{said}");
    let (code, said) = explain(folder.path(), &["packages", "--set", "docker.source=docker"]);
    let packages: Vec<&str> = said.split_whitespace().collect();
    assert!(code == Some(0) && packages.contains(&"docker-ce"), "{said}");
    // What the scripts name themselves stands in no list of the machine's.
    let stages = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("cloud-init/stages")).expect("the stages");
    let text: String = stages.flatten().map(|stage| std::fs::read_to_string(stage.path()).expect("a stage") + "\n").collect();
    let named = text.lines().filter_map(|line| line.trim().strip_prefix("install ")).filter(|rest| !rest.starts_with(['$', '-']));
    let named: Vec<&str> = named.flat_map(str::split_whitespace).collect();
    assert!(named.contains(&"nginx"), "{named:?}");
    assert!(named.iter().all(|name| packages.contains(name)), "{named:?}: {said}");
    let (code, said) = explain(folder.path(), &["packages", "--set", "domain=null", "--set", "services=null", "--set", "volumes=null", "--set", "secrets=null", "--set", "backup=null"]);
    assert!(code == Some(0) && !said.contains("nginx"), "{said}");
}

#[test]
fn the_page_needs_nothing_else_and_holds_no_secret() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (code, said) = explain(folder.path(), &["--html", "machine.html"]);
    assert_eq!((code, said.as_str()), (Some(0), ""));
    let page = std::fs::read_to_string(folder.path().join("machine.html")).expect("reads");
    assert!(page.contains("<svg") && page.contains(">api</text>") && page.contains("<title>api: x:1</title>"));
    assert!(!page.contains("geheim"));
    for outside in ["src=", "<link", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    let (code, said) = explain(folder.path(), &["--html", "t.yaml"]);
    assert!(code == Some(2) && said.contains("is read here, and would be written over"), "{said}");
}
