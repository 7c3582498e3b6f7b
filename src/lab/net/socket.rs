//! TCP connections with a chosen source address.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with, sockopt};

/// Where traffic comes from: a network namespace and a source address, both optional.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// Network namespace; `None` is our own.
    pub netns: Option<String>,
    /// Source address for IPv4.
    pub v4: Option<IpAddr>,
    /// Source address for IPv6.
    pub v6: Option<IpAddr>,
}

impl Origin {
    /// The source address for a target of this family.
    pub fn source(&self, target: IpAddr) -> Option<IpAddr> {
        if target.is_ipv4() { self.v4 } else { self.v6 }
    }
}

/// A time span as the kernel wants it.
pub fn timespec(time: Duration) -> Timespec {
    Timespec { tv_sec: time.as_secs() as i64, tv_nsec: i64::from(time.subsec_nanos()) }
}

/// Starts a connection without waiting for it; the answer says whether it already stands.
pub fn begin(target: SocketAddr, source: Option<IpAddr>) -> Result<(OwnedFd, bool), rustix::io::Errno> {
    let family = if target.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    // Closed with a reset: no state stays behind on either side after tens of thousands of these.
    sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
    if let Some(source) = source {
        bind(&socket, &SocketAddr::new(source, 0))?;
    }
    match connect(&socket, &target) {
        Ok(()) => Ok((socket, true)),
        Err(rustix::io::Errno::INPROGRESS) => Ok((socket, false)),
        Err(error) => Err(error),
    }
}

/// Connects from `source`, waiting at most `limit`.
pub fn open(target: SocketAddr, source: Option<IpAddr>, limit: Duration) -> Result<TcpStream> {
    let (socket, stands) = begin(target, source).with_context(|| format!("connecting to {target}"))?;
    if !stands {
        let mut waiting = [PollFd::new(&socket, PollFlags::OUT)];
        if poll(&mut waiting, Some(&timespec(limit))).context("waiting for a connection")? == 0 {
            bail!("connecting to {target}: no answer within {} s", limit.as_secs_f32());
        }
        if let Err(error) = sockopt::socket_error(&socket).context("asking a socket")? {
            bail!("connecting to {target}: {}", std::io::Error::from(error));
        }
    }
    sockopt::set_socket_linger(&socket, None).context("setting up a socket")?;
    let stream = TcpStream::from(socket);
    stream.set_nonblocking(false).context("setting up a socket")?;
    stream.set_read_timeout(Some(limit)).context("setting up a socket")?;
    stream.set_write_timeout(Some(limit)).context("setting up a socket")?;
    Ok(stream)
}

/// True when something accepts a connection.
pub fn answers(target: SocketAddr, source: Option<IpAddr>, limit: Duration) -> bool {
    open(target, source, limit).is_ok()
}
