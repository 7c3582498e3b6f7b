//! `launch`, `list` and `destroy` against played APIs.

use assert_cmd::Command;
use mockito::{Matcher, Mock, ServerGuard};
use predicates::prelude::*;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

const TOKEN: &str = "geheim-token-1234567890";

/// What differs between the played APIs.
struct Played {
    id: &'static str,
    variable: &'static str,
    path: &'static str,
    server: fn(&str, Option<&str>, bool) -> Value,
    list: fn(Vec<Value>, Option<&str>) -> Value,
    one: &'static str,
    name: &'static str,
}

const PLAYED: [Played; 3] = [
    Played {
        id: "digitalocean",
        variable: "DIGITALOCEAN_ACCESS_TOKEN",
        path: "/v2/droplets",
        server: |name, address, ours| {
            let v4: Vec<_> = address.iter().map(|ip| json!({"ip_address": ip, "type": "public"})).collect();
            json!({"id": 7, "name": name, "status": "active", "tags": if ours { json!(["julia-bootstrap"]) } else { json!([]) }, "networks": {"v4": v4}})
        },
        list: |rows, next| json!({"droplets": rows, "links": next.map_or(json!({}), |page| json!({"pages": {"next": format!("https://api/v2/droplets?page={page}")}}))}),
        one: "droplet",
        name: "name",
    },
    Played {
        id: "hetzner",
        variable: "HCLOUD_TOKEN",
        path: "/v1/servers",
        server: |name, address, ours| {
            let labels = if ours { json!({"managed-by": "julia-bootstrap"}) } else { json!({}) };
            json!({"id": 7, "name": name, "status": "running", "labels": labels, "public_net": {"ipv4": address.map(|ip| json!({"ip": ip}))}})
        },
        list: |rows, next| json!({"servers": rows, "meta": {"pagination": {"next_page": next.map(|page| page.parse::<u32>().expect("a number"))}}}),
        one: "server",
        name: "name",
    },
    Played {
        id: "vultr",
        variable: "VULTR_API_KEY",
        path: "/v2/instances",
        server: |name, address, ours| {
            let tags = if ours { json!(["julia-bootstrap"]) } else { json!([]) };
            json!({"id": "7", "label": name, "status": "active", "tags": tags, "main_ip": address.unwrap_or("0.0.0.0")})
        },
        list: |rows, next| json!({"instances": rows, "meta": {"links": {"next": next.unwrap_or(""), "prev": ""}}}),
        one: "instance",
        name: "label",
    },
];

impl Played {
    fn command(&self, server: &ServerGuard, words: &[&str]) -> Command {
        let mut command = Command::cargo_bin("julia-bootstrap").expect("the binary");
        command.env_clear().env(self.variable, TOKEN).args(words).args(["--provider", self.id, "--api", &server.url()]);
        command
    }

    fn launch(&self, server: &ServerGuard) -> Command {
        self.command(server, &["launch", "minimal", "--name", "web1"])
    }

    /// Lists these, each time.
    fn listing(&self, server: &mut ServerGuard, rows: Vec<Value>) -> Mock {
        server
            .mock("GET", Matcher::Regex(format!("^{}\\?per_page=", self.path)))
            .match_header("authorization", format!("Bearer {TOKEN}").as_str())
            .with_body((self.list)(rows, None).to_string())
            .expect_at_least(1)
            .create()
    }

    fn posts(&self, server: &mut ServerGuard, status: usize, body: &str) -> Mock {
        server.mock("POST", self.path).match_header("authorization", format!("Bearer {TOKEN}").as_str()).with_status(status).with_body(body).expect(1).create()
    }
}

