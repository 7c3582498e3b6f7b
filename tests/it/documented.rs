//! What README and guide tell people to do: each command is one, and what needs neither a network nor a machine is done, in order.

use crate::support::{KEY, tool};
use julia_bootstrap::report::Report;
use julia_bootstrap::yaml;
use std::path::Path;

const TOP: &str = env!("CARGO_MANIFEST_DIR");
const PAGES: [&str; 3] = ["README.md", "docs/README.pt-BR.md", "docs/guide.md"];

/// Commands that are not run, and why; the program's own command line judges them.
const NOT_RUN: [(&str, &str); 7] = [
    ("boot", "starts a machine"),
    ("verify", "asks a live machine"),
    ("launch", "orders a server; with --dry-run it is run"),
    ("list", "asks a provider's API"),
    ("destroy", "asks a provider's API"),
    ("lock", "asks registries"),
    ("init", "asks a person; with a name for the file and flags it is run"),
];

/// Programs of the machine, or of the reader's computer, that stand in the pages as well.
const NOT_OURS: [(&str, &str); 4] = [
    ("bootstrapctl", "tests/machine/test_documented.py holds it against the program"),
    ("ssh", "needs a machine; the same test looks at what it calls there"),
    ("sudo", "on the machine"),
    ("git", "needs a network"),
];

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(TOP).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A fenced block: its line in the page, the words after the fence, the text.
struct Block {
    line: usize,
    words: Vec<String>,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut inside = false;
    for (number, line) in page.lines().enumerate() {
        if let Some(words) = line.strip_prefix("```") {
            inside = !inside;
            if inside {
                found.push(Block { line: number + 1, words: words.split(' ').map(str::to_owned).collect(), text: String::new() });
            }
        } else if inside && let Some(block) = found.last_mut() {
            block.text += line;
            block.text += "\n";
        }
    }
    assert!(!inside, "a block has no end");
    found
}

