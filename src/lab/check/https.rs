//! The web edge, as a browser and as a stranger see it.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};

use super::{Context, Outcome, RENEW};
use crate::lab::expect::PublicPath;
use crate::lab::facility::Facility;
use crate::lab::interrupt;
use crate::lab::net::hello::{self, Reaction};
use crate::lab::net::http::{self, Answer, Ask};
use crate::lab::net::tls::{Session, Trust};
use crate::lab::net::{der, namespace};
use crate::lab::outside::Role;

const LIMIT: Duration = Duration::from_secs(15);
/// Requests at once.
const FLOOD: usize = 60;

/// Fetches the root that the ACME server's certificates chain to.
pub fn fetch_root(lab: &Facility) -> Result<Vec<u8>> {
    let url = lab.acme_roots_url.as_deref().context("the lab does not tell where its ACME server's root is")?;
    let ca = lab.acme_ca_file.as_deref().context("the lab does not tell its ACME server's own CA")?;
    let ca = std::fs::read(ca).with_context(|| format!("reading {}", ca.display()))?;
    let client = crate::http::client()
        .tls_certs_only([reqwest::Certificate::from_pem(&ca).context("reading the lab's CA")?])
        .no_proxy()
        .timeout(LIMIT)
        .build()
        .context("setting up HTTPS")?;
    let answer = client.get(url).send().and_then(reqwest::blocking::Response::error_for_status);
    let bytes = answer.with_context(|| format!("asking {url}"))?.bytes().context("reading the root")?;
    Ok(bytes.to_vec())
}

fn no_web(context: &Context) -> Option<Outcome> {
    context.expect.names.is_empty().then(|| Outcome::Skipped("the profile has no domain".to_string()))
}

fn get(context: &mut Context, place: &PublicPath) -> Result<Option<Answer>> {
    let trust = context.trust()?;
    http::get(&Ask {
        target: context.engine.reach().https,
        source: None,
        host: &place.host,
        path: &place.path,
        tls: Some(&trust),
        limit: LIMIT,
    })
}

/// Every name, v4 and v6 where both can be reached.
pub fn chain(context: &mut Context) -> Result<Outcome> {
    if let Some(skipped) = no_web(context) {
        return Ok(skipped);
    }
    if !context.expect.acme {
        return Ok(Outcome::Skipped("certificates do not come by ACME here: the machine keeps its self-signed ones".to_string()));
    }
    let trust = context.trust()?;
    let reach = context.engine.reach();
    let mut targets: Vec<SocketAddr> = reach.addresses.iter().map(|address| SocketAddr::new(*address, 443)).collect();
    if targets.is_empty() {
        targets.push(reach.https);
    }
    let mut told = Vec::new();
    for name in &context.expect.names {
        for target in &targets {
            let session = Session::open(*target, None, name, &trust, rustls::ALL_VERSIONS, LIMIT)?;
            let serial = session.certificate().and_then(|bytes| der::facts(&bytes)).map(|facts| facts.serial);
            told.push(format!("{name} at {target} ({}, serial {})", session.version(), serial.unwrap_or_default()));
        }
    }
    Ok(Outcome::Pass(told.join("; ")))
}

/// Renewal comes thirty days before the end; who has a week left has missed it for long.
const LEAST_DAYS: i64 = 7;

