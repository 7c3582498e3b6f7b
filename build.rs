//! Lists `profiles/*.yaml`, so that the library embeds them without knowing their names.

use std::fmt::Write;
use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let folder = root.join("profiles");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut profiles = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        if let (Some("yaml"), Some(name)) =
            (path.extension().and_then(|e| e.to_str()), path.file_stem().and_then(|n| n.to_str()))
        {
            profiles.push((name.to_owned(), path.clone()));
        }
    }
    profiles.sort();
    let mut table = String::from("static PROFILES: &[(&str, &str)] = &[\n");
    for (name, path) in profiles {
        writeln!(table, "    ({name:?}, include_str!({:?})),", path.display().to_string())?;
    }
    table.push_str("];\n");
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("profiles.rs"), table)?;
    Ok(())
}
