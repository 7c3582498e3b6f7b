//! `adopt` and the whole of what Compose takes: what comes of a file is what Compose itself makes of it, but for what is told.

use crate::support::{KEY, compose_client, tells, tool};
use julia_bootstrap::report::Report;
use julia_bootstrap::{dotenv, yaml};
use serde_json::Value;
use std::path::Path;

/// Writes files, adopts `docker-compose.yml`, and says what was told.
fn adopted(files: &[(&str, &str)], more: &[&str]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("makes a folder");
        std::fs::write(path, text).expect("writes");
    }
    let words = ["adopt", "docker-compose.yml", "--name", "shop", "--ssh-key", KEY, "--domain", "shop.acme.dev"];
    let output = tool(folder.path()).args(words).args(more).output().expect("runs");
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success(), "{said}");
    (folder, said)
}

fn profile(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("shop.yaml")).expect("reads")
}

fn checked(folder: &Path, more: &[&str]) -> (bool, String) {
    let mut command = tool(folder);
    command.args(["check", "shop.yaml"]).args(more);
    if folder.join("shop.env").is_file() {
        command.args(["--env-file", "shop.env"]);
    }
    let output = command.output().expect("runs");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// What the real client makes of a file, as JSON.
fn config(folder: &Path, file: &Path, variables: &[(String, String)]) -> Option<Value> {
    let mut client = compose_client()?;
    client.current_dir(folder).arg("-f").arg(file).args(["-p", "shop", "config", "--format", "json"]);
    let output = client.envs(variables.iter().cloned()).output().expect("runs");
    assert!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).expect("JSON"))
}

/// The stack that the machine gets, as the real client reads it there.
fn on_the_machine(folder: &Path) -> Option<Value> {
    let words = ["render", "shop.yaml", "--format", "bundle", "-o", "bundle"];
    let mut command = tool(folder);
    command.args(words);
    let mut variables = Vec::new();
    if let Ok(text) = std::fs::read_to_string(folder.join("shop.env")) {
        command.args(["--env-file", "shop.env"]);
        variables.extend(dotenv::read(&text).into_iter().filter_map(|(_, line)| line.ok()));
    }
    let output = command.output().expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut report = Report::new();
    let source = report.sources.add("shop.yaml", profile(folder));
    let node = yaml::parse(&mut report, source).expect("YAML");
    let own = node.get("variables").and_then(yaml::Node::as_map).unwrap_or_default();
    variables.extend(own.iter().filter_map(|(key, value)| Some((key.as_str()?.to_owned(), value.as_str()?.to_owned()))));
    config(folder, &folder.join("bundle/root/opt/shop/compose.yaml"), &variables)
}

/// Without what `adopt` tells of: ports, restart policies, health checks and conditions that were not there, names.
fn bare(mut config: Value, original: Option<&Value>) -> Value {
    let of = |key: &str, service: &str| original.is_some_and(|original| original["services"][service].get(key).is_none());
    config.as_object_mut().expect("a mapping").retain(|key, _| ["services", "volumes", "networks", "configs"].contains(&key.as_str()));
    // That a config's text went along is told.
    for (_, entry) in config["configs"].as_object_mut().into_iter().flatten() {
        let file = entry.as_object_mut().expect("a mapping").remove("file");
        if let Some(text) = file.and_then(|file| std::fs::read_to_string(file.as_str()?).ok()) {
            entry["content"] = Value::String(text.replace('$', "$$"));
        }
    }
    for section in ["volumes", "networks", "configs"] {
        for (_, entry) in config[section].as_object_mut().into_iter().flatten() {
            entry.as_object_mut().expect("a mapping").remove("name");
        }
    }
    for (name, service) in config["services"].as_object_mut().expect("services") {
        let service = service.as_object_mut().expect("a mapping");
        service.retain(|key, _| !key.starts_with("x-") && key != "ports");
        for key in ["restart", "healthcheck", "expose"] {
            if of(key, name) {
                service.remove(key);
            }
        }
        if let Some(waits) = service.get_mut("depends_on").and_then(Value::as_object_mut) {
            waits.values_mut().for_each(|how| drop(how.as_object_mut().expect("a mapping").remove("condition")));
        }
        if let Some(environment) = service.get_mut("environment").and_then(Value::as_object_mut) {
            environment.retain(|_, value| !value.is_null());
        }
    }
    config
}

fn is_what_compose_makes(folder: &Path) {
    let (Some(original), Some(ours)) = (config(folder, Path::new("docker-compose.yml"), &[]), on_the_machine(folder)) else { return };
    let ours = bare(ours, Some(&original));
    let theirs = bare(original, None);
    for section in ["services", "volumes", "networks", "configs"] {
        for (name, theirs) in theirs[section].as_object().into_iter().flatten() {
            let ours = &ours[section][name];
            assert!(ours == theirs, "{section}.{name}:\n{ours:#}\nand Compose's:\n{theirs:#}");
        }
        let count = |all: &Value| all[section].as_object().map_or(0, serde_json::Map::len);
        assert_eq!(count(&ours), count(&theirs), "{section}");
    }
}

const WHOLE: &str = r#"name: shop
include:
  - path: [queue/compose.yaml, queue/more.yaml]
    env_file: queue/queue.env
  - cache/compose.yaml
x-common: &common
  restart: always
  logging: {driver: json-file, options: {max-size: "${LOG_SIZE:-5m}"}}
x-env: &env
  TZ: ${SHOP_ZONE:-UTC}
  LEVEL: ${LEVEL-info}
