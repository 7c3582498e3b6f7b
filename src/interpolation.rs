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
    }
}
