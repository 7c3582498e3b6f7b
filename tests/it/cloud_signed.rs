//! `launch`, `list` and `destroy` where a token alone does not do: Contabo's OAuth2, and AWS's signatures.

use assert_cmd::Command;
use mockito::{Matcher, Mock, ServerGuard};
use predicates::prelude::*;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

const SECRETS: [&str; 3] = ["geheim-client-1234", "geheim-wort-5678", "geheim-token-9012"];

fn command(variables: &[(&str, &str)], server: &ServerGuard, words: &[&str]) -> Command {
    let mut command = Command::cargo_bin("julia-bootstrap").expect("the binary");
    command.env_clear().envs(variables.iter().copied()).args(words).args(["--api", &server.url()]);
    command
}

/// Keeps what is sent, and answers.
fn noting(mock: Mock, answer: &Value) -> (Mock, Arc<Mutex<Vec<Value>>>) {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let (kept, answer) = (Arc::clone(&sent), answer.to_string());
    let mock = mock.with_body_from_request(move |request| {
        kept.lock().expect("a lock").push(serde_json::from_slice(request.body().expect("a body")).expect("JSON"));
        answer.clone().into_bytes()
    });
    (mock.create(), sent)
}

fn contabo(server: &ServerGuard, words: &[&str]) -> Command {
    let variables = [
        ("CNTB_OAUTH2_CLIENTID", "me-1"),
        ("CNTB_OAUTH2_CLIENT_SECRET", SECRETS[0]),
        ("CNTB_OAUTH2_USER", "me@example.com"),
        ("CNTB_OAUTH2_PASSWORD", SECRETS[1]),
    ];
    let mut all = words.to_vec();
    all.extend(["--provider", "contabo"]);
    command(&variables, server, &all)
}

fn token(server: &mut ServerGuard) -> Mock {
    server
        .mock("POST", "/auth/realms/contabo/protocol/openid-connect/token")
        .match_header("content-type", "application/x-www-form-urlencoded")
        .match_body(Matcher::AllOf(vec![
            Matcher::UrlEncoded("grant_type".into(), "password".into()),
            Matcher::UrlEncoded("client_id".into(), "me-1".into()),
            Matcher::UrlEncoded("client_secret".into(), SECRETS[0].into()),
            Matcher::UrlEncoded("username".into(), "me@example.com".into()),
            Matcher::UrlEncoded("password".into(), SECRETS[1].into()),
        ]))
        .with_body(json!({"access_token": SECRETS[2], "expires_in": 300}).to_string())
        .create()
}

fn contabo_rows(server: &mut ServerGuard, rows: &Value) -> Mock {
    server
        .mock("GET", Matcher::Regex("^/v1/compute/instances\\?size=100&page=1$".into()))
        .match_header("authorization", format!("Bearer {}", SECRETS[2]).as_str())
        .match_header("x-request-id", Matcher::Regex("^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$".into()))
        .with_body(json!({"data": rows, "_pagination": {"page": 1, "totalPages": 1}}).to_string())
        .create()
}

fn no_secret(said: &std::process::Output) {
    for text in [&said.stdout, &said.stderr] {
        let text = String::from_utf8_lossy(text);
        assert!(!SECRETS.iter().any(|secret| text.contains(secret)), "{text}");
    }
}