services:
  web:
    <<: *common
    extends: {file: parts/base.yaml, service: app}
    image: "acme/web:${VERSION:?say which}"
    environment:
      <<: [*env, {EXTRA: "${EXTRA:+set}", LEVEL: lost}]
      PRICE: $$5
      DATABASE_URL: "postgres://${DB_USER:-shop}:${DB_PASSWORD}@db/shop"
      NESTED: "${NOT_SET:-${VERSION}-x}"
      PASSED:
      NOBODYS:
    ports: ["${WEB_PORT:-80}:3000", {target: 9229, published: "9229", host_ip: 127.0.0.1}]
    networks: {front: {aliases: [www]}, back: {priority: 5}}
    configs: [{source: motd, target: /etc/motd, mode: 0444}, terms]
    healthcheck: {test: [CMD, "true"], interval: 10s}
    depends_on:
      db: {condition: service_started}
      migrate: {condition: service_completed_successfully}
    labels: ["com.acme.part=web"]
    sysctls: [net.core.somaxconn=1024]
    volumes: ["uploads:/uploads", {type: tmpfs, target: /scratch, tmpfs: {size: 1048576}}]
    deploy: {resources: {limits: {memory: 256M}}}
  worker:
    extends: plain
    command: work --queue "${QUEUE:-default}"
    healthcheck: {test: "true"}
  plain:
    <<: *common
    image: acme/worker:1.2
    env_file: [common.env, {path: missing.env, required: false}]
    environment: ["PASSED", "OTHER=of the list", "EMPTY="]
    expose: ["9000"]
    networks: [back]
    healthcheck: {test: [CMD-SHELL, "test -e /tmp/ok"]}
    stop_grace_period: 1m30s
    ulimits: {nofile: {soft: 100, hard: 200}}
    cap_drop: [ALL]
    extra_hosts: ["old:10.0.0.1"]
  migrate:
    image: acme/web:${VERSION}
    command: [migrate]
    networks: [back]
    depends_on: [db]
  debug:
    image: acme/debug:1
    profiles: [debug]
    ports: ["9999:9999"]
  db:
    image: postgres:16
    environment: {POSTGRES_PASSWORD: "${DB_PASSWORD}", POSTGRES_USER: "${DB_USER:-shop}"}
    volumes: [{type: volume, source: pg, target: /var/lib/postgresql/data}]
    networks: [back]
    shm_size: 128mb
volumes:
  uploads: {labels: {keep: "yes"}}
  pg:
networks:
  front:
  back: {internal: true, ipam: {config: [{subnet: 172.30.0.0/24}]}}
configs:
  motd: {content: "hello ${VERSION}\n"}
  terms: {file: ./terms.txt}
"#;

#[test]
fn what_comes_of_a_file_is_what_compose_makes_of_it() {
    let files = [
        ("docker-compose.yml", WHOLE),
        (".env", "VERSION=1.4.2\nDB_PASSWORD='p$x'\nPASSED=through\nEXTRA=y\nLOG_SIZE=9m\n"),
        ("common.env", "FROM_FILE=a b\nSMTP_PASSWORD=hush\nOTHER=of the file\nEXPANDED=${VERSION}-${FROM_FILE}\nLITERAL='$5'\n"),
        ("terms.txt", "It costs $5.\n"),
        (
            "parts/base.yaml",
            "services:\n  app:\n    extends: {file: deeper/root.yaml, service: root}\n    environment: [FROM_BASE=1, LEVEL=base]\n    env_file: base.env\n    dns: 9.9.9.9\n    labels: {com.acme.team: shop, com.acme.part: base}\n    command: serve\n    networks: [back]\n    cap_add: [NET_BIND_SERVICE]\n    sysctls: {net.core.somaxconn: 1, net.ipv4.tcp_syncookies: 0}\n",
        ),
        ("parts/base.env", "OF_THE_PART=yes\nFROM_BASE=overridden\n"),
        ("parts/deeper/root.yaml", "services:\n  root:\n    user: \"1000\"\n    read_only: true\n    dns: [1.1.1.1]\n    extra_hosts: {gate: 10.0.0.9}\n    tmpfs: /tmp\n    healthcheck: {test: [CMD, no], retries: 5}\n    ulimits: {nproc: 100}\n"),
        ("queue/compose.yaml", "services:\n  queue:\n    image: acme/queue:${QUEUE_VERSION:-none}\n    restart: always\n    healthcheck: {test: \"true\"}\n    command: one\n    volumes: [\"queue-data:/data\"]\nvolumes: {queue-data: }\n"),
        ("queue/more.yaml", "services:\n  queue:\n    command: two\n    environment: {A: b}\n"),
        ("queue/queue.env", "QUEUE_VERSION=7\nVERSION=never\n"),
        ("cache/compose.yaml", "services:\n  cache:\n    image: redis:7\n    env_file: cache.env\n    volumes: [\"cache:/data\"]\n    networks: [own]\nvolumes: {cache: }\nnetworks: {own: {driver: bridge}}\n"),
        ("cache/cache.env", "MODE=small\n"),
    ];
    let (folder, said) = adopted(&files, &[]);
    let here = folder.path();
    tells(&said, &[
        "docker-compose.yml:23: `NOBODYS` of `web` has no value",
        "docker-compose.yml:24: port 3000 of `web` is published to everybody as 80: the domain leads to it",
        "docker-compose.yml:58: `debug` starts only for Compose's profile debug: it is left out",
        "docker-compose.yml:74: `./terms.txt` is not on the machine: its text stands in the config `terms`",
        "parts/base.yaml:5: ./parts/base.env stays here",
        "`VERSION` comes from .env: its value stands under `variables`",
        "`DB_PASSWORD` comes from .env: it is a secret",
        "`QUEUE_VERSION` comes from the env file of an included file: its value stands under `variables`",
    ]);
    assert!(!said.contains("hush") && !profile(here).contains("hush") && !profile(here).contains("p$x"), "a secret is told:\n{said}");
    let (good, told) = checked(here, &[]);
    assert!(good, "{told}");
    is_what_compose_makes(here);
}

#[test]
fn files_that_take_from_each_other_in_vain_are_refused_with_their_place() {
    let cases = [
        ("services: {a: {image: \"x:1\", extends: {file: b.yaml, service: c}}}", "docker-compose.yml:1:63", "there is no service `c` in b.yaml"),
        ("services: {a: {image: \"x:1\", extends: b}, b: {extends: {service: a}}}", "docker-compose.yml:1:", "`a` takes from itself"),
        ("include: [nowhere.yaml]\nservices: {a: {image: \"x:1\"}}", "docker-compose.yml:1:11", "nowhere.yaml cannot be read"),
        ("include: [\"https://github.com/acme/stack.git\"]\nservices: {a: {image: \"x:1\"}}", "docker-compose.yml:1:11", "fetched from elsewhere"),
        ("include: [\"${WHICH}.yaml\"]\nservices: {a: {image: \"x:1\"}}", "docker-compose.yml:1:11", "hangs on a variable"),
        ("include: [docker-compose.yml]\nservices: {a: {image: \"x:1\"}}", "docker-compose.yml:1:11", "includes itself"),
        ("include: [b.yaml]\nservices: {b: {image: \"y:1\"}}", "docker-compose.yml:2:12", "`b` stands in an included file as well"),
        ("include: b.yaml\nservices: {b: {image: \"x:1\"}}", "docker-compose.yml:1:10", "`include` is a list to Compose"),
    ];
    for (text, place, message) in cases {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("docker-compose.yml"), text).expect("writes");
        std::fs::write(folder.path().join("b.yaml"), "services: {b: {image: \"x:1\"}}").expect("writes");
        let words = ["adopt", "docker-compose.yml", "--name", "shop", "--ssh-key", KEY];
        let output = tool(folder.path()).args(words).output().expect("runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(place) && said.contains(message) && said.contains("help:"), "{text}:\n{said}");
        assert!(!folder.path().join("shop.yaml").exists());
        let client = compose_client().map(|mut client| client.current_dir(folder.path()).args(["-p", "x", "config", "-q"]).output().expect("runs"));
        let elsewhere = text.contains("github");
        assert!(elsewhere || client.is_none_or(|output| !output.status.success()), "Compose takes {text}");
    }
}

