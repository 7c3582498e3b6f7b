//! Leaves out full-line comments, blank lines and deep indentation, where the file is ours and bytes count.

use crate::plan::File;
use std::borrow::Cow;

/// The file's text without what only people read. Files that are not ours come back as they are.
pub fn strip(file: &File) -> Cow<'_, str> {
    if file.strip { Cow::Owned(bare(&file.path, &file.content)) } else { Cow::Borrowed(&file.content) }
}

/// The same of a file that is ours.
pub fn bare(path: &str, content: &str) -> String {
    strip_text(content, is_python(path, content))
}

/// Whether a file is a program in Python.
pub fn is_python(path: &str, content: &str) -> bool {
    path.ends_with(".py") || content.starts_with("#!/usr/bin/python3")
}

/// A program in Python without what only people read.
pub fn python(text: &str) -> String {
    strip_text(text, true)
}

fn strip_text(content: &str, python: bool) -> String {
    let mut out = String::with_capacity(content.len());
    let mut quoted = false;
    for (number, line) in content.lines().enumerate() {
        let (inside, text) = (quoted, line.trim_start());
        // What stands in a text of several lines is none of Python's.
        quoted ^= python && line.matches("\"\"\"").count() % 2 == 1;
        let shebang = number == 0 && line.starts_with("#!");
        if !inside && !shebang && (text.is_empty() || text.starts_with('#') || text.starts_with("// ")) {
            continue;
        }
        let depth = line.len() - line.trim_start_matches(' ').len();
        if python && !inside {
            // One space a level means the same to Python; what is not a whole level stays.
            out.extend(std::iter::repeat_n(' ', depth / 4 + depth % 4));
            out.push_str(&line[depth..]);
        } else {
            out.push_str(line);
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_go_and_the_shebang_stays() {
        let mut file = File {
            path: "/x".into(),
            mode: 0o755,
            content: "#!/bin/sh\n# why\n\necho '#' # not this\n  # nor\n".into(),
            section: "x",
            strip: true,
        };
        assert_eq!(strip(&file), "#!/bin/sh\necho '#' # not this\n");
        file.path = "/x.py".into();
        file.content = "if a:\n    # why\n    if b:\n        c(d,\n          e)\n".into();
        assert_eq!(strip(&file), "if a:\n if b:\n  c(d,\n    e)\n");
        file.content = "X = \"\"\"a:\n    b\n\n# c\n\"\"\"\nif a:\n    d()\n".into();
        assert_eq!(strip(&file), "X = \"\"\"a:\n    b\n\n# c\n\"\"\"\nif a:\n d()\n");
        file.strip = false;
        assert_eq!(strip(&file), file.content);
    }
}
