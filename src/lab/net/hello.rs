//! A ClientHello of an old TLS version, to see whether a server still takes it.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};

use super::socket;

/// How a server took an old ClientHello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// It went on with the handshake.
    Accepted,
    /// It sent an alert or closed.
    Refused,
}

/// Offers nothing newer than `minor` (1: TLS 1.0, 2: TLS 1.1) with every common cipher suite of that time.
pub fn offer(target: SocketAddr, source: Option<IpAddr>, name: &str, minor: u8, limit: Duration) -> Result<Reaction> {
    let mut stream = socket::open(target, source, limit)?;
    stream.write_all(&client_hello(name, minor)).context("sending a ClientHello")?;
    let mut answer = [0u8; 6];
    let mut length = 0;
    while length < answer.len() {
        match stream.read(&mut answer[length..]) {
            Ok(0) | Err(_) => break,
            Ok(count) => length += count,
        }
    }
    Ok(judge(&answer[..length]))
}

fn judge(answer: &[u8]) -> Reaction {
    // Record type 22 is a handshake, and handshake type 2 is the ServerHello.
    if answer.len() == 6 && answer[0] == 22 && answer[5] == 2 { Reaction::Accepted } else { Reaction::Refused }
}

fn client_hello(name: &str, minor: u8) -> Vec<u8> {
    let suites: [u16; 10] =
        [0xc013, 0xc014, 0xc009, 0xc00a, 0x002f, 0x0035, 0x000a, 0x0033, 0x0039, 0x00ff];
    let mut body = vec![3, minor];
    body.extend([0x5a; 32]);
    body.push(0);
    body.extend((suites.len() as u16 * 2).to_be_bytes());
    suites.iter().for_each(|suite| body.extend(suite.to_be_bytes()));
    body.extend([1, 0]);
    let extensions = [server_name(name), groups(), point_formats()].concat();
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    let mut handshake = vec![1, 0];
    handshake.extend((body.len() as u16).to_be_bytes());
    handshake.extend(body);
    let mut record = vec![22, 3, 1];
    record.extend((handshake.len() as u16).to_be_bytes());
    record.extend(handshake);
    record
}

fn server_name(name: &str) -> Vec<u8> {
    let length = name.len() as u16;
    let mut bytes = vec![0, 0];
    bytes.extend((length + 5).to_be_bytes());
    bytes.extend((length + 3).to_be_bytes());
    bytes.push(0);
    bytes.extend(length.to_be_bytes());
    bytes.extend(name.bytes());
    bytes
}

fn groups() -> Vec<u8> {
    vec![0, 10, 0, 6, 0, 4, 0, 23, 0, 24]
}

fn point_formats() -> Vec<u8> {
    vec![0, 11, 0, 2, 1, 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_has_consistent_lengths() {
        let record = client_hello("a.example", 2);
        assert_eq!(usize::from(u16::from_be_bytes([record[3], record[4]])), record.len() - 5);
        assert_eq!(usize::from(u16::from_be_bytes([record[7], record[8]])), record.len() - 9);
        assert_eq!(judge(&[22, 3, 2, 0, 50, 2]), Reaction::Accepted);
        assert_eq!(judge(&[21, 3, 2, 0, 2, 2]), Reaction::Refused);
        assert_eq!(judge(&[]), Reaction::Refused);
    }
}