/// Code within lines, blocks left out.
fn spans(page: &str) -> Vec<&str> {
    let mut inside = false;
    let text = page.lines().filter(|line| {
        inside ^= line.starts_with("```");
        !inside && !line.starts_with("```")
    });
    text.flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

/// Whether the program's command line takes these words: `--help` ends it before anything is done.
fn takes(folder: &Path, words: &[&str]) -> Result<(), String> {
    let output = tool(folder).args(words).arg("--help").output().expect("running the binary");
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// The words of a line as a shell sees them, as far as these pages need it.
fn words(line: &str) -> Vec<&str> {
    line.split(" #").next().unwrap_or_default().split_whitespace().map(|word| word.trim_matches('"')).collect()
}

/// One line of a block; what it says if it does not work.
fn line_of_shell(folder: &Path, line: &str) -> Result<(), String> {
    let all = words(line);
    match *all.first().unwrap_or(&"") {
        // The same program, not built again.
        "cargo" if all.starts_with(&["cargo", "run", "--release", "--"]) => line_of_shell(folder, &format!("julia-bootstrap {}", all[4..].join(" "))),
        "cargo" if all == ["cargo", "install", "--path", "."] => Ok(()),
        "make" => {
            let makefile = read("Makefile");
            let known = |target: &&str| target.contains('=') || makefile.lines().any(|line| line.starts_with(&format!("{target}:")));
            all[1..].iter().find(|target| !known(target)).map_or(Ok(()), |target| Err(format!("the Makefile has no `{target}`")))
        }
        "julia-bootstrap" => {
            let command = *all.get(1).unwrap_or(&"");
            let network = line.contains("github:") || line.contains("ssh-keyscan");
            let asks = command == "init" && all.len() < 4;
            let listed = NOT_RUN.iter().any(|(name, _)| *name == command) && command != "init" && !line.contains("--dry-run");
            let absent = command == "seal" && !has("age");
            if network || asks || listed {
                return takes(folder, &all[1..]);
            }
            if absent {
                assert!(std::env::var_os("CI").is_none(), "age is not installed, which `seal` needs");
                return Err("skipped: age is not installed".to_owned());
            }
            let binary = Path::new(env!("CARGO_BIN_EXE_julia-bootstrap"));
            let path = format!("{}:/usr/bin:/bin", binary.parent().expect("a folder").display());
            let output = std::process::Command::new("sh")
                .args(["-euc", line])
                .env_clear()
                .env("PATH", path)
                .env("HOME", folder)
                .current_dir(folder)
                .output()
                .expect("running sh");
            // `diff` says by 1 that something differs.
            let fine = output.status.success() || command == "diff" && output.status.code() == Some(1);
            if fine { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
        }
        other if NOT_OURS.iter().any(|(name, _)| *name == other) => Ok(()),
        other => Err(format!("`{other}` is neither run nor listed as not run")),
    }
}

fn has(program: &str) -> bool {
    std::process::Command::new(program).arg("--version").output().is_ok()
}

/// Lays `text` over the profile of that name, as the reader does by hand.
fn laid_over(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    let mut report = Report::default();
    let mut parsed = |name: &str, bytes: &[u8]| {
        let source = yaml::add_bytes(&mut report, name, bytes).expect("text");
        yaml::parse(&mut report, source).unwrap_or_else(|| panic!("{name} is no YAML"))
    };
    let mut profile = parsed(name, &std::fs::read(&path).expect("a profile that an earlier block wrote"));
    let over = parsed("the block", text.as_bytes());
    yaml::merge(&mut profile, over, &mut report);
    std::fs::write(&path, yaml::emit(&profile)).expect("writing");
}

/// Does what a page says, from its first block to its last, in one folder.
fn followed(page: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    std::fs::create_dir(folder.join(".ssh")).expect("a folder");
    std::fs::write(folder.join(".ssh/id_ed25519.pub"), format!("{KEY}\n")).expect("writing");
    // What the README calls `profiles/…`.
    std::fs::create_dir(folder.join("profiles")).expect("a folder");
    std::fs::copy(Path::new(TOP).join("profiles/julia.yaml"), folder.join("profiles/julia.yaml")).expect("copying");
    let (mut key, mut run) = (String::new(), 0);
    for block in blocks(&read(page)) {
        let words: Vec<_> = block.words.iter().map(String::as_str).collect();
        match words[..] {
            ["sh"] => {
                for line in block.text.replace("\\\n", " ").lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
                    run += 1;
                    match line_of_shell(folder, line) {
                        Err(said) if said.starts_with("skipped") => return eprintln!("{page}:{}: {said}", block.line),
                        result => result.unwrap_or_else(|said| panic!("{page}:{}: `{line}`:\n{said}", block.line)),
                    }
                }
                if folder.join("signing.key").exists() && key.is_empty() {
                    key = public_key(folder);
                }
            }
            ["yaml", "over", name] => laid_over(folder, name, &block.text.replace("PUBLIC_KEY", &key)),
            ["yaml" | "ini" | "csv", name] => std::fs::write(folder.join(name), &block.text).expect("writing"),
            _ => panic!("{page}:{}: a block that the tests do not know: {words:?}", block.line),
        }
    }
    assert!(run > 1, "{page}: no commands were found");
}

/// The public key of what `sign --new-key` made: the answer to a profile with another one names it.
fn public_key(folder: &Path) -> String {
    let other = "RWRvZLwehmTlEGn0uvBNYN6kfJIvgsSD81X1HfC8nGVnnpTctWcAP4qp";
    std::fs::write(folder.join("key.yaml"), format!("follow: {{url: \"https://t.dev/x\", key: {other}}}\n")).expect("writing");
    let output = tool(folder).args(["-q", "sign", "julia", "--overlay", "key.yaml", "--key", "signing.key"]).output().expect("running the binary");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    said.split_whitespace().find(|word| word.starts_with("RW") && *word != other).unwrap_or_else(|| panic!("no key in: {said}")).to_owned()
}

#[test]
fn the_guide_is_followed() {
    followed("docs/guide.md");
}

#[test]
fn the_readme_is_followed() {
    followed("README.md");
}

#[test]
fn the_portuguese_readme_is_followed() {
    followed("docs/README.pt-BR.md");
}

/// `julia-bootstrap …` within a line: usage, with words in capitals and in brackets.
#[test]
fn commands_within_lines_are_commands() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut found = 0;
    for page in PAGES {
        let text = read(page);
        for span in spans(&text).into_iter().filter(|span| span.starts_with("julia-bootstrap ")) {
            let plain = span.replace(['[', ']'], "").replace(" …", "");
            takes(folder.path(), &words(&plain)[1..]).unwrap_or_else(|said| panic!("{page}: `{span}`:\n{said}"));
            found += 1;
        }
    }
    assert!(found > 5, "{found} found: the test no longer sees them");
}

/// The table of commands: each is there, and each option in its row is one of it.
#[test]
fn the_table_of_commands_is_whole() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let help = |words: &[&str]| String::from_utf8(tool(folder.path()).args(words).arg("--help").output().expect("running the binary").stdout).expect("text");
    let all = help(&[]);
    let commands = all.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("a list of commands");
    let names: Vec<_> = commands.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next().filter(|name| !name.is_empty() && *name != "help")).collect();
    assert!(names.len() > 15, "{names:?}");
    let page = read("README.md");
    let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| `")).collect();
    for name in &names {
        let start = format!("{name} ");
        assert!(rows.iter().any(|row| row.split('`').skip(1).step_by(2).any(|span| span == *name || span.starts_with(&start))), "`{name}` is not in the table of README.md");
    }
    for row in rows {
        let spans: Vec<_> = row.split('`').skip(1).step_by(2).collect();
        let of_row: Vec<_> = spans.iter().filter_map(|span| names.iter().find(|name| span.split(' ').next() == Some(**name))).collect();
        assert_eq!(of_row.first().copied(), names.iter().find(|name| spans[0].split(' ').next() == Some(**name)), "{row}");
        let texts: String = of_row.iter().map(|name| help(&[name])).collect();
        for option in spans.iter().flat_map(|span| span.split([' ', '=', '[', ']'])).filter(|word| word.starts_with("--")) {
            assert!(texts.contains(option), "{option} is no option of {of_row:?}");
        }
    }
}
