//! Findings: what is wrong with a profile, where, and how to mend it.

mod render;

use serde_json::json;
use std::path::PathBuf;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing can be rendered from this profile.
    Error,
    /// Rendered, but somebody should look at it; `--strict` makes it an error.
    Warning,
    /// For information.
    Note,
}

impl Severity {
    /// Lower-case name, as in the JSON report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// Identifies one source text in [`Sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SourceId(usize);

/// Where something stands: a source and a byte range in it. Line and column are computed on demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Which source.
    pub source: SourceId,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// One text that findings point into: a file, or a pseudo source such as `--set a.b=c`.
#[derive(Clone, Debug)]
pub struct Source {
    /// Shown before the line and column.
    pub name: String,
    /// The whole text.
    pub text: String,
    /// True when its lines must not be shown, as in an env file.
    pub confidential: bool,
    /// The folder that relative paths written in it begin from.
    pub folder: Option<std::path::PathBuf>,
}

/// Every text read so far.
#[derive(Clone, Debug, Default)]
pub struct Sources(Vec<Source>);

impl Sources {
    /// Adds a text under the name findings show.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> SourceId {
        self.push(name.into(), text.into(), false)
    }

    /// Adds a text whose lines are never shown; findings in it give the position only.
    pub fn add_confidential(&mut self, name: impl Into<String>, text: impl Into<String>) -> SourceId {
        self.push(name.into(), text.into(), true)
    }

    fn push(&mut self, name: String, text: String, confidential: bool) -> SourceId {
        self.0.push(Source { name, text, confidential, folder: None });
        SourceId(self.0.len() - 1)
    }

    /// From now on the lines of a source are not shown.
    pub fn make_confidential(&mut self, id: SourceId) {
        if let Some(source) = self.0.get_mut(id.0) {
            source.confidential = true;
        }
    }

    /// Says where relative paths written in a source begin.
    pub fn set_folder(&mut self, id: SourceId, folder: impl Into<std::path::PathBuf>) {
        if let Some(source) = self.0.get_mut(id.0) {
            source.folder = Some(folder.into());
        }
    }

    /// Calls the texts of one name by another, where they were read as a draft.
    pub fn rename(&mut self, name: &str, to: &str) {
        self.0.iter_mut().filter(|source| source.name == name).for_each(|source| to.clone_into(&mut source.name));
    }

    /// The source behind an id.
    pub fn get(&self, id: SourceId) -> Option<&Source> {
        self.0.get(id.0)
    }

    /// The text of a source, empty when the id is not from here.
    pub fn text(&self, id: SourceId) -> &str {
        self.get(id).map_or("", |source| &source.text)
    }

    /// Where in a text of several lines a part of it stands; all of a text of one line.
    pub fn within(&self, span: Span, part: &str) -> Span {
        let text = self.text(span.source).get(span.start..span.end).unwrap_or_default();
        match text.find(part) {
            Some(at) if text.contains('\n') => Span { start: span.start + at, end: span.start + at + part.len(), ..span },
            _ => span,
        }
    }

    /// File, line and column (both from 1, the column in characters) of a span's first byte.
    pub fn position(&self, span: Span) -> Option<(&str, usize, usize)> {
        let source = self.get(span.source)?;
        let before = source.text.get(..span.start).unwrap_or(&source.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.matches('\n').count() + 1;
        Some((&source.name, line, before[line_start..].chars().count() + 1))
    }
}

/// One thing to say about the profile.
#[derive(Clone, Debug)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// Stable kebab-case name.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
    /// Where.
    pub span: Option<Span>,
    /// The source line holds something that must not be shown.
    pub hidden: bool,
}

impl Finding {
    /// Adds the mend.
    pub fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    /// Keeps the source line, which may hold a secret, out of what is shown.
    pub fn hide(&mut self) -> &mut Self {
        self.hidden = true;
        self
    }
}

/// A text from elsewhere, such as a server's answer or a file's name, without what a terminal obeys.
pub fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() && letter != '\t' { '\u{fffd}' } else { letter }).collect()
}

