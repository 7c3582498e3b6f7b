//! `lock`: against a played registry, and what the lock does to a profile.

use crate::support::{KEY, Test};
use assert_cmd::Command;
use julia_bootstrap::plan;
use mockito::{Matcher, ServerGuard};
use predicates::prelude::*;
use std::path::{Path, PathBuf};

const PASSWORD: &str = "geheim-word-1234567890";

fn digest(byte: &str) -> String {
    format!("sha256:{}", byte.repeat(32))
}

/// A profile whose images are at the played registry.
fn profile(folder: &Path, services: &str) -> PathBuf {
    let path = folder.join("my.yaml");
    let text = format!("version: 1\nname: t\ndistribution: debian-13\nadmin: {{ssh_keys: [\"{KEY}\"]}}\n{services}\n");
    std::fs::write(&path, text).expect("writing");
    path
}

fn service(name: &str, image: &str) -> String {
    format!("  {name}: {{image: \"{image}\", restart: always, healthcheck: {{test: x}}}}\n")
}

fn lock(path: &Path, more: &[&str]) -> assert_cmd::assert::Assert {
    Command::cargo_bin("julia-bootstrap").expect("the binary").env_clear().env("PASS", PASSWORD).arg("lock").arg(path).args(more).assert()
}

/// The registry tells the digest of one image to who has the token.
fn tells(server: &mut ServerGuard, image: &str, tag: &str, digest: &str) -> mockito::Mock {
    server
        .mock("HEAD", format!("/v2/{image}/manifests/{tag}").as_str())
        .match_header("authorization", "Bearer a-token")
        .match_header("accept", Matcher::Regex("image.index".to_owned()))
        .with_header("docker-content-digest", digest)
        .create()
}

/// It wants a token, and gives one to everybody, or to one login.
fn guards(server: &mut ServerGuard, login: Option<&str>) -> [mockito::Mock; 4] {
    let closed = ["HEAD", "GET"].map(|method| server.mock(method, Matcher::Regex("manifests".to_owned())).match_header("authorization", Matcher::Missing).with_status(401).create());
    let challenge = format!("Bearer realm=\"{}/token\",service=\"played\"", server.url());
    let front = server.mock("GET", "/v2/").with_status(401).with_header("www-authenticate", &challenge).create();
    let token = server.mock("GET", Matcher::Regex("^/token".to_owned()));
    let token = match login {
        Some(login) => token.match_header("authorization", format!("Basic {login}").as_str()),
        None => token,
    };
    let [head, get] = closed;
    [head, get, front, token.with_body("{\"token\": \"a-token\"}").create()]
}

#[test]
fn tags_become_digests_and_moves_are_seen() {
    let mut server = mockito::Server::new();
    let at = server.host_with_port();
    let _guard = guards(&mut server, None);
    let first = tells(&mut server, "me/app", "1", &digest("0a"));
    let _other = tells(&mut server, "me/db", "2", &digest("0b"));
    let folder = tempfile::tempdir().expect("a folder");
    let rows = service("a", &format!("{at}/me/app:1")) + &service("b", &format!("{at}/me/db:2")) + &service("c", &format!("{at}/me/app:1"));
    let path = profile(folder.path(), &format!("services:\n{rows}"));
    lock(&path, &["--check"]).code(2).stderr(predicate::str::contains("run `julia-bootstrap lock` first"));
    lock(&path, &[]).success().stdout(format!("new    {at}/me/app:1  sha256:0a0a0a0a0a0a\nnew    {at}/me/db:2  sha256:0b0b0b0b0b0b\n"));
    let text = std::fs::read_to_string(folder.path().join("my.lock.json")).expect("a lock");
    assert_eq!(text.matches("sha256:").count(), 2, "{text}");
    lock(&path, &["--check"]).success();
    let render = || Command::cargo_bin("julia-bootstrap").expect("the binary").args(["-q", "render", "--format", "cloud-config"]).arg(&path).assert().success();
    let output = render().get_output().stdout.clone();
    let rendered = String::from_utf8(output).expect("text");
    assert!(rendered.contains(&format!("{at}/me/app:1@{}", digest("0a"))), "{rendered}");
    first.remove();
    let _moved = tells(&mut server, "me/app", "1", &digest("0c"));
    lock(&path, &["--check"]).code(1).stdout(predicate::str::contains("moved  ").and(predicate::str::contains("sha256:0a0a0a0a0a0a → sha256:0c0c0c0c0c0c")));
    assert_eq!(std::fs::read_to_string(folder.path().join("my.lock.json")).expect("a lock"), text);
}

#[test]
fn logins_of_the_profile_are_used_and_not_shown() {
    let mut server = mockito::Server::new();
    let at = server.host_with_port();
    let login = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("me:{PASSWORD}"));
    let _guard = guards(&mut server, Some(&login));
    let _app = tells(&mut server, "me/app", "1", &digest("0a"));
    let folder = tempfile::tempdir().expect("a folder");
    let rows = service("a", &format!("{at}/me/app:1"));
    let with = format!("docker: {{logins: [{{registry: \"{at}\", username: me, password: P}}]}}\nsecrets: {{P: {{env: PASS, as: credential}}}}\nservices:\n{rows}");
    let said = lock(&profile(folder.path(), &with), &[]).success();
    let said = format!("{:?}", said.get_output());
    assert!(!said.contains(PASSWORD), "{said}");
    lock(&profile(folder.path(), &format!("services:\n{rows}")), &[]).code(1).stderr(predicate::str::contains("needs a login (`docker.logins`)"));
}

