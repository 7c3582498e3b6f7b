//! `render --hosts`, `schema`, `completions` and `man`.

use crate::support::{KEY, tool};
use predicates::prelude::*;
use std::path::Path;

fn written(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder).map(|rows| rows.flatten().map(|row| row.file_name().to_string_lossy().into_owned()).collect()).unwrap_or_default();
    names.sort();
    names
}

/// A small profile, and a table of hosts.
fn profile_and_hosts(here: &Path, hosts: &str) {
    let profile = format!("version: 1\nname: t\ndistribution: debian-13\nadmin: {{ssh_keys: [\"{KEY}\"]}}\n");
    for (name, text) in [("p.yaml", profile.as_str()), ("hosts.csv", hosts)] {
        std::fs::write(here.join(name), text).expect("writes");
    }
}

#[test]
fn each_row_is_a_machine_and_a_bad_one_stops_no_other() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let here = folder.path();
    profile_and_hosts(here, "name,host.timezone,ssh.port\nweb1,Europe/Lisbon,2222\nweb2,,\nweb3,Mars/Base,\nweb4,UTC,0\n");
    let yaml = "- {name: web1, host.timezone: Europe/Lisbon, ssh.port: 2222}\n- {name: web2}\n- {name: web3, host: {timezone: UTC, hostname: other}}\n";
    std::fs::write(here.join("hosts.yaml"), yaml).expect("writes");
    let out = |file: &str, folder: &str| {
        let mut command = tool(here);
        command.args(["render", "p.yaml", "--hosts", file, "-o", folder, "--format", "cloud-config"]);
        command
    };
    let said = predicate::str::contains("hosts.csv:4: web3").and(predicate::str::contains("hosts.csv:5: web4")).and(predicate::str::contains("2 of 4 hosts"));
    out("hosts.csv", "a").assert().code(2).stderr(said);
    assert_eq!(written(&here.join("a")), ["web1", "web2"]);
    out("hosts.yaml", "b").assert().success().stderr(predicate::str::contains("3 of 3 hosts"));
    std::fs::write(here.join("odd.csv"), "name,services.app.image,host.hostname\nweb1,x:1,\nweb2,,\nweb3,,#a\n").expect("writes");
    let warned = predicate::str::contains("warning[no-restart]: ").and(predicate::str::contains("(web1)")).and(predicate::str::contains("odd.csv:4: web3"));
    out("odd.csv", "odd").assert().code(2).stderr(warned.and(predicate::str::contains("stands behind this `#`")));
    assert_eq!(std::fs::read(here.join("a/web1")).expect("reads"), std::fs::read(here.join("b/web1")).expect("reads"));
    let alone = tool(here).args(["-q", "render", "p.yaml", "--format", "cloud-config", "--set", "host.hostname=web2"]).output().expect("runs");
    assert_eq!(alone.stdout, std::fs::read(here.join("a/web2")).expect("reads"));
    for (name, text, said) in [
        ("twice.csv", "name\na\na\n", "there twice"),
        ("path.csv", "name\n\n\r\n../../etc/x\n", "path.csv:4: `../../etc/x` is no host name"),
        ("head.csv", "host,domain\na,b\n", "no column is called `name`"),
        ("ragged.csv", "name,domain\n\na,b,c\n", "ragged.csv:3: the row has 3 cells, and the head 2"),
        ("column.csv", "name,domain,domain\na,b,c\n", "column.csv:1: the column `domain` is there twice"),
        ("name.csv", "\nname;ssh.port;name\na;22;b\n", "name.csv:2: the column `name` is there twice"),
        ("quote.csv", "name,host.timezone\na,\"UTC\"\nb,\"U\"\"TC\nc,UTC\n", "quote.csv:3: the quote is not closed"),
        ("first.csv", "\u{feff}\"name\na\n", "first.csv:1: the quote is not closed"),
        ("empty.csv", "name\n", "names no host"),
        ("bytes.csv", "name\n\u{0}\n", "no host name"),
        ("map.yaml", "name: a\n", "a list of hosts"),
        ("row.yaml", "- a\n", "row.yaml:1"),
        ("broken.yaml", "- {a\n", "broken.yaml"),
    ] {
        std::fs::write(here.join(name), text).expect("writes");
        out(name, "c").assert().code(2).stderr(predicate::str::contains(said));
        assert!(written(&here.join("c")).is_empty(), "{name}");
    }
    // Quotes that are closed, also over lines, and one within a cell.
    std::fs::write(here.join("quoted.csv"), "\"name\",\"runbook\"\n\"web1\",\"a \"\"b\"\",\nc\"\nweb2,5\"\n").expect("writes");
    out("quoted.csv", "g").assert().success();
    // As spreadsheets write it where the comma is the decimal sign.
    std::fs::write(here.join("excel.csv"), "\u{feff}name;host.timezone;ssh.port\r\nweb1;Europe/Lisbon;2222\r\nweb2;;\r\n").expect("writes");
    out("excel.csv", "e").assert().success();
    assert_eq!(std::fs::read(here.join("a/web1")).expect("reads"), std::fs::read(here.join("e/web1")).expect("reads"));
    // A blank line first, and by a pipe, which is read once.
    out("/dev/stdin", "f").write_stdin("\n\nname;host.timezone;ssh.port\nweb1;Europe/Lisbon;2222\n").assert().success();
    assert_eq!(std::fs::read(here.join("a/web1")).expect("reads"), std::fs::read(here.join("f/web1")).expect("reads"));
    // What is read is not written over: the profile by a host of its name, the table likewise.
    std::fs::write(here.join("h.csv"), "name\nweb9\np.yaml\nh.csv\n").expect("writes");
    let kept = std::fs::read(here.join("p.yaml")).expect("reads");
    out("h.csv", ".").assert().code(2).stderr(predicate::str::contains("h.csv:3: p.yaml").and(predicate::str::contains("h.csv:4: h.csv")).and(predicate::str::contains("1 of 3 hosts")));
    assert_eq!(std::fs::read(here.join("p.yaml")).expect("reads"), kept);
    out("hosts.yaml", "hosts.csv").assert().code(2).stderr(predicate::str::contains("hosts.csv is a file"));
    tool(here).args(["render", "p.yaml", "--hosts", "hosts.csv"]).assert().code(2);
    tool(here).args(["render", "p.yaml", "--hosts", "hosts.csv", "-o", "d", "--format", "bundle"]).assert().code(2);
    tool(here).args(["render", "p.yaml", "--hosts", "nowhere.csv", "-o", "d"]).assert().code(2).stderr(predicate::str::contains("nowhere.csv cannot be read"));
    assert!(!here.join("d").exists());
}