/// How long each certificate is still valid.
pub fn expiry(context: &mut Context) -> Result<Outcome> {
    if let Some(skipped) = no_web(context) {
        return Ok(skipped);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?.as_secs();
    let (mut wrong, mut told) = (Vec::new(), Vec::new());
    for name in &context.expect.names {
        let session = Session::open(context.engine.reach().https, None, name, &Trust::Anyone, rustls::ALL_VERSIONS, LIMIT)?;
        let facts = session.certificate().and_then(|bytes| der::facts(&bytes));
        let end = facts.and_then(|facts| facts.not_after).with_context(|| format!("the certificate of {name} cannot be read"))?;
        let days = (end - now as i64).div_euclid(86_400);
        if days < LEAST_DAYS { wrong.push(format!("{name}: {days} days")) } else { told.push(format!("{name}: {days} days")) }
    }
    Ok(if wrong.is_empty() { Outcome::Pass(told.join(", ")) } else { Outcome::Fail(wrong.join(", ")) })
}

/// Plain HTTP is answered with a redirect to the same place.
pub fn redirect(context: &mut Context) -> Result<Outcome> {
    if let Some(skipped) = no_web(context) {
        return Ok(skipped);
    }
    let target = context.engine.reach().http;
    for host in &context.expect.names {
        let path = "/some/path?x=1";
        let ask = Ask { target, source: None, host, path, tls: None, limit: LIMIT };
        let Some(answer) = http::get(&ask)? else {
            return Ok(Outcome::Fail(format!("http://{host}{path} was closed without an answer")));
        };
        let location = answer.header("location").unwrap_or("nowhere");
        if !matches!(answer.status, 301 | 308) || location != format!("https://{host}{path}") {
            return Ok(Outcome::Fail(format!("http://{host}{path} answered {} to {location}", answer.status)));
        }
    }
    Ok(Outcome::Pass(context.expect.names.join(", ")))
}

/// The headers every answer carries.
pub fn headers(context: &mut Context) -> Result<Outcome> {
    if let Some(skipped) = no_web(context) {
        return Ok(skipped);
    }
    let place = PublicPath { host: context.expect.names[0].clone(), path: "/nginx-health".to_string() };
    let places: Vec<PublicPath> = std::iter::once(place).chain(context.expect.health.first().cloned()).collect();
    let mut wrong = Vec::new();
    for place in &places {
        let Some(answer) = get(context, place)? else {
            return Ok(Outcome::Fail(format!("{} was closed without an answer", place.path)));
        };
        let mut wanted = vec!["x-content-type-options", "x-frame-options", "referrer-policy"];
        if context.expect.acme {
            wanted.push("strict-transport-security");
        } else if answer.header("strict-transport-security").is_some() {
            wrong.push(format!("{} sends HSTS with a certificate nobody trusts", place.path));
        }
        let missing: Vec<&str> = wanted.into_iter().filter(|name| answer.header(name).is_none()).collect();
        if !missing.is_empty() {
            wrong.push(format!("{} lacks {}", place.path, missing.join(", ")));
        }
        if answer.header("server").is_some_and(|server| server.contains('/')) {
            wrong.push(format!("{} tells the server's version", place.path));
        }
    }
    Ok(if wrong.is_empty() { Outcome::Pass(String::new()) } else { Outcome::Fail(wrong.join("; ")) })
}

/// Which versions the server agrees to.
pub fn versions(context: &mut Context) -> Result<Outcome> {
    if let Some(skipped) = no_web(context) {
        return Ok(skipped);
    }
    let (target, name) = (context.engine.reach().https, context.expect.names[0].clone());
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        Session::open(target, None, &name, &Trust::Anyone, &[version], LIMIT)
            .with_context(|| format!("offering {:?} alone", version.version))?;
    }
    for (minor, version) in [(1, "TLS 1.0"), (2, "TLS 1.1")] {
        if hello::offer(target, None, &name, minor, LIMIT)? == Reaction::Accepted {
            return Ok(Outcome::Fail(format!("{version} was accepted")));
        }
    }
    Ok(Outcome::Pass("1.2 and 1.3 accepted, 1.0 and 1.1 refused".to_string()))
}

/// Health paths of services.
pub fn health(context: &mut Context) -> Result<Outcome> {
    if let Some(skipped) = no_web(context) {
        return Ok(skipped);
    }
    let places = context.expect.health.clone();
    if places.is_empty() {
        return Ok(Outcome::Skipped("the profile names no health path".to_string()));
    }
    let mut told = Vec::new();
    for place in &places {
        match get(context, place)? {
            Some(answer) if answer.status == 200 => told.push(format!("https://{}{}", place.host, place.path)),
            Some(answer) => {
                return Ok(Outcome::Fail(format!("https://{}{} answered {}", place.host, place.path, answer.status)));
            }
            None => return Ok(Outcome::Fail(format!("https://{}{} was closed", place.host, place.path))),
        }
    }
    Ok(Outcome::Pass(told.join(", ")))
}

/// Many requests at once from one address; the status of each, 0 for none.
fn flood(context: &mut Context, place: &PublicPath) -> Result<Vec<u16>> {
    let trust = context.trust()?;
    let origin = context.origin(Role::Floods);
    let target = context.engine.reach().https;
    let source: Option<IpAddr> = origin.source(target.ip());
    let ask = Ask { target, source, host: &place.host, path: &place.path, tls: Some(&trust), limit: LIMIT };
    let statuses = std::thread::scope(|scope| {
        let (ask, netns) = (&ask, origin.netns.as_deref());
        let running: Vec<_> = (0..FLOOD)
            .map(|_| {
                scope.spawn(move || namespace::within(netns, || http::get(ask)).ok().flatten().map_or(0, |answer| answer.status))
            })
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap_or(0)).collect::<Vec<_>>()
    });
    Ok(statuses)
}

