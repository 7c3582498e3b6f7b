//! From text to tree. Whatever the text is, parsing ends quickly: in a tree or in a finding.

use super::{Kind, MAX_ALIAS_BYTES, MAX_BYTES, MAX_DEPTH, MAX_NODES, Node, tags};
use crate::report::{Report, SourceId, Span};
use granit_parser::{Event, Parser, ScalarStyle, StrInput, options};
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// Adds a file's bytes to the report's sources; too many of them or invalid UTF-8 are findings.
pub fn add_bytes(report: &mut Report, name: &str, bytes: &[u8]) -> Option<SourceId> {
    if bytes.len() > MAX_BYTES {
        let source = report.sources.add(name, "");
        report
            .error(Span { source, start: 0, end: 0 }, "too-large", format!("{name} is larger than 1 MiB"))
            .help("split off what is not part of the profile");
        return None;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(report.sources.add(name, text)),
        Err(error) => {
            let good = error.valid_up_to();
            let shown = String::from_utf8_lossy(bytes).into_owned();
            let source = report.sources.add(name, shown);
            let span = Span { source, start: good, end: good + '\u{fffd}'.len_utf8() };
            report
                .error(span, "invalid-utf8", format!("byte {} of {name} is not UTF-8", good + 1))
                .help("save the file as UTF-8");
            None
        }
    }
}

/// Parses a whole source. An empty document is a plain, empty scalar.
pub fn parse(report: &mut Report, source: SourceId) -> Option<Node> {
    let end = report.sources.text(source).len();
    parse_range(report, source, 0..end)
}

/// Parses one part of a source, as the value in `--set path=value`; spans point into the whole.
pub fn parse_range(report: &mut Report, source: SourceId, range: Range<usize>) -> Option<Node> {
    let text = report.sources.text(source).get(range.clone()).unwrap_or("").to_owned();
    // Somebody pasted a private key: whatever is wrong with this text, its lines are not shown.
    if text.contains("PRIVATE KEY-----") {
        report.sources.make_confidential(source);
    }
    let origin = Origin { source, offset: range.start };
    match Builder::new(&text, origin).document() {
        Ok((node, duplicates)) => {
            let failed = !duplicates.is_empty();
            for problem in duplicates {
                problem.tell(report);
            }
            (!failed).then_some(node)
        }
        Err(problem) => {
            problem.tell(report);
            None
        }
    }
}

struct Problem {
    span: Span,
    code: &'static str,
    message: String,
    help: Option<&'static str>,
}

impl Problem {
    fn tell(self, report: &mut Report) {
        let finding = report.error(self.span, self.code, self.message);
        if let Some(help) = self.help {
            finding.help(help);
        }
    }
}

#[derive(Clone, Copy)]
struct Origin {
    source: SourceId,
    offset: usize,
}

impl Origin {
    fn span(self, start: usize, end: usize) -> Span {
        Span { source: self.source, start: self.offset + start, end: self.offset + end.max(start) }
    }

    fn of(self, span: &granit_parser::Span) -> Span {
        let range = span.byte_range().unwrap_or(0..0);
        self.span(range.start, range.end)
    }
}

/// What expanding an anchor costs.
#[derive(Clone, Copy, Default)]
struct Cost {
    nodes: usize,
    bytes: usize,
    depth: usize,
}

struct Builder<'t> {
    text: &'t str,
    origin: Origin,
    parser: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, (Node, Cost)>,
    open: HashSet<usize>,
    nodes: usize,
    alias_bytes: usize,
    duplicates: Vec<Problem>,
}

type Step<T> = Result<T, Problem>;

impl<'t> Builder<'t> {
    fn new(text: &'t str, origin: Origin) -> Self {
        let options = options! {
            emit_comments: false,
            disallow_directives: true,
            block_scalar_eof_without_line_feed: true,
            flow_nesting_limit: MAX_DEPTH,
            block_nesting_limit: MAX_DEPTH,
        };
        Self {
            text,
            origin,
            parser: Parser::new_from_str_with_options(text, options),
            anchors: HashMap::new(),
            open: HashSet::new(),
            nodes: 0,
            alias_bytes: 0,
            duplicates: Vec::new(),
        }
    }