#[test]
fn hosts_of_one_domain_are_told_and_each_has_a_bundle_of_its_own() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let here = folder.path();
    profile_and_hosts(here, "name,domain\nweb1,a.example.dev\nweb2,b.example.dev\nweb3,a.example.dev\n");
    let out = |url: &str| {
        let mut command = tool(here);
        command.args(["render", "p.yaml", "--set", "tls.email=me@example.dev", "--hosts", "hosts.csv", "-o", "out", "--bundle-url", url]);
        command
    };
    out("https://files.example.dev/x/?q").assert().code(2).stderr(predicate::str::contains("without `?`"));
    out("https://files.example.dev/x").assert().code(2).stderr(predicate::str::contains("`https://files.example.dev/x/`"));
    assert!(!here.join("out").exists());
    out("https://files.example.dev/x/").assert().success().stderr(predicate::str::contains("2 hosts have the domain `a.example.dev` (web1, web3)"));
    assert_eq!(written(&here.join("out")), ["web1", "web1.bundle", "web2", "web2.bundle", "web3", "web3.bundle"]);
    let words = ["-q", "render", "p.yaml", "--set", "tls.email=me@example.dev", "--set", "domain=b.example.dev", "--set", "host.hostname=web2", "--bundle-url", "https://files.example.dev/x/web2.bundle"];
    let alone = tool(here).args(words).output().expect("runs");
    assert_eq!(alone.stdout, std::fs::read(here.join("out/web2")).expect("reads"));
    std::fs::write(here.join("hosts.csv"), "name\nweb1\nweb1.bundle\n").expect("writes");
    out("https://files.example.dev/x/").assert().code(2).stderr(predicate::str::contains("hosts.csv:2: the bundle of `web1`"));
    tool(here).args(["bundle", "p.yaml", "--set", "tls.email=me@example.dev", "--set", "domain=b.example.dev", "--set", "host.hostname=web2", "-o", "b"]).assert().success();
    assert_eq!(std::fs::read(here.join("b")).expect("reads"), std::fs::read(here.join("out/web2.bundle")).expect("reads"));
}

