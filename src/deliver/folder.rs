//! A folder, complete or not there.

use anyhow::{Context, Result, bail};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};
use std::{fs, io::Write};

/// True for a bundle that we wrote and nobody added to: its files are those that its own manifest names.
fn is_ours(folder: &Path) -> bool {
    let Ok(text) = fs::read_to_string(folder.join("manifest.json")) else { return false };
    let Ok(serde_json::Value::Array(rows)) = serde_json::from_str(&text) else { return false };
    let mut known: HashSet<PathBuf> = ["user-data", "meta-data", "network-config", "manifest.json"].map(|name| folder.join(name)).into();
    known.extend(rows.iter().filter_map(|row| Some(folder.join(format!("root{}", row["path"].as_str()?)))));
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).into_iter().flatten() {
            let Ok(entry) = entry else { return false };
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(entry.path()),
                Ok(kind) if kind.is_file() && known.contains(&entry.path()) => {}
                _ => return false,
            }
        }
    }
    true
}

/// Writes `files` (relative path, mode, text) as the folder `path`. A bundle that stands there is replaced;
/// any other folder with something in it is refused.
pub fn folder(path: &Path, files: &[(String, u32, Vec<u8>)]) -> Result<()> {
    let doing = || format!("writing {}", path.display());
    let occupied = path.exists() && fs::read_dir(path).with_context(doing)?.next().is_some();
    if occupied && !is_ours(path) {
        bail!("{} is there already and holds something else: name a new folder", path.display());
    }
    let target = super::followed(path).with_context(doing)?;
    let path = target.as_path();
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).with_context(doing)?;
    let new = tempfile::TempDir::new_in(parent).with_context(doing)?;
    fs::set_permissions(new.path(), fs::Permissions::from_mode(0o755)).with_context(doing)?;
    for (name, mode, bytes) in files {
        let relative = Path::new(name);
        if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
            bail!("the path {name} leads out of the bundle");
        }
        let target = new.path().join(relative);
        if let Some(folder) = target.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o755).create(folder).with_context(doing)?;
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(*mode).open(&target).with_context(doing)?;
        file.write_all(bytes).with_context(doing)?;
        file.set_permissions(fs::Permissions::from_mode(*mode)).with_context(doing)?;
    }
    if !path.exists() {
        fs::rename(new.path(), path).with_context(doing)?;
        let _ = new.keep();
        return Ok(());
    }
    // The old bundle is there until the new one is.
    let old = tempfile::TempDir::new_in(parent).with_context(doing)?;
    let aside = old.path().join("old");
    fs::rename(path, &aside).with_context(doing)?;
    if let Err(error) = fs::rename(new.path(), path) {
        let _ = fs::rename(&aside, path);
        return Err(error).with_context(doing);
    }
    let _ = new.keep();
    Ok(())
}
