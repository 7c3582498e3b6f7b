//! `render`, `iso` and `docs` as users run them.

use crate::support::KEY;
use assert_cmd::Command;
use predicates::prelude::*;
use sha2::{Digest, Sha256};
use std::os::unix::fs::PermissionsExt;
use std::{fs, path::Path};

fn tool() -> Command {
    let mut command = Command::cargo_bin("julia-bootstrap").expect("the binary");
    command.env_clear();
    command
}

fn render(arguments: &[&str]) -> Vec<u8> {
    let output = tool().args(["-q", "render"]).args(arguments).output().expect("running the binary");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn the_same_profile_gives_the_same_bytes() {
    for format in ["packed", "lzma", "cloud-config"] {
        let first = render(&["julia", "--format", format]);
        assert_eq!(first, render(&["julia", "--format", format]));
        assert!(first.starts_with(b"#cloud-config\n"));
        // The readable form holds the profile's own letters.
        assert!(first.is_ascii() || (format == "cloud-config" && String::from_utf8(first).is_ok()));
    }
}

#[test]
fn a_packed_user_data_has_nothing_that_a_template_or_shell_would_take_for_its_own() {
    for format in ["packed", "lzma"] {
        let text = String::from_utf8(render(&["julia", "--format", format])).expect("text");
        for foreign in ["$", "{{", "{%", "{#", "%{", "`"] {
            assert!(!text.contains(foreign), "{foreign} stands in the user-data");
        }
    }
}

#[test]
fn what_a_provider_does_not_take_is_refused_with_what_would_fit() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("user-data");
    let told = predicate::str::contains("error: Hetzner Cloud takes 32768 bytes, and the user-data has ")
        .and(predicate::str::is_match("\n  stages +[0-9]+ bytes\n").expect("a pattern"))
        .and(predicate::str::is_match("with `--set monitoring=none --set backup=null`: [0-9]+ bytes, which fits\n").expect("a pattern"))
        .and(predicate::str::contains("with `--bundle-url URL`"));
    // With the key that nobody goes without.
    let key = format!("admin.ssh_keys=[{KEY}]");
    tool().args(["-q", "render", "julia", "--provider", "hetzner", "--set", &key, "-o"]).arg(&out).assert().code(2).stdout("").stderr(told);
    assert!(!out.exists());
    tool().args(["render", "minimal", "--provider", "nowhere"]).assert().code(2).stdout("").stderr(predicate::str::contains("hetzner"));
    let listed = tool().args(["providers", "--json"]).output().expect("running the binary").stdout;
    let listed: Vec<serde_json::Value> = serde_json::from_slice(&listed).expect("JSON");
    assert_eq!(listed.len(), 10);
    for provider in listed {
        let format = provider["on_debian"].as_str().or_else(|| provider["format"].as_str()).expect("a format");
        let id = provider["id"].as_str().expect("a name");
        assert!(render(&["minimal", "--provider", id]) == render(&["minimal", "--format", format]), "{id}");
        // A stub is a script where scripts are all that is run.
        let stub = render(&["julia", "--provider", id, "--bundle-url", "https://files.example.com/x"]);
        assert!(stub.starts_with(if format == "sh" { b"#!/bin/sh\n" } else { b"#cloud-config\n" }) && stub.len() < 2500, "{id}");
    }
    for bad in ["ftp://files.example.com/x", "https://me:geheim@files.example.com/x", "x", "https://files.example.com/'"] {
        tool().args(["render", "minimal", "--bundle-url", bad]).assert().code(2).stdout("");
    }
}

#[test]
fn a_bundle_to_upload_is_the_same_each_time_and_says_what_it_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str| {
        let path = folder.path().join(name);
        tool().env("T", "geheimnis").args(["bundle", "minimal", "--set", "secrets.T={env: T}", "-o"]).arg(&path).assert().success()
            .stderr(predicate::str::contains("it holds 1 secret"));
        fs::read(path).expect("the bundle")
    };
    assert_eq!(write("a"), write("b"));
    assert_eq!(fs::metadata(folder.path().join("a")).expect("the bundle").permissions().mode() & 0o777, 0o600);
}

