//! SHA-256 and SHA-512, as digits or as lines of the checksum files that distributions publish.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256, Sha512};

/// An expected checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checksum {
    /// SHA-256 in lower-case hexadecimal.
    Sha256(String),
    /// SHA-512 in lower-case hexadecimal.
    Sha512(String),
}

impl Checksum {
    /// Reads 64 or 128 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        match text.len() {
            64 => Some(Checksum::Sha256(text)),
            128 => Some(Checksum::Sha512(text)),
            _ => None,
        }
    }

    /// The first digits, to name a folder.
    pub fn short(&self) -> &str {
        let (Checksum::Sha256(hex) | Checksum::Sha512(hex)) = self;
        &hex[..16]
    }

    /// An error unless the file has this checksum.
    pub fn verify(&self, path: &Path) -> Result<()> {
        let (expected, found) = match self {
            Checksum::Sha256(hex) => (hex, digest::<Sha256>(path)?),
            Checksum::Sha512(hex) => (hex, digest::<Sha512>(path)?),
        };
        if *expected != found {
            bail!("{} does not match its checksum: expected {expected}, found {found}", path.display());
        }
        Ok(())
    }
}

/// Finds the checksum of `name` in a file like SHA256SUMS (`<hex>  name`, `<hex> *name`) or in BSD's form
/// (`SHA256 (name) = <hex>`). A file with one bare checksum and no name serves, too.
pub fn in_file(content: &str, name: &str) -> Option<Checksum> {
    let bare = || Checksum::from_hex(content);
    content
        .lines()
        .find_map(|line| {
            if let Some((head, hex)) = line.split_once(") = ") {
                return (head.split_once('(')?.1 == name).then(|| Checksum::from_hex(hex)).flatten();
            }
            let (hex, file) = line.trim().split_once(char::is_whitespace)?;
            let file = file.trim_start().trim_start_matches('*').trim_start_matches("./");
            (file == name).then(|| Checksum::from_hex(hex)).flatten()
        })
        .or_else(bare)
}

fn digest<D: Digest>(path: &Path) -> Result<String> {
    let mut file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut hasher = D::new();
    let mut buffer = vec![0u8; 1 << 20];
    loop {
        let count = file.read(&mut buffer).with_context(|| format!("reading {}", path.display()))?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
    }
    Ok(hex(&hasher.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_files_are_read() {
        let (short, long) = ("ab".repeat(32), "cd".repeat(64));
        let text = format!("{short} *a.qcow2\n{long}  ./b.img\nSHA256 (c (1).img) = {short}\n# a comment\n{short}  a.qcow2.old\n");
        assert_eq!(in_file(&text, "a.qcow2"), Some(Checksum::Sha256(short.clone())));
        assert_eq!(in_file(&text, "b.img"), Some(Checksum::Sha512(long)));
        assert_eq!(in_file(&text, "c (1).img"), Some(Checksum::Sha256(short.clone())));
        assert_eq!(in_file(&format!("SHA256 (d.img) = {short}\n"), "d.img"), Some(Checksum::Sha256(short.clone())));
        assert_eq!(in_file(&text, "missing"), None);
        assert_eq!(in_file(&format!("{short}\n"), "anything"), Some(Checksum::Sha256(short)));
        assert_eq!(Checksum::from_hex("xyz"), None);
    }
}