#[test]
fn every_trouble_is_a_sentence_and_nothing_is_written() {
    for (status, body, wanted) in [
        (404, "{\"errors\": [{\"code\": \"MANIFEST_UNKNOWN\"}]}", "has no image"),
        (404, "gone", "has no image"),
        (401, "{\"errors\": [{\"code\": \"UNAUTHORIZED\"}]}", "needs a login"),
        (403, "{\"errors\": [{\"code\": \"DENIED\"}]}", "needs a login"),
        (429, "{\"errors\": [{\"code\": \"TOOMANYREQUESTS\"}]}", "asked too often"),
        (500, "<html>", "answered 500"),
    ] {
        let mut server = mockito::Server::new();
        let at = server.host_with_port();
        let _front = server.mock("GET", "/v2/").create();
        let place = Matcher::Regex("^/v2/me/app/manifests/1".to_owned());
        let _head = server.mock("HEAD", place.clone()).with_status(status).create();
        let _get = server.mock("GET", place).with_status(status).with_body(body).create();
        let folder = tempfile::tempdir().expect("a folder");
        let path = profile(folder.path(), &format!("services:\n{}", service("a", &format!("{at}/me/app:1"))));
        lock(&path, &[]).code(1).stderr(predicate::str::contains(wanted).and(predicate::str::contains("nothing was written")));
        assert!(!folder.path().join("my.lock.json").exists(), "{status}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = profile(folder.path(), &format!("services:\n{}", service("a", "127.0.0.1:1/me/app:1")));
    lock(&path, &[]).code(1).stderr(predicate::str::contains("cannot be reached"));
    lock(Path::new("minimal"), &[]).code(2).stderr(predicate::str::contains("save it as a file first"));
}

#[test]
fn what_has_no_tag_to_lock_stays() {
    let more = "deploy: {poll: 5m}\nservices:\n  a: {image: \"x/a:1\", restart: always, healthcheck: {test: x}, x-bootstrap: {deploy: blue-green, route: {port: 8000}, health: /}}\n  w: {image: \"x/a:1\", restart: always, healthcheck: {test: x}}\n  b: {image: \"x/b:1\", restart: always, healthcheck: {test: x}}\n  c: {image: \"x/c@sha256:0000000000000000000000000000000000000000000000000000000000000000\", restart: always, healthcheck: {test: x}}\n";
    let locked = format!("{{\"version\": 1, \"images\": {{\"x/a:1\": \"{0}\", \"x/b:1\": \"{0}\"}}}}", digest("0a"));
    let test = Test::new(more).set("domain=a.example.dev").set("tls.email=me@example.dev").file("p.lock.json", &locked);
    let loaded = test.load();
    let plan = plan::plan(&loaded.profile.unwrap_or_else(|| panic!("{:?}", loaded.report))).expect("a plan");
    let compose = plan.files.iter().find(|file| file.path.ends_with("/compose.yaml")).expect("a stack");
    assert!(compose.content.contains(&format!("x/b:1@{}", digest("0a"))), "{}", compose.content);
    assert_eq!(compose.content.matches("sha256:0a").count(), 1, "{}", compose.content);
}

#[test]
fn a_tag_that_the_profile_knows_is_filled_in_and_locked() {
    let service = |name: &str, image: &str| format!("  {name}: {{image: \"{image}\", restart: always, healthcheck: {{test: x}}}}\n");
    let images = ["x/a:${TAG}", "x/b:${OTHER:-2}-$TAG", "x/c:${KEY}", "x/d:$${TAG}", "x/e:${NONE}"];
    let services: String = ["a", "b", "c", "d", "e"].iter().zip(images).map(|(name, image)| service(name, image)).collect();
    let more = format!("variables: {{TAG: \"1.4\"}}\nsecrets: {{KEY: generate}}\nservices:\n{services}");
    let locked = format!("{{\"version\": 1, \"images\": {{\"x/a:1.4\": \"{0}\", \"x/b:2-1.4\": \"{0}\"}}}}", digest("0a"));
    let loaded = Test::new(&more).file("p.lock.json", &locked).load();
    let profile = loaded.profile.unwrap_or_else(|| panic!("{:?}", loaded.report));
    let found: Vec<_> = profile.stack.as_ref().expect("a stack").services.iter().filter_map(|service| service.image.as_deref()).collect();
    let digest = digest("0a");
    // What hangs on a secret or on nothing stays for Compose, and so does a text that only looks like a variable.
    assert_eq!(found, [format!("x/a:1.4@{digest}").as_str(), &format!("x/b:2-1.4@{digest}"), "x/c:${KEY}", "x/d:$${TAG}", "x/e:${NONE}"]);
}

#[test]
fn what_compose_itself_knows_is_not_filled_in_and_an_empty_image_is_told() {
    let one = |image: &str| Test::new(&format!("services:\n  a: {{image: \"{image}\", restart: always, healthcheck: {{test: x}}}}\n"));
    for image in ["${COMPOSE_PROJECT_NAME:-foo}/a:1", "x/a:${HOME:-1}"] {
        let profile = one(image).load().profile.unwrap_or_else(|| panic!("{image}"));
        assert_eq!(profile.stack.expect("a stack").services[0].image.as_deref(), Some(image));
    }
    let said = one("${NONE:-}").findings();
    assert!(said.contains("error[no-image]"), "{said}");
}

#[test]
fn a_lock_that_is_behind_or_broken_is_told() {
    let one = || Test::service("");
    let said = one().file("p.lock.json", "{\"version\": 1, \"images\": {}}").findings();
    assert!(said.contains("warning[not-locked] the lock beside this profile does not know"), "{said}");
    let said = one().file("p.lock.json", "{").findings();
    assert!(said.contains("error[lock]") && said.contains("make it anew"), "{said}");
}