#[test]
fn errors_end_with_2_and_write_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("user-data");
    let bad = ["--set", "ssh.port=0"];
    tool().args(["render", "minimal", "-o"]).arg(&out).args(bad).assert().code(2).stdout("").stderr(predicate::str::contains("port"));
    assert!(!out.exists());
    tool().args(["render", "minimal", "--format", "bundle"]).assert().code(2).stdout("");
    tool().args(["iso", "minimal", "-o"]).arg(&out).args(bad).assert().code(2).stdout("");
    assert!(!out.exists());
}

#[test]
fn a_dash_is_standard_output_or_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = |arguments: &[&str]| {
        let mut command = tool();
        command.current_dir(folder.path()).arg("-q").args(arguments);
        command
    };
    let printed = |arguments: &[&str]| {
        let output = here(arguments).output().expect("running");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    assert_eq!(printed(&["render", "minimal", "-o", "-"]), render(&["minimal"]));
    assert_eq!(printed(&["render", "minimal", "--size", "-o", "-"]), render(&["minimal", "--size"]));
    assert!(printed(&["explain", "minimal", "--html", "-"]).starts_with(b"<!"));
    for command in ["iso", "bundle"] {
        here(&[command, "minimal", "-o", "file"]).assert().success();
        assert!(printed(&[command, "minimal", "-o", "-"]) == fs::read(folder.path().join("file")).expect("the file"), "{command}");
    }
    for (arguments, said) in [
        (&["render", "minimal", "--format", "bundle", "-o", "-"][..], "a bundle is a folder"),
        (&["render", "minimal", "--hosts", "hosts.csv", "-o", "-"][..], "the hosts' files go into a folder"),
        (&["seal", "minimal", "-o", "-"][..], "name a file instead of `-`"),
        (&["man", "-o", "-"][..], "name one instead of `-`"),
    ] {
        here(arguments).assert().code(2).stdout("").stderr(predicate::str::contains(said));
    }
    let names: Vec<_> = fs::read_dir(folder.path()).expect("the folder").flatten().map(|row| row.file_name()).collect();
    assert_eq!(names, ["file"]);
}

#[test]
fn a_given_secret_is_in_the_payload_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let env = folder.path().join("env");
    fs::write(&env, "API_TOKEN=correct-horse-battery\n").expect("writing");
    let set = ["--set", "secrets.API_TOKEN={env: API_TOKEN}"];
    let output = tool().args(["-v", "render", "minimal", "--env-file"]).arg(&env).args(set).output().expect("running");
    assert!(output.status.success());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("metadata"), "no warning: {told}");
    assert!(!told.contains("correct-horse"));
    assert!(!String::from_utf8_lossy(&output.stdout).contains("correct-horse"));
    let bundle = folder.path().join("bundle");
    tool().args(["-q", "render", "minimal", "--format", "bundle", "-o"]).arg(&bundle).arg("--env-file").arg(&env).args(set).assert().success();
    let given = bundle.join("root/etc/julia-bootstrap/given.json");
    assert!(fs::read_to_string(&given).expect("given.json").contains("correct-horse-battery"));
    assert_eq!(fs::metadata(&given).expect("given.json").permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_bundle_is_what_its_manifest_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let bundle = folder.path().join("bundle");
    for _ in 0..2 {
        tool().args(["-q", "render", "julia", "--format", "bundle", "-o"]).arg(&bundle).assert().success();
    }
    let manifest = fs::read(bundle.join("manifest.json")).expect("manifest");
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&manifest).expect("JSON");
    assert!(rows.len() > 30);
    for row in &rows {
        let path = bundle.join("root").join(row["path"].as_str().expect("path").trim_start_matches('/'));
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let sum: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(row["sha256"], sum, "{}", path.display());
        let mode = fs::metadata(&path).expect("metadata").permissions().mode() & 0o7777;
        assert_eq!(row["mode"], format!("{mode:04o}"), "{}", path.display());
    }
    assert_eq!(fs::read(bundle.join("user-data")).expect("user-data"), render(&["julia"]));
    // A folder of somebody else's is left alone.
    let other = folder.path().join("other");
    fs::create_dir(&other).expect("a folder");
    fs::write(other.join("mine"), "x").expect("a file");
    tool().args(["-q", "render", "minimal", "--format", "bundle", "-o"]).arg(&other).assert().code(1);
    assert_eq!(fs::read_dir(&other).expect("the folder").count(), 1);
}

