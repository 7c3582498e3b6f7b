//! The other way: the files that a user-data holds, for `diff`. What was changed on the way is refused.

use super::{digits, lzma, text};
use crate::report::Report;
use crate::yaml;
use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Read;

/// No payload is larger: what says so is damaged, or was made to hurt. The reference profile has a third of a MiB.
const MOST: u64 = 4 << 20;
/// No provider takes more, by far; unpacking takes its time.
const MOST_DIGITS: usize = 256 << 10;
/// The same for the form whose unpacking takes a second for each fifth of a MiB.
const MOST_PACKED: usize = 1 << 20;

/// The files of a user-data in any of the formats: permission bits and text, by path. In all but `cloud-config` they come
/// without comments.
pub fn files(user_data: &[u8]) -> Result<BTreeMap<String, (u32, String)>> {
    let bytes = unwrapped(user_data)?;
    let text = std::str::from_utf8(&bytes).context("it is no text")?;
    let first = text.lines().next().unwrap_or_default();
    ensure!(matches!(first.trim_end(), "#cloud-config" | "#!/bin/sh"), "it begins neither with `#cloud-config` nor with `#!/bin/sh`, as user-data does");
    if text.contains("\nwrite_files:") {
        return readable(text);
    }
    let Some((sum, digits)) = packed(text) else {
        bail!("there is no payload of ours in it: a stub for --bundle-url has none, and neither has user-data from elsewhere");
    };
    ensure!(digits.len() <= MOST_DIGITS, "its payload is longer than any provider takes");
    let payload = if text.contains("for c in t:n=n*89+c") {
        let bytes = text::bytes(&digits).context("the payload has a character in it that is no digit")?;
        lzma::decompress(&bytes, MOST)?
    } else {
        digits::decode(&digits, MOST_PACKED, |payload| hex(payload) == sum).context("the payload is damaged, or another version of this program wrote it")?
    };
    ensure!(hex(Sha256::new_with_prefix(&payload)) == sum, "the payload is damaged");
    parts(&payload)
}

fn hex(sum: Sha256) -> String {
    sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Without base64 and gzip.
fn unwrapped(user_data: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = user_data.to_vec();
    if bytes.starts_with(b"H4sI") {
        let line: Vec<u8> = bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        bytes = base64::engine::general_purpose::STANDARD.decode(line).context("reading base64")?;
    }
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(bytes.as_slice()).take(MOST).read_to_end(&mut plain).context("reading gzip")?;
        bytes = plain;
    }
    Ok(bytes)
}

/// What identifies the payload, and its digits.
fn packed(text: &str) -> Option<(String, String)> {
    let sum = text.lines().find_map(|line| line.trim().strip_prefix("h='")?.strip_suffix('\''))?;
    let mut lines = text.lines().skip_while(|line| !line.contains("t=[A.index(c)for c in b'''"));
    lines.next()?;
    let digits = lines.map(str::trim).take_while(|line| !line.starts_with("'''")).collect();
    Some((sum.to_owned(), digits))
}

/// The files behind the program that writes them.
fn parts(payload: &[u8]) -> Result<BTreeMap<String, (u32, String)>> {
    let payload = std::str::from_utf8(payload).context("the payload is no text")?;
    let pieces: Vec<&str> = payload.split('\0').skip(1).collect();
    let file = |piece: &[&str]| Ok((piece[0].to_owned(), (u32::from_str_radix(piece[1], 8).context("reading a file's mode")?, piece[2].to_owned())));
    pieces.chunks_exact(3).map(file).collect()
}

/// What `write_files` has.
fn readable(text: &str) -> Result<BTreeMap<String, (u32, String)>> {
    let mut report = Report::new();
    let source = report.sources.add("user-data", text);
    let root = yaml::parse(&mut report, source).context("its YAML cannot be read")?;
    let rows = root.get("write_files").and_then(yaml::Node::as_seq).context("`write_files` is no list")?;
    let file = |row: &yaml::Node| {
        let text = |key: &str| row.get(key).and_then(yaml::Node::as_str).map(str::to_owned);
        let path = text("path").context("a file without a path")?;
        let mode = text("permissions").and_then(|mode| u32::from_str_radix(&mode, 8).ok()).unwrap_or(0o644);
        Ok((path, (mode, text("content").unwrap_or_default())))
    };
    rows.iter().map(file).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::*;
    use crate::load::{Input, PathOrName, load};

    #[test]
    fn every_format_gives_its_files_back() {
        let input = Input::new(PathOrName::Name("minimal".into()));
        let profile = load(&input, &|_| None, &mut Report::default()).expect("loads");
        let plan = crate::plan::plan(&profile).expect("plans");
        let bare: BTreeMap<_, _> = plan.files.iter().map(|file| (file.path.clone(), (file.mode, super::super::strip::strip(file).into_owned()))).collect();
        let whole: BTreeMap<_, _> = plan.files.iter().map(|file| (file.path.clone(), (file.mode, file.content.clone()))).collect();
        for format in Format::ALL {
            let found = files(&format.encode(&plan).expect("encodes").user_data).unwrap_or_else(|error| panic!("{}: {error:#}", format.name()));
            let wanted = if format == Format::CloudConfig { &whole } else { &bare };
            assert!(found == *wanted, "{}: {:?}", format.name(), found.keys().collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_damaged_or_foreign_is_refused() {
        let input = Input::new(PathOrName::Name("minimal".into()));
        let profile = load(&input, &|_| None, &mut Report::default()).expect("loads");
        let plan = crate::plan::plan(&profile).expect("plans");
        for format in [Format::Packed, Format::Lzma] {
            let mut bytes = format.encode(&plan).expect("encodes").user_data;
            let middle = bytes.len() / 3;
            bytes[middle] = if bytes[middle] == b'a' { b'b' } else { b'a' };
            assert!(files(&bytes).is_err(), "{}", format.name());
        }
        for foreign in [&b"#cloud-config\npackages: [nginx]\n"[..], b"hello", b"\xff\xfe", b"H4sI====", b"\x1f\x8b\x08", b""] {
            assert!(files(foreign).is_err(), "{foreign:?}");
        }
    }
}
