//! Deliveries: where encoded user-data goes. Every write is whole or not at all.

mod closed;
mod folder;
mod iso;
pub mod cloud;
pub mod provider;

pub use folder::folder;
pub use iso::{iso, image};

use anyhow::{Context, Result, bail};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Writes `bytes` to `path` with `mode`; a reader sees the old file or the whole new one. A link is followed; a device or
/// a pipe is written to as it is.
pub fn file(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let doing = || format!("writing {}", path.display());
    if path.metadata().is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        let mut there = std::fs::OpenOptions::new().write(true).open(path).with_context(doing)?;
        return there.write_all(bytes).with_context(doing);
    }
    if path.is_dir() {
        bail!("{} is a folder: name a file in it", path.display());
    }
    let target = followed(path).with_context(doing)?;
    let path = target.as_path();
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder).with_context(doing)?;
    // Should it be left behind, its name says of what.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut new = tempfile::Builder::new().prefix(&format!(".{name}.")).tempfile_in(folder).with_context(doing)?;
    new.write_all(bytes).with_context(doing)?;
    new.as_file().set_permissions(std::fs::Permissions::from_mode(mode)).with_context(doing)?;
    new.as_file().sync_all().with_context(doing)?;
    new.persist(path).map_err(|error| error.error).with_context(doing)?;
    Ok(())
}

/// Whether a path stands for standard output: `-`.
pub fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

/// Writes `bytes` to `path` as [`file`] does, or to standard output where that is meant.
pub fn output(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    if is_stdout(path) { stdout(bytes) } else { file(path, bytes, mode) }
}

/// Where a link leads; any other path as it is.
fn followed(path: &Path) -> std::io::Result<PathBuf> {
    if path.is_symlink() { path.canonicalize() } else { Ok(path.to_owned()) }
}

/// Writes `bytes` to standard output. A reader that went away is no error of ours.
pub fn stdout(bytes: &[u8]) -> Result<()> {
    whole(std::io::stdout().lock(), bytes)
}

/// Writes styled text to standard output; where that is no terminal, or colours are not wanted, without the styles.
pub fn styled(text: &str) -> Result<()> {
    whole(anstream::stdout().lock(), text.as_bytes())
}

fn whole(mut out: impl Write, bytes: &[u8]) -> Result<()> {
    if closed::stdout() {
        bail!("writing to standard output: it is closed");
    }
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("writing to standard output"),
    }
}
