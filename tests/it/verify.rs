//! `verify`: what it takes, and what it says where nothing answers.

use crate::support::{KEY, tool};
use std::path::Path;

fn verify(folder: &Path, words: &[&str]) -> (Option<i32>, String) {
    let output = tool(folder).arg("verify").args(words).output().expect("runs");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let here = folder.path();
    std::fs::write(here.join("t.yaml"), format!("version: 1\nname: t\ndistribution: debian-13\nadmin: {{ssh_keys: [\"{KEY}\"]}}\ndomain: t.dev\nservices: {{a: {{image: \"x:1\", restart: always, healthcheck: {{test: x}}, x-bootstrap: {{route: {{path: /, port: 1}}}}}}}}\n")).expect("writes");
    for (words, told) in [
        (&["t.dev"][..], "write https://example.com"),
        (&["http://t.dev"], "it does not begin with https://"),
        (&["https://t.dev", "--ssh", "t.dev:x"], "write user@host, or user@host:2222"),
        (&["https://t.dev", "--checks", "nothing"], "no check is called so; there are dns-names"),
        (&["https://t.dev", "--checks", "backup"], "no check is called so"),
        (&["https://other.dev", "--profile", "t.yaml"], "other.dev is no name of this profile: it has t.dev"),
        (&["https://t.dev", "--profile", "t.yaml", "--set", "domain=not a domain"], "error"),
    ] {
        let (code, said) = verify(here, words);
        assert!(code == Some(2) && said.contains(told), "{words:?}: {code:?} {said}");
    }
}

#[test]
fn a_name_that_leads_nowhere_and_a_machine_that_is_silent_are_failures() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let here = folder.path();
    // RFC 6761: never resolves.
    let (code, said) = verify(here, &["https://machine.invalid", "-q", "--report", "none.json"]);
    assert!(std::fs::read_to_string(here.join("none.json")).expect("reads").contains("\"fail\""));
    assert!(code == Some(1) && said.contains("machine.invalid leads nowhere") && said.contains("--address"), "{said}");
    let (code, said) = verify(here, &["https://machine.invalid", "-q", "--address", "127.0.0.1", "--checks", "https-redirect,dns", "--json", "--report", "r.xml"]);
    let found: serde_json::Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}"));
    assert_eq!(code, Some(1));
    assert_eq!(found["checks"][0]["result"], "skipped");
    assert_eq!(found["checks"][1]["result"], "fail");
    assert!(std::fs::read_to_string(here.join("r.xml")).expect("reads").contains("failures=\"1\" skipped=\"1\""));
}
