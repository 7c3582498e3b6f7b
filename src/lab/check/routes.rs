//! Every route of the web edge, by HTTPS; WebSockets where they are promised.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::{Context, Outcome};
use crate::lab::expect::PublicRoute;
use crate::lab::net::http::{self, Ask};
use crate::lab::net::tls::{Session, Trust};

const LIMIT: Duration = Duration::from_secs(20);

/// Each route leads to a service that answers.
pub fn all(context: &mut Context) -> Result<Outcome> {
    if context.expect.routes.is_empty() {
        return Ok(Outcome::Skipped("the profile has no routes".to_string()));
    }
    let trust = context.trust()?;
    let (mut wrong, mut told) = (Vec::new(), Vec::new());
    for route in &context.expect.routes {
        let target = context.engine.reach().https;
        let ask = Ask { target, source: None, host: &route.host, path: &route.path, tls: Some(&trust), limit: LIMIT };
        let place = format!("{}{}", route.host, route.path);
        match http::get(&ask)? {
            // nginx's own page would say that no route is there.
            Some(answer) if answer.status == 404 && answer.body.contains("<center>nginx</center>") => {
                wrong.push(format!("{place} leads nowhere"));
            }
            Some(answer) if answer.status < 500 => told.push(format!("{place} {}", answer.status)),
            Some(answer) => wrong.push(format!("{place} answered {}", answer.status)),
            None => wrong.push(format!("{place} was closed without an answer")),
        }
    }
    Ok(if wrong.is_empty() { Outcome::Pass(told.join(", ")) } else { Outcome::Fail(wrong.join("; ")) })
}

/// A text comes back through each route that passes WebSockets to a service of the profile's own.
pub fn websockets(context: &mut Context) -> Result<Outcome> {
    let trust = context.trust()?;
    let routes: Vec<PublicRoute> = context.expect.routes.iter().filter(|route| route.websocket).cloned().collect();
    if routes.is_empty() {
        return Ok(Outcome::Skipped("no route passes WebSockets".to_string()));
    }
    if context.live.is_some() {
        return Ok(knock(context.engine.reach().https, &routes, &trust));
    }
    let (mut wrong, mut told) = (Vec::new(), Vec::new());
    for route in &routes {
        let place = format!("{}{}", route.host, route.path);
        match echo(context.engine.reach().https, &route.host, &format!("{}ws", route.path), &trust) {
            Ok(()) => told.push(place),
            Err(error) => wrong.push(format!("{place}: {error:#}")),
        }
    }
    Ok(if wrong.is_empty() { Outcome::Pass(told.join(", ")) } else { Outcome::Fail(wrong.join("; ")) })
}

/// Where real services take WebSockets, below a route: right there, Rails' Action Cable, Socket.IO.
const USUAL: [&str; 4] = ["", "ws", "cable", "socket.io/?EIO=4&transport=websocket"];

/// What is behind a machine's routes is not ours: it is asked for a handshake where such services usually take one.
fn knock(target: SocketAddr, routes: &[PublicRoute], trust: &Trust) -> Outcome {
    let (mut silent, mut told) = (Vec::new(), Vec::new());
    for route in routes {
        let mut paths = USUAL.iter().map(|path| format!("{}{path}", route.path));
        match paths.find(|path| handshake(target, &route.host, path, trust).is_ok()) {
            Some(path) => told.push(format!("{}{path}", route.host)),
            None => silent.push(format!("{}{}", route.host, route.path)),
        }
    }
    if silent.is_empty() {
        return Outcome::Pass(told.join(", "));
    }
    let tried = USUAL.iter().filter(|path| !path.is_empty()).copied().collect::<Vec<_>>().join(", ");
    let so_far = if told.is_empty() { String::new() } else { format!("{} took one; ", told.join(", ")) };
    Outcome::Skipped(format!("{so_far}below {} none was taken at the usual paths ({tried}): the service may want a login or another path", silent.join(", ")))
}

/// RFC 6455: a handshake, and one masked text frame that must come back.
fn echo(target: SocketAddr, host: &str, path: &str, trust: &Trust) -> Result<()> {
    let mut session = handshake(target, host, path, trust)?;
    let payload = b"hello";
    let mask = [1u8, 2, 3, 4];
    let mut frame = vec![0x81, 0x80 | payload.len() as u8];
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    session.write_all(&frame).context("sending a frame")?;
    session.flush().context("sending a frame")?;
    let mut answer = [0u8; 7];
    session.read_exact(&mut answer).context("waiting for the echo")?;
    if answer[..2] != [0x81, 5] || &answer[2..] != payload {
        bail!("another text came back");
    }
    Ok(())
}

