//! The import rule of docs/architecture.md: each part of `src/` imports only what stands before it there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const TOP: &str = env!("CARGO_MANIFEST_DIR");

fn read(path: impl AsRef<Path>) -> String {
    let path = Path::new(TOP).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The parts in their order, as the table of the documentation has them: the first column of each row.
fn order() -> Vec<String> {
    let page = read("docs/architecture.md");
    let section = page.split("\n## ").find(|section| section.starts_with("The order")).expect("the section `The order`");
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| row.split('`').next().unwrap_or_default().to_owned()).collect()
}

/// Every source file below `src/`.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// The first word of each path that a text names below `root`, groups in braces included.
fn named(text: &str, root: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect::<String>();
    let mut names = Vec::new();
    for (place, _) in text.match_indices(root) {
        // Not the end of a longer name, such as `$crate::` in a macro.
        if text[..place].ends_with(|letter: char| letter.is_alphanumeric() || "_$:".contains(letter)) {
            continue;
        }
        let rest = &text[place + root.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            names.push(word(rest));
            continue;
        };
        let mut depth = 0;
        let mut part = String::new();
        for letter in group.chars() {
            match letter {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => names.push(word(std::mem::take(&mut part).trim())),
                _ if depth == 0 => part.push(letter),
                _ => {}
            }
        }
        names.push(word(part.trim()));
    }
    names
}

/// What is code on a line: no comment.
fn code(text: &str) -> String {
    text.lines().map(|line| if line.trim_start().starts_with("//") { "" } else { line }).collect::<Vec<_>>().join("\n")
}

#[test]
fn groups_are_taken_apart() {
    let text = "use crate::{dotenv, yaml::{self, Node}, report::Report};\nlet x = crate::plan::plan(y); $crate::lab; mycrate::no";
    assert_eq!(named(text, "crate::"), ["dotenv", "yaml", "report", "plan"]);
}

#[test]
fn every_part_has_its_place() {
    let library = read("src/lib.rs");
    let parts: BTreeSet<_> = library.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).map(str::to_owned).collect();
    let order = order();
    assert_eq!(order.iter().cloned().collect::<BTreeSet<_>>(), parts, "docs/architecture.md, `The order`, and src/lib.rs name different parts");
    assert_eq!(order.len(), parts.len(), "a part stands twice in docs/architecture.md");
}

#[test]
fn each_part_imports_only_what_stands_before_it() {
    let (order, mut files, mut wrong) = (order(), Vec::new(), Vec::new());
    let place = |name: &str| order.iter().position(|part| part == name);
    let src = Path::new(TOP).join("src");
    sources(&src, &mut files);
    let mut seen = 0;
    for file in files {
        let below = file.strip_prefix(&src).expect("below src/");
        let part = below.components().next().expect("a name").as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned();
        let Some(own) = place(&part) else { continue }; // lib.rs and main.rs
        let text = code(&read(&file));
        let mut names = named(&text, "crate::");
        // In a part's first file `super` is the crate.
        if below.components().count() == 1 {
            names.extend(named(&text, "super::"));
        }
        seen += names.len();
        wrong.extend(names.iter().filter(|name| place(name).is_some_and(|other| other > own)).map(|name| {
            format!("src/{}: `{part}` imports `{name}`, which stands after it in docs/architecture.md", below.display())
        }));
    }
    assert!(seen > 200, "{seen} imports found: the test no longer sees them");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
