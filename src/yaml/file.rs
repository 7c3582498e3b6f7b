//! Files, read under the limits.

use crate::report::{Report, SourceId, Span};
use std::io::Read;
use std::path::Path;

/// Reads a file, or so much of it that it is seen to be larger than `limit` bytes.
pub fn read_some(path: &Path, limit: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a file as a source; what it names is relative to its folder. `named` is where the profile names it.
pub fn read_file(path: &Path, named: Option<Span>, report: &mut Report) -> Option<SourceId> {
    let name = path.display().to_string();
    report.read.push(path.to_owned());
    // What is no file, as a pipe, may never end.
    let special = path.metadata().is_ok_and(|meta| !meta.is_file() && !meta.is_dir());
    if special && named.is_some() {
        report.error(named, "unreadable", format!("{name} is no file")).help("name a file");
        return None;
    }
    match read_some(path, super::MAX_BYTES) {
        Ok(bytes) => {
            let source = super::add_bytes(report, &name, &bytes)?;
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            report.sources.set_folder(source, folder.unwrap_or(Path::new(".")));
            Some(source)
        }
        Err(_) if path.is_dir() => {
            report.error(named, "unreadable", format!("{name} is a folder")).help("name a file in it");
            None
        }
        Err(error) => {
            report
                .error(named, "unreadable", format!("{name} cannot be read: {error}"))
                .help("check the path and its permissions");
            None
        }
    }
}
