//! From tree to block YAML that any parser reads as the same thing: unquoted scalars are written as they were, so
//! that the reader types them as it would have; everything else stands in double quotes with escapes.

use super::{Kind, Node, tags};

/// Keys longer than this need the explicit `? ` form.
const LONG_KEY: usize = 500;

/// Writes a document.
pub fn emit(node: &Node) -> String {
    let mut out = String::new();
    match &node.kind {
        Kind::Map(entries) if !entries.is_empty() => map(&mut out, entries, 0),
        Kind::Seq(items) if !items.is_empty() => seq(&mut out, items, 0),
        _ => {
            inline(&mut out, node);
            out.push('\n');
        }
    }
    out
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n("  ", depth));
}

fn map(out: &mut String, entries: &[(Node, Node)], depth: usize) {
    for (key, value) in entries {
        indent(out, depth);
        if key.as_str().is_some_and(|text| text.len() > LONG_KEY) {
            out.push_str("? ");
            inline(out, key);
            out.push('\n');
            indent(out, depth);
        } else {
            inline_key(out, key);
        }
        out.push(':');
        value_after(out, value, depth);
    }
}

fn seq(out: &mut String, items: &[Node], depth: usize) {
    for item in items {
        indent(out, depth);
        out.push('-');
        value_after(out, item, depth);
    }
}

fn value_after(out: &mut String, value: &Node, depth: usize) {
    match &value.kind {
        Kind::Map(entries) if !entries.is_empty() => {
            out.push('\n');
            map(out, entries, depth + 1);
        }
        Kind::Seq(items) if !items.is_empty() => {
            out.push('\n');
            seq(out, items, depth + 1);
        }
        _ => {
            out.push(' ');
            inline(out, value);
            out.push('\n');
        }
    }
}

fn inline(out: &mut String, node: &Node) {
    match &node.kind {
        Kind::Map(_) => out.push_str("{}"),
        Kind::Seq(_) => out.push_str("[]"),
        Kind::Scalar { text, plain, tag } => {
            // What a key is marked with is for whoever merges, and no tag of its own.
            if let Some(tag) = tag.as_deref().filter(|tag| *tag != tags::OVERRIDE) {
                out.push_str(tag);
                out.push(' ');
            }
            match (plain, text.as_str()) {
                (true, "") => out.push_str("null"),
                (true, text) if stays_plain(text) => out.push_str(text),
                (_, text) => quote(out, text),
            }
        }
    }
}

/// A key: names that no reader could take for anything else stay unquoted even when they come from our own hands.
fn inline_key(out: &mut String, key: &Node) {
    match key.as_str() {
        Some(text) if is_name(text) => out.push_str(text),
        _ => inline(out, key),
    }
}

/// A word that is a string in every YAML: letters, digits, `_`, `-`, with a letter first, and none of the words
/// that some version of YAML reads as a boolean or null.
fn is_name(text: &str) -> bool {
    let words = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.len() <= 100
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        && !words.contains(&text.to_ascii_lowercase().as_str())
}

/// True when an unquoted scalar may be written unquoted in block context. What fails here is a string to every
/// reader, so quotes change nothing.
fn stays_plain(text: &str) -> bool {
    let mut chars = text.chars();
    let first_fits = match chars.next() {
        Some(c) if c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | '_' | '$' | '+' | '~' | '(') => true,
        Some('-') => chars.next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '.'),
        _ => false,
    };
    first_fits
        && text.len() < 1000
        && text.bytes().all(|b| (0x20..0x7f).contains(&b))
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with([':', ' '])
}

fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ' '..='~' => out.push(c),
            c if c.is_alphanumeric() => out.push(c),
            c if u32::from(c) <= 0xff => out.push_str(&format!("\\x{:02X}", u32::from(c))),
            c if u32::from(c) <= 0xffff => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push_str(&format!("\\U{:08X}", u32::from(c))),
        }
    }
    out.push('"');
}