#[test]
fn contabo_asks_for_a_token_once() {
    let mut server = mockito::Server::new();
    let given = token(&mut server).expect(1);
    let row = |name: &str, more: Value| {
        let mut row = json!({"instanceId": 7, "displayName": name, "status": "running", "ipConfig": {"v4": {"ip": "192.0.2.7"}}, "cancelDate": ""});
        row.as_object_mut().expect("a row").extend(more.as_object().expect("more").clone());
        row
    };
    // One that was cancelled keeps its name until its contract ends; the new one is listed once it is ordered.
    let old = row("web1 (julia-bootstrap)", json!({"instanceId": 3, "cancelDate": "2026-01-01"}));
    let (asked, new) = (Arc::new(Mutex::new(0)), row("web1 (julia-bootstrap)", json!({})));
    server
        .mock("GET", Matcher::Any)
        .with_body_from_request(move |_| {
            let mut asked = asked.lock().expect("a lock");
            *asked += 1;
            let rows = if *asked == 1 { json!([old]) } else { json!([old, new]) };
            json!({"data": rows, "_pagination": {"page": 1, "totalPages": 1}}).to_string().into_bytes()
        })
        .create();
    let (post, sent) = noting(server.mock("POST", "/v1/compute/instances").with_status(201).expect(1), &json!({"data": [{"instanceId": 7, "status": "provisioning"}]}));
    let launch = ["launch", "minimal", "--name", "web1", "--image", "d64d5c6c-9dda-4e38-8174-0ee282474d8a"];
    let said = contabo(&server, &launch).assert().success().stdout("192.0.2.7\n");
    no_secret(said.get_output());
    given.assert();
    post.assert();
    let body = sent.lock().expect("a lock")[0].clone();
    assert_eq!((&body["displayName"], &body["productId"], &body["region"], &body["period"]), (&json!("web1 (julia-bootstrap)"), &json!("V92"), &json!("EU"), &json!(1)));
    assert!(body["userData"].as_str().expect("user-data").starts_with("#cloud-config\n"));

    server.reset();
    token(&mut server);
    contabo_rows(&mut server, &json!([row("web1 (julia-bootstrap)", json!({})), row("foreign", json!({}))]));
    contabo(&server, &["list"]).assert().success().stdout(predicate::str::contains("web1 ").and(predicate::str::contains("foreign").not()));
    let gone = server.mock("POST", "/v1/compute/instances/7/cancel").with_status(404).with_body("{\"message\": \"gone\"}").expect(1).create();
    contabo(&server, &["destroy", "web1", "--yes"]).assert().success();
    gone.assert();

    server.reset();
    server.mock("POST", Matcher::Any).with_status(401).with_body("{\"error\": \"invalid_grant\", \"error_description\": \"Invalid user credentials\"}").create();
    let said = contabo(&server, &["list"]).assert().code(1);
    no_secret(said.get_output());
    said.stderr(predicate::str::contains("CNTB_OAUTH2_CLIENTID").and(predicate::str::contains("401")));
    contabo(&server, &["launch", "minimal", "--image", "debian-13"]).assert().code(2).stderr(predicate::str::contains("an image at Contabo is a UUID"));
    contabo(&server, &["launch", "minimal", "--image", ""]).assert().code(2).stderr(predicate::str::contains("it is empty"));
    contabo(&server, &["launch", "minimal"]).assert().code(2).stderr(predicate::str::contains("name one by --image; there is Debian 13 (its UUID"));
}

fn lightsail(server: &ServerGuard, words: &[&str]) -> Command {
    let variables = [("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", SECRETS[0])];
    let mut all = words.to_vec();
    all.extend(["--provider", "lightsail"]);
    command(&variables, server, &all)
}

fn action(server: &mut ServerGuard, name: &str) -> Mock {
    server
        .mock("POST", "/")
        .match_header("x-amz-target", format!("Lightsail_20161128.{name}").as_str())
        .match_header("content-type", "application/x-amz-json-1.1")
        .match_header("authorization", Matcher::Regex("^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/[0-9]{8}/eu-central-1/lightsail/aws4_request, SignedHeaders=.*x-amz-target.*, Signature=[0-9a-f]{64}$".into()))
}