/// All findings, and the texts they point into.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The texts.
    pub sources: Sources,
    /// The files that were read, or would have been: nothing may be written over them.
    pub read: Vec<PathBuf>,
    findings: Vec<Finding>,
}

impl Report {
    /// An empty report.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a finding; the returned reference takes the mend by [`Finding::help`].
    pub fn push(
        &mut self,
        severity: Severity,
        span: impl Into<Option<Span>>,
        code: &'static str,
        message: impl Into<String>,
    ) -> &mut Finding {
        let at = self.findings.len();
        self.findings.push(Finding { severity, code, message: message.into(), help: None, span: span.into(), hidden: false });
        &mut self.findings[at]
    }

    /// Adds an error.
    pub fn error(
        &mut self,
        span: impl Into<Option<Span>>,
        code: &'static str,
        message: impl Into<String>,
    ) -> &mut Finding {
        self.push(Severity::Error, span, code, message)
    }

    /// Adds a warning.
    pub fn warning(
        &mut self,
        span: impl Into<Option<Span>>,
        code: &'static str,
        message: impl Into<String>,
    ) -> &mut Finding {
        self.push(Severity::Warning, span, code, message)
    }

    /// Adds a note.
    pub fn note(
        &mut self,
        span: impl Into<Option<Span>>,
        code: &'static str,
        message: impl Into<String>,
    ) -> &mut Finding {
        self.push(Severity::Note, span, code, message)
    }

    /// Everything found, in the order it was found.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Gives the findings from `first` on that say no mend this one.
    pub fn mend(&mut self, first: usize, help: impl Fn() -> String) {
        for finding in self.findings.iter_mut().skip(first).filter(|finding| finding.help.is_none()) {
            finding.help = Some(help());
        }
    }

    /// True when an error points into `span`.
    pub fn has_error_within(&self, span: Span) -> bool {
        let within = |at: Span| at.source == span.source && (span.start..span.end.max(span.start + 1)).contains(&at.start);
        self.findings.iter().any(|finding| finding.severity == Severity::Error && finding.span.is_some_and(within))
    }

    /// Leaves out all but the errors.
    pub fn only_errors(&mut self) {
        self.findings.retain(|finding| finding.severity == Severity::Error);
    }

    /// How many findings have this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// True when nothing can be rendered.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// Turns warnings into errors, as `--strict` asks.
    pub fn make_strict(&mut self) {
        for finding in &mut self.findings {
            if finding.severity == Severity::Warning {
                finding.severity = Severity::Error;
            }
        }
    }

    /// Brings the findings into reading order: by source, then by position; those without a place come last. What is
    /// said twice of one place, as through an anchor, is said once, and so is that something else is expected there.
    pub fn sort(&mut self) {
        self.findings.sort_by_key(|finding| match finding.span {
            Some(span) => (span.source.0, span.start),
            None => (usize::MAX, 0),
        });
        let mut seen = std::collections::HashSet::new();
        self.findings.retain(|finding| {
            let place = finding.span.map(|span| (span.source, span.start));
            let message = if finding.code == "wrong-type" { "" } else { &finding.message };
            seen.insert((finding.code, message.to_owned(), place))
        });
    }

    /// The report as JSON: `{"findings":[…],"errors":n,"warnings":n}`.
    pub fn to_json(&self) -> serde_json::Value {
        let findings: Vec<_> = self
            .findings
            .iter()
            .map(|finding| {
                let place = finding.span.and_then(|span| self.sources.position(span));
                json!({
                    "severity": finding.severity.name(),
                    "code": finding.code,
                    "message": finding.message,
                    "help": finding.help,
                    "file": place.map(|(file, _, _)| file),
                    "line": place.map(|(_, line, _)| line),
                    "column": place.map(|(_, _, column)| column),
                })
            })
            .collect();
        json!({
            "findings": findings,
            "errors": self.count(Severity::Error),
            "warnings": self.count(Severity::Warning),
        })
    }
}
