//! The lock file: what each image's tag stood for when `lock` asked, so that every machine gets the same bytes.
//!
//! It lies beside the profile, `my.lock.json` for `my.yaml`, and is read with it.

use crate::profile::reader::shown;
use crate::report::Report;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Largest file that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Digests by image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// The form of this file.
    version: u32,
    /// `sha256:…` by the image as the profile writes it.
    pub images: BTreeMap<String, String>,
}

impl Lock {
    /// A lock with these digests.
    pub fn new(images: BTreeMap<String, String>) -> Self {
        Self { version: 1, images }
    }

    /// As it lies in a file.
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).expect("texts and numbers are JSON") + "\n"
    }
}

/// Where the lock of a profile lies.
pub fn beside(profile: &Path) -> PathBuf {
    profile.with_extension("lock.json")
}

/// Reads a lock, if there is one; what cannot be used is a finding.
pub fn read(path: &Path, report: &mut Report) -> Option<Lock> {
    use std::io::Read;
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text));
    let parsed = match read {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => Err(error.to_string()),
        Ok(_) => serde_json::from_str::<Lock>(&text).map_err(|error| error.to_string()),
    };
    let why = match parsed {
        Ok(lock) if lock.version != 1 => format!("its version is {}, and 1 is known here", lock.version),
        Ok(lock) => match lock.images.iter().find(|(_, digest)| !is_digest(digest)) {
            None => return Some(lock),
            Some((image, _)) => format!("what it says of `{}` is no sha256", shown(image)),
        },
        Err(error) => error,
    };
    report.error(None, "lock", format!("{} cannot be used: {why}", path.display())).help("make it anew by `julia-bootstrap lock`, or take it away");
    None
}

/// True for `sha256:` and 64 hexadecimal digits.
pub fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
}

/// Why an image stays as it is written: `None` where a digest may stand for its tag.
pub fn exempt(image: &str, built: bool, polled: bool) -> Option<&'static str> {
    match () {
        () if built => Some("is built on the machine"),
        () if image.contains('@') => Some("names its digest"),
        () if image.contains('$') => Some("hangs on a variable"),
        () if polled => Some("is asked for by its tag: `deploy.poll` brings in what that becomes"),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lies_beside_the_profile() {
        assert_eq!(beside(Path::new("a/my.yaml")), Path::new("a/my.lock.json"));
        assert_eq!(beside(Path::new("my.prod.yaml")), Path::new("my.prod.lock.json"));
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.lock.json");
        let digest = format!("sha256:{}", "0a".repeat(32));
        let lock = Lock::new([("redis:7".to_owned(), digest)].into());
        std::fs::write(&path, lock.text()).expect("it can be written");
        let mut report = Report::new();
        assert_eq!(read(&path, &mut report), Some(lock.clone()));
        for (bad, why) in [("{", "EOF"), ("{\"version\":2,\"images\":{}}", "version is 2"), ("{\"version\":1,\"images\":{\"a\":\"latest\"}}", "no sha256"), ("{\"version\":1,\"images\":{},\"more\":1}", "unknown field")] {
            std::fs::write(&path, bad).expect("it can be written");
            let mut report = Report::new();
            assert_eq!(read(&path, &mut report), None, "{bad}");
            assert!(report.findings()[0].message.contains(why), "{}", report.findings()[0].message);
        }
        assert_eq!(read(&folder.path().join("none"), &mut report), None);
        assert!(report.findings().is_empty());
    }
}
