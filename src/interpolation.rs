//! Compose's `${NAME}`.

/// What a variable brings along in case it is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Nothing: it is empty then.
    Plain,
    /// `:-`, `-`, `:+` or `+`: a text of its own.
    Default,
    /// `:?` or `?`: Compose ends there.
    Required,
    /// Not a variable, although it begins like one: Compose refuses it.
    Broken,
}

/// Every variable in a text. Like Compose, a `$` that no name follows is a dollar sign.
pub fn variables(text: &str) -> Vec<(&str, Operator)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            rest = after;
            continue;
        }
        let braced = rest.strip_prefix('{');
        let from = braced.unwrap_or(rest);
        let named = from.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let end = from.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        if braced.is_none() {
            if named {
                found.push((&from[..end], Operator::Plain));
                rest = &from[end..];
            }
            continue;
        }
        let operator = [":-", "-", ":+", "+", ":?", "?", "}"].into_iter().find(|operator| from[end..].starts_with(operator));
        found.push(match operator {
            Some(operator) if named && from[end..].contains('}') => {
                let kind = match operator.trim_start_matches(':') {
                    "}" => Operator::Plain,
                    "?" => Operator::Required,
                    _ => Operator::Default,
                };
                (&from[..end], kind)
            }
            _ => ("", Operator::Broken),
        });
        rest = &from[if named { end } else { 0 }..];
    }
    found
}

/// Whether a variable begins anywhere in a text: looks no further than the first, and at nothing behind it.
pub fn has_variable(text: &str) -> bool {
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        rest = &rest[at + 1..];
        match rest.strip_prefix('$') {
            Some(after) => rest = after,
            None if rest.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '{')) => return true,
            None => {}
        }
    }
    false
}

/// Defaults stand in defaults so deep at most.
const DEEPEST: usize = 32;

/// What Compose makes of a text; `None` where it refuses the text, or ends because a value is missing.
pub fn expand(text: &str, value: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    expand_to(text, value, DEEPEST)
}

fn expand_to(text: &str, value: &dyn Fn(&str) -> Option<String>, deep: usize) -> Option<String> {
    let deep = deep.checked_sub(1)?;
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let from = rest.strip_prefix('{').unwrap_or(rest);
        let named = from.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let end = from.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        let name = &from[..end];
        if !rest.starts_with('{') {
            if named {
                out.push_str(&value(name).unwrap_or_default());
                rest = &from[end..];
            } else {
                out.push('$');
            }
            continue;
        }
        let close = closing(&from[end..])?;
        let (inside, after) = (&from[end..end + close], &from[end + close + 1..]);
        let known = value(name);
        let full = known.clone().filter(|known| !known.is_empty());
        let [strict, operator, word] = match (inside.strip_prefix(':'), inside) {
            _ if !named => return None,
            (_, "") => ["", "", ""],
            (Some(rest), _) => [":", rest.get(..1)?, rest.get(1..)?],
            (None, _) => ["", inside.get(..1)?, inside.get(1..)?],
        };
        let there = if strict.is_empty() { known.clone() } else { full };
        out.push_str(&match operator {
            "" => known.unwrap_or_default(),
            "-" => there.map_or_else(|| expand_to(word, value, deep), Some)?,
            "+" => there.map_or(Some(String::new()), |_| expand_to(word, value, deep))?,
            "?" => there?,
            _ => return None,
        });
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

/// The default that a text brings along for a variable.
pub fn default_of<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let from = text.match_indices("${").map(|(at, mark)| &text[at + mark.len()..]).find_map(|rest| {
        let rest = rest.strip_prefix(name)?;
        rest.strip_prefix(":-").or_else(|| rest.strip_prefix('-'))
    })?;
    Some(&from[..closing(from)?])
}

/// Where the brace closes that was open before the text.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' if at > 0 && text.as_bytes()[at - 1] == b'$' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_as_compose_finds_them() {
        use Operator::{Broken, Default, Plain, Required};
        assert_eq!(variables("a$$b $$${A}"), [("A", Plain)]);
        assert_eq!(
            variables("$A-${B}${C:-x}${D-}${E:?no}"),
            [("A", Plain), ("B", Plain), ("C", Default), ("D", Default), ("E", Required)]
        );
        assert_eq!(variables("${A:-${B}}"), [("A", Default), ("B", Plain)]);
        assert_eq!(variables("5$ ${} ${A ${1}"), [("", Broken), ("", Broken), ("", Broken)]);
        assert_eq!(variables("^PONG$ US$ 5 [0-9]+$`) $1 $- end$"), []);
        for (text, has) in [("a$$b $$${A}", true), ("$$A $${B} US$ 5 $1 $", false), ("x$_y", true), ("${", true), ("", false)] {
            assert_eq!(has_variable(text), has, "{text}");
        }
    }

    #[test]
    fn texts_become_what_compose_makes_of_them() {
        let value = |name: &str| match name {
            "A" => Some("a".to_owned()),
            "E" => Some(String::new()),
            _ => None,
        };
        for (text, made) in [
            ("$A-${A}$$${A:-x}", Some("a-a$a")),
            ("${E:-x}${E-x}${N:-x}${N-y}${N}", Some("xxy")),
            ("${N:-${A}b}c}", Some("abc}")),
            ("${A:+x}${E:+x}${E+y}${N+z}", Some("xy")),
            ("${A:?no}${A?no}", Some("aa")),
            ("${E?no}", Some("")),
            ("${E:?no}", None),
            ("${N?no}", None),
            ("${", None),
            ("${1}", None),
            ("${A!}", None),
            ("^a$ 5$", Some("^a$ 5$")),
        ] {
            assert_eq!(expand(text, &value).as_deref(), made, "{text}");
        }
        assert_eq!(default_of("a ${N:-${A}b}c", "N"), Some("${A}b"));
        assert_eq!(default_of("${N}", "N"), None);
    }
}