#[test]
fn lightsail_is_asked_by_signed_actions() {
    let row = |name: &str, state: &str, tags: Value| json!({"name": name, "state": {"name": state}, "publicIpAddress": "192.0.2.7", "tags": tags});
    let ours = json!([{"key": "managed-by", "value": "julia-bootstrap"}]);
    let mut server = mockito::Server::new();
    let asked = Arc::new(Mutex::new(0));
    let rows = [json!([]), json!([row("web1", "pending", ours.clone())]), json!([row("web1", "running", ours.clone())])];
    let seen = Arc::clone(&asked);
    action(&mut server, "GetInstances")
        .with_body_from_request(move |_| {
            let mut asked = seen.lock().expect("a lock");
            *asked += 1;
            json!({"instances": rows[(*asked - 1).min(2)]}).to_string().into_bytes()
        })
        .create();
    let (made, sent) = noting(action(&mut server, "CreateInstances").expect(1), &json!({"operations": [{"resourceType": "Instance", "resourceName": "web1"}]}));
    let (opened, ports) = noting(action(&mut server, "PutInstancePublicPorts").expect(1), &json!({"operation": {}}));
    let said = lightsail(&server, &["launch", "minimal", "--name", "web1", "--set", "firewall.allow=[\"51820/udp\"]"]).assert().success().stdout("192.0.2.7\n");
    no_secret(said.get_output());
    made.assert();
    opened.assert();
    let body = sent.lock().expect("a lock")[0].clone();
    assert_eq!((&body["instanceNames"], &body["availabilityZone"], &body["blueprintId"]), (&json!(["web1"]), &json!("eu-central-1a"), &json!("debian_13")));
    assert!(body["userData"].as_str().expect("user-data").starts_with("#!/bin/sh\n"));
    let ports = ports.lock().expect("a lock")[0].clone();
    assert_eq!(ports["portInfos"], json!([(22, "tcp"), (51_820, "udp")].map(|(port, protocol)| json!({"fromPort": port, "toPort": port, "protocol": protocol}))));

    let dry = lightsail(&server, &["launch", "minimal", "--name", "web1", "--dry-run"]).assert().success();
    no_secret(dry.get_output());
    dry.stdout(predicate::str::contains("POST https://lightsail.eu-central-1.amazonaws.com/").and(predicate::str::contains("x-amz-target: Lightsail_20161128.CreateInstances")));

    server.reset();
    action(&mut server, "GetInstances").match_body(Matcher::Json(json!({}))).with_body(json!({"instances": [row("web1", "running", ours)], "nextPageToken": "n2"}).to_string()).create();
    action(&mut server, "GetInstances").match_body(Matcher::Json(json!({"pageToken": "n2"}))).with_body(json!({"instances": [row("foreign", "running", json!([]))]}).to_string()).create();
    let gone = action(&mut server, "DeleteInstance").match_body(Matcher::Json(json!({"instanceName": "web1"}))).with_body("{}").expect(1).create();
    lightsail(&server, &["list"]).assert().success().stdout(predicate::str::contains("web1 ").and(predicate::str::contains("foreign").not()));
    lightsail(&server, &["destroy", "foreign", "--yes"]).assert().code(1).stderr(predicate::str::contains("was not made by this tool"));
    lightsail(&server, &["destroy", "web1", "--yes"]).assert().success();
    gone.assert();
}

#[test]
fn lightsail_says_in_the_answer_what_a_400_is() {
    for (kind, wanted, times) in [
        ("UnrecognizedClientException", "does not know the token in AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY", 1),
        ("com.amazonaws.lightsail#AccessDeniedException", "may not do this", 1),
        ("InvalidInputException", "does not take the order", 1),
        ("ThrottlingException", "asked too often", 5),
        ("ServiceException", "has trouble of its own", 5),
    ] {
        let mut server = mockito::Server::new();
        let mock = action(&mut server, "GetInstances").with_status(400).with_body(json!({"__type": kind, "message": "it says why"}).to_string()).expect(times).create();
        lightsail(&server, &["list"]).assert().code(1).stderr(predicate::str::contains(wanted).and(predicate::str::contains("(it says why)")));
        mock.assert();
    }
}
