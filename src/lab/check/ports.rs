//! What can be reached from outside, also while someone pulls at the firewall.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use super::{CANARY_START, CANARY_STOP, Context, DISTURB, NETWORKS, Outcome, words};
use crate::lab::net::{namespace, scan as scanner, socket};
use crate::lab::outside::Role;

/// How long a forbidden connection may take to be accepted.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Starts the canaries, and makes sure that they sing on the machine itself.
pub fn canaries(context: &mut Context) -> Result<Outcome> {
    let Some(canary) = context.lab.and_then(|lab| lab.canary.clone()) else {
        return Ok(Outcome::Skipped("there is no image for a canary without a lab".to_string()));
    };
    let (process, container) = (canary.process_port.to_string(), canary.container_port.to_string());
    let value = context.ssh.script(&CANARY_START, &[&process, &container, &canary.image])?;
    let silent: Vec<&str> = ["process4", "process6", "container4", "container6"]
        .into_iter()
        .filter(|key| value[*key] != true)
        .collect();
    let errors = words(&value["errors"]);
    Ok(if silent.is_empty() {
        Outcome::Pass(format!("a process on port {process}, a container on port {container}"))
    } else {
        Outcome::Fail(format!("these do not even answer on the machine: {}; {}", silent.join(", "), errors.join("; ")))
    })
}

