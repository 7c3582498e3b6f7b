//! YAML: whatever goes in, it ends in a tree or in a finding, soon; what is written back is read as the same.

use crate::support::line;
use julia_bootstrap::report::Report;
use julia_bootstrap::yaml::{self, Kind, Node, Path};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn parse(text: &str) -> Result<Node, String> {
    let mut report = Report::new();
    let source = report.sources.add("t", text);
    let node = yaml::parse(&mut report, source);
    let said = report.findings().iter().map(|finding| line(finding, &report)).collect::<Vec<_>>().join("\n");
    node.ok_or(said)
}

fn error(text: &str) -> String {
    parse(text).expect_err("it must be refused")
}

#[test]
fn mistakes_have_a_place_and_a_sentence() {
    assert_eq!(
        error("a: 1\nb: 2\na: 3\n"),
        "3:1 error[duplicate-key] the key `a` stands here a second time | keep one of the two"
    );
    assert_eq!(error("a: &x [*x]\n"), "1:8 error[yaml-alias] this alias stands inside the value it points to | write the anchor, `&name`, at a value further up; text that begins with `*` needs quotes");
    assert_eq!(
        error("a: 1\n---\nb: 2\n"),
        "2:1 error[several-documents] a second YAML document starts here | keep one document a file; use --overlay for more"
    );
    assert_eq!(
        error("a: \"x\\0y\"\n"),
        "1:4 error[nul] this text contains a NUL character, which nothing on the machine can carry | remove the \\0 escape"
    );
    assert!(error("a: \u{1}\n").starts_with("1:4 error[control-character]"));
    assert!(error("? [a]\n: 1\n").starts_with("1:3 error[yaml-key]"));
    assert!(error("a: !x {b: 1}\n").contains("error[yaml-tag] the tag `!x`"));
    assert!(error("<<: 1\n").contains("error[yaml-merge]"));
    assert!(error("a: [1\n").contains("error[yaml-syntax]"));
    assert!(error("a: *x\n").contains("error[yaml-syntax]"));
}

#[test]
fn invalid_utf8_and_huge_files_are_findings() {
    let mut report = Report::new();
    assert!(yaml::add_bytes(&mut report, "t", b"a: \xff\n").is_none());
    assert!(yaml::add_bytes(&mut report, "big", &vec![b'#'; yaml::MAX_BYTES + 1]).is_none());
    let said: Vec<_> = report.findings().iter().map(|finding| line(finding, &report)).collect();
    assert_eq!(said[0], "1:4 error[invalid-utf8] byte 4 of t is not UTF-8 | save the file as UTF-8");
    assert!(said[1].contains("too-large"));
}

#[test]
fn bombs_end_at_once() {
    let laughs: String = (1..30).map(|n| format!("l{n}: &l{n} [{}]\n", format!("*l{},", n - 1).repeat(9))).collect();
    let one_large = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(100_000), "*a,".repeat(3000));
    let keys: String = (0..9000).map(|n| format!("k{n}: 1\n")).collect();
    let deep = (0..100).fold(String::new(), |text, n| text + &"  ".repeat(n) + "a:\n");
    let cases = [
        "[".repeat(100_000),
        "{a: ".repeat(50_000),
        "- ".repeat(50_000),
        "? ".repeat(50_000),
        "&a ".repeat(50_000),
        "!t ".repeat(50_000),
        format!("l0: &l0 [x]\n{laughs}"),
        one_large,
        format!("a: &a\n  b: 1\nc: [{}]\n", "{<<: *a},".repeat(20_000)),
        deep,
        "a: [".to_owned() + &"x,".repeat(60_000) + "]",
        "\"".repeat(99_999),
        "'".repeat(99_999),
        "|\n".repeat(50_000),
        "a:\n".to_owned() + &" ".repeat(500_000),
        ": ".repeat(100_000),
        "-\n".repeat(100_000),
    ];
    for case in cases {
        let begun = Instant::now();
        let refused = parse(&case).is_err();
        let took = begun.elapsed();
        let head: String = case.chars().take(20).collect();
        assert!(took < Duration::from_secs(2), "{head}… took {took:?}");
        assert!(refused || head.starts_with(['"', '\'', 'a', '|']), "{head}… was taken");
    }
    assert!(parse(&keys).is_ok());
}

