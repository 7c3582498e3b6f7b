//! A small HTTP/1.1 client that talks to a given address under a given name, and shows what came back.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::socket;
use super::tls::{Session, Trust};

/// No answer that the checks ask for is longer than this.
const MOST: u64 = 1 << 20;

/// An answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// What to ask and how.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    /// Where to connect.
    pub target: SocketAddr,
    /// Source address.
    pub source: Option<IpAddr>,
    /// Host name, for the Host header and for TLS.
    pub host: &'a str,
    /// Path with query.
    pub path: &'a str,
    /// `None` for plain HTTP.
    pub tls: Option<&'a Trust>,
    /// How long each step may take.
    pub limit: Duration,
}

/// Asks; `Ok(None)` when the server closed the connection without an answer.
pub fn get(ask: &Ask) -> Result<Option<Answer>> {
    let bytes = match ask.tls {
        None => exchange(socket::open(ask.target, ask.source, ask.limit)?, ask)?,
        Some(trust) => {
            let session =
                Session::open(ask.target, ask.source, ask.host, trust, rustls::ALL_VERSIONS, ask.limit)?;
            exchange(session, ask)?
        }
    };
    if bytes.is_empty() {
        return Ok(None);
    }
    parse(&bytes).map(Some)
}

fn exchange(mut stream: impl Read + Write, ask: &Ask) -> Result<Vec<u8>> {
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: julia-bootstrap-check\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        ask.path, ask.host
    );
    stream.write_all(request.as_bytes()).context("sending a request")?;
    stream.flush().context("sending a request")?;
    let mut bytes = Vec::new();
    match stream.take(MOST).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(bytes),
        Err(error) => Err(error).with_context(|| format!("waiting for the answer to {}", ask.path)),
    }
}

/// Reads an answer.
pub fn parse(bytes: &[u8]) -> Result<Answer> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        bail!("the answer ended within its headers");
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1."))
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|code| code.parse().ok())
        .context("the answer is not HTTP")?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_string()))
        .collect();
    let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value.contains("chunked"));
    let rest = &bytes[end + 4..];
    let body = if chunked { unchunk(rest) } else { rest.to_vec() };
    Ok(Answer { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let digits = String::from_utf8_lossy(&rest[..end]).into_owned();
        let length = usize::from_str_radix(digits.split(';').next().unwrap_or("").trim(), 16).unwrap_or(0);
        let start = end + 2;
        if length == 0 || rest.len() < start + length + 2 {
            break;
        }
        body.extend(&rest[start..start + length]);
        rest = &rest[start + length + 2..];
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let plain = parse(b"HTTP/1.1 301 Moved\r\nLocation: https://a/\r\nX: 1\r\n\r\nbody").expect("parses");
        assert_eq!((plain.status, plain.header("location"), plain.body.as_str()), (301, Some("https://a/"), "body"));
        let chunked = parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n");
        assert_eq!(chunked.expect("parses").body, "abcde");
        assert!(parse(b"nonsense").is_err());
        assert!(parse(b"nonsense\r\n\r\n").is_err());
    }
}