/// Scans everything; gives what is wrong, and a sentence on what was done.
fn scan_all(context: &Context) -> Result<std::result::Result<(Vec<String>, String), Outcome>> {
    let addresses = match context.addresses() {
        Ok(found) => found,
        Err(skipped) => return Ok(Err(skipped)),
    };
    let expect = context.expect;
    let control = if expect.tcp_ports.contains(&80) { 80 } else { expect.ssh_port };
    let must: BTreeSet<u16> =
        [expect.ssh_port, 80, 443].into_iter().filter(|port| expect.tcp_ports.contains(port)).collect();
    let origin = context.origin(Role::Scans);
    let scans: Vec<_> = std::thread::scope(|scope| {
        let origin = &origin;
        let running: Vec<_> = addresses
            .iter()
            .map(|address| scope.spawn(move || (*address, scanner::all_ports(origin, *address, control))))
            .collect();
        running.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    let (mut wrong, mut told) = (Vec::new(), Vec::new());
    for (address, found) in scans {
        let found = found?;
        let list = |ports: Vec<&u16>| ports.iter().map(|port| port.to_string()).collect::<Vec<_>>().join(", ");
        let strange: Vec<&u16> = found.open.difference(&expect.tcp_ports).collect();
        let missing: Vec<&u16> = must.difference(&found.open).collect();
        if !strange.is_empty() {
            wrong.push(format!("{address}: open but not planned: {}", list(strange)));
        }
        if !missing.is_empty() {
            wrong.push(format!("{address}: planned but closed: {}", list(missing)));
        }
        told.push(format!(
            "{address}: open {}; {} tried in {:.0} s",
            list(found.open.iter().collect()),
            found.tried,
            found.seconds
        ));
    }
    if told.len() != addresses.len() {
        wrong.push("a scan broke off".to_string());
    }
    Ok(Ok((wrong, told.join("; "))))
}

/// All ports, both families.
pub fn scan(context: &mut Context) -> Result<Outcome> {
    Ok(match scan_all(context)? {
        Err(skipped) => skipped,
        Ok((wrong, told)) if wrong.is_empty() => Outcome::Pass(told),
        Ok((wrong, _)) => Outcome::Fail(wrong.join("; ")),
    })
}

/// Tries to get past the host: into Docker's networks by route, and to what is published on its loopback address.
fn try_routes(context: &Context) -> Result<std::result::Result<(Vec<String>, String), Outcome>> {
    let (neighbour, addresses) = match context.outside() {
        Ok(found) => found,
        Err(skipped) => return Ok(Err(skipped)),
    };
    let value = context.ssh.script(&NETWORKS, &[])?;
    let via = |v6: bool| addresses.iter().copied().find(|address| address.is_ipv6() == v6);
    let subnets = words(&value["subnets"]);
    for subnet in subnets.iter().copied().chain(["127.0.0.0/8"]) {
        if let Some(machine) = via(subnet.contains(':')) {
            neighbour.route(subnet, machine);
        }
    }
    let mut targets: Vec<(String, SocketAddr)> = Vec::new();
    for target in value["targets"].as_array().into_iter().flatten() {
        let address = target[1].as_str().and_then(|text| text.parse::<IpAddr>().ok());
        let port = target[2].as_u64().and_then(|port| u16::try_from(port).ok());
        if let (Some(address), Some(port)) = (address, port) {
            targets.push((target[0].as_str().unwrap_or("?").to_string(), SocketAddr::new(address, port)));
        }
    }
    let published = value["loopback"].as_array().into_iter().flatten().filter_map(Value::as_u64);
    let mut loopback: BTreeSet<u16> = published.filter_map(|port| u16::try_from(port).ok()).collect();
    loopback.extend(&context.expect.loopback_ports);
    for port in &loopback {
        targets.push(("127.0.0.1".to_string(), SocketAddr::from(([127, 0, 0, 1], *port))));
        targets.extend(addresses.iter().map(|address| ("published".to_string(), SocketAddr::new(*address, *port))));
    }
    let origin = neighbour.origin(Role::Scans);
    let reached = namespace::within(origin.netns.as_deref(), || {
        Ok(targets
            .iter()
            .filter(|(_, target)| socket::answers(*target, origin.source(target.ip()), PATIENCE))
            .map(|(name, target)| format!("{name} at {target}"))
            .collect::<Vec<_>>())
    })?;
    let told = format!("{} targets in {} subnets, {} published ports", targets.len(), subnets.len(), loopback.len());
    Ok(Ok((reached, told)))
}

/// Routes a hostile neighbour may set.
pub fn routes(context: &mut Context) -> Result<Outcome> {
    Ok(match try_routes(context)? {
        Err(skipped) => skipped,
        Ok((reached, told)) if reached.is_empty() => Outcome::Pass(told),
        Ok((reached, _)) => Outcome::Fail(format!("reached: {}", reached.join(", "))),
    })
}

/// Pulls at the firewall, looks again, and lets the machine put it right.
pub fn disturbed(context: &mut Context) -> Result<Outcome> {
    if let Err(skipped) = context.outside() {
        return Ok(skipped);
    }
    let said = context.ssh.script(&DISTURB, &[])?;
    let scanned = scan_all(context);
    let routed = try_routes(context);
    let mended = context.ssh.script(&DISTURB, &["mend"]);
    let _ = context.ssh.script(&CANARY_STOP, &[]);
    let mut wrong: Vec<String> = Vec::new();
    let mut told = Vec::new();
    for part in [scanned?, routed?] {
        match part {
            Err(skipped) => return Ok(skipped),
            Ok((bad, text)) => {
                wrong.extend(bad);
                told.push(text);
            }
        }
    }
    for notes in [said, mended?] {
        wrong.extend(words(&notes).into_iter().map(str::to_string));
    }
    Ok(if wrong.is_empty() { Outcome::Pass(told.join("; ")) } else { Outcome::Fail(wrong.join("; ")) })
}

/// What the scanner saw that ran from power-on.
pub fn all_along(context: &mut Context) -> Result<Outcome> {
    let Some(watch) = context.watch else {
        return Ok(Outcome::Skipped("there was no place outside to watch from: boot in a lab (--lab)".to_string()));
    };
    let seen = watch.seen();
    let strange: Vec<String> = seen
        .open
        .iter()
        .filter(|((_, port), _)| !context.expect.tcp_ports.contains(port))
        .map(|((family, port), at)| format!("{port} by IPv{family}, first {at:.0} s after power-on"))
        .collect();
    Ok(if !strange.is_empty() {
        Outcome::Fail(strange.join("; "))
    } else if seen.open.is_empty() {
        Outcome::Fail("it saw no open port at all, so it proves nothing".to_string())
    } else {
        let before: BTreeSet<u16> = seen.before.keys().map(|(_, port)| *port).collect();
        let before: Vec<String> =
            before.difference(&context.expect.tcp_ports).map(|port| format!("; the image itself had {port} open before it got its user-data")).collect();
        Outcome::Pass(format!("{} rounds, {} connections tried{}", seen.rounds, seen.tried, before.concat()))
    })
}