    fn document(mut self) -> Step<(Node, Vec<Problem>)> {
        self.refuse_control_characters()?;
        let mut root = None;
        while let Some((event, span)) = self.next()? {
            match event {
                Event::StreamStart | Event::DocumentEnd | Event::StreamEnd => {}
                Event::DocumentStart(..) if root.is_some() => {
                    return Err(Problem {
                        span: self.origin.of(&span),
                        code: "several-documents",
                        message: "a second YAML document starts here".into(),
                        help: Some("keep one document a file; use --overlay for more"),
                    });
                }
                Event::DocumentStart(..) => {}
                event if tag_of(&event).as_deref() == Some(tags::OVERRIDE) => {
                    return Err(Problem {
                        span: self.origin.of(&span),
                        code: "yaml-tag",
                        message: "`!override` stands before the value of a key, and here is no key".into(),
                        help: Some("write it in an overlay, as `key: !override …`"),
                    });
                }
                event => root = Some(self.node(event, &span, 0)?.0),
            }
        }
        let empty = self.origin.span(0, 0);
        Ok((root.unwrap_or_else(|| Node::plain(empty, "")), self.duplicates))
    }

    fn refuse_control_characters(&self) -> Step<()> {
        let odd = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}');
        match self.text.char_indices().find(|(_, c)| odd(*c)) {
            None => Ok(()),
            Some((at, c)) => Err(Problem {
                span: self.origin.span(at, at + c.len_utf8()),
                code: "control-character",
                message: format!("the control character U+{:04X} may not stand in YAML", u32::from(c)),
                help: Some("remove it; inside double quotes it can be written as an escape"),
            }),
        }
    }

    fn next(&mut self) -> Step<Option<(Event<'t>, granit_parser::Span)>> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok(pair)) => Ok(Some(pair)),
            Some(Err(error)) => {
                let at = error.marker().byte_offset().unwrap_or(0).min(self.text.len());
                let end = self.text[at..].chars().next().map_or(at, |c| at + c.len_utf8());
                Err(Problem {
                    span: self.origin.span(at, end),
                    code: "yaml-syntax",
                    message: format!("this is not YAML: {}", error.info()),
                    help: Some(syntax_help(&error.info(), &self.text[at..end])),
                })
            }
        }
    }

    /// Builds the node that an event begins; the cost is what an alias to it would add.
    fn node(&mut self, event: Event<'t>, span: &granit_parser::Span, depth: usize) -> Step<(Node, Cost)> {
        let start = self.origin.of(span);
        if depth > MAX_DEPTH {
            return Err(self.too_deep(start));
        }
        let anchor = event.anchor_id().unwrap_or(0);
        if anchor > 0 {
            self.open.insert(anchor);
        }
        let tag = tag_of(&event);
        let reset = tag.as_deref() == Some(tags::RESET);
        let (node, cost) = match event {
            Event::Alias(id) => return self.alias(id, start, depth),
            Event::Scalar(text, style, ..) => self.scalar(text.into_owned(), style, tag, start)?,
            Event::SequenceStart(..) => {
                self.collection_tag(tag.as_deref(), "!!seq", start)?;
                self.sequence(start, depth)?
            }
            Event::MappingStart(..) => {
                self.collection_tag(tag.as_deref(), "!!map", start)?;
                self.mapping(start, depth)?
            }
            _ => {
                return Err(Problem {
                    span: start,
                    code: "yaml-syntax",
                    message: "this is not YAML: a value is missing here".into(),
                    help: Some("write a value, or remove the key"),
                });
            }
        };
        let node = if reset { Node::reset(node.span) } else { node };
        if anchor > 0 {
            self.open.remove(&anchor);
            self.anchors.insert(anchor, (node.clone(), cost));
        }
        Ok((node, cost))
    }

    fn scalar(&mut self, text: String, style: ScalarStyle, tag: Option<String>, span: Span) -> Step<(Node, Cost)> {
        self.count(1, span)?;
        if text.contains('\0') {
            return Err(Problem {
                span,
                code: "nul",
                message: "this text contains a NUL character, which nothing on the machine can carry".into(),
                help: Some("remove the \\0 escape"),
            });
        }
        if let Some(tag) = tag.as_deref().filter(|tag| ![tags::RESET, tags::OVERRIDE, "!!str", "!!int", "!!float", "!!bool", "!!null"].contains(tag)) {
            return Err(Problem {
                span,
                code: "yaml-tag",
                message: format!("the tag `{tag}` on a value is not understood"),
                help: Some("remove the tag, and write the value in quotes if it is a text"),
            });
        }
        let is_string = tag.as_deref() == Some("!!str");
        let plain = style == ScalarStyle::Plain && !is_string;
        let bytes = text.len();
        let tag = tag.filter(|tag| !is_string && tag != tags::OVERRIDE);
        Ok((Node { span, kind: Kind::Scalar { text, plain, tag } }, Cost { nodes: 1, bytes, depth: 1 }))
    }

    fn collection_tag(&self, tag: Option<&str>, usual: &str, span: Span) -> Step<()> {
        match tag {
            Some(tag) if ![usual, tags::RESET, tags::OVERRIDE].contains(&tag) => Err(Problem {
                span,
                code: "yaml-tag",
                message: format!("the tag `{tag}` on a list or mapping is not understood"),
                help: Some("remove the tag; overlays replace and remove by `key: null` and `key+:`"),
            }),
            _ => Ok(()),
        }
    }

    fn sequence(&mut self, start: Span, depth: usize) -> Step<(Node, Cost)> {
        self.count(1, start)?;
        let (mut items, mut cost) = (Vec::new(), Cost { nodes: 1, bytes: 0, depth: 0 });
        loop {
            let Some((event, span)) = self.next()? else { return Err(self.cut_short(start)) };
            if event == Event::SequenceEnd {
                let span = Span { end: self.origin.of(&span).end.max(start.end), ..start };
                cost.depth += 1;
                return Ok((Node::seq(span, items), cost));
            }
            let (item, its) = self.node(event, &span, depth + 1)?;
            cost.add(its);
            items.push(item);
        }
    }

    fn mapping(&mut self, start: Span, depth: usize) -> Step<(Node, Cost)> {
        self.count(1, start)?;
        let (mut entries, mut cost) = (Vec::new(), Cost { nodes: 1, bytes: 0, depth: 0 });
        let mut seen: HashSet<String> = HashSet::new();
        let mut merged: Vec<Node> = Vec::new();
        let end = loop {
            let Some((event, span)) = self.next()? else { return Err(self.cut_short(start)) };
            if event == Event::MappingEnd {
                break self.origin.of(&span).end.max(start.end);
            }
            let (mut key, key_cost) = self.node(event, &span, depth + 1)?;
            if key.is_reset() {
                return Err(Problem {
                    span: key.span,
                    code: "yaml-tag",
                    message: "`!reset` stands before a value, and this is a key".into(),
                    help: Some("write it as `key: !reset null`"),
                });
            }
            let Some((event, span)) = self.next()? else { return Err(self.cut_short(start)) };
            if tag_of(&event).as_deref() == Some(tags::OVERRIDE) {
                key.mark_override();
            }
            let (value, value_cost) = self.node(event, &span, depth + 1)?;
            cost.add(key_cost);
            cost.add(value_cost);
            match &key.kind {
                Kind::Scalar { text, plain: true, .. } if text == "<<" => merged.extend(merge_sources(value)?),
                Kind::Scalar { text, .. } => {
                    if !seen.insert(text.clone()) {
                        self.duplicates.push(Problem {
                            span: key.span,
                            code: "duplicate-key",
                            message: format!("the key `{text}` stands here a second time"),
                            help: Some("keep one of the two"),
                        });
                    } else {
                        entries.push((key, value));
                    }
                }
                _ => {
                    return Err(Problem {
                        span: key.span,
                        code: "yaml-key",
                        message: format!("{} cannot be a key here", key.describe()),
                        help: Some("write the key as text; quote it if it begins with `[` or `{`"),
                    });
                }
            }
        };
        for source in merged {
            if let Kind::Map(more) = source.kind {
                entries.extend(
                    more.into_iter().filter(|(key, _)| key.as_str().is_some_and(|text| seen.insert(text.to_owned()))),
                );
            }
        }
        cost.depth += 1;
        Ok((Node { span: Span { end, ..start }, kind: Kind::Map(entries) }, cost))
    }

    fn alias(&mut self, id: usize, span: Span, depth: usize) -> Step<(Node, Cost)> {
        let Some((_, cost)) = self.anchors.get(&id) else {
            return Err(Problem {
                span,
                code: "yaml-alias",
                message: if self.open.contains(&id) {
                    "this alias stands inside the value it points to".into()
                } else {
                    "this alias points to nothing".into()
                },
                help: Some("write the anchor, `&name`, at a value further up; text that begins with `*` needs quotes"),
            });
        };
        let cost = *cost;
        self.count(cost.nodes, span)?;
        self.alias_bytes += cost.bytes;
        if self.alias_bytes > MAX_ALIAS_BYTES {
            return Err(self.too_many(span));
        }
        if depth + cost.depth > MAX_DEPTH {
            return Err(self.too_deep(span));
        }
        match self.anchors.get(&id) {
            Some((node, _)) => Ok((node.clone(), cost)),
            None => Err(self.cut_short(span)),
        }
    }

    fn count(&mut self, nodes: usize, span: Span) -> Step<()> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES { Err(self.too_many(span)) } else { Ok(()) }
    }

    fn too_many(&self, span: Span) -> Problem {
        Problem {
            span,
            code: "too-large",
            message: format!("with its aliases expanded this document is too large (limit: {MAX_NODES} values)"),
            help: Some("use fewer aliases, or split the document"),
        }
    }

    fn too_deep(&self, span: Span) -> Problem {
        Problem {
            span,
            code: "too-deep",
            message: format!("this is nested deeper than {MAX_DEPTH} levels"),
            help: Some("take levels out"),
        }
    }

    fn cut_short(&self, span: Span) -> Problem {
        Problem {
            span,
            code: "yaml-syntax",
            message: "this is not YAML: the document ends inside this value".into(),
            help: Some("close what is open here: a bracket, a brace or a quote"),
        }
    }
}

