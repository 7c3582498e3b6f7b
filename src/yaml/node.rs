//! The tree.

use crate::report::Span;

/// One YAML node with the place it was written.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub kind: Kind,
}

/// The three kinds of node. Scalars are not typed here: the reader decides by the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text; `plain` when it was written without quotes.
    Scalar {
        /// The text after YAML's own escapes.
        text: String,
        /// Written without quotes, so that its spelling decides its type.
        plain: bool,
        /// A tag such as `!!int`, if one was written.
        tag: Option<String>,
    },
    /// A list.
    Seq(Vec<Node>),
    /// A mapping in the order written; keys are nodes too.
    Map(Vec<(Node, Node)>),
}

impl PartialEq for Node {
    /// Equal content, wherever it stands.
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

impl Eq for Node {}

impl Node {
    /// A quoted string.
    pub fn string(span: Span, text: impl Into<String>) -> Self {
        Self { span, kind: Kind::Scalar { text: text.into(), plain: false, tag: None } }
    }

    /// An unquoted scalar: a number, `true`, `null`. The caller vouches for its spelling.
    pub fn plain(span: Span, text: impl Into<String>) -> Self {
        Self { span, kind: Kind::Scalar { text: text.into(), plain: true, tag: None } }
    }

    /// A list.
    pub fn seq(span: Span, items: Vec<Node>) -> Self {
        Self { span, kind: Kind::Seq(items) }
    }

    /// A mapping with plain string keys that stand where the mapping stands.
    pub fn map(span: Span, entries: Vec<(&str, Node)>) -> Self {
        let entries = entries.into_iter().map(|(key, value)| (Node::string(span, key), value)).collect();
        Self { span, kind: Kind::Map(entries) }
    }

    /// The text of a scalar.
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The items of a list.
    pub fn as_seq(&self) -> Option<&[Node]> {
        match &self.kind {
            Kind::Seq(items) => Some(items),
            _ => None,
        }
    }

    /// The entries of a mapping.
    pub fn as_map(&self) -> Option<&[(Node, Node)]> {
        match &self.kind {
            Kind::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The entries of a mapping, to change them.
    pub fn as_map_mut(&mut self) -> Option<&mut Vec<(Node, Node)>> {
        match &mut self.kind {
            Kind::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// True for an unquoted `null`, `~` or nothing at all.
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true, tag: None }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// An unquoted `true` or `false`.
    pub fn as_bool(&self) -> Option<bool> {
        match &self.kind {
            Kind::Scalar { text, plain: true, tag: None } => match text.as_str() {
                "true" | "True" | "TRUE" => Some(true),
                "false" | "False" | "FALSE" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// The value under a key of a mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|(_, value)| value)
    }

    /// Key and value under a key of a mapping.
    pub fn entry(&self, key: &str) -> Option<(&Node, &Node)> {
        let (key, value) = self.as_map()?.iter().find(|(name, _)| name.as_str() == Some(key))?;
        Some((key, value))
    }

    /// The value under a key of a mapping, to change it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.as_map_mut()?.iter_mut().find(|(name, _)| name.as_str() == Some(key)).map(|(_, value)| value)
    }

    /// Sets a key of a mapping in its place, or adds it at the end; does nothing on other kinds.
    pub fn insert(&mut self, key: Node, value: Node) {
        if let Some(entries) = self.as_map_mut() {
            match entries.iter_mut().find(|(name, _)| name.as_str() == key.as_str()) {
                Some(entry) => *entry = (key, value),
                None => entries.push((key, value)),
            }
        }
    }

    /// Takes a key out of a mapping.
    pub fn remove(&mut self, key: &str) -> Option<Node> {
        let entries = self.as_map_mut()?;
        let at = entries.iter().position(|(name, _)| name.as_str() == Some(key))?;
        Some(entries.remove(at).1)
    }

    /// The texts of a list or the keys of a mapping: Compose takes names in either form.
    pub fn names(&self) -> Vec<(&str, Span)> {
        match &self.kind {
            Kind::Seq(items) => items.iter().filter_map(|item| Some((item.as_str()?, item.span))).collect(),
            Kind::Map(entries) => entries.iter().filter_map(|(key, _)| Some((key.as_str()?, key.span))).collect(),
            Kind::Scalar { .. } => Vec::new(),
        }
    }

    /// "a mapping", "a list", "a number", "text": what errors call it.
    pub fn describe(&self) -> &'static str {
        match &self.kind {
            Kind::Map(_) => "a mapping",
            Kind::Seq(_) => "a list",
            _ if self.is_null() => "nothing",
            _ if self.is_reset() => "`!reset`",
            _ if self.as_bool().is_some() => "true or false",
            Kind::Scalar { text, plain: true, tag: None } if is_number(text) => "a number",
            Kind::Scalar { .. } => "text",
        }
    }
}

/// Whether an unquoted text is a number to everybody.
fn is_number(text: &str) -> bool {
    text.trim_start_matches(['+', '-']).starts_with(|first: char| first.is_ascii_digit()) && text.parse::<f64>().is_ok()
}
