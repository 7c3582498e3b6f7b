//! Compose's `.env` format, as its own reader takes it. Tried with Compose 2.26: in double quotes with `\`, `"` and
//! `$` escaped, every text comes back byte for byte; single quotes cannot end in a backslash.

/// A value as it stands after `NAME=` in a `.env` file; `None` for what the format cannot carry.
pub fn dotenv_quote(value: &str) -> Option<String> {
    if value.contains('\0') {
        return None;
    }
    let mut out = String::with_capacity(value.len() + 2);
    out.push('"');
    for c in value.chars() {
        match c {
            '\\' | '"' | '$' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c => out.push(c),
        }
    }
    out.push('"');
    Some(out)
}

/// A name with its value, or a sentence on what is wrong with the line.
pub type Line = Result<(String, String), String>;

/// Reads the lines of an env file as people write them: `NAME=value`, `export NAME=value`, comments, single quotes
/// (literal) and double quotes (with `\n`, `\"`, `\\`, `\$`). Each item is the byte offset of its line with the pair,
/// or with a sentence on what is wrong.
pub fn read(text: &str) -> Vec<(usize, Line)> {
    let mut out = Vec::new();
    let mut offset = 0;
    // Some editors begin a file with a byte order mark.
    let (mark, text) = text.strip_prefix('\u{feff}').map_or((0, text), |rest| ('\u{feff}'.len_utf8(), rest));
    offset += mark;
    for line in text.split_inclusive('\n') {
        let start = offset;
        offset += line.len();
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        out.push((start, read_line(line)));
    }
    out
}

fn read_line(line: &str) -> Line {
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=').ok_or("this line is not NAME=value")?;
    let (name, value) = (name.trim(), value.trim());
    if !is_shell_name(name) {
        return Err("what stands before `=` is not a variable's name".into());
    }
    let value = if let Some(rest) = value.strip_prefix('\'') {
        let (value, after) = rest.split_once('\'').ok_or("the single quote is not closed")?;
        nothing_more(after)?;
        value.to_owned()
    } else if let Some(rest) = value.strip_prefix('"') {
        let (value, after) = unescape(rest).ok_or("the double quote is not closed at the end of the line")?;
        nothing_more(after)?;
        value
    } else {
        // A comment begins at a `#` that stands alone, also where there is no value before it.
        let end = value.match_indices('#').map(|(at, _)| at).find(|at| *at == 0 || value[..*at].ends_with([' ', '\t']));
        value[..end.unwrap_or(value.len())].trim_end().to_owned()
    };
    Ok((name.to_owned(), value))
}

/// After a closing quote only a comment may follow.
fn nothing_more(after: &str) -> Result<(), String> {
    let after = after.trim_start();
    if after.is_empty() || after.starts_with('#') { Ok(()) } else { Err("there is more after the closing quote".into()) }
}

/// The text up to the closing quote, and what follows it.
fn unescape(rest: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = rest.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return Some((out, chars.as_str())),
            '\\' => match chars.next()? {
                'n' => out.push('\n'),
                'r' => out.push('\r'),
                't' => out.push('\t'),
                c @ ('"' | '\\' | '$') => out.push(c),
                c => out.extend(['\\', c]),
            },
            c => out.push(c),
        }
    }
    None
}

/// Names of variables that Compose, Docker or the shell look at themselves.
pub fn is_reserved(name: &str) -> bool {
    ["COMPOSE_", "DOCKER_", "BUILDKIT_", "LD_"].iter().any(|prefix| name.starts_with(prefix))
        || ["PATH", "HOME", "IFS", "PWD", "SHELL", "USER"].contains(&name)
}

/// A name that a shell takes as a variable.
pub fn is_shell_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_is_read_back() {
        for value in ["", "plain", "a b#c", "$x ${y} `id`", "it's \"q\" \\", "line\nline\r\n", "é✓"] {
            let line = format!("V={}", dotenv_quote(value).expect("no NUL in it"));
            assert_eq!(read(&line)[0].1, Ok(("V".into(), value.into())), "{line}");
        }
        assert_eq!(dotenv_quote("a\0b"), None);
    }

    #[test]
    fn people_s_lines_are_read_and_bad_ones_named() {
        let ok = |text: &str| read(text).remove(0).1.map(|(_, value)| value);
        for (line, value) in [("\u{feff}A=1", "1"), ("A= # c", ""), ("A=a#b", "a#b"), ("A=\"x\" # c", "x"), ("A='x # y' # c", "x # y"), ("A=#c", "")] {
            assert_eq!(ok(line), Ok(value.to_owned()), "{line}");
        }
        assert!(ok("A='x'y").is_err() && ok("A=\"x\"y").is_err());
        let read = read("# c\n\nexport A=1 # one\nB='x $y'\nC=\"open\n1D=2\nnothing\n");
        let flat: Vec<_> = read.iter().map(|(_, line)| line.clone().map_err(|e| e.len() > 10)).collect();
        assert_eq!(
            flat,
            [Ok(("A".into(), "1".into())), Ok(("B".into(), "x $y".into())), Err(true), Err(true), Err(true)]
        );
    }
}