/// RFC 6455's handshake.
fn handshake(target: SocketAddr, host: &str, path: &str, trust: &Trust) -> Result<Session> {
    let mut session = Session::open(target, None, host, trust, rustls::ALL_VERSIONS, LIMIT)?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    session.write_all(request.as_bytes()).context("asking for a WebSocket")?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if session.read(&mut byte).context("waiting for the handshake")? == 0 || head.len() > 8192 {
            bail!("it was closed during the handshake: {}", String::from_utf8_lossy(&head).lines().next().unwrap_or_default());
        }
        head.push(byte[0]);
    }
    // The answer to the key of RFC 6455's own example.
    let text = String::from_utf8_lossy(&head).into_owned();
    if !text.starts_with("HTTP/1.1 101") || !text.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") {
        bail!("no WebSocket: {}", text.lines().next().unwrap_or_default());
    }
    Ok(session)
}

/// Sign-up and first-run pages refuse everybody.
pub fn closed(context: &mut Context) -> Result<Outcome> {
    if context.expect.closed.is_empty() {
        return Ok(Outcome::Skipped("the profile names nothing that must be closed".to_string()));
    }
    let trust = context.trust()?;
    let target = context.engine.reach().https;
    let (mut wrong, mut told) = (Vec::new(), Vec::new());
    for (method, host, path) in &context.expect.closed {
        let status = send(target, host, &format!("{method} {path}"), "{}", &trust)?;
        let row = format!("{method} {host}{path} {status}");
        // An error of the server proves nothing, and what was found wrong was read.
        let refused = matches!(status, 300..=399 | 401 | 403 | 404 | 405 | 410);
        if refused { told.push(row) } else { wrong.push(row) }
    }
    Ok(if wrong.is_empty() { Outcome::Pass(told.join(", ")) } else { Outcome::Fail(wrong.join(", ")) })
}

/// Nobody gets in with what everybody knows, and nobody signs up.
pub fn logins(context: &mut Context) -> Result<Outcome> {
    let Some(route) = context.expect.routes.iter().find(|route| route.path == "/grafana/").cloned() else {
        return Ok(Outcome::Skipped("there is no Grafana".to_string()));
    };
    let trust = context.trust()?;
    let target = context.engine.reach().https;
    let mut tries = vec![
        ("/grafana/login", r#"{"user":"admin","password":"admin"}"#, "admin/admin", &[401, 403][..]),
        ("/grafana/api/user/signup", r#"{"email":"a@example.com"}"#, "sign-up", &[401, 403, 404]),
    ];
    let right;
    // At a machine that somebody runs the real password goes nowhere.
    if context.live.is_none() {
        let env = format!("{}/.env", context.expect.directory());
        let line = context.ssh.sudo(&["grep", "^GRAFANA_ADMIN_PASSWORD=", &env])?.stdout;
        let password = line.trim().split_once('=').map_or("", |(_, value)| value.trim_matches('"'));
        right = serde_json::json!({"user": "admin", "password": password}).to_string();
        tries.push(("/grafana/login", right.as_str(), "the generated password", &[200]));
    }
    let mut told = Vec::new();
    for (path, body, what, wanted) in tries {
        let status = send(target, &route.host, &format!("POST {path}"), body, &trust)?;
        if !wanted.contains(&status) {
            return Ok(Outcome::Fail(format!("{what} was answered with {status}")));
        }
        told.push(format!("{what}: {status}"));
    }
    let ask = Ask { target, source: None, host: &route.host, path: "/grafana/api/dashboards/home", tls: Some(&trust), limit: LIMIT };
    let open = http::get(&ask)?.map_or(0, |answer| answer.status);
    if !matches!(open, 302 | 401 | 403) {
        return Ok(Outcome::Fail(format!("without a login Grafana answered {open}")));
    }
    told.push(format!("without a login: {open}"));
    Ok(Outcome::Pass(told.join(", ")))
}

/// Sends a request, given as method and path, and gives the status of the answer.
fn send(target: SocketAddr, host: &str, request: &str, body: &str, trust: &Trust) -> Result<u16> {
    let mut session = Session::open(target, None, host, trust, rustls::ALL_VERSIONS, LIMIT)?;
    let length = body.len();
    let request = format!(
        "{request} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    session.write_all(request.as_bytes()).context("sending a request")?;
    session.flush().context("sending a request")?;
    let mut bytes = Vec::new();
    session.take(1 << 20).read_to_end(&mut bytes).context("waiting for the answer")?;
    Ok(http::parse(&bytes)?.status)
}
