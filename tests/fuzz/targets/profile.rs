//! The loader: any bytes as a profile.
#![no_main]
use julia_bootstrap_fuzz::{file, judge, profile};

libfuzzer_sys::fuzz_target!(|data: &[u8]| judge(&profile(file("profile.yaml", data))));