#[test]
fn a_server_is_made_once() {
    for played in &PLAYED {
        let mut server = mockito::Server::new();
        let empty = played.listing(&mut server, vec![]);
        let sent = Arc::new(std::sync::Mutex::new(Value::Null));
        let (kept, one) = (Arc::clone(&sent), json!({played.one: (played.server)("web1", Some("192.0.2.7"), true)}).to_string());
        let post = server
            .mock("POST", played.path)
            .with_status(201)
            .with_body_from_request(move |request| {
                *kept.lock().expect("a lock") = serde_json::from_slice(request.body().expect("a body")).expect("JSON");
                one.clone().into_bytes()
            })
            .expect(1)
            .create();
        played.launch(&server).assert().success().stdout("192.0.2.7\n").stderr(predicate::str::contains("creating web1").and(predicate::str::contains(TOKEN).not()));
        post.assert();
        empty.assert();
        let body = sent.lock().expect("a lock").clone();
        assert_eq!(body[played.name], "web1");
        let provider: Value = serde_json::from_slice(&Command::cargo_bin("julia-bootstrap").expect("the binary").args(["providers", "--json"]).output().expect("a table").stdout).expect("JSON");
        let row = provider.as_array().expect("rows").iter().find(|row| row["id"] == played.id).expect("the row").clone();
        let user_data = body["user_data"].as_str().expect("user-data");
        let raw = Command::cargo_bin("julia-bootstrap").expect("the binary").env_clear().args(["-q", "render", "minimal", "--provider", played.id]).output().expect("user-data").stdout;
        if row["transport"] == "base64" {
            use base64::Engine as _;
            assert_eq!(base64::engine::general_purpose::STANDARD.decode(user_data).expect("base64"), raw);
        } else {
            assert_eq!(user_data.as_bytes(), raw);
        }
        // Again: it is there.
        server.reset();
        let there = played.listing(&mut server, vec![(played.server)("web1", Some("192.0.2.7"), true)]);
        let again = server.mock("POST", played.path).expect(0).create();
        played.launch(&server).assert().success().stdout("192.0.2.7\n").stderr(predicate::str::contains("is there already"));
        there.assert();
        again.assert();
        // One that somebody else made.
        server.reset();
        played.listing(&mut server, vec![(played.server)("web1", Some("192.0.2.7"), false)]);
        played.launch(&server).assert().code(1).stdout("").stderr(predicate::str::contains("was not made by this tool"));
    }
}

#[test]
fn each_refusal_is_a_sentence() {
    for played in &PLAYED {
        for (status, wanted) in [
            (401, format!("does not know the token in {}", played.variable)),
            (403, "may not do this".to_owned()),
            (404, "knows nothing at".to_owned()),
            (409, "has one of that name".to_owned()),
            (422, "look at --region, --size, --image and --name".to_owned()),
        ] {
            let mut server = mockito::Server::new();
            played.listing(&mut server, vec![]);
            let post = played.posts(&mut server, status, &json!({"error": {"message": "it says why."}}).to_string());
            let said = played.launch(&server).assert().code(1).stdout("");
            let said = String::from_utf8_lossy(&said.get_output().stderr).into_owned();
            assert!(said.contains(&wanted) && said.contains("(it says why)") && !said.contains(TOKEN), "{status}: {said}");
            post.assert();
        }
        let mut server = mockito::Server::new();
        let list = server.mock("GET", Matcher::Any).with_status(401).with_body("{\"error\":\"no\"}").expect(1).create();
        played.command(&server, &["list"]).assert().code(1).stderr(predicate::str::contains(played.variable).and(predicate::str::contains("(no)")));
        list.assert();
        Command::cargo_bin("julia-bootstrap").expect("the binary").env_clear().args(["list", "--provider", played.id]).assert().code(2)
            .stderr(predicate::str::contains(format!("set {}", played.variable)));
    }
}

