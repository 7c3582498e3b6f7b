//! Overlays and `--set`: the first line is a setting, the rest a file laid over the reference profile.
#![no_main]
use julia_bootstrap::load::{Input, PathOrName};
use julia_bootstrap_fuzz::{KEY, file, judge};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let mut input = Input::new(PathOrName::Name("minimal".to_owned()));
    input.sets.push(format!("admin.ssh_keys=[\"{KEY}\"]"));
    input.sets.extend(std::str::from_utf8(&data[..end]).map(str::to_owned));
    input.overlays.push(file("overlay.yaml", data.get(end + 1..).unwrap_or_default()));
    judge(&input);
});
