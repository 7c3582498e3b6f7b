//! `adopt`: a Compose file becomes the stack of a profile.

use crate::support::{KEY, compose_client, tells, tool};
use predicates::prelude::*;
use std::os::unix::fs::PermissionsExt;

const FILE: &str = r#"version: "3.8"
x-base: &base {restart: always}
services:
  web:
    image: ghcr.io/acme/shop:1.4.2
    ports: ["80:3000", "127.0.0.1:9229:9229"]
    environment:
      - DATABASE_URL=postgres://app:${DB_PASSWORD}@db:5432/app
      - SECRET_KEY_BASE=0123'45 "6789
      - NODE_ENV=production
      - PASSED
    healthcheck: {test: ["CMD", "true"]}
    depends_on: [db, cache]
    volumes: ["uploads:/app/uploads"]
  worker:
    <<: *base
    image: ghcr.io/acme/shop:1.4.2
    command: work
    environment: {API_TOKEN: abc, OTHER_TOKEN: "${OTHER:-x}"}
    healthcheck: {test: ["CMD", "true"]}
    depends_on:
      db: {condition: service_started}
  db:
    image: postgres:16-alpine
    ports: [{target: 5432, published: "5432"}]
    environment: {POSTGRES_USER: app, POSTGRES_PASSWORD: "${DB_PASSWORD}"}
    volumes: ["pg:/var/lib/postgresql/data"]
  cache:
    image: redis:7
    volumes: [{type: volume, source: redis, target: /data}]
volumes: {pg: , redis: , uploads: }
"#;

fn adopted(file: &str, more: &[&str]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("docker-compose.yml"), file).expect("writes");
    std::fs::write(folder.path().join(".env"), "DB_PASSWORD='geheim$x'\n").expect("writes");
    let output = tool(folder.path()).args(["adopt", "docker-compose.yml", "--name", "shop", "--ssh-key", KEY]).args(more).output().expect("runs");
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success(), "{said}");
    (folder, said)
}