#[test]
fn the_seed_is_reproducible_and_holds_three_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let images: Vec<_> = ["a.iso", "b.iso"]
        .iter()
        .map(|name| {
            let path = folder.path().join(name);
            tool().args(["-q", "iso", "minimal", "-o"]).arg(&path).assert().success();
            fs::read(path).expect("the image")
        })
        .collect();
    assert_eq!(images[0], images[1]);
    let image = &images[0];
    assert_eq!(&image[0x8028..0x802e], b"CIDATA");
    for name in ["USER-DATA;1", "META-DATA;1", "NETWORK-CONFIG;1"] {
        assert!(image.windows(name.len()).any(|window| window == name.as_bytes()), "{name}");
    }
    // An independent reader, where there is one: xorriso belongs to the packages of the lab.
    if Path::new("/usr/bin/xorriso").exists() {
        let listed = std::process::Command::new("xorriso")
            .args(["-indev"])
            .arg(folder.path().join("a.iso"))
            .args(["-osirrox", "on", "-extract", "/user-data"])
            .arg(folder.path().join("read"))
            .output()
            .expect("running xorriso");
        assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
        assert_eq!(fs::read(folder.path().join("read")).expect("the file"), render(&["minimal"]));
    } else {
        assert!(std::env::var_os("CI").is_none(), "xorriso is missing");
        eprintln!("SKIPPED: xorriso is missing, so no independent program read the image");
    }
}

#[test]
fn every_size_row_is_told() {
    let text = String::from_utf8(render(&["julia", "--size"])).expect("text");
    for section in ["stages", "units", "base", "web", "stack", "all"] {
        assert!(text.lines().any(|line| line.starts_with(section)), "{section} is missing:\n{text}");
    }
}

#[test]
fn the_reference_pages_are_up_to_date() {
    for page in ["profile", "commands", "machine", "budget"] {
        let output = tool().args(["-q", "docs", page, "julia"]).output().expect("running");
        let file = format!("{}/docs/{page}.md", env!("CARGO_MANIFEST_DIR"));
        let have = fs::read_to_string(&file).unwrap_or_default();
        assert!(have.as_bytes() == output.stdout, "docs/{page}.md is old: run `make docs`");
    }
}

#[test]
fn an_overlay_and_a_set_reach_the_machine() {
    let folder = tempfile::tempdir().expect("a folder");
    let overlay = folder.path().join("over.yaml");
    fs::write(&overlay, "host: {hostname: from-overlay}\n").expect("writing");
    let bundle = folder.path().join("bundle");
    tool()
        .args(["-q", "render", "minimal", "--format", "bundle", "--set"])
        .arg(format!("admin.ssh_keys+=[\"{KEY}\"]"))
        .arg("--overlay")
        .arg(&overlay)
        .arg("-o")
        .arg(&bundle)
        .assert()
        .success();
    let plan = fs::read_to_string(bundle.join("root/etc/julia-bootstrap/plan.json")).expect("plan.json");
    assert!(plan.contains("from-overlay"));
    let keys = fs::read_to_string(bundle.join("root/etc/julia-bootstrap/authorized_keys")).expect("keys");
    assert_eq!(keys, format!("{KEY}\n"));
}

#[test]
fn an_output_that_is_closed_is_an_error() {
    let binary = assert_cmd::cargo::cargo_bin("julia-bootstrap");
    for (arguments, closed) in [("render julia", true), ("explain julia --json", true), ("providers", true), ("providers", false)] {
        let line = format!("exec \"$0\" -q {arguments} {}", if closed { ">&-" } else { ">/dev/null" });
        let mut command = std::process::Command::new("sh");
        let output = command.args(["-c", &line]).arg(&binary).env_clear().output().expect("running sh");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(i32::from(closed)), "{arguments}: {said}");
        assert_eq!(said.contains("standard output: it is closed"), closed, "{arguments}: {said}");
    }
}
