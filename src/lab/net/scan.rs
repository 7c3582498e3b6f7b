//! A connect scanner: tens of thousands of ports in well under a minute, also when nothing answers.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::sockopt;

use super::namespace;
use super::socket::{self, Origin};
use crate::lab::interrupt;

/// How long a port may take to answer; beyond the first retransmission of a SYN.
const PATIENCE: Duration = Duration::from_millis(1300);

/// What a scan found.
#[derive(Debug, Clone)]
pub struct Scan {
    /// Ports that accepted a connection.
    pub open: BTreeSet<u16>,
    /// How many were tried.
    pub tried: usize,
    /// How long it took.
    pub seconds: f64,
}

/// Scans all TCP ports of `target`. `control` is a port known to be open: each batch asks it again, and a
/// batch in which it stays silent is repeated, so that a scanner gone deaf cannot report a closed machine.
pub fn all_ports(origin: &Origin, target: IpAddr, control: u16) -> Result<Scan> {
    let ports: Vec<u16> = (1..=u16::MAX).collect();
    scan(origin, target, &ports, Some(control), PATIENCE)
}

/// Scans the given ports.
pub fn scan(origin: &Origin, target: IpAddr, ports: &[u16], control: Option<u16>, patience: Duration) -> Result<Scan> {
    let began = Instant::now();
    let size = batch_size();
    let source = origin.source(target);
    let open = namespace::within(origin.netns.as_deref(), || {
        let mut open = BTreeSet::new();
        for chunk in ports.chunks(size) {
            open.extend(controlled(target, source, chunk, control, patience)?);
        }
        Ok(open)
    })?;
    Ok(Scan { open, tried: ports.len(), seconds: began.elapsed().as_secs_f64() })
}

fn controlled(
    target: IpAddr,
    source: Option<IpAddr>,
    chunk: &[u16],
    control: Option<u16>,
    patience: Duration,
) -> Result<BTreeSet<u16>> {
    let Some(control) = control else {
        return batch(target, source, chunk, patience);
    };
    let mut ports = chunk.to_vec();
    ports.push(control);
    let mut found = BTreeSet::new();
    for attempt in 1..=3 {
        let open = batch(target, source, &ports, patience * attempt)?;
        let heard = open.contains(&control);
        found.extend(open);
        if heard {
            return Ok(found);
        }
        interrupt::sleep(Duration::from_secs(2))?;
    }
    bail!("port {control} of {target}, which is to be open, did not answer in three rounds: the scan proves nothing")
}

/// One round: every port at once, then whatever answered within `patience`.
fn batch(target: IpAddr, source: Option<IpAddr>, ports: &[u16], patience: Duration) -> Result<BTreeSet<u16>> {
    interrupt::check()?;
    let mut open = BTreeSet::new();
    let mut pending: Vec<(u16, OwnedFd)> = Vec::new();
    for port in ports {
        match socket::begin(SocketAddr::new(target, *port), source) {
            Ok((_, true)) => {
                open.insert(*port);
            }
            Ok((socket, false)) => pending.push((*port, socket)),
            Err(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE) => {
                bail!("too many open files for a scan: raise the limit (`ulimit -n 8192`)")
            }
            Err(_) => {}
        }
    }
    let end = Instant::now() + patience;
    while !pending.is_empty() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        let mut waiting: Vec<PollFd> = pending.iter().map(|(_, socket)| PollFd::new(socket, PollFlags::OUT)).collect();
        match poll(&mut waiting, Some(&socket::timespec(left))) {
            Ok(0) => break,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => bail!("scanning {target}: {error}"),
        }
        let settled: Vec<bool> = waiting.iter().map(|one| !one.revents().is_empty()).collect();
        drop(waiting);
        let mut settled = settled.into_iter();
        pending.retain(|(port, socket)| {
            if !settled.next().unwrap_or(false) {
                return true;
            }
            if matches!(sockopt::socket_error(socket), Ok(Ok(()))) {
                open.insert(*port);
            }
            false
        });
    }
    Ok(open)
}

/// As many sockets at once as the limit on open files allows, raised as far as may be.
fn batch_size() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(8192).min(8192);
    if limit.current.is_some_and(|current| current < wanted) {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum });
    }
    let now = getrlimit(Resource::Nofile).current.unwrap_or(8192) as usize;
    // Two scans (one a family) may run side by side, and others need files too.
    (now.saturating_sub(200) / 2).clamp(100, 3000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener};

    #[test]
    fn open_ports_are_found_and_closed_ones_are_not() {
        let one = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
        let two = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
        let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
        let port = |listener: &TcpListener| listener.local_addr().expect("an address").port();
        let (one_port, two_port, closed_port) = (port(&one), port(&two), port(&closed));
        drop(closed);
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let origin = Origin::default();
        let found = scan(&origin, local, &[one_port, two_port, closed_port], None, PATIENCE).expect("scans");
        assert_eq!(found.open, BTreeSet::from([one_port, two_port]));
        let error = scan(&origin, local, &[one_port], Some(closed_port), Duration::from_millis(20)).expect_err("deaf");
        assert!(error.to_string().contains("proves nothing"));
    }
}
