//! Leaves out full-line comments, blank lines and deep indentation, where the file is ours and bytes count.

use crate::plan::File;
use std::borrow::Cow;

/// The file's text without what only people read. Files that are not ours come back as they are.
pub fn strip(file: &File) -> Cow<'_, str> {
    if !file.strip {
        return Cow::Borrowed(&file.content);
    }
    let python = file.path.ends_with(".py") || file.content.starts_with("#!/usr/bin/python3");
    let lines = file.content.lines().enumerate().filter(|(number, line)| {
        let line = line.trim_start();
        let shebang = *number == 0 && line.starts_with("#!");
        shebang || !(line.is_empty() || line.starts_with('#') || line.starts_with("// "))
    });
    let shallow = |line: &str| {
        let text = line.trim_start_matches(' ');
        let depth = line.len() - text.len();
        // One space a level means the same to Python; what is not a whole level stays.
        if python { format!("{}{text}\n", " ".repeat(depth / 4 + depth % 4)) } else { format!("{line}\n") }
    };
    Cow::Owned(lines.map(|(_, line)| shallow(line)).collect())
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
        file.strip = false;
        assert_eq!(strip(&file), file.content);
    }
}
