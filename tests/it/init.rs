//! `init` as scripts use it; on a terminal it is tried by `tests/terminal/init`.

use crate::support::{KEY, tool};
use predicates::prelude::*;
use std::path::Path;

#[test]
fn what_it_writes_passes_the_strict_check() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for with in ["none", "postgres", "redis", "postgres,redis"] {
        for (domain, image) in [("none", "none"), ("none", "ghcr.io/acme/shop:1.4.2"), ("shop.acme.dev", "ghcr.io/acme/shop:1.4.2")] {
            let _ = std::fs::remove_file(folder.path().join("t.yaml"));
            let words = ["init", "t.yaml", "--name", "t", "--domain", domain, "--ssh-key", KEY, "--image", image, "--with", with, "--health", "/health"];
            tool(folder.path()).args(words).assert().success();
            tool(folder.path()).args(["check", "--strict", "t.yaml"]).assert().success();
            tool(folder.path()).args(["render", "t.yaml", "--format", "cloud-config"]).assert().success();
        }
    }
}

#[test]
fn a_file_that_is_there_is_left_alone_and_a_wrong_answer_writes_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("mine.yaml"), "mine").expect("writes");
    let good = ["--name", "t", "--domain", "none", "--ssh-key", KEY];
    tool(folder.path()).args(["init", "mine.yaml"]).args(good).assert().code(2).stderr(predicate::str::contains("is there already"));
    assert_eq!(std::fs::read_to_string(folder.path().join("mine.yaml")).expect("reads"), "mine");
    for (words, said) in [
        (vec![], "give --domain, --name, --ssh-key"),
        (vec!["--name", "A B", "--domain", "none", "--ssh-key", KEY], "--name: "),
        (vec!["--name", "t", "--domain", "no domain", "--ssh-key", KEY], "--domain: "),
        (vec!["--name", "t", "--domain", "t.dev", "--ssh-key", KEY, "--email", "nobody", "--image", "x:1"], "--email: "),
        (vec!["--name", "t", "--domain", "none", "--ssh-key", "nowhere.pub"], "nowhere.pub cannot be read"),
        (vec!["--name", "t", "--domain", "none", "--ssh-key", "ssh-ed25519 AAAA me"], "--ssh-key: "),
        (vec!["--name", "t", "--domain", "t.dev", "--ssh-key", KEY, "--image", "none"], "lead to something"),
        (vec!["--name", "t", "--domain", "none", "--ssh-key", KEY, "--timezone", "Mars/Base"], "--timezone: "),
        (vec!["--name", "t", "--domain", "none", "--ssh-key", KEY, "--with", "none", "--with", "postgres"], "--with: `none`"),
        (vec!["--from", "minimal", "--name", "t"], "cannot be used with"),
        (vec!["--from", "nowhere"], "reference"),
        (vec!["--name", "t", "--domain", "t.dev", "--ssh-key", KEY, "--image", "x:latest"], "error"),
    ] {
        let outcome = tool(folder.path()).arg("init").args(&words).assert();
        if said == "error" {
            // A warning of `check` is one here, too.
            outcome.stderr(predicate::str::contains("latest").and(predicate::str::contains("t.yaml:")).and(predicate::str::contains("/profile.yaml").not()));
            std::fs::remove_file(folder.path().join("t.yaml")).expect("written with a warning");
            continue;
        }
        outcome.code(2).stderr(predicate::str::contains(said));
        assert_eq!(std::fs::read_dir(folder.path()).expect("lists").count(), 1, "{words:?}");
    }
}

#[test]
fn the_programs_own_profiles_are_written_as_they_are() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in ["julia", "minimal", "reference"] {
        tool(folder.path()).args(["init", "--from", name]).assert().success().stderr(predicate::str::contains(format!("check {name}.yaml")));
        let own = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("profiles/{name}.yaml"))).expect("reads");
        assert_eq!(std::fs::read(folder.path().join(format!("{name}.yaml"))).expect("reads"), own);
        tool(folder.path()).args(["init", "--from", name]).assert().code(2).stderr(predicate::str::contains("is there already"));
    }
}

#[test]
fn keys_come_from_the_home_folder_and_from_github() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(folder.path().join(".ssh")).expect("makes a folder");
    std::fs::write(folder.path().join(".ssh/id_ed25519.pub"), format!("{KEY}\n")).expect("writes");
    tool(folder.path()).args(["init", "own.yaml", "--name", "t", "--domain", "none"]).assert().success().stderr(predicate::str::contains("SHA256:"));
    assert!(std::fs::read_to_string(folder.path().join("own.yaml")).expect("reads").contains(KEY));

    let mut server = mockito::Server::new();
    let bare = KEY.rsplit_once(' ').expect("a comment").0;
    server.mock("GET", "/anna.keys").with_body(format!("{bare}\nssh-dss AAAAB3NzaC1kc3M\n")).create();
    server.mock("GET", "/bert.keys").with_status(404).create();
    server.mock("GET", "/cora.keys").with_body("").create();
    let from = |user: &str, file: &str| {
        let mut command = tool(folder.path());
        command.env("JULIA_BOOTSTRAP_GITHUB", server.url()).args(["init", file, "--name", "t", "--domain", "none", "--ssh-key", &format!("github:{user}")]);
        command
    };
    from("anna", "anna.yaml").assert().success().stderr(predicate::str::contains("anna@github"));
    assert!(std::fs::read_to_string(folder.path().join("anna.yaml")).expect("reads").contains(&format!("{bare} anna@github")));
    from("bert", "bert.yaml").assert().code(2).stderr(predicate::str::contains("knows no user"));
    from("cora", "cora.yaml").assert().code(2).stderr(predicate::str::contains("has no key"));
    from("../x", "x.yaml").assert().code(2).stderr(predicate::str::contains("is no name"));
}
