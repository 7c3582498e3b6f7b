//! The JSON Schema of the profile, made from the same rows as its documentation. It helps while a profile is written; what a profile may hold
//! is decided by reading it.

use super::docs::docs;
use super::reader::FieldDoc;
use serde_json::{Map, Value, json};

/// The schema, of draft 7: what editors' language servers read.
pub fn schema() -> Value {
    let mut root = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Profile of julia-bootstrap",
        "type": "object",
        "additionalProperties": false,
        "patternProperties": {"^x-": {}},
    });
    for field in docs() {
        let node = place(&mut root, &field.path);
        let inner: Map<String, Value> = node.as_object().cloned().unwrap_or_default();
        *node = described(&field, inner);
        if field.default == REQUIRED {
            let (above, name) = field.path.rsplit_once('.').unwrap_or(("", &field.path));
            // A form that is a single word needs none of what its long form needs.
            let above = place(&mut root, above);
            if let Some(names) = above.as_object_mut().map(|above| above.entry("required").or_insert_with(|| json!([]))) {
                names.as_array_mut().expect("a list").push(json!(name));
            }
        }
    }
    root
}

/// What the documentation says where a field has no default.
const REQUIRED: &str = "none: must be written";

/// The schema of what stands at a path of the documentation: `a.b`, `a[].b`, `a.<name>.b`.
fn place<'s>(root: &'s mut Value, path: &str) -> &'s mut Value {
    let mut node = root;
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let (name, list) = part.strip_suffix("[]").map_or((part, false), |name| (name, true));
        let below = long_form(node);
        node = if name.starts_with('<') {
            step(below, "additionalProperties", None)
        } else {
            step(below, "properties", Some(name))
        };
        if list {
            node = step(node, "items", None);
        }
    }
    long_form(node)
}

/// Where a field has a short form beside a mapping, the mapping.
fn long_form(node: &mut Value) -> &mut Value {
    let forms = node.get("anyOf").and_then(Value::as_array).map(Vec::len);
    match forms {
        Some(count) => &mut node["anyOf"][count - 1],
        None => node,
    }
}

fn step<'s>(node: &'s mut Value, key: &str, name: Option<&str>) -> &'s mut Value {
    if !node[key].is_object() {
        node[key] = json!({});
    }
    match name {
        Some(name) => &mut node[key][name],
        None => &mut node[key],
    }
}

/// A field's own words around what is known of what stands in it.
fn described(field: &FieldDoc, inner: Map<String, Value>) -> Value {
    let mut schema = of_type(&field.type_name);
    if let Some(schema) = schema.as_object_mut() {
        schema.extend(inner);
        if field.default != REQUIRED {
            nullable(schema);
        }
        let default = if field.default == "{}" { String::new() } else { format!(" Default: {}.", field.default) };
        schema.insert("description".to_owned(), json!(format!("{} Type: {}.{default} Example: {}", field.doc, field.type_name, field.example)));
    }
    schema
}

/// Nothing behind a key is as if the key were not there.
fn nullable(schema: &mut Map<String, Value>) {
    if let Some(kind) = schema.get("type").cloned() {
        let mut kinds = kind.as_array().cloned().unwrap_or_else(|| vec![kind]);
        kinds.push(json!("null"));
        schema.insert("type".to_owned(), json!(kinds));
    }
    if let Some(words) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        words.push(Value::Null);
    }
    if let Some(forms) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        forms.insert(0, json!({"type": "null"}));
    }
}

/// The schema of a type by its name in the documentation.
fn of_type(name: &str) -> Value {
    if let Some(item) = name.strip_prefix("list of ").filter(|item| *item != "words, or a line for the shell") {
        return json!({"type": "array", "items": of_type(item)});
    }
    if let Some(range) = name.strip_prefix("number ") {
        let (least, most) = range.split_once('–').unwrap_or((range, range));
        return json!({"type": "integer", "minimum": least.parse::<i64>().unwrap_or(0), "maximum": most.parse::<i64>().unwrap_or(i64::MAX)});
    }
    let mapping = json!({"type": "object", "additionalProperties": false});
    match name {
        "1" => json!({"const": 1}),
        "mapping" => mapping,
        "true or false" => json!({"type": "boolean"}),
        "list of words, or a line for the shell" => json!({"type": ["array", "string"]}),
        _ if name.starts_with("as in ") => json!({}),
        _ if name.starts_with("mapping ") => json!({"type": "object"}),
        _ => {
            let words: Vec<&str> = name.split('`').skip(1).step_by(2).collect();
            let rest = name.split('`').step_by(2).collect::<String>().replace([',', ' '], "").replace("or", "");
            match rest.as_str() {
                "" if !words.is_empty() => json!({"enum": words}),
                "mapping" => json!({"anyOf": [{"enum": words}, mapping]}),
                _ => json!({"type": "string"}),
            }
        }
    }
}
