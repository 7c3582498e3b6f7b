//! Findings for people: the line they stand on, carets under the place, the mend below.

use super::{Finding, Report, Severity, Sources, Span};
use crate::hidden::{begins_secret, line_holds_secret, names_secret};
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

/// Of longer lines nobody asks whether a secret is on them, and none is shown, in bytes.
const SECRET_LINE: usize = 1 << 14;
/// How many lines a secret may have.
const SECRET_LINES: usize = 200;
/// Longer lines are shown as a window around the place.
const WINDOW: usize = 160;

impl Report {
    /// Every finding with its source line, and a closing line that counts them; `width` is the terminal's.
    pub fn render_human(&self, color: bool, width: usize) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() }.term_width(width.max(40));
        let mut out = String::new();
        let line = |finding: &Finding| finding.span.and_then(|span| Some((span.source, self.sources.position(span)?.1)));
        let hidden: Vec<_> = self.findings.iter().filter(|finding| finding.hidden).map(line).collect();
        for finding in &self.findings {
            // What one finding keeps to itself no other on the same line may show.
            let hide = hidden.contains(&line(finding)) && finding.span.is_some();
            out.push_str(&render_one(&renderer, finding, &self.sources, hide));
            out.push_str("\n\n");
        }
        if !self.findings.is_empty() {
            out.push_str(&self.summary());
            out.push('\n');
        }
        out
    }

    /// "2 errors, 1 warning"; "no findings" when there are none.
    pub fn summary(&self) -> String {
        let parts: Vec<String> = [Severity::Error, Severity::Warning, Severity::Note]
            .into_iter()
            .filter_map(|severity| match self.count(severity) {
                0 => None,
                1 => Some(format!("1 {}", severity.name())),
                n => Some(format!("{n} {}s", severity.name())),
            })
            .collect();
        if parts.is_empty() { "no findings".to_owned() } else { parts.join(", ") }
    }
}

fn render_one(renderer: &Renderer, finding: &Finding, sources: &Sources, hide: bool) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let mut group = Group::with_title(level.primary_title(finding.message.as_str()).id(finding.code));
    if let Some(span) = finding.span
        && let Some((name, line, column)) = sources.position(span)
    {
        let shown = sources.get(span.source).is_some_and(|source| !source.confidential) && !hide && !holds_secret(sources.text(span.source), span.start);
        let (text, range, whole) = window(sources.text(span.source), span);
        if !shown || !whole {
            group = group.element(Origin::path(name).line(line).char_column(column));
        }
        if shown {
            let snippet = Snippet::source(text).line_start(line).path(whole.then_some(name));
            group = group.element(snippet.annotation(AnnotationKind::Primary.span(range)));
        }
    }
    if let Some(help) = &finding.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    renderer.render(&[group])
}

/// Whether a secret is written out on the line of a place: there, or by a name above it that begins a text of several lines.
fn holds_secret(text: &str, at: usize) -> bool {
    let at = floor_boundary(text, at);
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let line = text[start..].lines().next().unwrap_or_default();
    let depth = |line: &str| line.len() - line.trim_start().len();
    let above = text[..start].lines().rev().take(SECRET_LINES).find(|above| !above.trim().is_empty() && depth(above) < depth(line));
    line.len() > SECRET_LINE || line_holds_secret(line) || above.is_some_and(|above| begins_secret(above) || names_secret(above) && line.trim_start().starts_with(['[', '-', '"', '\'']))
}

/// The first line of the span, cut to a window when it is long; the span's range in it; whether it begins with the line.
fn window(text: &str, span: Span) -> (&str, std::ops::Range<usize>, bool) {
    let start = floor_boundary(text, span.start);
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let line_end = if text[..line_end].ends_with('\r') { line_end - 1 } else { line_end }.max(start);
    let from = floor_boundary(text, start.saturating_sub(WINDOW).max(line_start));
    let to = floor_boundary(text, line_end.min(start + WINDOW));
    let end = floor_boundary(text, span.end).clamp(start, to);
    (&text[from..to], start - from..end - from, from == line_start)
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_shows_file_line_column_carets_and_the_mend() {
        let mut report = Report::new();
        let source = report.sources.add("p.yaml", "name: x\nçintervall: 3\n");
        let span = Span { source, start: 8, end: 18 };
        report.error(span, "unknown-field", "unknown field `intervall`").help("did you mean `interval`?");
        let shown = report.render_human(false, 80);
        assert!(shown.starts_with("error[unknown-field]: unknown field `intervall`"), "{shown}");
        for part in ["p.yaml:2:1", "2 | çintervall: 3", "^^^^", "did you mean `interval`?", "1 error\n"] {
            assert!(shown.contains(part), "{part} is missing in:\n{shown}");
        }
        assert_eq!(report.to_json()["findings"][0]["line"], 2);
    }

    #[test]
    fn a_confidential_source_never_shows_its_lines() {
        let mut report = Report::new();
        let source = report.sources.add_confidential("x.env", "A=hunter2\n");
        report.error(Span { source, start: 2, end: 9 }, "c", "not good");
        let shown = report.render_human(false, 80);
        assert!(shown.contains("x.env:1:3") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_line_with_a_secret_on_it_is_not_shown_whatever_is_said_of_it() {
        let mut report = Report::new();
        let text = "environment: {SMTP_PASS: hunter2, URL: \"https://shop.example.com\"}\nmore:\n  A_SECRET: |\n    hunter2\n\n    hunter3\n  B: fine\n";
        let source = report.sources.add("p.yaml", text);
        for (part, length) in [("https", 5), ("hunter2\n", 7), ("hunter3", 7), ("fine", 4)] {
            let start = text.find(part).expect("a part");
            report.error(Span { source, start, end: start + length }, "c", "m");
        }
        let shown = report.render_human(false, 80);
        assert!(!shown.contains("hunter") && shown.contains("p.yaml:1:41") && shown.contains("p.yaml:6:5") && shown.contains("7 |   B: fine"), "{shown}");
    }

    #[test]
    fn long_lines_and_odd_spans_are_cut_without_panic() {
        let mut report = Report::new();
        let source = report.sources.add("p.yaml", "ç".repeat(100_000));
        for (start, end) in [(0, 3), (99_999, 100_001), (200_000, 300_000), (5, 2)] {
            report.error(Span { source, start, end }, "c", "m");
        }
        assert!(report.render_human(false, 80).len() < 20_000);
    }
}