#[test]
fn files_beside_go_along_and_folders_become_volumes() {
    let file = r#"services:
  web:
    image: nginx:1.27
    restart: always
    healthcheck: {test: x}
    ports: ["80:80"]
    volumes:
      - ./site.conf:/etc/nginx/conf.d/default.conf:ro
      - ./start.sh:/docker-entrypoint.d/start.sh
      - ./html:/usr/share/nginx/html:Z
      - ./gone.conf:/etc/gone.conf
      - /srv/media:/media
      - ${DATA:-./data}:/data
      - {type: bind, source: cache, target: /cache, bind: {create_host_path: true}}
    configs: [{source: c, target: /c}]
    secrets: [key, {source: cert, target: /cert.pem}]
  db:
    image: postgres:16
    restart: always
    environment: {POSTGRES_PASSWORD_FILE: /run/secrets/key}
    volumes: ["./pg:/var/lib/postgresql/data"]
    secrets: [key]
configs: {c: {content: c}}
secrets: {key: {file: ./key.txt}, cert: {file: ./cert.txt}, unused: {file: ./no.txt}}
"#;
    let files = [("docker-compose.yml", file), ("site.conf", "root $html;\n"), ("start.sh", "#!/bin/sh\n"), ("key.txt", "k\n"), ("html/index.html", "x"), ("cert.txt", "c\n")];
    let (folder, said) = adopted(&files, &[]);
    let here = folder.path();
    tells(&said, &[
        "docker-compose.yml:8: `./site.conf` is not on the machine: its text is the config `site-conf`",
        "docker-compose.yml:10: `./html` is not on the machine: make it",
        "docker-compose.yml:11: `./gone.conf` is not on the machine: make it",
        "docker-compose.yml:12: `/srv/media` is a folder of the machine itself",
        "docker-compose.yml:13: `./data` is not on the machine: it is the volume `data`, which begins empty",
        "docker-compose.yml:14: `cache` is not on the machine: it is the volume `cache`",
        "docker-compose.yml:16: the secret `key` is the file ./key.txt: it is a credential of the profile",
        "docker-compose.yml:21: `./pg` is not on the machine: it is the volume `pg`",
        "`db` holds data: it is dumped every night",
    ]);
    let (good, told) = checked(here, &[]);
    assert!(good && !told.contains("error"), "{told}");
    let Some(ours) = on_the_machine(here) else { return };
    let web = &ours["services"]["web"];
    assert_eq!(ours["configs"]["site-conf"]["content"], "root $$html;\n");
    let mounts: Vec<_> = web["volumes"].as_array().expect("a list").iter().map(|mount| format!("{}:{}", mount["type"].as_str().unwrap_or_default(), mount["target"].as_str().unwrap_or_default())).collect();
    assert_eq!(mounts, ["bind:/usr/share/nginx/html", "bind:/etc/gone.conf", "bind:/media", "volume:/data", "volume:/cache", "bind:/run/secrets/key", "bind:/cert.pem"]);
    let targets: Vec<_> = web["configs"].as_array().expect("a list").iter().map(|config| config["target"].as_str().unwrap_or_default()).collect();
    assert_eq!(targets, ["/c", "/etc/nginx/conf.d/default.conf", "/docker-entrypoint.d/start.sh"]);
}

#[test]
fn each_folder_and_file_has_one_name_that_nothing_else_has() {
    let file = r#"services:
  web:
    image: acme/web:1
    restart: always
    healthcheck: {test: x}
    volumes: ["data:/a", "./data:/b", "./media:/m", "./nginx.conf:/etc/nginx.conf"]
    configs: [nginx-conf]
    ports: ["80:80"]
  other:
    image: acme/other:1
    restart: always
    healthcheck: {test: x}
    volumes: ["./media/:/m", "././x/../media:/n", {type: bind, source: media, target: /o}]
volumes: {data: }
configs: {nginx-conf: {file: ./other.conf}}
"#;
    let (folder, said) = adopted(&[("docker-compose.yml", file), ("nginx.conf", "mounted\n"), ("other.conf", "declared\n")], &[]);
    let here = folder.path();
    tells(&said, &[
        ":6: `./data` is not on the machine: it is the volume `data-2`",
        ":6: `./nginx.conf` is not on the machine: its text is the config `nginx-conf-2`",
        ":13: `./media/` is not on the machine: it is the volume `media`,",
        ":13: `././x/../media` is not on the machine: it is the volume `media`,",
        ":13: `media` is not on the machine: it is the volume `media`,",
    ]);
    let (good, told) = checked(here, &[]);
    assert!(good, "{told}");
    holds(&profile(here), &[("\"data:/a\"", true), ("\"data-2:/b\"", true), ("media-2", false), ("mounted", true), ("declared", true)]);
    let Some(ours) = on_the_machine(here) else { return };
    assert_eq!(ours["configs"]["nginx-conf"]["content"], "declared\n");
    assert_eq!(ours["configs"]["nginx-conf-2"]["content"], "mounted\n");
}

