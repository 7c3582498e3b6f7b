//! Compose's `.env` format, as its own reader takes it. Tried with Compose 2.26: in double quotes with `\`, `"` and
//! `$` escaped, every text comes back byte for byte; single quotes cannot end in a backslash.

use std::ops::Range;

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
    entries(text, &STRICT).into_iter().map(|(place, line)| (place.start, line)).collect()
}

/// Reads an env file as Compose does it for a service: also `NAME: value`, names as `spring.profiles.active`, and
/// quotes over several lines. Each item is where its lines stand, with the pair or what is wrong.
pub fn read_wide(text: &str) -> Vec<(Range<usize>, Line)> {
    entries(text, &WIDE)
}

/// What an env file may hold.
struct Form {
    is_name: fn(&str) -> bool,
    /// What may stand between a name and its value.
    between: &'static [char],
    /// A quote may close in a later line.
    long: bool,
}

const STRICT: Form = Form { is_name: is_shell_name, between: &['='], long: false };
const WIDE: Form = Form { is_name: is_container_name, between: &['=', ':'], long: true };

fn entries(text: &str, form: &Form) -> Vec<(Range<usize>, Line)> {
    let mut out = Vec::new();
    // Some editors begin a file with a byte order mark.
    let mut start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    while start < text.len() {
        let rest = &text[start..];
        let mut end = line_end(rest, 0);
        let line = rest[..end].trim();
        if !line.is_empty() && !line.starts_with('#') {
            end = form.long.then(|| closing_line(rest, end, form)).flatten().unwrap_or(end);
            out.push((start..start + end, read_line(rest[..end].trim(), form)));
        }
        start += end;
    }
    out
}

/// Where the line ends that goes on at a place.
fn line_end(text: &str, from: usize) -> usize {
    text[from..].find('\n').map_or(text.len(), |at| from + at + 1)
}

/// The end of the line in which the first line's value ends; `None`: its quote is open to the end of the text.
fn closing_line(text: &str, end: usize, form: &Form) -> Option<usize> {
    let Some((_, value)) = text[..end].split_once(form.between) else { return Some(end) };
    let from = end - value.trim_start_matches([' ', '\t']).len();
    let close = match text[from..].chars().next() {
        Some('\'') => from + 1 + text[from + 1..].find('\'')?,
        Some('"') => text.len() - unescape(&text[from + 1..])?.1.len(),
        _ => return Some(end),
    };
    Some(line_end(text, close))
}

fn read_line(line: &str, form: &Form) -> Line {
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once(form.between).ok_or("this line is not NAME=value")?;
    let (name, value) = (name.trim(), value.trim());
    if !(form.is_name)(name) {
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

/// A name that a container takes as a variable, and Compose in the env file of a service.
fn is_container_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
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

    #[test]
    fn a_service_s_file_holds_more() {
        let text = "spring.profiles.active=prod\nCOLON: yes # c\nURL=http://a:1\nLONG=\"one\n A=\\\"two\" # c\nLITERAL='a\n$b'\n\nB=c\n1A=2\nNAME\nC='x\ny' z\nOPEN=\"x\nD=e\n";
        let rows = read_wide(text);
        let good: Vec<_> = rows.iter().filter_map(|(_, line)| line.as_ref().ok()).map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(good, [("spring.profiles.active", "prod"), ("COLON", "yes"), ("URL", "http://a:1"), ("LONG", "one\n A=\"two"), ("LITERAL", "a\n$b"), ("B", "c"), ("D", "e")]);
        let bad: Vec<_> = rows.iter().filter(|(_, line)| line.is_err()).map(|(place, _)| &text[place.clone()]).collect();
        assert_eq!(bad, ["1A=2\n", "NAME\n", "C='x\ny' z\n", "OPEN=\"x\n"]);
    }
}
