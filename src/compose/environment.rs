//! What a service's `environment` says, in either of its forms, and what of it is a secret by its look.

use crate::profile::hidden::holds_password;
use crate::report::Span;
use crate::yaml::{Kind, Node};

/// Name, value where one is written, and place.
pub type Pair<'n> = (&'n str, Option<&'n str>, Span);

/// The lines of an `environment` in their order; of one name the last one counts.
pub fn pairs(environment: &Node) -> Vec<Pair<'_>> {
    match &environment.kind {
        Kind::Seq(items) => items.iter().filter_map(of_a_list).collect(),
        Kind::Map(entries) => entries.iter().filter_map(of_a_mapping).collect(),
        Kind::Scalar { .. } => Vec::new(),
    }
}

fn of_a_list(item: &Node) -> Option<Pair<'_>> {
    let line = item.as_str()?;
    let (name, value) = line.split_once('=').map_or((line, None), |(name, value)| (name, Some(value)));
    Some((name, value, item.span))
}

fn of_a_mapping((key, value): &(Node, Node)) -> Option<Pair<'_>> {
    let span = if value.is_null() { key.span } else { value.span };
    Some((key.as_str()?, value.as_str().filter(|_| !value.is_null()), span))
}

/// Whether a value is a secret by its look, whatever it is called: an address with a password in it, or a token.
pub fn looks_secret(value: &str) -> bool {
    holds_password(value) || holds_token(value)
}

/// Whether a JSON Web Token stands in a text: three parts in base64url, of which the first is a JSON object.
pub fn holds_token(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    parts.windows(3).any(|three| ends_in_object(three[0]) && !three[1].is_empty() && three[1].chars().all(is_base64url) && three[2].starts_with(is_base64url))
}

fn is_base64url(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}

/// Whether the end of a text is base64url in which a JSON object begins: `{"` is `eyJ`.
fn ends_in_object(text: &str) -> bool {
    let end = text.rsplit(|c: char| !is_base64url(c)).next().unwrap_or_default();
    end.match_indices("eyJ").any(|(at, _)| !end[..at].ends_with(|c: char| c.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report;

    #[test]
    fn both_forms_say_the_same() {
        let mut report = Report::new();
        let mut said = |text: &str| {
            let source = report.sources.add("t", text);
            let node = crate::yaml::parse(&mut report, source).expect("YAML");
            pairs(&node).into_iter().map(|(name, value, _)| (name.to_owned(), value.map(str::to_owned))).collect::<Vec<_>>()
        };
        let list = said("[A=1, B=, C, D=x=y]\n");
        assert_eq!(list, said("{A: 1, B: \"\", C: , D: x=y}\n"));
        assert_eq!(list[2], ("C".to_owned(), None));
        assert!(said("text").is_empty());
    }

    #[test]
    fn tokens_are_known_by_their_look() {
        for text in ["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln-_A", "Bearer eyJhbGciOiJIUzI1NiJ9.e30.sig", "https://x.dev/?token=eyJh.e30.c2ln&a=b"] {
            assert!(holds_token(text) && looks_secret(text), "{text}");
        }
        for text in ["${B:-eyJmYWtl.e30.fake}", "${C-eyJmYWtl.e30.fake}", "key-eyJmYWtl.e30.fake", "x.eyJmYWtl.e30.fake", "It is eyJmYWtl.e30.fake.", "eyJmYWtl.e30.fake.x"] {
            assert!(holds_token(text), "{text}");
        }
        for text in ["eyJhbGciOiJIUzI1NiJ9", "eyJh.e30", "eyJh.e30.", "eyJh..c2ln", "eyJh.e 30.c2ln", "keyJh.e30.c2ln", "a.b.c", "key.eyJ.dev", "www.acme.dev", ""] {
            assert!(!looks_secret(text), "{text}");
        }
    }
}