#[test]
fn what_everybody_knows_is_kept_back_and_what_is_made_elsewhere_is_made_here() {
    let file = r#"services:
  app:
    image: acme/app:1
    restart: always
    healthcheck: {test: x}
    ports: ["127.0.0.1:8080:8080", "${OTHER_PORT:-127.0.0.1:7777}:7777"]
    environment:
      DATABASE_URL: ${DATABASE_URL:-postgres://app:app@db/app}
      SECRET_KEY: ${SECRET_KEY:-known-to-all}
      BROKER: amqp://guest:guest@mq/
      ADMIN_PASSWORD: ""
      FEATURE_TOKEN: "true"
    networks: [proxy]
    depends_on: {tool: {condition: service_started, required: false}, quiet: {condition: service_started}}
  quiet:
    image: redis:7
    restart: "no"
    healthcheck: {disable: true}
    volumes: ["data:/data"]
  tool: {image: "acme/tool:1", profiles: [tools]}
  chosen: {image: "acme/chosen:1", restart: always, healthcheck: {test: x}, profiles: [full]}
networks: {proxy: {external: true}}
volumes: {data: {external: {name: old-data}}}
"#;
    let (folder, said) = adopted(&[("docker-compose.yml", file), (".env", "COMPOSE_PROFILES=full\n")], &[]);
    let here = folder.path();
    tells(&said, &[
        ":6: port 8080 of `app` is published to a web server on the machine: the domain leads to it",
        ":6: where port 7777 of `app` is published hangs on a variable: its value is written here",
        ":8: everybody who has the file knows the default of `DATABASE_URL`",
        ":9: everybody who has the file knows the default of `SECRET_KEY`",
        ":10: the value of `BROKER` stands in the file: it is the secret BROKER",
        ":11: `ADMIN_PASSWORD` of `app` is empty",
        ":14: `app` waits for `tool`, which the machine does not start: it does not wait",
        ":18: the health check of `quiet` is switched off",
        ":15: `quiet` stays down when it dies",
        ":20: `tool` starts only for Compose's profile tools: it is left out",
        ":21: `chosen` starts only for Compose's profile full: `COMPOSE_PROFILES` names it",
        ":22: nothing makes the network `proxy` on a new machine: the stack makes its own",
        ":23: nothing makes the volume `data` on a new machine: the stack makes its own",
    ]);
    let (good, told) = checked(here, &[]);
    assert!(good, "{told}");
    let Some(ours) = on_the_machine(here) else { return };
    assert_eq!(ours["services"]["app"]["depends_on"]["quiet"]["condition"], "service_started");
    assert!(ours["services"]["app"]["depends_on"].get("tool").is_none() && ours["services"].get("tool").is_none());
    assert!(ours["services"].get("chosen").is_some());
    assert_eq!(ours["services"]["app"]["environment"]["SECRET_KEY"], "known-to-all");
    assert_eq!(ours["volumes"]["data"]["name"], "old-data");
}

/// A profile by hand beside `docker-compose.yml`, with more lines of its own.
fn by_hand(files: &[(&str, &str)], more: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = format!("version: 1\nname: shop\ndistribution: debian-13\nadmin: {{ssh_keys: [\"{KEY}\"]}}\ncompose: docker-compose.yml\n{more}");
    for (name, text) in files.iter().copied().chain([("shop.yaml", text.as_str())]) {
        std::fs::write(folder.path().join(name), text).expect("writes");
    }
    folder
}

/// The machine's `compose.yaml` of a profile by hand with this overlay, and these values set.
fn laid_and_made(folder: &Path, sets: &[&str]) -> String {
    let (mut command, made) = (tool(folder), tempfile::tempdir().expect("a temporary folder"));
    let bundle = made.path().join("bundle");
    command.args(["render", "shop.yaml", "--overlay", "over.yaml", "--format", "bundle", "-o"]).arg(&bundle);
    command.args(sets.iter().flat_map(|set| ["--set", *set]));
    let output = command.output().expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read_to_string(bundle.join("root/opt/shop/compose.yaml")).expect("reads")
}

/// Each text is in the file, or is not.
#[track_caller]
fn holds(file: &str, texts: &[(&str, bool)]) {
    for (text, there) in texts {
        assert_eq!(file.contains(text), *there, "{text}:\n{file}");
    }
}

#[test]
fn files_and_services_that_take_away_and_replace_by_tags() {
    let compose = r#"name: shop
include:
  - path: [parts/a.yaml, parts/b.yaml, parts/c.yaml]
services:
  web:
    extends: {file: parts/base.yaml, service: app}
    ports: !override ["127.0.0.1:3000:3000"]
    environment: {GONE: !reset null, KEPT: "2"}
    labels: !reset {}
    depends_on: !override [queue]
    healthcheck: !override {test: [CMD, "true"]}
    volumes: !override [{type: volume, source: data, target: /d}]
    command: !reset [x]
volumes: {data: }
"#;
    let files = [
        ("docker-compose.yml", compose),
        (
            "parts/base.yaml",
            "services:\n  app:\n    image: acme/web:1\n    restart: always\n    user: !reset root\n    ports: [\"80:80\"]\n    environment: {GONE: \"1\", KEPT: \"1\"}\n    labels: {a: b}\n    depends_on: [nobody]\n    healthcheck: {test: [CMD, no], interval: 5s}\n    volumes: [\"data:/x\"]\n    command: [serve]\n",
        ),
        (
            "parts/a.yaml",
            "services:\n  queue:\n    image: acme/queue:1\n    restart: always\n    ports: [\"5:5\"]\n    command: one\n    user: \"7\"\n    healthcheck: {test: [CMD, \"true\"]}\n    networks: [inner, environment]\n    labels: {a: b, c: d}\n    extra_hosts: {old: 10.0.0.1, other: 10.0.0.2}\n  gone: {image: \"acme/gone:1\"}\nnetworks: {inner: {driver: bridge, labels: {a: b}}, environment: {labels: {a: b}}}\nvolumes: {command: {labels: {a: b}}}\n",
        ),
        (
            "parts/b.yaml",
            "services:\n  queue: {ports: !reset [], user: , labels: !override {e: f}, volumes: [\"command:/c\"], extra_hosts: {old: !reset x}}\n  gone: !reset {}\nnetworks: {inner: !override {labels: {z: z}}, environment: {labels: {c: d}}}\nvolumes: {command: {labels: {c: d}}}\n",
        ),
        ("parts/c.yaml", "services: {queue: {command: !reset null, environment: {A: b}}}\n"),
    ];
    let (folder, said) = adopted(&files, &[]);
    let here = folder.path();
    assert!(!said.contains("`gone`") && !said.contains("nobody") && !said.contains("port 5 ") && said.contains("port 3000 of `web` is published to a web server"), "{said}");
    let (good, told) = checked(here, &[]);
    assert!(good, "{told}");
    tool(here).args(["render", "shop.yaml", "--format", "bundle", "-o", "plain"]).assert().success();
    let compose = std::fs::read_to_string(here.join("plain/root/opt/shop/compose.yaml")).expect("reads");
    for gone in ["!reset", "!override", "GONE", "5:5", "10.0.0.1", "- serve", "command: one", "driver: bridge"] {
        assert!(!compose.contains(gone), "{gone}:\n{compose}");
    }
    is_what_compose_makes(here);
}

#[test]
fn a_profile_and_its_overlay_take_away_and_replace_by_tags() {
    let compose = "services:\n  web:\n    image: acme/web:1\n    restart: always\n    healthcheck: {test: x}\n    ports: [\"80:80\"]\n    user: root\n    labels: {a: b, c: d}\n    environment: {A: b, C: d}\n    logging: {driver: json-file, options: {max-size: 1m}}\n";
    let own = "services:\n  web:\n    ports: !reset [\"80:80\"]\n    labels: !override {e: f}\n    environment: {A: !reset x, G: h}\n";
    let over = "services:\n  web:\n    user: !reset {}\n    labels: !override {com.acme/part: !override j}\n    logging: !override {driver: local}\n";
    let folder = by_hand(&[("docker-compose.yml", compose), ("over.yaml", over)], own);
    let compose = laid_and_made(folder.path(), &[]);
    holds(&compose, &[("com.acme/part: j", true), ("C: d", true), ("G: h", true), ("driver: local", true), ("max-size", false), ("a: b", false), ("e: f", false), ("A: ", false), ("80:80", false), ("user: ", false), ("!reset", false), ("!override", false)]);
}

#[test]
fn what_a_tag_cannot_take_away_is_told() {
    let compose = "include: [parts.yaml]\nservices:\n  web: {image: \"acme/web:1\", restart: always, healthcheck: {test: x}}\n  db: !reset {}\n";
    let parts = "services: {db: {image: \"acme/db:1\", restart: always, healthcheck: {test: x}}}\n";
    let folder = by_hand(&[("docker-compose.yml", compose), ("parts.yaml", parts)], "");
    let (good, told) = checked(folder.path(), &[]);
    assert!(good && told.contains("docker-compose.yml:4:") && told.contains("`db` of an included file stays") && told.contains("`path: [FILE, FILE]`"), "{told}");
    let client = compose_client().map(|mut client| client.current_dir(folder.path()).args(["-p", "x", "config", "--services"]).output().expect("runs"));
    assert!(client.is_none_or(|output| String::from_utf8_lossy(&output.stdout).contains("db")), "Compose takes it away");
}

#[test]
fn what_an_overlay_takes_away_is_gone_from_the_compose_file_too() {
    let compose = "services:\n  web:\n    image: acme/web:1\n    restart: always\n    healthcheck: {test: x}\n    ports: [\"127.0.0.1:80:80\"]\n    labels: {a: b}\n    user: root\n";
    let own = "services:\n  web:\n    ports: [\"127.0.0.1:81:81\"]\n    labels: {c: d}\n    user: \"7\"\n";
    let over = "services: {web: {ports: !reset [], labels: !override {e: f}, user: !reset x}}\n";
    let folder = by_hand(&[("docker-compose.yml", compose), ("over.yaml", over)], own);
    let plain = laid_and_made(folder.path(), &[]);
    holds(&plain, &[("80:80", false), ("81:81", false), ("a: b", false), ("c: d", false), ("e: f", true), ("user", false)]);
    let set = laid_and_made(folder.path(), &["services.web.labels=!reset {}", "services.web.ports+=[\"127.0.0.1:82:82\"]"]);
    holds(&set, &[("80:80", false), ("81:81", false), ("82:82", true), ("a: b", false), ("e: f", false)]);
    let (good, told) = checked(folder.path(), &["--set", "services.web.labels=!override {u: v}"]);
    assert!(!good && told.contains("--set:1:31") && told.contains("`!override` stands before the value of a key"), "{told}");
}

#[test]
fn what_takes_away_where_there_is_nothing_says_nothing() {
    let service = "{image: \"acme/web:1\", restart: always, healthcheck: {test: x}, ports: [!reset \"80:80\"], depends_on: [!reset nobody], env_file: !reset x.env, build: !reset ., networks: [!reset n], network_mode: !reset host, environment: {DB_PASSWORD: !reset x}, user: !reset x, deploy: !reset {}, x-bootstrap: !reset {}}";
    let inline = format!("services: {{web: {service}}}\n");
    for (compose, own) in [("", inline.clone()), ("compose: docker-compose.yml\n", inline)] {
        let folder = by_hand(&[("docker-compose.yml", "services: {db: {image: \"acme/db:1\", restart: always, healthcheck: {test: x}}}\n")], "");
        let profile = profile(folder.path()).replace("compose: docker-compose.yml\n", compose);
        let fields = "host: !reset {}\nssh: {port: !reset 1}\nvariables: {A: !reset x}\nsecrets: {B: !reset x}\nvolumes: !reset {}\n";
        std::fs::write(folder.path().join("shop.yaml"), format!("{profile}{fields}{own}")).expect("writes");
        std::fs::write(folder.path().join("over.yaml"), "updates: !reset {}\n").expect("writes");
        let (good, told) = checked(folder.path(), &["--overlay", "over.yaml"]);
        assert!(good && !told.contains("reset") && !told.contains("warning"), "{told}");
        let made = laid_and_made(folder.path(), &[]);
        for gone in ["!reset", "80:80", "user", "deploy", "network_mode", "DB_PASSWORD", "nobody"] {
            assert!(!made.contains(gone), "{gone}:\n{made}");
        }
    }
}

#[test]
fn services_that_are_left_out_are_told_wherever_they_are_named() {
    let file = r#"services:
  web:
    image: acme/web:1
    restart: always
    healthcheck: {test: x}
    links: [tool, "db:database"]
    volumes_from: ["tool:ro", "container:tool"]
    network_mode: service:tool
    ipc: "service:${S:-tool}"
    depends_on: [tool, db]
  db: {image: "acme/db:1", restart: always, healthcheck: {test: x}, pid: "service:web"}
  tool: {image: "acme/tool:1", profiles: [tools]}
"#;
    let (folder, said) = adopted(&[("docker-compose.yml", file)], &[]);
    let here = folder.path();
    tells(&said, &[
        ":6: `web` links to `tool`, which the machine does not start: there is no link",
        ":7: `web` mounts the volumes of `tool`, which the machine does not start: name them under `volumes`, or have the machine start `tool`",
        ":8: `web` shares the network of `tool`, which the machine does not start: take `network_mode` out, or",
        ":9: `web` shares the memory segments of `tool`",
        ":10: `web` waits for `tool`, which the machine does not start, and which Compose refuses without `required: false`: it does not wait",
    ]);
    assert!(!said.contains("`container`") && !said.contains("shares the processes"), "{said}");
    assert!(profile(here).contains("links: [\"db:database\"]"), "{}", profile(here));
    let (good, told) = checked(here, &[]);
    assert!(!good && told.contains("[no-service]"), "{told}");
    let client = compose_client().map(|mut client| client.current_dir(here).args(["-p", "x", "config", "-q"]).output().expect("runs"));
    assert!(client.is_none_or(|output| !output.status.success()), "Compose takes it");
    // As the finding says.
    std::fs::write(here.join("shop.yaml"), profile(here).replace("tool: null", "tool: {profiles: null}")).expect("writes");
    let (_, told) = checked(here, &[]);
    assert!(!told.contains("[no-service]"), "{told}");
}

#[test]
fn tokens_are_secrets_under_any_name() {
    const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl";
    let service = |environment: &str| format!("services:\n  web:\n    image: acme/web:1\n    restart: always\n    healthcheck: {{test: x}}\n    env_file: [web.env]\n    environment: {environment}\n");
    let file = service(&format!("{{VISITOR: {TOKEN}, HEADERS: \"Bearer {TOKEN}\", CLAIM: \"${{CLAIM}}\", GIVEN: \"${{GIVEN}}\", PART: eyJ.x}}"));
    let beside = format!("CLAIM={TOKEN}\n");
    let of_web = format!("GUEST={TOKEN}\nPAGE=www.acme.dev\n");
    let (folder, said) = adopted(&[("docker-compose.yml", file.as_str()), (".env", beside.as_str()), ("web.env", of_web.as_str())], &[]);
    let here = folder.path();
    tells(&said, &[
        ":6: the value of `GUEST` stands in the file: it is the secret GUEST",
        ":7: the value of `VISITOR` stands in the file: it is the secret VISITOR",
        ":7: the value of `HEADERS` stands in the file: it is the secret HEADERS",
        ":7: `CLAIM` comes from .env: it is a secret",
        ":7: `GIVEN` comes from the environment: it is a secret",
    ]);
    assert!(!profile(here).contains("eyJh") && !said.contains("eyJh") && profile(here).contains("PAGE: www.acme.dev"), "{}", profile(here));
    assert_eq!(std::fs::read_to_string(here.join("shop.env")).expect("reads").matches(TOKEN).count(), 4);
    // Who writes it into a file beside a profile is told by `check`, in either form.
    for environment in [format!("{{VISITOR: {TOKEN}}}"), format!("[VISITOR={TOKEN}]")] {
        let file = service(&environment).replace("    env_file: [web.env]\n", "");
        let folder = by_hand(&[("docker-compose.yml", file.as_str())], "");
        let (_, told) = checked(folder.path(), &[]);
        assert!(told.contains("[open-secret]") && told.contains("`VISITOR` has a token written out") && !told.contains("eyJh"), "{told}");
    }
}

#[test]
fn names_that_no_shell_takes_become_secrets_too() {
    let file = "services:\n  web:\n    image: acme/web:1\n    restart: always\n    healthcheck: {test: x}\n    environment: {spring.datasource.password: hunter-a, my-token: hunter-b, 2nd_password: hunter-c, passwört_token: hunter-d}\n";
    let (folder, said) = adopted(&[("docker-compose.yml", file)], &[]);
    tells(&said, &[
        ":6: the value of `spring.datasource.password` stands in the file: it is the secret SPRING_DATASOURCE_PASSWORD",
        ":6: the value of `my-token` stands in the file: it is the secret MY_TOKEN",
        ":6: the value of `2nd_password` stands in the file: it is the secret WEB_2ND_PASSWORD",
        ":6: the value of `passwört_token` stands in the file: it is the secret PASSW_RT_TOKEN",
    ]);
    holds(&profile(folder.path()), &[("hunter", false), ("spring.datasource.password: \"${SPRING_DATASOURCE_PASSWORD}\"", true), ("my-token: \"${MY_TOKEN}\"", true)]);
}

#[test]
fn keys_and_what_has_a_dollar_sign_in_it_are_secrets_too() {
    let values = r#"{DB_PASSWORD: pa$$hunter, ADMIN_TOKEN: "$$argon2id$$v=19$$hunter", BROKER: "amqp://u:hunter$$x@mq/", PASSPHRASE: hunter two, STRIPE_KEY: sk_live_hunter0123456789, SMTP_PASSWORD: "${SMTP_PASSWORD:-hunter$$y}", PUBLIC_KEY: sk_live_public0123456789, SORT_KEY: created-at-version-2, PRICE: $$5}"#;
    let file = format!("services:\n  web:\n    image: acme/web:1\n    restart: always\n    healthcheck: {{test: x}}\n    ports: [\"80:80\"]\n    environment: {values}\n");
    let (folder, said) = adopted(&[("docker-compose.yml", file.as_str())], &[]);
    let here = folder.path();
    for name in ["DB_PASSWORD", "ADMIN_TOKEN", "BROKER", "PASSPHRASE", "STRIPE_KEY"] {
        tells(&said, &[&format!(":7: the value of `{name}` stands in the file: it is the secret {name}")]);
    }
    tells(&said, &[":7: everybody who has the file knows the default of `SMTP_PASSWORD`"]);
    assert!(!said.contains("hunter") && !said.contains("PUBLIC_KEY") && !said.contains("SORT_KEY"), "{said}");
    holds(&profile(here), &[("hunter", false), ("DB_PASSWORD: \"${DB_PASSWORD}\"", true)]);
    let secrets = dotenv::read(&std::fs::read_to_string(here.join("shop.env")).expect("reads"));
    let value = |wanted: &str| secrets.iter().filter_map(|(_, line)| line.clone().ok()).find(|(name, _)| name == wanted).map(|(_, value)| value);
    for (name, wanted) in [("DB_PASSWORD", "pa$hunter"), ("ADMIN_TOKEN", "$argon2id$v=19$hunter"), ("BROKER", "amqp://u:hunter$x@mq/"), ("SMTP_PASSWORD", "hunter$y")] {
        assert_eq!(value(name).as_deref(), Some(wanted), "{name}");
    }
    is_what_compose_makes(here);
    // Who has them in a file beside a profile is told by `check`.
    let file = file.replace(" SMTP_PASSWORD: \"${SMTP_PASSWORD:-hunter$$y}\",", "");
    let folder = by_hand(&[("docker-compose.yml", file.as_str())], "");
    let (_, told) = checked(folder.path(), &[]);
    for name in ["DB_PASSWORD", "ADMIN_TOKEN", "PASSPHRASE", "STRIPE_KEY"] {
        tells(&told, &[&format!("`{name}` has its value written out")]);
    }
    assert!(told.contains("`BROKER` has a password written out") && !told.contains("`PUBLIC_KEY`") && !told.contains("`SORT_KEY`") && !told.contains("hunter"), "{told}");
}

#[test]
fn files_with_passwords_of_any_language_stay_here() {
    let texts = [
        ("redis.conf", "bind 0.0.0.0\nrequirepass hunter-a\n"),
        ("users.yaml", "users:\n  - password: hunter-b\n    name: anna\n"),
        ("app.json", "{\"db\":{\"user\":\"u\",\"password\":\"hunter-c\"}}\n"),
        ("init.sql", "CREATE USER shop WITH PASSWORD 'hunter-d';\n"),
        ("htpasswd", "anna:$apr1$hunter$e\n"),
        ("users.txt", "anna:$2y$05$hunterf\nberta:{SHA}hunterg=\n"),
    ];
    let mounts: Vec<String> = texts.iter().chain(&[("plain.conf", "")]).map(|(name, _)| format!("\"./{name}:/x/{name}:ro\"")).collect();
    let file = format!("services:\n  web:\n    image: acme/web:1\n    restart: always\n    healthcheck: {{test: x}}\n    volumes: [{}]\n", mounts.join(", "));
    let mut files = vec![("docker-compose.yml", file.as_str()), ("plain.conf", "# requirepass foobared\nlisten = 80\n")];
    files.extend(texts);
    let (folder, said) = adopted(&files, &[]);
    holds(&profile(folder.path()), &[("hunter", false), ("listen = 80", true)]);
    for (name, _) in texts {
        tells(&said, &[&format!("`./{name}` is not on the machine, and was not looked into")]);
    }
}

#[test]
fn each_line_of_an_env_file_is_taken_along_or_told() {
    let file = "services:\n  web:\n    image: acme/web:1\n    restart: always\n    healthcheck: {test: x}\n    env_file: web.env\n    ports: [\"80:80\"]\n    environment: {OF: \"${OF}\"}\n";
    let text = "spring.profiles.active=prod\nspring.datasource.password=hunter-a\nCOLON: yes\n# c\nLONG=\"one\ntwo=$OF ${COLON}\"\nAPP_CERT_TOKEN='hunter-b\nhunter=c'\n1ST=x\nBARE\nPAIR='a\nb' c\nAGAIN\n";
    let (folder, said) = adopted(&[("docker-compose.yml", file), ("web.env", text), (".env", "OF=all\nnothing here\n")], &[]);
    let here = folder.path();
    tells(&said, &[
        "To be decided:",
        ":6: web.env has what cannot be read, in line 9: what stands before `=` is not a variable's name",
        ":6: web.env has what cannot be read, in line 10, 13: this line is not NAME=value",
        ":6: web.env has what cannot be read, in line 11-12: there is more after the closing quote",
        ":1: .env has what cannot be read, in line 2: this line is not NAME=value",
    ]);
    assert_eq!(said.matches("what cannot be read").count(), 4, "{said}");
    holds(&profile(here), &[("spring.profiles.active: prod", true), ("SPRING_DATASOURCE_PASSWORD", true), ("LONG: \"one\\ntwo=all yes\"", true), ("hunter", false)]);
    let (good, told) = checked(here, &[]);
    assert!(good, "{told}");
    // Compose refuses what is told.
    std::fs::write(here.join("web.env"), &text[..text.find("1ST").expect("is there")]).expect("writes");
    std::fs::write(here.join(".env"), "OF=all\n").expect("writes");
    is_what_compose_makes(here);
}

#[test]
fn mounts_without_a_value_are_told_and_configs_of_variables_go_along() {
    let file = r#"services:
  web:
    image: acme/web:1
    restart: always
    healthcheck: {test: x}
    ports: ["80:80"]
    volumes:
      - $GITLAB_HOME/config:/etc/x
      - ${EMPTY}:/e
      - ${HERE}/x:/x
      - ${DATA:-./data}:/d
    configs: [c, d, e]
configs: {c: {environment: OTHER}, d: {environment: MY_TOKEN}, e: {environment: NOWHERE}, unused: {environment: UNUSED}}
"#;
    let (folder, said) = adopted(&[("docker-compose.yml", file), (".env", "OTHER=of .env\nMY_TOKEN=hunter\nHERE=./here\nEMPTY=\nUNUSED=x\n")], &[]);
    let (done, open) = said.split_once("To be decided:").expect("something is");
    tells(open, &[
        ":8: `GITLAB_HOME`, which what `web` mounts hangs on, has no value, so that Compose reads `/config`, which is written here: write the path, or name a volume",
        ":9: `EMPTY`, which what `web` mounts hangs on, has no value, so that Compose reads nothing: write the path",
    ]);
    tells(done, &[
        ":10: what `web` mounts hangs on a variable: its value is written here",
        ":11: what `web` mounts hangs on a variable: its value is written here",
        ":13: `OTHER` comes from .env: its value stands under `variables`",
        ":13: `MY_TOKEN` comes from .env: it is a secret",
        ":13: `NOWHERE` comes from the environment: it is a secret",
    ]);
    holds(&profile(folder.path()), &[("OTHER: \"of .env\"", true), ("MY_TOKEN: {env: MY_TOKEN}", true), ("hunter", false), ("UNUSED", false), ("GITLAB_HOME", false), ("\"/config:/etc/x\"", true)]);
}

/// A service that is well, with these ports.
fn service(name: &str, image: &str, ports: &str) -> String {
    format!("  {name}: {{image: \"{image}\", restart: always, healthcheck: {{test: x}}, ports: {ports}}}\n")
}

#[test]
fn the_domain_leads_to_no_web_server_with_tls_and_to_no_page_of_administration() {
    let file = ["services:\n", &service("caddy", "caddy:2", "[\"80:80\", \"443:443\", \"443:443/udp\"]"), &service("app", "acme/app:1", "[\"127.0.0.1:3000:3000\"]")].concat();
    let (folder, said) = adopted(&[("docker-compose.yml", file.as_str())], &[]);
    let (_, open) = said.split_once("To be decided:").expect("something is");
    tells(open, &[":2: `caddy` has TLS of its own, which on the machine is nginx's: give the service behind `caddy` `x-bootstrap: {route: {path: /, port: …}}`"]);
    assert!(!profile(folder.path()).contains("route") && !said.contains("the domain leads to it"), "{said}");
    // As the finding says.
    let decided = format!("{}\n  app: {{x-bootstrap: {{route: {{path: /, port: 3000}}}}}}\n", profile(folder.path()).trim_end());
    let start = decided.find("  caddy:").expect("is there");
    let end = decided.find("  app:").expect("is there");
    std::fs::write(folder.path().join("shop.yaml"), format!("{}  caddy: null\n{}", &decided[..start], &decided[end..])).expect("writes");
    let (good, told) = checked(folder.path(), &[]);
    assert!(good, "{told}");
    for (other, page, leads) in [
        ("[\"3000:3000\"]", "[\"80:80\"]", "port 3000 of `app`"),
        ("[\"127.0.0.1:3000:3000\"]", "[\"8080:80\"]", "port 3000 of `app`"),
        ("[]", "[\"8080:80\"]", "port 80 of `page`"),
    ] {
        let file = ["services:\n", &service("page", "docker.io/library/phpmyadmin:5", page), &service("app", "acme/app:1", other)].concat();
        let (_, said) = adopted(&[("docker-compose.yml", file.as_str())], &[]);
        let led: Vec<&str> = said.lines().filter(|line| line.contains("the domain leads to it")).collect();
        assert!(led.len() == 1 && led[0].contains(leads), "{leads}:\n{said}");
    }
}

#[test]
fn who_follows_what_is_said_of_a_public_port_has_it() {
    let file = ["services:\n", &service("git", "acme/git:1", "[\"2424:22\"]"), &service("web", "acme/web:1", "[\"80:80\"]")].concat();
    let (folder, said) = adopted(&[("docker-compose.yml", file.as_str())], &[]);
    let here = folder.path();
    tells(&said, &[":2: port 22 of `git` is published to everybody as 2424: if it must be, write `ports: [\"2424:22\"]` and `x-bootstrap: {public_ports: [2424/tcp]}` at `git`: nobody"]);
    let followed = profile(here).replace("    ports: null\n", "    ports: [\"2424:22\"]\n    x-bootstrap: {public_ports: [2424/tcp]}\n");
    let at = followed.find("  web:").expect("is there");
    let web = followed[at..].replace("    ports: [\"2424:22\"]\n    x-bootstrap: {public_ports: [2424/tcp]}\n", "    ports: null\n");
    std::fs::write(here.join("shop.yaml"), format!("{}{web}", &followed[..at])).expect("writes");
    let (good, told) = checked(here, &[]);
    assert!(good && !told.contains("[unused]") && !told.contains("[published-port]"), "{told}");
}

/// Once what is to be decided is decided, nothing is left that `--strict` refuses.
#[test]
fn what_was_decided_passes_strictly() {
    let file = r#"services:
  web:
    image: acme/web:${TAG:-2.0}
    ports: ["8080:8080"]
    env_file: .env
    environment: {DATABASE_URL: "postgres://shop:${DB_PASSWORD}@db/shop", MODE: "${MODE}"}
    depends_on: [db]
    healthcheck: {test: [CMD, wget, "-q", "-O", "-", "http://127.0.0.1:8080/"]}
    volumes: ["./uploads:/uploads"]
  db:
    image: postgres:16
    environment: [POSTGRES_USER=shop, "POSTGRES_PASSWORD=${DB_PASSWORD}"]
    volumes: ["./pg:/var/lib/postgresql/data"]
"#;
    let (folder, said) = adopted(&[("docker-compose.yml", file), (".env", "DB_PASSWORD=changeme\nMODE=production\nTAG=2.1\n")], &[]);
    let here = folder.path();
    assert!(!said.contains("To be decided"), "{said}");
    let (_, told) = checked(here, &["--strict"]);
    // What is left is the machine's to choose.
    assert!(told.contains("embedded-secret") && told.matches("error[").count() == 1, "{told}");
    let decided = profile(here).replace("DB_PASSWORD: {env: DB_PASSWORD}", "DB_PASSWORD: generate");
    std::fs::write(here.join("shop.yaml"), decided).expect("writes");
    let (good, told) = checked(here, &["--strict"]);
    assert!(good, "{told}");
    assert!(profile(here).contains("MODE: production") && profile(here).contains("TAG: \"2.1\""), "{}", profile(here));
}

#[test]
fn secrets_in_files_and_files_from_elsewhere_go_nowhere_by_themselves() {
    let compose = r#"services:
  web:
    image: ghcr.io/acme/shop:1.4.2
    restart: always
    env_file: [app.env]
    command: serve
    healthcheck: {test: ["CMD", "true"]}
    volumes: ["./.env:/app/.env:ro", "./settings.ini:/app/settings.ini", "../elsewhere.conf:/app/e.conf", "./plain.conf:/app/p.conf"]
"#;
    let files = [
        ("docker-compose.yml", compose),
        (".env", "DB_PASSWORD=hunter-a\n"),
        ("settings.ini", "[db]\nhost=db\npassword=hunter-b\n"),
        ("plain.conf", "listen = 80\npassword_encryption = scram-sha-256\n"),
        ("app.env", "APP_KEY=base64:hunter-c\nMAILER_DSN=smtp://u:hunter-d/x@mail\nJDBC=jdbc:postgresql://db/x?user=u&password=hunter-e\nSLASH_PASSWORD=/hunter-f==\nLEVEL=info\n"),
    ];
    let (folder, said) = adopted(&files, &[]);
    let text = profile(folder.path());
    assert!(!text.contains("hunter"), "{text}");
    assert!(text.contains("listen = 80") && text.contains("LEVEL: info"), "{text}");
    for source in ["./.env", "./settings.ini"] {
        assert!(said.contains(&format!("`{source}` is not on the machine, and was not looked into")), "{source}:\n{said}");
    }
    let secrets = std::fs::read_to_string(folder.path().join("shop.env")).expect("reads");
    for value in ["hunter-c", "hunter-d", "hunter-e", "hunter-f"] {
        assert!(secrets.contains(value), "{value}:\n{secrets}");
    }
}

#[test]
fn files_that_are_made_to_hurt_end_soon() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("writes");
    let run = |more: &[&str]| {
        let output = tool(folder.path()).timeout(std::time::Duration::from_secs(60)).args(["adopt", "c.yaml", "--name", "shop", "--ssh-key", KEY, "-o", "out.yaml"]).args(more).output().expect("runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for number in 0..25 {
        write(&format!("f{number}.yaml"), &format!("include: [f{0}.yaml, ./f{0}.yaml]\nservices: {{}}\n", number + 1));
    }
    write("f25.yaml", "services: {}\n");
    write("c.yaml", "include: [f0.yaml]\nservices: {a: {image: \"x:1\"}}\n");
    let (code, said) = run(&[]);
    assert!(code == Some(2) && said.contains("[too-many-files]"), "{code:?} {said}");
    let chain: String = (0..4000).map(|n| format!("  s{n}: {{extends: s{}}}\n", n + 1)).collect();
    write("c.yaml", &format!("services:\n{chain}  s4000: {{image: \"x:1\"}}\n"));
    let (code, said) = run(&[]);
    assert!(code == Some(2) && said.contains("more than 32 deep"), "{code:?} {said}");
    write("c.yaml", &format!("services: {{a: {{image: \"{}{}\"}}}}\n", "${A:-".repeat(20_000), "}".repeat(20_000)));
    let (code, _) = run(&[]);
    assert!(code.is_some(), "it was ended by a signal");
    write("c.yaml", "services: {a: {image: \"x:1\", environment: {PASSWORD: geheim}}}\n");
    let output = tool(folder.path()).args(["adopt", "c.yaml", "--name", "shop", "--ssh-key", KEY, "-o", "shop.env"]).output().expect("runs");
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
}