#[test]
fn what_is_safe_to_repeat_is_repeated() {
    for played in &PLAYED {
        for (status, header) in [(429, Some("0")), (500, None), (503, None)] {
            let mut server = mockito::Server::new();
            let count = Arc::new(AtomicUsize::new(0));
            let (seen, page) = (Arc::clone(&count), (played.list)(vec![(played.server)("web1", None, true)], None).to_string());
            let seen_too = Arc::clone(&count);
            let mut mock = server.mock("GET", Matcher::Any);
            if let Some(wait) = header {
                mock = mock.with_header("retry-after", wait);
            }
            let mock = mock
                .with_status_code_from_request(move |_| if seen.load(Ordering::SeqCst) < 2 { status } else { 200 })
                .with_body_from_request(move |_| if seen_too.fetch_add(1, Ordering::SeqCst) < 2 { b"{}".to_vec() } else { page.clone().into_bytes() })
                .expect(3)
                .create();
            played.command(&server, &["list"]).assert().success().stdout(predicate::str::contains("web1"));
            mock.assert();
        }
        // Too long to wait for.
        let mut server = mockito::Server::new();
        let mock = server.mock("GET", Matcher::Any).with_status(429).with_header("retry-after", "3600").expect(1).create();
        played.command(&server, &["list"]).assert().code(1).stderr(predicate::str::contains("asked too often"));
        mock.assert();
        // An order that was not looked at may be given again.
        server.reset();
        played.listing(&mut server, vec![]);
        let post = server.mock("POST", played.path).with_status(429).with_header("retry-after", "0").expect(5).create();
        played.launch(&server).assert().code(1).stderr(predicate::str::contains("asked too often"));
        post.assert();
    }
}

#[test]
fn an_order_whose_end_is_unclear_is_looked_after() {
    for played in &PLAYED {
        for (status, body) in [(500, "{}"), (504, "<html>"), (201, "<html>"), (202, "{\"serv"), (201, "{}")] {
            for made in [true, false] {
                let mut server = mockito::Server::new();
                let asked = Arc::new(AtomicUsize::new(0));
                let (empty, full) = ((played.list)(vec![], None).to_string(), (played.list)(vec![(played.server)("web1", Some("192.0.2.7"), true)], None).to_string());
                server
                    .mock("GET", Matcher::Any)
                    .with_body_from_request(move |_| if asked.fetch_add(1, Ordering::SeqCst) == 0 || !made { empty.clone() } else { full.clone() }.into_bytes())
                    .create();
                // Never given twice.
                let post = played.posts(&mut server, status, body);
                let launched = played.launch(&server).assert();
                if made {
                    launched.success().stdout("192.0.2.7\n");
                } else {
                    launched.code(1).stdout("").stderr(predicate::str::contains("no server called web1 was made"));
                }
                post.assert();
            }
        }
        // And when nobody can say what became of it, that is said.
        let mut server = mockito::Server::new();
        let asked = Arc::new(AtomicUsize::new(0));
        let empty = (played.list)(vec![], None).to_string();
        server.mock("GET", Matcher::Any).with_status_code_from_request({
            let asked = Arc::clone(&asked);
            move |_| if asked.load(Ordering::SeqCst) == 0 { 200 } else { 500 }
        }).with_body_from_request(move |_| { asked.fetch_add(1, Ordering::SeqCst); empty.clone().into_bytes() }).create();
        played.posts(&mut server, 500, "{}");
        played.launch(&server).assert().code(1).stderr(predicate::str::contains("is not known").and(predicate::str::contains(format!("julia-bootstrap list --provider {}", played.id))));
    }
}

#[test]
fn answers_that_are_no_list_are_told() {
    for played in &PLAYED {
        for (body, wanted) in [("[]", "no list of servers"), ("{\"droplets\": [{}], \"servers\": [{}], \"instances\": [{}]}", "no list of servers"), ("<html>", "no JSON")] {
            let mut server = mockito::Server::new();
            server.mock("GET", Matcher::Any).with_body(body).create();
            played.command(&server, &["list"]).assert().code(1).stdout("").stderr(predicate::str::contains(wanted));
        }
        let closed = { let server = mockito::Server::new(); server.url() };
        // A port on which nobody listens any more.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let _ = closed;
        Command::cargo_bin("julia-bootstrap").expect("the binary").env_clear().env(played.variable, TOKEN)
            .args(["list", "--provider", played.id, "--api", &format!("http://127.0.0.1:{port}")]).assert().code(1).stderr(predicate::str::contains("cannot be reached"));
    }
}

