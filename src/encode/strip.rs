//! Leaves out full-line comments and blank lines, where the file is ours and bytes count.

use crate::plan::File;
use std::borrow::Cow;

/// The file's text without what only people read. Files that are not ours come back as they are.
pub fn strip(file: &File) -> Cow<'_, str> {
    if !file.strip {
        return Cow::Borrowed(&file.content);
    }
    let lines = file.content.lines().enumerate().filter(|(number, line)| {
        let line = line.trim_start();
        let shebang = *number == 0 && line.starts_with("#!");
        shebang || !(line.is_empty() || line.starts_with('#') || line.starts_with("// "))
    });
    Cow::Owned(lines.map(|(_, line)| format!("{line}\n")).collect())
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
        file.strip = false;
        assert_eq!(strip(&file), file.content);
    }
}