impl Cost {
    fn add(&mut self, other: Cost) {
        self.nodes = self.nodes.saturating_add(other.nodes);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.depth = self.depth.max(other.depth);
    }
}

/// The tag of what an event begins, as people write it.
fn tag_of(event: &Event<'_>) -> Option<String> {
    event.tag().map(|tag| tag.core_suffix().map_or_else(|| tag.original(), |suffix| format!("!!{suffix}")))
}

/// The mend for a mistake of YAML's grammar, by what the parser says and the character it stopped at.
fn syntax_help(info: &str, at: &str) -> &'static str {
    match at {
        "\t" => "indent with spaces, never with tabs",
        "@" | "`" => "put text that begins with this character in quotes",
        _ if info.contains("anchor") => "write the anchor, `&name`, at a value further up; text that begins with `*` needs quotes",
        _ if info.contains("tab") => "indent with spaces, never with tabs",
        _ if info.contains("mapping values") => "put text that holds `: ` in quotes, and a key on a line of its own",
        _ => "look at this line and the one before: indentation, colons, brackets and quotes",
    }
}

/// The mappings behind `<<`: one, or a list of them of which earlier ones win.
fn merge_sources(value: Node) -> Step<Vec<Node>> {
    let wrong = |span| Problem {
        span,
        code: "yaml-merge",
        message: "`<<` takes a mapping or a list of mappings".into(),
        help: Some("point it at an anchor: `<<: *name`"),
    };
    match value.kind {
        Kind::Map(_) => Ok(vec![value]),
        Kind::Seq(items) => match items.iter().find(|item| item.as_map().is_none()) {
            Some(item) => Err(wrong(item.span)),
            None => Ok(items),
        },
        Kind::Scalar { .. } => Err(wrong(value.span)),
    }
}
