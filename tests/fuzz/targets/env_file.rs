//! The env file's reader, alone and as the place that a profile's secrets come from.
#![no_main]
use julia_bootstrap::dotenv;
use julia_bootstrap_fuzz::{KEY, file, judge, profile};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        dotenv::read(text);
        dotenv::read_wide(text);
        // What is written for Compose is read back as it was.
        if let Some(quoted) = dotenv::dotenv_quote(text) {
            let rows = dotenv::read(&format!("A={quoted}\n"));
            assert_eq!(rows.len(), 1, "{text:?} became {quoted:?}");
        }
    }
    let text = format!("version: 1\nname: t\ndistribution: debian-13\nadmin: {{ssh_keys: [\"{KEY}\"]}}\nsecrets: {{A: {{env: A}}, B: {{env: B}}}}\n");
    let mut input = profile(file("with-secrets.yaml", text.as_bytes()));
    input.env_file = Some(file("secrets.env", data));
    judge(&input);
});
