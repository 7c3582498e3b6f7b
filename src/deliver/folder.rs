//! A folder, complete or not there.

use anyhow::{Context, Result, bail};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path};
use std::{fs, io::Write};

/// A file that stands in a folder that we wrote, and tells it from one that we did not.
const OURS: &str = "manifest.json";

/// Writes `files` (relative path, mode, text) as the folder `path`. A bundle that stands there is replaced;
/// any other folder with something in it is refused.
pub fn folder(path: &Path, files: &[(String, u32, String)]) -> Result<()> {
    let doing = || format!("writing {}", path.display());
    let occupied = path.exists() && fs::read_dir(path).with_context(doing)?.next().is_some();
    if occupied && !path.join(OURS).is_file() {
        bail!("{} is there already and holds something else: name a new folder", path.display());
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).with_context(doing)?;
    let new = tempfile::TempDir::new_in(parent).with_context(doing)?;
    fs::set_permissions(new.path(), fs::Permissions::from_mode(0o755)).with_context(doing)?;
    for (name, mode, text) in files {
        let relative = Path::new(name);
        if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
            bail!("the path {name} leads out of the bundle");
        }
        let target = new.path().join(relative);
        if let Some(folder) = target.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o755).create(folder).with_context(doing)?;
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(*mode).open(&target).with_context(doing)?;
        file.write_all(text.as_bytes()).with_context(doing)?;
        file.set_permissions(fs::Permissions::from_mode(*mode)).with_context(doing)?;
    }
    if path.exists() {
        let old = tempfile::TempDir::new_in(parent).with_context(doing)?;
        fs::rename(path, old.path().join("old")).with_context(doing)?;
        fs::rename(new.keep(), path).with_context(doing)?;
    } else {
        fs::rename(new.keep(), path).with_context(doing)?;
    }
    Ok(())
}