#[test]
fn the_schema_has_every_field_and_takes_the_profiles_that_are_here() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = tool(folder.path()).arg("schema").output().expect("runs").stdout;
    let schema: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    for field in julia_bootstrap::profile::docs() {
        let mut node = &schema;
        for part in field.path.split('.') {
            let (name, list) = part.strip_suffix("[]").map_or((part, false), |name| (name, true));
            if let Some(forms) = node["anyOf"].as_array() {
                node = forms.last().expect("a form");
            }
            node = if name.starts_with('<') { &node["additionalProperties"] } else { &node["properties"][name] };
            node = if list { &node["items"] } else { node };
        }
        assert!(field.path.ends_with("[]") || node["description"].as_str().is_some_and(|text| text.contains(&field.doc)), "{}: {node}", field.path);
    }
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    for (name, good) in [("reference", true), ("julia", true), ("minimal", true)] {
        let path = format!("{}/profiles/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        let mut report = julia_bootstrap::report::Report::new();
        let source = report.sources.add(&path, std::fs::read_to_string(&path).expect("reads"));
        let node = julia_bootstrap::yaml::parse(&mut report, source).expect("YAML");
        let value = julia_bootstrap::yaml::to_json(&node).expect("JSON");
        let wrong: Vec<String> = validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path)).collect();
        assert_eq!(wrong.is_empty(), good, "{name}: {wrong:#?}");
    }
    for wrong in [r#"{"version": 1, "name": "t"}"#, r#"{"version": 2, "name": "t", "distribution": "debian-13"}"#, r#"{"version": 1, "name": "t", "distribution": "debian-13", "nmae": 1}"#, r#"{"version": 1, "name": "t", "distribution": "debian-13", "ssh": {"port": 0}}"#] {
        assert!(!validator.is_valid(&serde_json::from_str(wrong).expect("JSON")), "{wrong}");
    }
}

#[test]
fn shells_and_man_are_told_of_every_command() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let text = String::from_utf8(tool(folder.path()).args(["completions", shell]).output().expect("runs").stdout).expect("text");
        for word in ["render", "init", "bundle-url", "power-cut"] {
            assert!(text.contains(word), "{shell}: {word}");
        }
        assert!(!text.contains("docs"), "{shell}: a hidden command is offered");
    }
    // Each of bash's states that is entered is one that is known: a command's options are then completed.
    let bash = String::from_utf8(tool(folder.path()).args(["completions", "bash"]).output().expect("runs").stdout).expect("text");
    let entered: Vec<_> = bash.lines().filter_map(|line| line.trim().strip_prefix("cmd=\"")?.strip_suffix('"')).filter(|state| !state.is_empty()).collect();
    assert!(entered.len() > 20, "{entered:?}");
    for state in entered {
        assert!(bash.lines().any(|line| line.trim() == format!("{state})")), "{state}");
    }
    tool(folder.path()).args(["man", "-o", "man"]).assert().success();
    let pages = written(&folder.path().join("man"));
    for page in ["julia-bootstrap.1", "julia-bootstrap-render.1", "julia-bootstrap-init.1"] {
        assert!(pages.contains(&page.to_owned()), "{pages:?}");
    }
    assert!(!pages.contains(&"julia-bootstrap-docs.1".to_owned()), "a hidden command has a page");
    for page in pages {
        let text = std::fs::read_to_string(folder.path().join("man").join(&page)).expect("reads");
        assert!(!text.contains("SH EXTRA") && !text.contains("Exit codes"), "{page}");
    }
    let page = std::fs::read_to_string(folder.path().join("man/julia-bootstrap-lock.1")).expect("reads");
    assert!(page.contains(".SH EXAMPLES\n  julia\\-bootstrap lock") && page.contains(".SH \"EXIT STATUS\"\n0 done"), "{page}");
}
