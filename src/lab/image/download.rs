//! Downloads with progress that go on where they stopped.

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::StatusCode;
use reqwest::blocking::{Client, Response};
use reqwest::header::{CONTENT_RANGE, RANGE};

use crate::lab::interrupt;

/// How often a broken connection is taken up again.
const ATTEMPTS: u32 = 5;

/// Downloads `url` to `path`. What has arrived stays in `<path>.part`, and the next attempt asks for the rest;
/// only a file that `verify` accepts gets its final name.
pub fn download(url: &str, path: &Path, verify: impl Fn(&Path) -> Result<()>, quiet: bool) -> Result<()> {
    let client = crate::http::client().connect_timeout(Duration::from_secs(20)).timeout(None).build().context("setting up HTTP")?;
    let part = part_of(path);
    let bar = bar(path, quiet);
    let mut attempt = 1;
    loop {
        match once(&client, url, &part, &bar) {
            Ok(()) => break,
            Err(error) if attempt >= ATTEMPTS || interrupt::asked() || error.is::<Final>() => {
                return Err(error).with_context(|| format!("downloading {url}"));
            }
            Err(_) => {
                interrupt::sleep(Duration::from_millis(300 * u64::from(attempt)))?;
                attempt += 1;
            }
        }
    }
    bar.finish_and_clear();
    if let Err(error) = verify(&part) {
        // Kept, it would be "continued" for ever.
        let _ = std::fs::remove_file(&part);
        return Err(error).with_context(|| format!("{url} was downloaded, but it is not what was expected; nothing of it is kept"));
    }
    std::fs::rename(&part, path).with_context(|| format!("renaming {}", part.display()))
}

/// An answer that a further attempt would only repeat.
#[derive(Debug)]
struct Final(String);

impl std::fmt::Display for Final {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Final {}

fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

fn bar(path: &Path, quiet: bool) -> ProgressBar {
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}") {
        bar.set_style(style);
    }
    bar.set_message(path.file_name().unwrap_or_default().to_string_lossy().into_owned());
    bar
}

fn once(client: &Client, url: &str, part: &Path, bar: &ProgressBar) -> Result<()> {
    let have = std::fs::metadata(part).map(|data| data.len()).unwrap_or(0);
    let mut request = client.get(url);
    if have > 0 {
        request = request.header(RANGE, format!("bytes={have}-"));
    }
    let response = request.send().context("asking the server")?;
    let status = response.status();
    if status == StatusCode::RANGE_NOT_SATISFIABLE && have > 0 {
        // All of it was there already, or the file changed; the checksum tells.
        if total_of_range(&response) == Some(have) {
            return Ok(());
        }
        let _ = std::fs::remove_file(part);
        bail!("the server has no bytes after {have}");
    }
    if status.is_client_error() {
        return Err(Final(format!("the server answered {status}: check the address")).into());
    }
    if !status.is_success() {
        bail!("the server answered {status}");
    }
    let resumed = status == StatusCode::PARTIAL_CONTENT && have > 0;
    let start = if resumed { have } else { 0 };
    let length = response.content_length();
    bar.set_length(start + length.unwrap_or(0));
    bar.set_position(start);
    let mut file = OpenOptions::new();
    let file = if resumed { file.append(true) } else { file.write(true).create(true).truncate(true) };
    let file = file.open(part).with_context(|| format!("writing {}", part.display()))?;
    let got = copy(response, file, bar)?;
    if let Some(length) = length
        && got < length
    {
        bail!("the connection ended after {got} of {length} bytes");
    }
    Ok(())
}

fn copy(mut response: Response, mut file: File, bar: &ProgressBar) -> Result<u64> {
    let mut buffer = vec![0u8; 1 << 18];
    let mut got = 0;
    loop {
        interrupt::check()?;
        let count = response.read(&mut buffer).context("reading from the server")?;
        if count == 0 {
            file.sync_all().context("writing the image")?;
            return Ok(got);
        }
        file.write_all(&buffer[..count]).context("writing the image: is the disk full?")?;
        got += count as u64;
        bar.inc(count as u64);
    }
}

fn total_of_range(response: &Response) -> Option<u64> {
    response.headers().get(CONTENT_RANGE)?.to_str().ok()?.rsplit('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener};

    fn fetch(url: &str, path: &Path) -> Result<()> {
        download(url, path, |_| Ok(()), true)
    }

    #[test]
    fn a_started_download_goes_on() {
        let mut server = mockito::Server::new();
        let rest = server
            .mock("GET", "/i")
            .match_header("range", "bytes=4-")
            .with_status(206)
            .with_header("content-range", "bytes 4-7/8")
            .with_body("5678")
            .expect(1)
            .create();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("i");
        std::fs::write(part_of(&path), "1234").expect("writes");
        fetch(&format!("{}/i", server.url()), &path).expect("goes on");
        rest.assert();
        assert_eq!(std::fs::read_to_string(&path).expect("reads"), "12345678");
        assert!(!part_of(&path).exists());
    }

    #[test]
    fn a_server_without_ranges_starts_over() {
        let mut server = mockito::Server::new();
        server.mock("GET", "/i").with_status(200).with_body("whole").create();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("i");
        std::fs::write(part_of(&path), "stale").expect("writes");
        fetch(&format!("{}/i", server.url()), &path).expect("starts over");
        assert_eq!(std::fs::read_to_string(&path).expect("reads"), "whole");
    }

    #[test]
    fn a_missing_file_is_asked_for_once() {
        let mut server = mockito::Server::new();
        let missing = server.mock("GET", "/i").with_status(404).expect(1).create();
        let folder = tempfile::tempdir().expect("a folder");
        let error = fetch(&format!("{}/i", server.url()), &folder.path().join("i")).expect_err("404");
        missing.assert();
        assert!(format!("{error:#}").contains("404"));
    }

    #[test]
    fn a_truncated_answer_is_taken_up_again() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
        let url = format!("http://{}/i", listener.local_addr().expect("an address"));
        let server = std::thread::spawn(move || {
            let answers = [
                "HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\n1234",
                "HTTP/1.1 206 Partial Content\r\nContent-Length: 4\r\nContent-Range: bytes 4-7/8\r\nConnection: close\r\n\r\n5678",
            ];
            for answer in answers {
                let (mut stream, _) = listener.accept().expect("a client");
                let mut request = [0u8; 4096];
                let _ = stream.read(&mut request).expect("reads");
                stream.write_all(answer.as_bytes()).expect("answers");
            }
        });
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("i");
        fetch(&url, &path).expect("is taken up again");
        server.join().expect("the server ends");
        assert_eq!(std::fs::read_to_string(&path).expect("reads"), "12345678");
    }
}
