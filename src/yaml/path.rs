//! Paths into a tree: `services.api.environment.PORT`, `admin.ssh_keys[0]`, `secrets."gcp.json".as`.

use super::{Kind, Node};
use crate::report::Span;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Into a mapping.
    Key(String),
    /// Into a list.
    Index(usize),
}

/// A path into a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(pub Vec<Step>);

impl Path {
    /// Reads a path; the error is a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut steps = Vec::new();
        let mut rest = text;
        loop {
            let key = if let Some(quoted) = rest.strip_prefix('"') {
                let end = quoted.find('"').ok_or("a quoted key in the path has no closing quote")?;
                rest = &quoted[end + 1..];
                &quoted[..end]
            } else {
                let end = rest.find(['.', '[']).unwrap_or(rest.len());
                let key = &rest[..end];
                rest = &rest[end..];
                key
            };
            if key.is_empty() {
                return Err(format!("`{text}` is not a path: a key in it is empty"));
            }
            steps.push(Step::Key(key.to_owned()));
            while let Some(index) = rest.strip_prefix('[') {
                let end = index.find(']').ok_or(format!("`{text}` is not a path: a `]` is missing"))?;
                let number = index[..end].parse::<u16>();
                let number = number.map_err(|_| format!("`{}` is not an index of a list", &index[..end]))?;
                steps.push(Step::Index(usize::from(number)));
                rest = &index[end + 1..];
            }
            match rest.strip_prefix('.') {
                Some(more) => rest = more,
                None if rest.is_empty() => break,
                None => return Err(format!("`{text}` is not a path: `.` expected before `{rest}`")),
            }
        }
        if steps.len() > super::MAX_DEPTH {
            return Err("this path is deeper than any profile".into());
        }
        Ok(Self(steps))
    }

    /// The node a path leads to, or the deepest one on the way, with whether the whole path was walked.
    pub fn nearest<'n>(&self, root: &'n Node) -> (&'n Node, bool) {
        let mut node = root;
        for step in &self.0 {
            let next = match step {
                Step::Key(key) => node.get(key),
                Step::Index(index) => node.as_seq().and_then(|items| items.get(*index)),
            };
            match next {
                Some(next) => node = next,
                None => return (node, false),
            }
        }
        (node, true)
    }
}

/// Puts a value at a path; missing mappings on the way are made, an index may be one past the end.
pub fn set_path(root: &mut Node, path: &Path, span: Span, value: Node) -> Result<(), String> {
    *place(root, path, span)? = value;
    Ok(())
}

/// Appends the items of a list at a path; what is not there yet counts as an empty list.
pub fn append_path(root: &mut Node, path: &Path, span: Span, value: Node) -> Result<(), String> {
    let Kind::Seq(more) = value.kind else {
        return Err("`+=` appends a list: write the value as `[…]`".into());
    };
    let target = place(root, path, span)?;
    if target.is_null() {
        *target = Node::seq(span, Vec::new());
    }
    match &mut target.kind {
        Kind::Seq(items) => {
            items.extend(more);
            Ok(())
        }
        _ => Err(format!("`+=` appends to a list, and there is {} here", target.describe())),
    }
}

fn place<'n>(root: &'n mut Node, path: &Path, span: Span) -> Result<&'n mut Node, String> {
    let mut node = root;
    for step in &path.0 {
        if node.is_null() {
            node.kind = match step {
                Step::Key(_) => Kind::Map(Vec::new()),
                Step::Index(_) => Kind::Seq(Vec::new()),
            };
        }
        let what = node.describe();
        node = match (step, &mut node.kind) {
            (Step::Key(key), Kind::Map(entries)) => {
                let at = entries.iter().position(|(name, _)| name.as_str() == Some(key)).unwrap_or_else(|| {
                    entries.push((Node::string(span, key.as_str()), Node::plain(span, "")));
                    entries.len() - 1
                });
                let (name, there) = &mut entries[at];
                // It is still to take away what this will be laid over.
                if there.is_reset() {
                    name.mark_override();
                    *there = Node::plain(there.span, "");
                }
                there
            }
            (Step::Index(index), Kind::Seq(items)) => {
                if *index > items.len() {
                    return Err(format!("the list has {} entries, there is no [{index}]", items.len()));
                }
                if *index == items.len() {
                    items.push(Node::plain(span, ""));
                }
                &mut items[*index]
            }
            (Step::Key(key), _) => return Err(format!("`{key}` would be a key of {what}, not of a mapping")),
            (Step::Index(index), _) => {
                return Err(format!("[{index}] would be an entry of {what}, not of a list"));
            }
        };
    }
    Ok(node)
}
