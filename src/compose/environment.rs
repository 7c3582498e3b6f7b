//! What a service's `environment` says, in either of its forms.

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
}