#[test]
fn merge_keys_and_aliases_are_resolved() {
    let node =
        parse("x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\nz: {b: 0, <<: [*x, *y], \"<<\": q}\n").expect("good YAML");
    let z = node.get("z").expect("z");
    let flat: Vec<_> = z.as_map().expect("a map").iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(flat, [(Some("b"), Some("0")), (Some("<<"), Some("q")), (Some("a"), Some("1")), (Some("c"), Some("4"))]);
}

#[test]
fn overlays_merge_as_documented() {
    let mut report = Report::new();
    let mut node = |text: &str| {
        let source = report.sources.add("t", text);
        yaml::parse(&mut report, source).expect("good YAML")
    };
    let mut base = node("a: {b: 1, c: [1], d: x, g: 7}\nh: 1\n");
    let overlay = node("a: {b: 2, c+: [2], d: null, e: null, n: {m+: [1]}}\nh+: [1]\nnew: {k: null}\n");
    let wanted = node("a: {b: 2, c: [1, 2], g: 7, e: null, n: {m: [1]}}\nh: 1\nnew: {k: null}\n");
    yaml::merge(&mut base, overlay, &mut report);
    assert_eq!(yaml::emit(&base), yaml::emit(&wanted));
    assert_eq!(
        line(&report.findings()[0], &report),
        "2:1 error[append] `h+` appends to a list, and `h` is a number | write `h:` to replace it"
    );
}

#[test]
fn paths_set_and_append() {
    let mut root = parse("a: {b: [1]}\n").expect("good YAML");
    let span = root.span;
    let mut set = |path: &str, append: bool, value: &str| {
        let value = parse(value).expect("good YAML");
        Path::parse(path).and_then(|path| match append {
            true => yaml::append_path(&mut root, &path, span, value),
            false => yaml::set_path(&mut root, &path, span, value),
        })
    };
    assert_eq!(set("a.b[1]", false, "2"), Ok(()));
    assert_eq!(set("a.b", true, "[3]"), Ok(()));
    assert_eq!(set("x.\"y.z\"[0].w", false, "{}"), Ok(()));
    assert_eq!(set("new.m", true, "[1]"), Ok(()));
    assert_eq!(set("a.b[9]", false, "2"), Err("the list has 3 entries, there is no [9]".into()));
    assert_eq!(set("a.b.c", false, "2"), Err("`c` would be a key of a list, not of a mapping".into()));
    assert_eq!(set("a", true, "[1]"), Err("`+=` appends to a list, and there is a mapping here".into()));
    for bad in ["", "a..b", "a[x]", "a[1", "a[0]b", ".a", "a.", "\"a"] {
        assert!(set(bad, false, "1").is_err(), "{bad}");
    }
    let wanted = parse("a: {b: [1, 2, 3]}\nx: {\"y.z\": [{w: {}}]}\nnew: {m: [1]}\n").expect("good YAML");
    assert_eq!(yaml::emit(&root), yaml::emit(&wanted));
}

fn hostile() -> impl Strategy<Value = String> {
    let words = [
        "yes",
        "no",
        "on",
        "012",
        "1:30",
        "0o14",
        "~",
        "null",
        "2024-01-01",
        "1_000",
        "<<",
        "=",
        "-",
        "- a",
        "? a",
        "a: b",
        "#c",
        "a #c",
        "%x",
        "@x",
        "`x",
        "!x",
        "&x",
        "*x",
        "|",
        ">",
        "---",
        "...",
        "{",
        "[",
        "\"",
        "'",
        ": ",
        ".inf",
        "0x1F",
        "1e3",
        "+1",
        "-.5",
        "true",
        "${A:-b}",
        "$$",
        "\u{feff}",
        "\u{85}",
        "\u{2028}",
        "\t",
        " x",
        "x ",
        "é😀",
        "\u{7f}",
    ];
    prop_oneof![
        proptest::sample::select(words.to_vec()).prop_map(str::to_owned),
        "[ -~\n\t\r\u{80}-\u{2fff}]{0,12}",
        proptest::collection::vec(proptest::char::any().prop_filter("NUL", |c| *c != '\0'), 0..8)
            .prop_map(|chars| chars.into_iter().collect::<String>()),
    ]
}

