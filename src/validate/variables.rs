//! Compose's interpolation: `${NAME}` is filled in from the secrets, and from nothing else.

use crate::profile::model::SecretPlace;
use crate::profile::reader::{nearest, shown};
use crate::report::Report;
use crate::resolve::Resolved;
use crate::yaml::{Kind, Node};

pub(super) fn check(resolved: &Resolved, root: &Node, document: &Node, report: &mut Report) {
    let secrets = &resolved.profile.secrets;
    let file = |name: &str| secrets.iter().any(|s| s.name == name && s.place != SecretPlace::Env);
    let known: Vec<&str> = super::secret_names(root).filter(|name| !file(name)).collect();
    for (key, value) in document.as_map().unwrap_or_default() {
        if !key.as_str().is_some_and(|key| key.starts_with("x-")) {
            walk(value, &known, report);
        }
    }
}

fn walk(node: &Node, known: &[&str], report: &mut Report) {
    match &node.kind {
        Kind::Seq(items) => items.iter().for_each(|item| walk(item, known, report)),
        Kind::Map(entries) => {
            for (key, value) in entries {
                if !key.as_str().is_some_and(|key| key.starts_with("x-")) {
                    walk(value, known, report);
                }
            }
        }
        Kind::Scalar { text, .. } => {
            for (name, has_default) in variables(text) {
                if has_default || known.contains(&name) || name == "COMPOSE_PROJECT_NAME" {
                    continue;
                }
                if name.is_empty() {
                    report
                        .error(node.span, "interpolation", "Compose cannot read the `$` in this text")
                        .help("write `$$` for a dollar sign");
                    continue;
                }
                let message = format!("`${{{}}}` is neither a secret nor has a default, so it is empty", shown(name));
                let finding = report.warning(node.span, "unset-variable", message);
                match nearest(name, known.iter().copied()) {
                    Some(near) => finding.help(format!("did you mean `${{{near}}}`?")),
                    None => finding.help(format!(
                        "add `{0}` to `secrets`, write a default as `${{{0}:-value}}`, or `$${0}` for the text itself",
                        shown(name)
                    )),
                };
            }
        }
    }
}

/// Every variable in a text, and whether it brings its own default. An empty name is a `$` that Compose refuses.
fn variables(text: &str) -> Vec<(&str, bool)> {
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
        let end = from.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        let name = if from.starts_with(|c: char| c.is_ascii_digit()) { "" } else { &from[..end] };
        let operators = [":-", "-", ":+", "+", ":?", "?", "}"];
        let operator = operators.iter().find(|operator| from[end..].starts_with(**operator));
        let closed = braced.is_none() || (operator.is_some() && from.contains('}'));
        let has_default = braced.is_some() && operator.is_some_and(|operator| operator.contains(['-', '+']));
        found.push(if closed { (name, has_default) } else { ("", false) });
        rest = &from[end..];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_as_compose_finds_them() {
        assert_eq!(variables("a$$b $$${A}"), [("A", false)]);
        assert_eq!(
            variables("$A-${B}${C:-x}${D-}${E:?no}"),
            [("A", false), ("B", false), ("C", true), ("D", true), ("E", false)]
        );
        assert_eq!(variables("${A:-${B}}"), [("A", true), ("B", false)]);
        assert_eq!(variables("5$ ${} ${A"), [("", false), ("", false), ("", false)]);
    }
}
