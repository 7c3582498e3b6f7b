//! Typed reading of a tree: every mistake becomes a finding, and reading goes on.

use crate::report::{Finding, Report, Span};
use crate::yaml::{Kind, Node};

/// One option of the profile, as documented.
#[derive(Clone, Debug)]
pub struct FieldDoc {
    /// Where it stands: `docker.logins[].registry`.
    pub path: String,
    /// What it takes.
    pub type_name: String,
    /// What holds without it.
    pub default: &'static str,
    /// What one could write.
    pub example: &'static str,
    /// What it does.
    pub doc: String,
}

/// Something a profile can hold.
pub trait Value: Sized {
    /// What the documentation calls it.
    fn type_name() -> String;
    /// Reads it; `None` when a finding says why not.
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self>;
    /// Documents what stands inside it.
    fn docs(_path: &str, _out: &mut Vec<FieldDoc>) {}
}

/// Collects findings while values are read.
pub struct Reader<'r> {
    /// Where findings go.
    pub report: &'r mut Report,
}

impl Reader<'_> {
    /// A value of the wrong kind.
    pub fn wrong_type(&mut self, node: &Node, wanted: &str) -> &mut Finding {
        let message = format!("{wanted} is expected here, and this is {}", node.describe());
        self.report.error(node.span, "wrong-type", message)
    }

    /// A value of the right kind that will not do.
    pub fn invalid(&mut self, span: Span, message: impl Into<String>) -> &mut Finding {
        self.report.error(span, "invalid-value", message)
    }

    /// The text of a scalar.
    pub fn text<'n>(&mut self, node: &'n Node, wanted: &str) -> Option<&'n str> {
        match &node.kind {
            Kind::Scalar { tag: Some(tag), .. } => {
                self.invalid(node.span, format!("the tag `{tag}` has no meaning here")).help("remove the tag");
                None
            }
            Kind::Scalar { text, .. } if !node.is_null() => Some(text),
            _ => {
                self.wrong_type(node, wanted);
                None
            }
        }
    }

    /// Checks that a node is a mapping with known keys only.
    pub fn mapping(&mut self, node: &Node, fields: &[&str], extensions: bool) -> Option<()> {
        let Some(entries) = node.as_map() else {
            self.wrong_type(node, "a mapping");
            return None;
        };
        for (key, value) in entries {
            let name = key.as_str().unwrap_or_default();
            if let Some(list) = name.strip_suffix('+').filter(|list| fields.contains(list)) {
                appended(key, list, value.describe(), self.report);
            } else if !(fields.contains(&name) || extensions && name.starts_with("x-")) {
                let finding = self.report.error(key.span, "unknown-field", format!("unknown field `{}`", shown(name)));
                match nearest(name, fields.iter().copied()) {
                    Some(known) => finding.help(format!("did you mean `{known}`?")),
                    None => finding.help(format!("known fields: {}", fields.join(", "))),
                };
            }
        }
        Some(())
    }

    /// Reads a field that may be absent or null. Findings in it that say no mend show `example`.
    pub fn field<T: Value>(&mut self, node: &Node, name: &str, example: &str) -> Option<T> {
        let value = node.get(name).filter(|value| !value.is_null())?;
        let first = self.report.findings().len();
        let read = T::read(value, self);
        self.report.mend(first, || format!("write it as in `{name}: {example}`"));
        read
    }

    /// Reads a field that must be there.
    pub fn required<T: Value>(&mut self, node: &Node, name: &str, example: &str) -> Option<T> {
        match node.get(name).filter(|value| !value.is_null()) {
            Some(_) => self.field(node, name, example),
            None => {
                let span = node.entry(name).map_or(node.span, |(key, _)| key.span);
                self.report
                    .error(span, "missing-field", format!("the field `{name}` is missing here"))
                    .help(format!("add `{name}: {example}`"));
                None
            }
        }
    }
}

/// What a field holds when the profile does not say; the text stands in the documentation too.
pub fn default_value<T: Value>(text: &str) -> T {
    let mut report = Report::new();
    let source = report.sources.add("default", text);
    let node = crate::yaml::parse(&mut report, source);
    let value = node.and_then(|node| T::read(&node, &mut Reader { report: &mut report }));
    value.expect("every default reads as its own type; a test reads them all")
}

/// A name cut to what fits a sentence, without control characters.
pub fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(60).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().count() > 60 {
        short.push('…');
    }
    short
}

