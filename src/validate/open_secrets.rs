//! Secrets that stand in a service's environment as they are: everybody who reads the user-data or the Compose file has them.

use crate::compose::pairs;
use crate::interpolation::has_variable;
use crate::hidden::{holds_password, holds_token, is_hidden, is_key, is_plain};
use crate::report::{Report, Span};
use crate::resolve::Resolved;
use crate::yaml::Node;

pub(super) fn check(resolved: &Resolved, report: &mut Report) {
    for service in &resolved.services {
        for word in service.node.get("command").map(after_requirepass).unwrap_or_default() {
            report
                .warning(word, "open-secret", "Redis' password is written out, which whoever reads the user-data or the machine's Compose file has, too")
                .hide()
                .help("add it to `secrets`, and write `${NAME}` in its place here");
        }
        let Some(environment) = service.node.get("environment") else { continue };
        for (name, value, span) in pairs(environment) {
            let Some(value) = value else { continue };
            // `$$` is a dollar sign.
            let named = !has_variable(value) && ((is_hidden(name) && !is_plain(value)) || is_key(name, value));
            let look = [("password", holds_password(value)), ("token", holds_token(value))].into_iter().find(|(_, so)| *so);
            let (what, help) = match (named, look) {
                (true, _) => ("its value".to_owned(), format!("add `{name}` to `secrets`, as `generate` or `{{env: {name}}}`, and write `${{{name}}}` here")),
                (false, Some((look, _))) => (format!("a {look}"), format!("add the {look} to `secrets`, and write `${{NAME}}` in its place here")),
                (false, None) => continue,
            };
            report
                .warning(span, "open-secret", format!("`{name}` has {what} written out, which whoever reads the user-data or the machine's Compose file has, too"))
                .hide()
                .help(help);
        }
    }
}

/// What follows `--requirepass` and is no variable.
fn after_requirepass(command: &Node) -> Vec<Span> {
    let literal = |word: &str| !word.is_empty() && !word.contains('$');
    let mut found = Vec::new();
    if let Some(text) = command.as_str() {
        let words: Vec<&str> = text.split_whitespace().collect();
        found.extend(words.windows(2).any(|pair| pair[0].ends_with("requirepass") && literal(pair[1].trim_matches(['"', '\'']))).then_some(command.span));
    }
    let words = command.as_seq().unwrap_or_default();
    found.extend(words.windows(2).filter(|pair| pair[0].as_str().is_some_and(|word| word.ends_with("requirepass")) && pair[1].as_str().is_some_and(literal)).map(|pair| pair[1].span));
    found
}
