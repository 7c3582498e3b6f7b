//! `.env`: what we quote is what Compose reads, asked of the real client where there is one.

use crate::support::compose_client;
use julia_bootstrap::dotenv::dotenv_quote;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

#[test]
fn compose_reads_back_every_byte() {
    let Some(mut client) = compose_client() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut values: Vec<String> = [
        "",
        " x ",
        "$x",
        "${x}",
        "$$",
        "\\",
        "\\\\\\",
        "'",
        "\\'",
        "\"",
        "a#b",
        "a #b",
        "`id`",
        "\n",
        "a\nb\n",
        "\r",
        "\t",
        "é✓😀",
        "\\n",
        "\\x41",
        "\\101",
        "{{x}}",
        "%s",
        "a=b",
        "!",
    ]
    .map(str::to_owned)
    .into();
    let mut runner = TestRunner::deterministic();
    let hostile = "[$'\"\\\\\n\r\t# {}`a-f0-9nrtx=!:%\u{a0}-\u{2ff}]{0,12}";
    values.extend((0..400).filter_map(|_| Some(hostile.new_tree(&mut runner).ok()?.current())));
    let (mut env, mut yaml) = (String::new(), String::from("services:\n  a:\n    image: x\n    environment:\n"));
    for (index, value) in values.iter().enumerate() {
        env.push_str(&format!("V{index}={}\n", dotenv_quote(value).expect("no NUL in it")));
        yaml.push_str(&format!("      V{index}: ${{V{index}}}\n"));
    }
    std::fs::write(folder.path().join(".env"), env).expect("writing");
    std::fs::write(folder.path().join("compose.yaml"), yaml).expect("writing");
    let output = client.args(["-p", "t", "config", "--format", "json"]).current_dir(folder.path()).output();
    let output = output.expect("running Compose");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for (index, value) in values.iter().enumerate() {
        let got =
            read["services"]["a"]["environment"][format!("V{index}")].as_str().map(|text| text.replace("$$", "$"));
        assert_eq!(got.as_deref(), Some(value.as_str()));
    }
}
