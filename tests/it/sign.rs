//! `sign` as users run it.

use assert_cmd::Command;
use predicates::str::contains;
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const PROFILE: &str = "
version: 1
name: web
distribution: debian-13
follow: {url: \"https://files.example.com/web.bundle\", key: KEY}
secrets: {TOKEN: {env: TOKEN}}
services:
  api:
    image: docker.io/library/nginx:1.27
    environment: {TOKEN: \"${TOKEN}\"}
";

fn tool(folder: &Path) -> Command {
    let mut command = Command::cargo_bin("julia-bootstrap").expect("the binary");
    command.env_clear().env("TOKEN", "correct-horse-battery").current_dir(folder);
    command
}

fn key(folder: &Path, name: &str) -> String {
    let output = tool(folder).args(["sign", "--new-key", name]).output().expect("running the binary");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

#[test]
fn a_signed_bundle_is_the_stack_alone_and_minisign_takes_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let public = key(folder.path(), "signing.key");
    let mode = folder.path().join("signing.key").metadata().expect("the key").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    std::fs::write(folder.path().join("web.yaml"), PROFILE.replace("KEY", &public)).expect("writing");
    tool(folder.path()).args(["sign", "web.yaml", "--key", "signing.key", "--serial", "7", "-o", "web.bundle"]).assert().success();
    let bundle = std::fs::read_to_string(folder.path().join("web.bundle")).expect("the bundle");
    let (signature, text) = bundle.split_once("\n\n").expect("two parts");
    let signature = minisign::SignatureBox::from_string(signature).expect("a signature");
    assert_eq!(signature.trusted_comment().expect("a comment"), "web 7");
    let public = minisign::PublicKey::from_base64(&public).expect("a key");
    minisign::verify(&public, &signature, Cursor::new(text), true, false, false).expect("the signature is right");
    let content: serde_json::Value = serde_json::from_str(text).expect("JSON");
    assert_eq!((content["name"].as_str(), content["serial"].as_u64()), (Some("web"), Some(7)));
    let paths: Vec<_> = content["files"].as_array().expect("files").iter().filter_map(|row| row[0].as_str()).collect();
    assert!(paths.contains(&"/opt/web/compose.yaml") && paths.contains(&"/etc/systemd/system/web-follow.timer"), "{paths:?}");
    for foreign in ["given.json", "authorized_keys", "sudoers", "sshd", "firewall.nft", "firewall.service", "web-host.service", "docker/daemon.json"] {
        assert!(!paths.iter().any(|path| path.contains(foreign)), "{foreign} travels");
    }
    assert!(!text.contains("correct-horse-battery"), "a secret travels");
}

#[test]
fn what_cannot_be_signed_is_said_and_nothing_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let (public, other) = (key(folder.path(), "signing.key"), key(folder.path(), "other.key"));
    assert_ne!(public, other);
    std::fs::write(folder.path().join("web.yaml"), PROFILE.replace("KEY", &public)).expect("writing");
    std::fs::write(folder.path().join("plain.yaml"), PROFILE.lines().filter(|line| !line.starts_with("follow")).collect::<Vec<_>>().join("\n"))
        .expect("writing");
    std::fs::write(folder.path().join("none.key"), "hello\n").expect("writing");
    let refused = |profile: &str, key: &str, more: &[&str], why: &str| {
        tool(folder.path()).args(["sign", profile, "--key", key, "-o", "out"]).args(more).assert().code(2).stderr(contains(why));
        assert!(!folder.path().join("out").exists());
    };
    refused("web.yaml", "other.key", &[], "is not the key of the profile");
    refused("plain.yaml", "signing.key", &[], &format!("key: {public}"));
    refused("web.yaml", "none.key", &[], "no secret key");
    refused("web.yaml", "missing.key", &[], "missing.key");
    refused("web.yaml", "signing.key", &["--serial", "0"], "--serial");
    refused("web.yaml", "signing.key", &["--set", "follow.key=abc"], "no public key");
    tool(folder.path()).args(["sign", "--new-key", "signing.key"]).assert().code(2).stderr(contains("is there already"));
}

#[test]
fn what_a_bundle_brings_only_one_machine_can_read() {
    use base64::Engine as _;
    let folder = tempfile::tempdir().expect("a folder");
    let public = key(folder.path(), "signing.key");
    let profile = PROFILE.replace("KEY", &public).replace("TOKEN: {env: TOKEN}", "TOKEN: {later: true}");
    std::fs::write(folder.path().join("web.yaml"), &profile).expect("writing");
    let run = |program: &str, words: &[&str]| std::process::Command::new(program).args(words).current_dir(folder.path()).output().expect("the program");
    assert!(run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", "host"]).status.success());
    let host = std::fs::read_to_string(folder.path().join("host.pub")).expect("the key");
    let scanned = format!("192.0.2.7 {}", host.split(' ').take(2).collect::<Vec<_>>().join(" "));
    let words = ["sign", "web.yaml", "--key", "signing.key", "-o", "web.bundle", "--bring", "TOKEN", "--to"];
    tool(folder.path()).env("PATH", std::env::var("PATH").expect("a path")).args(words).arg(&scanned).assert().success();
    let bundle = std::fs::read_to_string(folder.path().join("web.bundle")).expect("the bundle");
    assert!(!bundle.contains("correct-horse-battery"));
    let content: serde_json::Value = serde_json::from_str(bundle.split_once("\n\n").expect("two parts").1).expect("JSON");
    let blob = base64::engine::general_purpose::STANDARD.decode(content["secrets"].as_str().expect("secrets")).expect("base64");
    std::fs::write(folder.path().join("blob"), blob).expect("writing");
    let opened = run("age", &["-d", "-i", "host", "blob"]);
    assert_eq!(String::from_utf8_lossy(&opened.stdout), "{\"TOKEN\":\"correct-horse-battery\"}");
    tool(folder.path()).args(words).arg("ssh-rsa AAAA").assert().code(2).stderr(contains("other kinds of keys are not taken"));
    std::fs::write(folder.path().join("web.yaml"), PROFILE.replace("KEY", &public)).expect("writing");
    tool(folder.path()).args(words).arg(&scanned).assert().code(2).stderr(contains("TOKEN is no secret that comes later"));
}
