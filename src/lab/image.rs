//! Images of machines: a file, or a URL that is downloaded once, verified and kept.

pub mod checksum;
pub mod download;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use checksum::Checksum;

/// Gives the image's file. `image` is a path or an http(s) URL; `checksum` is hexadecimal or a checksum file
/// (also a URL) that names the image. A downloaded image must have one.
pub fn obtain(image: &str, checksum: Option<&str>, cache: &Path, quiet: bool) -> Result<PathBuf> {
    let remote = is_url(image);
    let name = image.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("image");
    let name = name.split(['?', '#']).next().unwrap_or(name);
    let expected = match checksum {
        Some(text) => Some(find_checksum(text, name, cache, quiet)?),
        None => None,
    };
    if !remote {
        let path = PathBuf::from(image);
        if !path.is_file() {
            bail!("there is no image {image}: give the path of a file or an http(s) URL");
        }
        if let Some(expected) = expected {
            expected.verify(&path)?;
        }
        return Ok(path);
    }
    let Some(expected) = expected else {
        bail!("{image} is downloaded, so it must be verified: give its SHA-256 or SHA-512, or the checksum file beside it, with --checksum");
    };
    let folder = cache.join("images").join(expected.short());
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let path = folder.join(name);
    if path.is_file() && expected.verify(&path).is_ok() {
        return Ok(path);
    }
    download::download(image, &path, |partial| expected.verify(partial), quiet)?;
    Ok(path)
}

fn find_checksum(text: &str, name: &str, cache: &Path, quiet: bool) -> Result<Checksum> {
    if let Some(checksum) = Checksum::from_hex(text) {
        return Ok(checksum);
    }
    let content = if is_url(text) {
        std::fs::create_dir_all(cache).with_context(|| format!("creating {}", cache.display()))?;
        let folder = tempfile::tempdir_in(cache).context("creating a folder")?;
        let path = folder.path().join("sums");
        download::download(text, &path, |_| Ok(()), quiet)?;
        std::fs::read_to_string(&path).with_context(|| format!("reading {text}"))?
    } else {
        std::fs::read_to_string(text)
            .with_context(|| format!("reading {text}: --checksum takes 64 or 128 hexadecimal digits, a checksum file or its URL"))?
    };
    checksum::in_file(&content, name)
        .with_context(|| format!("{text} has no SHA-256 or SHA-512 for {name}; is it the checksum file of this image?"))
}

fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

/// Where downloads are kept: `$XDG_CACHE_HOME/julia-bootstrap`, or `~/.cache/julia-bootstrap`.
pub fn cache_folder() -> PathBuf {
    let from = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    from("XDG_CACHE_HOME")
        .or_else(|| from("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("julia-bootstrap")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "a small image";
    const SHA256: &str = "2a5cb4b5a9b4d7cbd3f5b1f5ff1b3a9b0a44c8a8c6c1f79dd48ce0b9df7fb3c5";

    fn sums() -> String {
        format!("{}  image.qcow2\n{SHA256}  other.qcow2\n", checksum::sha256_hex(BODY.as_bytes()))
    }

    #[test]
    fn a_url_is_fetched_verified_and_cached() {
        let mut server = mockito::Server::new();
        let image = server.mock("GET", "/image.qcow2").with_body(BODY).expect(1).create();
        let list = server.mock("GET", "/SHA256SUMS").with_body(sums()).expect(2).create();
        let cache = tempfile::tempdir().expect("a folder");
        let (url, file) = (format!("{}/image.qcow2", server.url()), format!("{}/SHA256SUMS", server.url()));
        for _ in 0..2 {
            let path = obtain(&url, Some(&file), cache.path(), true).expect("downloads");
            assert_eq!(std::fs::read_to_string(path).expect("reads"), BODY);
        }
        image.assert();
        list.assert();
    }

    #[test]
    fn what_cannot_be_verified_is_not_used() {
        let mut server = mockito::Server::new();
        server.mock("GET", "/image.qcow2").with_body(BODY).create();
        let cache = tempfile::tempdir().expect("a folder");
        let url = format!("{}/image.qcow2", server.url());
        let without = obtain(&url, None, cache.path(), true).expect_err("no checksum");
        assert!(without.to_string().contains("--checksum"));
        let wrong = obtain(&url, Some(SHA256), cache.path(), true).expect_err("wrong checksum");
        assert!(format!("{wrong:#}").contains("does not match"), "{wrong:#}");
        let kept = std::fs::read_dir(cache.path().join("images")).expect("lists").count();
        assert_eq!(kept, 1);
        assert!(!cache.path().join("images").join(&SHA256[..16]).join("image.qcow2").exists());
    }

    #[test]
    fn files_are_taken_as_they_are_and_verified_when_asked() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("image.qcow2");
        std::fs::write(&path, BODY).expect("writes");
        let text = path.to_string_lossy().into_owned();
        assert_eq!(obtain(&text, None, folder.path(), true).expect("takes it"), path);
        let list = folder.path().join("SHA256SUMS");
        std::fs::write(&list, sums()).expect("writes");
        assert!(obtain(&text, Some(&list.to_string_lossy()), folder.path(), true).is_ok());
        assert!(obtain(&text, Some(SHA256), folder.path(), true).is_err());
        assert!(obtain("/nonexistent.img", None, folder.path(), true).is_err());
        assert!(obtain(&text, Some("not-hex"), folder.path(), true).is_err());
    }
}
