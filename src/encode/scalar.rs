//! YAML scalars that PyYAML, cloud-init's reader, reads back byte for byte.

/// What PyYAML takes as it is, and what cannot be mistaken for a line break of YAML 1.1.
fn plain(character: char) -> bool {
    matches!(character, ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..)
}

/// `text` in double quotes.
pub fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            character if plain(character) => out.push(character),
            character => match u32::from(character) {
                code @ 0..=0xff => out.push_str(&format!("\\x{code:02x}")),
                code @ 0x100..=0xffff => out.push_str(&format!("\\u{code:04x}")),
                code => out.push_str(&format!("\\U{code:08x}")),
            },
        }
    }
    out.push('"');
    out
}

/// `text` as a literal block `indent` columns in, where the parent stands two columns to the left;
/// in double quotes where a block could not carry it.
pub fn block(text: &str, indent: usize) -> String {
    let body = text.trim_end_matches('\n');
    if body.is_empty() || !text.chars().all(|character| plain(character) || matches!(character, '\n' | '\t')) {
        return quote(text);
    }
    let indicator = if text.starts_with([' ', '\n', '\t']) { "2" } else { "" };
    let chomp = match text.len() - body.len() {
        0 => "-",
        1 => "",
        _ => "+",
    };
    let mut out = format!("|{indicator}{chomp}");
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            out.extend(std::iter::repeat_n(' ', indent));
            out.push_str(line);
        }
    }
    out
}