#[test]
fn every_page_is_read_and_only_ours_are_shown() {
    for played in &PLAYED {
        let mut server = mockito::Server::new();
        let asked = Arc::new(AtomicUsize::new(0));
        let first = (played.list)(vec![(played.server)("web1", Some("192.0.2.1"), true), (played.server)("foreign", Some("192.0.2.9"), false)], Some("2")).to_string();
        let second = (played.list)(vec![(played.server)("web2", None, true)], None).to_string();
        let mock = server
            .mock("GET", Matcher::Regex(format!("^{}\\?", played.path)))
            .with_body_from_request(move |request| {
                let page = asked.fetch_add(1, Ordering::SeqCst);
                assert!(page == 0 || request.path_and_query().ends_with("=2"), "{}", request.path_and_query());
                if page == 0 { first.clone() } else { second.clone() }.into_bytes()
            })
            .expect(2)
            .create();
        let shown = played.command(&server, &["list", "--json"]).assert().success();
        let rows: Vec<Value> = serde_json::from_slice(&shown.get_output().stdout).expect("JSON");
        assert_eq!(rows.iter().map(|row| row["name"].as_str().expect("a name")).collect::<Vec<_>>(), ["web1", "web2"]);
        assert_eq!((&rows[0]["address"], &rows[1]["address"]), (&json!("192.0.2.1"), &Value::Null));
        mock.assert();
    }
}

#[test]
fn destroying_asks_for_the_name() {
    for played in &PLAYED {
        for (words, typed, status, gone) in [(vec!["--yes"], "", 204, true), (vec![], "web1\n", 204, true), (vec![], "y\n", 204, false), (vec!["--yes"], "", 404, true)] {
            let mut server = mockito::Server::new();
            played.listing(&mut server, vec![(played.server)("web1", Some("192.0.2.7"), true), (played.server)("other", None, false)]);
            let delete = server.mock("DELETE", format!("{}/7", played.path).as_str()).with_status(status).expect(usize::from(gone)).create();
            let destroyed = played.command(&server, &["destroy", "web1"]).args(&words).write_stdin(typed).assert();
            if gone {
                destroyed.success().stderr(predicate::str::contains("is destroyed"));
            } else {
                destroyed.code(1).stderr(predicate::str::contains("nothing was destroyed"));
            }
            delete.assert();
            played.command(&server, &["destroy", "other", "--yes"]).assert().code(1).stderr(predicate::str::contains("was not made by this tool"));
            played.command(&server, &["destroy", "none", "--yes"]).assert().code(1).stderr(predicate::str::contains("no server called none"));
        }
    }
}

#[test]
fn a_dry_run_sends_nothing_and_shows_no_secret() {
    for played in &PLAYED {
        let mut server = mockito::Server::new();
        let none = server.mock("GET", Matcher::Any).expect(0).create();
        let shown = played.launch(&server).env("T", "geheimnis").args(["--dry-run", "--set", "secrets.T={env: T}", "--region", "here", "--size", "big", "--image", "99"]).assert().success();
        let text = String::from_utf8_lossy(&shown.get_output().stdout).into_owned();
        let (head, body) = text.split_once("\n\n").expect("a head");
        assert!(head.starts_with("POST https://api.") && head.contains("Bearer [redacted]"), "{head}");
        let body: Value = serde_json::from_str(body).expect("JSON");
        assert!(body["user_data"].as_str().expect("text").contains("bytes, as `render --provider"));
        assert!(body.to_string().contains("\"here\"") && body.to_string().contains("\"big\""));
        assert!(!text.contains(TOKEN) && !text.contains("geheimnis"));
        none.assert();
        // What does not fit is not sent.
        if played.id != "digitalocean" {
            played.command(&server, &["launch", "julia"]).assert().code(2).stderr(predicate::str::contains("too many"));
        }
    }
}