#[test]
fn what_is_certain_is_written_and_the_rest_is_told() {
    let (folder, said) = adopted(FILE, &["--domain", "shop.acme.dev"]);
    let here = folder.path();
    tells(&said, &[
        "docker-compose.yml:1: the top-level `version`",
        "docker-compose.yml:6: port 3000 of `web` is published to everybody as 80: the domain leads to it",
        "docker-compose.yml:9: the value of `SECRET_KEY_BASE` stands in the file",
        "docker-compose.yml:13: `web` does not wait until db, cache is well",
        "docker-compose.yml:19: the value of `API_TOKEN` stands in the file",
        "docker-compose.yml:25: port 5432 of `db` is published to everybody: if it must be, write `ports: [\"5432:5432\"]` and `x-bootstrap: {public_ports: [5432/tcp]}` at `db`",
        "docker-compose.yml:31: the volume `uploads` holds data",
    ]);
    assert!(!said.contains("geheim") && !said.contains("0123"), "a secret is told: {said}");
    assert_eq!(std::fs::read_to_string(here.join("docker-compose.yml")).expect("reads"), FILE);
    let secrets = here.join("shop.env");
    assert_eq!(std::fs::metadata(&secrets).expect("is there").permissions().mode() & 0o777, 0o600);
    let profile = std::fs::read_to_string(here.join("shop.yaml")).expect("reads");
    assert!(!profile.contains("geheim") && !profile.contains("0123"), "{profile}");
    let check = tool(here).args(["check", "shop.yaml", "--env-file", "shop.env"]).output().expect("runs");
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    // What the machine starts: the secrets by name, no port for everybody, all who depend wait.
    let bundle = here.join("bundle");
    tool(here).args(["render", "shop.yaml", "--env-file", "shop.env", "--format", "bundle", "-o", "bundle"]).assert().success();
    let compose = std::fs::read_to_string(bundle.join("root/opt/shop/compose.yaml")).expect("reads");
    for (wanted, there) in [("SECRET_KEY_BASE: \"${SECRET_KEY_BASE}\"", true), ("NODE_ENV", true), ("service_started", false), ("5432:5432", false), ("published", false), ("127.0.0.1:9229:9229", true), ("pg_isready", true), ("OTHER:-x", true)] {
        assert_eq!(compose.contains(wanted), there, "{wanted}:\n{compose}");
    }
    if let Some(mut client) = compose_client() {
        client.arg("-f").arg(bundle.join("root/opt/shop/compose.yaml")).args(["config", "-q"]);
        let output = client.env("SECRET_KEY_BASE", "x").env("DB_PASSWORD", "x").env("API_TOKEN", "x").output().expect("runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn each_port_of_a_line_is_told_by_its_number() {
    let file = "services:\n  web:\n    image: acme/web:1\n    ports: [\"80:3000\", \"5000:5000\", \"53:53/udp\", \"6000-6002:7000-7002\", \"127.0.0.1:${ADMIN:-9000}:9001\", {target: 25, published: \"${MAIL}\"}]\n";
    let (_, said) = adopted(file, &["--domain", "shop.acme.dev"]);
    tells(&said, &[
        ":4: port 3000 of `web` is published to everybody as 80: the domain leads to it",
        ":4: port 5000 of `web` is published to everybody: if people need it, give it `x-bootstrap: {route: {host: …, port: 5000}}`",
        ":4: port 53/udp of `web` is published to everybody: if it must be, write `ports: [\"53:53/udp\"]` and `x-bootstrap: {public_ports: [53/udp]}` at `web`",
        ":4: port 7000-7002 of `web` is published to everybody as 6000-6002: if it must be, write `ports: [\"6000-6002:7000-7002\"]` and `x-bootstrap: {public_ports: [6000/tcp, 6001/tcp, 6002/tcp]}` at `web`",
        ":4: where port 9001 of `web` is published hangs on a variable: its value is written here",
    ]);
    let told: Vec<_> = said.lines().filter(|line| line.contains("publish")).collect();
    let mut once = told.clone();
    once.sort_unstable();
    once.dedup();
    assert!(told.len() == once.len() && told.iter().all(|line| !line.contains(": `web` is published")), "{said}");
}

#[test]
fn what_is_no_port_hangs_on_no_variable() {
    let file = "services:\n  web:\n    image: acme/web:1\n    ports:\n      - x:y\n      - \"\"\n      - {target: \"${Q}\", published: 5}\n";
    let (_, said) = adopted(file, &[]);
    tells(&said, &[
        ":5: an entry of `ports` of `web` is no port: write it as",
        ":6: an entry of `ports` of `web` is no port: write it as",
        ":7: where `${Q}` of `web` is published hangs on a variable",
    ]);
}

#[test]
fn without_a_domain_nothing_is_open_and_that_is_told() {
    let (folder, said) = adopted(FILE, &[]);
    assert!(said.contains("no domain leads to the services"), "{said}");
    let profile = std::fs::read_to_string(folder.path().join("shop.yaml")).expect("reads");
    assert!(!profile.contains("route"), "{profile}");
}

#[test]
fn what_somebody_has_to_decide_is_told_with_its_line() {
    let file = "services:\n  a:\n    build: .\n    restart: always\n    privileged: true\n    network_mode: host\n  b:\n    image: b\n    restart: always\n    ports: [\"${PORTS}\"]\n    volumes: [\"./x.conf:/x\", \"/var/run/docker.sock:/s\"]\n";
    let (folder, said) = adopted(file, &[]);
    tells(&said, &[
        ":3: `a` is built from a folder that the machine does not have",
        ":5: `a` is privileged",
        ":6: `a` shares the machine's network",
        ":8: `b` is whatever the registry has",
        ":10: where `${PORTS}` of `b` is published hangs on a variable",
        ":11: `./x.conf` is not on the machine",
        ":11: through Docker's socket",
    ]);
    let git = folder.path().join(".git");
    std::fs::create_dir(&git).expect("makes a folder");
    std::fs::write(git.join("config"), "[remote \"origin\"]\n\turl = https://git.example.com/acme/shop.git\n").expect("writes");
    std::fs::write(git.join("HEAD"), "ref: refs/heads/main\n").expect("writes");
    tool(folder.path()).args(["adopt", "docker-compose.yml", "-o", "again.yaml", "--name", "shop", "--ssh-key", KEY]).assert().success();
    let profile = std::fs::read_to_string(folder.path().join("again.yaml")).expect("reads");
    assert!(profile.contains("source: {git: \"https://git.example.com/acme/shop.git\", branch: main}"), "{profile}");
}

#[test]
fn nothing_is_written_over_and_no_file_of_another_kind_is_taken() {
    let (folder, _) = adopted("services: {a: {image: \"x:1\"}}\n", &[]);
    let again = |words: &[&str]| {
        let mut command = tool(folder.path());
        command.args(["adopt", "--name", "shop"]).args(words);
        command
    };
    again(&["docker-compose.yml"]).assert().code(2).stderr(predicate::str::contains("is there already"));
    again(&["shop.yaml", "-o", "x.yaml"]).assert().code(2).stderr(predicate::str::contains("no Compose file"));
    again(&["nowhere.yml"]).assert().code(2);
    again(&["docker-compose.yml", "-o", "sub/x.yaml"]).assert().code(2).stderr(predicate::str::contains("beside the Compose file"));
    again(&["docker-compose.yml", "-o", "x.yaml", "--domain", "no domain"]).assert().code(2);
    again(&["docker-compose.yml", "-o", "-"]).assert().code(2).stderr(predicate::str::contains("cannot go to standard output"));
    // A bare name is in this folder, and the Compose file in another.
    std::fs::create_dir(folder.path().join("sub")).expect("makes a folder");
    std::fs::write(folder.path().join("sub/compose.yaml"), "services: {a: {image: \"x:1\", environment: {PASSWORD: geheim}}}\n").expect("writes");
    again(&["sub/compose.yaml", "-o", "x.yaml"]).assert().code(2).stderr(predicate::str::contains("beside the Compose file"));
    again(&["sub/compose.yaml", "-o", "no/such/x.yaml"]).assert().code(2).stderr(predicate::str::contains("beside the Compose file"));
    for name in ["-", "-.env", "x.env", "no"] {
        assert!(!folder.path().join(name).exists(), "{name}");
    }
    again(&["./sub/../docker-compose.yml", "-o", "./y.yaml"]).assert().success();
    std::fs::write(folder.path().join("broken.yml"), "services: {a: [\n").expect("writes");
    again(&["broken.yml", "-o", "x.yaml"]).assert().code(2).stderr(predicate::str::contains("broken.yml:"));
    for (text, why) in [("services: [a, b]\n", "its `services` are no mapping"), ("services:\n", "it has no `services`"), ("version: \"3\"\n", "it has no `services`")] {
        std::fs::write(folder.path().join("none.yml"), text).expect("writes");
        again(&["none.yml", "-o", "x.yaml"]).assert().code(2).stderr(predicate::str::contains(why));
    }
    assert!(!folder.path().join("x.yaml").exists());
}
