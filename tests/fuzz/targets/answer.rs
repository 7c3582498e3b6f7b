//! JSON that comes back from providers, and lock files.
#![no_main]
use julia_bootstrap::deliver::cloud;
use julia_bootstrap::lock;
use julia_bootstrap::report::Report;
use julia_bootstrap_fuzz::file;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let path = file("answer.json", data);
    let mut report = Report::new();
    if lock::read(&path, &mut report).is_none() {
        assert!(report.has_errors(), "a lock file that is there is read or refused");
    }
    report.render_human(false, 100);
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(data) else { return };
    for api in cloud::ALL {
        api.created(&value);
        api.listed(&value);
    }
});
