//! From tree to JSON, typed as YAML 1.2's core schema types unquoted scalars.

use super::{Kind, Node};
use serde_json::{Map, Number, Value};

/// The tree as JSON; keys that are no text cannot be written.
pub fn to_json(node: &Node) -> Option<Value> {
    Some(match &node.kind {
        Kind::Seq(items) => Value::Array(items.iter().map(to_json).collect::<Option<_>>()?),
        Kind::Map(entries) => {
            let pairs = entries.iter().map(|(key, value)| Some((key.as_str()?.to_owned(), to_json(value)?)));
            Value::Object(pairs.collect::<Option<Map<_, _>>>()?)
        }
        Kind::Scalar { text, plain: false, .. } => Value::String(text.clone()),
        Kind::Scalar { text, .. } => match (node.is_null(), node.as_bool(), text.parse::<Number>()) {
            (true, ..) => Value::Null,
            (_, Some(value), _) => Value::Bool(value),
            (_, _, Ok(number)) => Value::Number(number),
            _ => Value::String(text.clone()),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report;

    #[test]
    fn scalars_keep_their_types() {
        let mut report = Report::new();
        let source = report.sources.add("t", "a: [1, -2.5, true, ~, no, '3', 012]\n");
        let node = crate::yaml::parse(&mut report, source).expect("YAML");
        assert_eq!(to_json(&node), Some(serde_json::json!({"a": [1, -2.5, true, null, "no", "3", "012"]})));
    }
}
