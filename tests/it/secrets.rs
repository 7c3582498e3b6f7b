//! Where secrets come from, and what waits for those that are still to come.

use crate::support::Test;
use assert_cmd::Command;
use julia_bootstrap::plan;
use predicates::prelude::PredicateBooleanExt;
use serde_json::Value;

const KEY: &str = "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ";

/// A file of the machine.
fn file(test: &Test, path: &str) -> Option<String> {
    let loaded = test.load();
    let plan = plan::plan(&loaded.profile.unwrap_or_else(|| panic!("{:?}", loaded.report))).expect("a plan");
    plan.files.iter().find(|file| file.path == path).map(|file| file.content.clone())
}

fn json(test: &Test, name: &str) -> Value {
    serde_json::from_str(&file(test, &format!("/etc/julia-bootstrap/{name}.json")).expect("the file")).expect("JSON")
}

#[test]
fn a_command_says_the_value() {
    for (command, value) in [("[printf, 'a b\\n\\n']", "a b\n"), ("printf 'x\\r\\n'", "x"), ("printf ' y'", " y")] {
        let test = Test::new(&format!("secrets: {{A: {{command: {command}, as: credential}}}}"));
        assert_eq!(json(&test, "given")["A"]["value"], value, "{command}");
    }
}

#[test]
fn a_command_that_fails_is_told_without_what_it_said() {
    for (command, why) in [("echo hunter2; exit 3", "exit status: 3"), ("[no-such-program-here]", "cannot be run"), ("printf '\\377'", "not UTF-8"), ("[yes]", "more than 8192 bytes")] {
        let said = Test::new(&format!("secrets:\n  A: {{command: {command:?}}}").replace("\"[", "[").replace("]\"", "]")).findings();
        assert!(said.contains(why) && said.contains("6:16 error[secret-command]") && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn check_runs_no_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let (profile, mark) = (folder.path().join("p.yaml"), folder.path().join("mark"));
    let text = format!(
        "version: 1\nname: t\ndistribution: debian-13\nadmin: {{ssh_keys: [\"{}\"]}}\nsecrets: {{A: {{command: [sh, -c, \"touch {}; echo x\"], as: credential}}}}\n",
        crate::support::KEY,
        mark.display()
    );
    std::fs::write(&profile, text).expect("writing");
    let run = |command: &str| Command::cargo_bin("julia-bootstrap").expect("the binary").args(["-q", command]).arg(&profile).assert().success();
    run("check");
    assert!(!mark.exists());
    run("render");
    assert!(mark.exists());
}

#[test]
fn what_is_sealed_is_not_embedded() {
    let manifest = format!("{{\"key\": \"{KEY}\", \"sha256\": \"{}\", \"secrets\": [\"A\"]}}", "ab".repeat(32));
    let sealed = |names: &str| {
        Test::new(&format!("secrets: {{{names}}}\nsealed: {{url: \"https://files.example.com/x?sig=1\", file: s.json}}")).file("s.json", &manifest)
    };
    let test = sealed("A: {env: V, sealed: true}, B: {env: W}").env("W", "w-value");
    let row = json(&test, "sealed");
    assert_eq!((row["key"].as_str(), row["url"].as_str()), (Some(KEY), Some("https://files.example.com/x?sig=1")));
    assert_eq!(json(&test, "given").as_object().expect("rows").keys().collect::<Vec<_>>(), ["B"]);
    assert_eq!(json(&test, "plan")["secrets"][0], serde_json::json!({"name": "A", "sealed": true}));
    assert!(json(&test, "plan")["packages"]["edge"].as_array().expect("packages").contains(&"age".into()));
    assert!(sealed("A: {env: V, sealed: true}, C: {env: V, sealed: true}").findings().contains("not sealed yet: `C`"));
    assert!(Test::new("secrets: {A: {env: V, sealed: true}}").findings().contains("does not say where sealed secrets lie"));
    assert!(Test::new("secrets: {A: {generate: 32, sealed: true}}").findings().contains("has no value yet that could be sealed"));
    assert!(sealed("A: {env: V, sealed: true}").file("s.json", "{}").findings().contains("this is not what `seal` writes"));
    assert!(sealed("A: {env: V, sealed: true}").file("s.json", manifest.replace("KEY-1Q", "KEY-1\\n")).findings().contains("damaged"));
}

#[test]
fn who_needs_what_comes_later_waits() {
    let services = "secrets: {tok: {environment: LATER}}
services:
  direct: {image: 'x:1', environment: {A: '${LATER}'}}
  listed: {image: 'x:1', environment: [LATER]}
  named: {image: 'x:1', environment: {LATER: }}
  whole: {image: 'x:1', env_file: .env}
  file: {image: 'x:1', volumes: ['./credentials/key.pem:/k:ro']}
  folder: {image: 'x:1', volumes: ['./credentials/:/k:ro']}
  declared: {image: 'x:1', secrets: [tok]}
  after: {image: 'x:1', depends_on: [direct]}
  later-still: {image: 'x:1', depends_on: {after: {condition: service_started}}}
  turns: {image: 'x:1', environment: {A: '${LATER}'}, healthcheck: {test: x}, x-bootstrap: {deploy: blue-green, route: {path: /, port: 9}}}
  asks: {image: 'x:1', depends_on: [turns]}
  beside: {image: 'x:1', network_mode: 'service:direct'}
  inherits: {image: 'x:1', volumes_from: ['file:ro']}
  other: {image: 'x:1', environment: {A: '${MADE}', LATERAL: '${LATERAL:-x}', TEXT: 'LATER $$LATER'}}
";
    let test = Test::new("domain: t.dev\nsecrets: {LATER: {later: true}, key.pem: {later: true, as: credential}, MADE: generate}\ncompose: c.yaml\n");
    let test = test.file("c.yaml", services);
    let needs = json(&test, "plan")["needs"].clone();
    let both = serde_json::json!(["LATER"]);
    let names: Vec<_> = needs.as_object().expect("rows").keys().cloned().collect();
    assert_eq!(names, ["after", "asks", "beside", "declared", "direct", "file", "folder", "inherits", "later-still", "listed", "named", "turns", "whole"]);
    for name in ["after", "asks", "beside", "declared", "direct", "later-still", "turns", "whole"] {
        assert_eq!(needs[name], both, "{name}");
    }
    assert_eq!((&needs["file"], &needs["folder"]), (&serde_json::json!(["key.pem"]), &serde_json::json!(["key.pem"])));
    assert!(file(&test, "/usr/local/lib/julia-bootstrap/late.py").is_some());
    assert!(file(&Test::new("secrets: {A: generate}"), "/usr/local/lib/julia-bootstrap/late.py").is_none());
}

#[test]
fn what_the_machine_itself_needs_cannot_come_later() {
    let said = Test::service("").set("alerts={slack: A}").set("secrets={A: {later: true}}").findings();
    assert!(said.contains("error[later] `A` is needed from the first boot on"), "{said}");
}

#[test]
fn what_comes_later_is_not_demanded_of_compose() {
    let said = Test::service("environment: {A: '${L:?is missing}'}").set("secrets={L: {later: true}}").findings();
    assert!(said.contains("error[later] `L` comes later, and until then Compose would start nothing at all"), "{said}");
}

/// The tool, on a profile in a folder.
fn tool(folder: &std::path::Path, words: &[&str]) -> assert_cmd::assert::Assert {
    Command::cargo_bin("julia-bootstrap").expect("the binary").current_dir(folder).env_remove("V").args(words).assert()
}

#[test]
fn what_is_read_is_not_written_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let profile = format!(
        "version: 1\nname: t\ndistribution: debian-13\nadmin: {{ssh_keys: [\"{}\"]}}\nsecrets: {{A: {{file: a.key, as: credential}}}}\ncompose: c.yaml\n",
        crate::support::KEY
    );
    let written = [
        ("p.yaml", profile.as_str()),
        ("v.env", "V=1\n"),
        ("a.key", "secret"),
        ("c.yaml", "services: {web: {image: \"nginx:1\"}}\n"),
        ("o.yaml", "host: {hostname: h}\n"),
        ("p.lock.json", "{\"version\": 1, \"images\": {}}\n"),
    ];
    for (name, text) in written {
        std::fs::write(folder.path().join(name), text).expect("writing");
    }
    std::os::unix::fs::symlink("a.key", folder.path().join("link")).expect("a link");
    for words in [
        &["render", "p.yaml", "-o", "./p.yaml"][..],
        &["bundle", "p.yaml", "-o", "p.yaml"],
        &["iso", "p.yaml", "-o", "p.yaml"],
        &["render", "p.yaml", "--env-file", "v.env", "-o", "v.env"],
        &["render", "p.yaml", "-o", "a.key"],
        &["render", "p.yaml", "-o", "link"],
        &["render", "p.yaml", "-o", "c.yaml"],
        &["render", "p.yaml", "-o", "p.lock.json"],
        &["render", "p.yaml", "--size", "-o", "c.yaml"],
        &["render", "p.yaml", "--overlay", "o.yaml", "-o", "o.yaml"],
        &["iso", "p.yaml", "-o", "a.key"],
        &["bundle", "p.yaml", "-o", "c.yaml"],
        &["sign", "p.yaml", "--key", "v.env", "-o", "a.key"],
        &["seal", "p.yaml", "--env-file", "v.env", "-o", "v.env"],
        &["seal", "p.yaml", "-o", "p.lock"],
        &["sign", "p.yaml", "--key", "v.env", "-o", "v.env"],
        &["boot", "p.yaml", "--report", "p.yaml"],
        &["boot", "p.yaml", "--bundle-url", "http://f.example/x", "--bundle-file", "c.yaml"],
        &["boot", "p.yaml", "--user-data", "v.env", "--report", "v.env"],
    ] {
        tool(folder.path(), words).code(2).stderr(predicates::str::contains("is read here, and would be written over"));
    }
    tool(folder.path(), &["render", "p.yaml", "--bundle-url", "http://f.example/x", "-o", "out"]).success().stderr(predicates::str::contains("by http:// everybody on the way can read the secrets in the bundle (1)"));
    tool(folder.path(), &["render", "p.yaml", "--bundle-url", "https://f.example/x", "-o", "out"]).success().stderr(predicates::str::contains("everybody on the way").not());
    for (name, text) in written {
        assert_eq!(std::fs::read_to_string(folder.path().join(name)).expect("reading"), text, "{name}");
    }
}

#[test]
fn explain_says_where_secrets_come_from_and_asks_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let profile = format!(
        "version: 1\nname: t\ndistribution: debian-13\nadmin: {{ssh_keys: [\"{}\"]}}\nsecrets:\n  A: {{command: [touch, mark], as: credential}}\n  B: {{file: b}}\n  C: {{env: W}}\n  D: generate\n",
        crate::support::KEY
    );
    std::fs::write(folder.path().join("p.yaml"), profile).expect("writing");
    std::fs::write(folder.path().join("b"), "value-of-b").expect("writing");
    let run = |words: &[&str]| {
        let mut command = Command::cargo_bin("julia-bootstrap").expect("the binary");
        command.current_dir(folder.path()).env("W", "value-of-c").args(["-q", "explain", "p.yaml"]).args(words).assert().success()
    };
    for words in [&[][..], &["--json"], &["--size"]] {
        let output = run(words).get_output().stdout.clone();
        let text = String::from_utf8(output).expect("text");
        assert!(!text.contains("value-of"), "{text}");
        for from in ["A: from what `touch` says", "B: from the file b", "C: from the variable W", "D: made on the machine"] {
            assert!(!words.is_empty() || text.contains(from), "{from}: {text}");
        }
    }
    assert!(!folder.path().join("mark").exists());
}
