//! What the targets share: files in memory, loaded as the command line loads them.

use julia_bootstrap::encode::Format;
use julia_bootstrap::load::{Input, PathOrName, load};
use julia_bootstrap::plan;
use julia_bootstrap::report::Report;
use std::path::PathBuf;
use std::sync::OnceLock;

/// A key that profiles carry here.
pub const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEF75iVgjWgDe6WyZ2s7mKUKdMisr0er1yihkWm1IFjg me@laptop";

/// A file of this process, in memory where there is such a place.
pub fn file(name: &str, content: &[u8]) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let base = PathBuf::from("/dev/shm");
        let base = if base.is_dir() { base } else { std::env::temp_dir() };
        let folder = base.join(format!("julia-bootstrap-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        folder
    });
    let path = folder.join(name);
    std::fs::write(&path, content).expect("writing a file");
    path
}

/// Loads a profile. What is accepted has a plan and renders, twice to the same bytes; what is not has a finding, and every finding can be shown.
pub fn judge(input: &Input) {
    let load_once = |report: &mut Report| load(input, &|name| (name == "GIVEN").then(|| "value".to_owned()), report);
    let mut report = Report::new();
    let profile = load_once(&mut report);
    assert_eq!(profile.is_none(), report.has_errors(), "a profile comes without errors, and only then");
    assert!(report.render_human(false, 100).len() < 50 << 20, "findings that nobody could read");
    let Some(profile) = profile else { return };
    let again = load_once(&mut Report::new()).expect("loading it again");
    let bytes = |profile| match plan::plan(profile).and_then(|plan| Format::CloudConfig.encode(&plan)) {
        Ok(encoded) => encoded.user_data,
        Err(error) => panic!("an accepted profile does not render: {error:#}"),
    };
    assert_eq!(bytes(&profile), bytes(&again), "the same profile gives other bytes");
}

/// A profile alone.
pub fn profile(path: PathBuf) -> Input {
    Input::new(PathOrName::Path(path))
}