fn tree() -> impl Strategy<Value = Node> {
    let mut report = Report::new();
    let source = report.sources.add("t", "");
    let span = julia_bootstrap::report::Span { source, start: 0, end: 0 };
    let leaf = hostile().prop_map(move |text| Node::string(span, text));
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(move |items| Node::seq(span, items)),
            proptest::collection::btree_map(hostile(), inner, 0..5).prop_map(move |map| Node {
                span,
                kind: Kind::Map(map.into_iter().map(|(key, value)| (Node::string(span, key), value)).collect()),
            }),
        ]
    })
}

/// The tree as JSON, every scalar a string.
fn json(node: &Node) -> serde_json::Value {
    match &node.kind {
        Kind::Scalar { text, .. } => text.as_str().into(),
        Kind::Seq(items) => items.iter().map(json).collect(),
        Kind::Map(entries) => entries
            .iter()
            .map(|(key, value)| (key.as_str().unwrap_or_default().to_owned(), json(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

/// A reader of JSON lines of YAML texts that answers with JSON lines of what PyYAML's SafeLoader makes of them.
fn pyyaml(texts: &[String]) -> Option<Vec<serde_json::Value>> {
    let program = "import sys, json, yaml\nfor line in sys.stdin:\n    print(json.dumps(yaml.safe_load(json.loads(line)), default=repr))";
    let mut child = Command::new("python3")
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take()?;
    let lines: String = texts.iter().map(|text| format!("{}\n", serde_json::json!(text))).collect();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().ok()?;
    let _ = writer.join();
    String::from_utf8(output.stdout).ok()?.lines().map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn pyyaml_reads_what_was_meant() {
    if pyyaml(&["a: 1".into()]).is_none_or(|read| read.is_empty()) {
        eprintln!("skipped: there is no PyYAML here");
        return;
    }
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let trees: Vec<Node> =
        (0..1500).filter_map(|_| tree().new_tree(&mut runner).ok().map(|tree| tree.current())).collect();
    let texts: Vec<String> = trees.iter().map(yaml::emit).collect();
    let read = pyyaml(&texts).expect("PyYAML answers");
    assert_eq!(read.len(), trees.len());
    for ((tree, text), read) in trees.iter().zip(&texts).zip(read) {
        assert_eq!(read, json(tree), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_parser_panic(text in "[ -~\n\t{}\\[\\]:&*!|>'\"%#?-]{0,80}|.{0,60}") {
        let _ = parse(&text);
    }

    #[test]
    fn what_is_emitted_parses_as_the_same_tree(tree in tree()) {
        let text = yaml::emit(&tree);
        let read = parse(&text).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
        prop_assert_eq!(json(&read), json(&tree), "{}", text);
    }

    #[test]
    fn emission_is_stable_for_whatever_parses(text in "([a-z]{1,3}: ?[ -~]{0,12}\n){1,4}") {
        if let Ok(tree) = parse(&text) {
            let emitted = yaml::emit(&tree);
            let again = parse(&emitted).map_err(|e| TestCaseError::fail(format!("{e}\n{emitted}")))?;
            prop_assert_eq!(yaml::emit(&again), emitted);
        }
    }

    #[test]
    fn merge_and_set_never_panic(mut base in tree(), overlay in tree(), path in "[a-z.\\[\\]0-9\"+]{0,12}") {
        let mut report = Report::new();
        if let Ok(path) = Path::parse(&path) {
            let _ = yaml::set_path(&mut base, &path, overlay.span, overlay.clone());
            let _ = yaml::append_path(&mut base, &path, overlay.span, overlay.clone());
        }
        yaml::merge(&mut base, overlay, &mut report);
        let _ = yaml::emit(&base);
    }
}