/// Tells that `key`, which is `LIST+`, is to append to a list and has something else, called `what`.
pub fn appended(key: &Node, list: &str, what: &str, report: &mut Report) {
    report
        .error(key.span, "append", format!("`{list}+` appends to a list, and this is {what}"))
        .help(format!("write `{list}+: […]`, or `{list}: …` to replace it"));
}

/// The known name that was probably meant.
pub fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    if name.len() > 60 {
        return None;
    }
    let allowed = 1 + name.chars().count() / 4;
    known
        .map(|candidate| (strsim::damerau_levenshtein(&name.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

impl<T: Value> Value for Vec<T> {
    fn type_name() -> String {
        format!("list of {}", T::type_name())
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match node.as_seq() {
            Some(items) => Some(items.iter().filter_map(|item| T::read(item, reader)).collect()),
            None => {
                reader.wrong_type(node, "a list");
                None
            }
        }
    }

    fn docs(path: &str, out: &mut Vec<FieldDoc>) {
        T::docs(&format!("{path}[]"), out);
    }
}

/// A value with the place it was written.
#[derive(Clone, Debug)]
pub struct Spanned<T> {
    /// Where.
    pub span: Span,
    /// What.
    pub value: T,
}

impl<T: Value> Value for Spanned<T> {
    fn type_name() -> String {
        T::type_name()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        T::read(node, reader).map(|value| Self { span: node.span, value })
    }

    fn docs(path: &str, out: &mut Vec<FieldDoc>) {
        T::docs(path, out);
    }
}

impl Value for bool {
    fn type_name() -> String {
        "true or false".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let value = node.as_bool();
        if value.is_none() {
            match node.as_str() {
                Some(text) => {
                    let message = format!("`{}` is neither true nor false", shown(text));
                    reader.invalid(node.span, message).help("write `true` or `false`, without quotes");
                }
                None => {
                    reader.wrong_type(node, "true or false");
                }
            }
        }
        value
    }
}

/// Declares one section of the profile: its struct, its reader and its documentation.
///
/// A field is `name: MODE Type, "default", "example";` where MODE is `with` (the default is YAML that reads as the
/// type), `optional` (the default is a description) or `required` (`None` only when a finding says why).
macro_rules! section {
    ($(#[doc = $section_doc:literal])+ $name:ident $($extensions:literal)? {
        $( $(#[doc = $doc:literal])+ $field:ident : $mode:ident $ty:ty, $default:literal, $example:literal; )*
    }) => {
        $(#[doc = $section_doc])+
        #[derive(Clone, Debug)]
        pub struct $name {
            $( $(#[doc = $doc])+ pub $field: section!(@type $mode $ty), )*
        }

        impl $crate::profile::reader::Value for $name {
            fn type_name() -> String {
                "mapping".into()
            }

            fn read(
                node: &$crate::yaml::Node,
                reader: &mut $crate::profile::reader::Reader<'_>,
            ) -> Option<Self> {
                let extensions = [$($extensions)?].contains(&"x-");
                reader.mapping(node, &[$(section!(@name $field)),*], extensions)?;
                $( let $field = section!(@read $mode $ty, node, reader, section!(@name $field), $default, $example); )*
                Some(Self { $($field),* })
            }

            fn docs(path: &str, out: &mut Vec<$crate::profile::reader::FieldDoc>) {
                $(
                    let inner = match path {
                        "" => section!(@name $field).to_owned(),
                        path => format!("{path}.{}", section!(@name $field)),
                    };
                    out.push($crate::profile::reader::FieldDoc {
                        path: inner.clone(),
                        type_name: <$ty as $crate::profile::reader::Value>::type_name(),
                        default: $default,
                        example: $example,
                        doc: [$($doc),+].map(str::trim).join(" "),
                    });
                    <$ty as $crate::profile::reader::Value>::docs(&inner, out);
                )*
            }
        }
    };
    (@name place) => { "as" };
    (@name $field:ident) => { stringify!($field) };
    (@type with $ty:ty) => { $ty };
    (@type $mode:ident $ty:ty) => { Option<$ty> };
    (@read with $ty:ty, $node:ident, $reader:ident, $name:expr, $default:literal, $example:literal) => {
        $reader.field::<$ty>($node, $name, $example).unwrap_or_else(|| $crate::profile::reader::default_value($default))
    };
    (@read optional $ty:ty, $node:ident, $reader:ident, $name:expr, $default:literal, $example:literal) => {
        $reader.field::<$ty>($node, $name, $example)
    };
    (@read required $ty:ty, $node:ident, $reader:ident, $name:expr, $default:literal, $example:literal) => {
        $reader.required::<$ty>($node, $name, $example)
    };
}
pub(crate) use section;
