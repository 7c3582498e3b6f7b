//! A deploy, with somebody who asks all along.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{Context, Outcome};
use crate::lab::net::http::{self, Ask};

/// How long a deploy may take: hooks, health checks, and what is in hand.
const DEPLOY: Duration = Duration::from_secs(600);
/// Between two requests; a rate limit of ten a second is not to be met.
const PAUSE: Duration = Duration::from_millis(150);

/// A version takes over from itself, and no request notices.
pub fn unnoticed(context: &mut Context) -> Result<Outcome> {
    let Some((service, place)) = context.expect.deploy.clone() else {
        return Ok(Outcome::Skipped("no service of the profile is deployed blue-green through a route".to_string()));
    };
    let trust = context.trust()?;
    let target = context.engine.reach().https;
    let ask = Ask { target, source: None, host: &place.host, path: &place.path, tls: Some(&trust), limit: Duration::from_secs(20) };
    let done = AtomicBool::new(false);
    let ssh = &context.ssh;
    let (deployed, asked) = std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let (mut good, mut lost) = (0, Vec::new());
            while !done.load(Ordering::Relaxed) {
                match http::get(&ask) {
                    Ok(Some(answer)) if answer.status < 500 => good += 1,
                    Ok(Some(answer)) => lost.push(format!("status {}", answer.status)),
                    Ok(None) => lost.push("closed without an answer".to_string()),
                    Err(error) => lost.push(format!("{error:#}")),
                }
                std::thread::sleep(PAUSE);
            }
            (good, lost)
        });
        let deployed = ssh.run_with(&[], &["sudo", "-n", "bootstrapctl", "deploy", &service, "--force"], b"", DEPLOY);
        done.store(true, Ordering::Relaxed);
        (deployed, client.join())
    });
    let (good, lost) = asked.ok().context("the client ended early")?;
    let deployed = deployed?;
    Ok(match (deployed.ok(), lost.first()) {
        (true, None) => Outcome::Pass(format!("{good} requests to {}{}; {}", place.host, place.path, deployed.stdout.trim().lines().last().unwrap_or_default())),
        (true, Some(first)) => Outcome::Fail(format!("{} of {} requests were lost: {first}", lost.len(), good + lost.len())),
        (false, _) => Outcome::Fail(format!("the deploy failed: {}", deployed.tail())),
    })
}