fn tally(statuses: &[u16]) -> String {
    let mut counts = std::collections::BTreeMap::new();
    for status in statuses {
        *counts.entry(*status).or_insert(0) += 1;
    }
    let words = counts.iter().map(|(status, count)| match status {
        0 => format!("{count} without an answer"),
        status => format!("{count} × {status}"),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// nginx's refusals.
fn refused(status: u16) -> bool {
    matches!(status, 429 | 503)
}

/// A route that must answer everything.
pub fn unlimited(context: &mut Context) -> Result<Outcome> {
    let Some(place) = context.expect.unlimited.clone() else {
        return Ok(Outcome::Skipped("the profile has no route without a rate limit".to_string()));
    };
    let statuses = flood(context, &place)?;
    let told = format!("{}: {}", place.path, tally(&statuses));
    let bad = statuses.iter().any(|status| *status == 0 || refused(*status) || *status >= 500);
    Ok(if bad { Outcome::Fail(told) } else { Outcome::Pass(told) })
}

/// A route that must not.
pub fn limited(context: &mut Context) -> Result<Outcome> {
    let Some(place) = context.expect.limited.clone() else {
        return Ok(Outcome::Skipped("the profile has no route with a rate limit".to_string()));
    };
    let statuses = flood(context, &place)?;
    let told = format!("{}: {}", place.path, tally(&statuses));
    let turned_away = statuses.iter().filter(|status| refused(**status)).count();
    let served = statuses.iter().filter(|status| **status != 0 && !refused(**status)).count();
    Ok(if turned_away > 0 && served > 0 { Outcome::Pass(told) } else { Outcome::Fail(told) })
}

/// A name that nobody planned.
pub fn unknown_host(context: &mut Context) -> Result<Outcome> {
    if let Some(skipped) = no_web(context) {
        return Ok(skipped);
    }
    let reach = context.engine.reach();
    let host = "unknown.invalid";
    for (target, tls) in [(reach.http, None), (reach.https, Some(&Trust::Anyone))] {
        let ask = Ask { target, source: None, host, path: "/", tls, limit: LIMIT };
        match http::get(&ask) {
            Ok(None) => {}
            // A handshake that is refused tells even less.
            Err(_) if tls.is_some() => {}
            Ok(Some(answer)) => return Ok(Outcome::Fail(format!("port {} answered {}", target.port(), answer.status))),
            Err(error) => return Err(error),
        }
    }
    Ok(Outcome::Pass("closed on both ports".to_string()))
}

/// The certificate nginx serves changes after a renewal, without a restart by anyone.
pub fn renewal(context: &mut Context) -> Result<Outcome> {
    if let Some(skipped) = no_web(context) {
        return Ok(skipped);
    }
    if !context.expect.acme {
        return Ok(Outcome::Skipped("certificates do not come by ACME here".to_string()));
    }
    let (target, name) = (context.engine.reach().https, context.expect.names[0].clone());
    let trust = context.trust()?;
    let serial = || -> Result<String> {
        let session = Session::open(target, None, &name, &trust, rustls::ALL_VERSIONS, LIMIT)?;
        let bytes = session.certificate().context("nothing was served")?;
        Ok(der::facts(&bytes).context("the certificate cannot be read")?.serial)
    };
    let before = serial()?;
    let ended = context.ssh.script(&RENEW, &[&name])?;
    if ended["code"] != 0 {
        return Ok(Outcome::Fail(format!("certbot failed: {}", ended["said"].as_str().unwrap_or_default())));
    }
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let after = serial()?;
        if after != before {
            return Ok(Outcome::Pass(format!("serial {before} became {after}")));
        }
        if Instant::now() >= end {
            let said = ended["said"].as_str().unwrap_or_default();
            return Ok(Outcome::Fail(format!("nginx still serves serial {before}; certbot said: {said}")));
        }
        interrupt::sleep(Duration::from_secs(1))?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted() {
        assert_eq!(tally(&[200, 429, 429, 0]), "1 without an answer, 1 × 200, 2 × 429");
        assert!(refused(429) && refused(503) && !refused(200));
    }
}
