//! The Compose adapter: any bytes as the Compose file that a profile names.
#![no_main]
use julia_bootstrap_fuzz::{KEY, file, judge, profile};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    file("compose.yaml", data);
    let text = format!("version: 1\nname: t\ndistribution: debian-13\ndomain: t.dev\nadmin: {{ssh_keys: [\"{KEY}\"]}}\ncompose: compose.yaml\n");
    judge(&profile(file("with-compose.yaml", text.as_bytes())));
});
