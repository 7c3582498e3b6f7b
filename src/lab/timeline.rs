//! What the stages did in one boot, second by second, and the picture of it.

use serde::Serialize;
use serde_json::{Value, json};

/// The picture's width, in its own units.
pub const WIDTH: f64 = 900.0;
/// Where its bars begin: names stand before them.
pub const LEFT: f64 = 110.0;
const ROW: f64 = 18.0;
/// Below the bars: the seconds.
const FOOT: f64 = 18.0;

/// A stage at work.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Span {
    /// Its name.
    pub stage: String,
    /// Seconds after power-on.
    pub from: f64,
    /// The same; nothing while it is at work.
    pub to: Option<f64>,
    /// How that ended: `done`, `retrying`, `failed`, or nothing where the boot ended first.
    pub end: Option<String>,
}

/// One boot.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Timeline {
    /// Which, from 1 on.
    pub boot: usize,
    /// Seconds that it was followed.
    pub seconds: f64,
    /// Seconds from power-on to ready.
    pub ready: Option<f64>,
    /// Whether it ended in a power cut.
    pub cut: bool,
    /// The stages, in the order in which they began.
    pub spans: Vec<Span>,
}

impl Timeline {
    /// A boot of which nothing is known yet.
    pub fn new(boot: usize) -> Self {
        Timeline { boot, seconds: 0.0, ready: None, cut: false, spans: Vec::new() }
    }

    /// A stage's state changed.
    pub fn stage(&mut self, name: &str, state: &str, at: f64) {
        let at = (at * 10.0).round() / 10.0;
        let open = self.spans.iter_mut().rev().find(|span| span.stage == name && span.to.is_none());
        match (state, open) {
            ("running", None) => self.spans.push(Span { stage: name.to_owned(), from: at, to: None, end: None }),
            ("running" | "waiting", _) => {}
            (_, Some(span)) => (span.to, span.end) = (Some(at), Some(state.to_owned())),
            // It was done before the console was followed.
            (_, None) => {}
        }
    }

    /// Nobody follows it any more.
    pub fn ended(&mut self, seconds: f64, ready: Option<f64>, cut: bool) {
        (self.seconds, self.ready, self.cut) = ((seconds * 10.0).round() / 10.0, ready, cut);
    }

    /// Numbers for the page's picture, on a scale that ends at `longest` seconds.
    pub fn drawn(&self, longest: f64) -> Value {
        let longest = longest.max(1.0);
        let x = |at: f64| ((LEFT + at / longest * (WIDTH - LEFT - 20.0)) * 10.0).round() / 10.0;
        let mut names: Vec<&str> = Vec::new();
        for span in &self.spans {
            if !names.contains(&span.stage.as_str()) {
                names.push(&span.stage);
            }
        }
        let bars = self.spans.iter().map(|span| {
            let to = span.to.unwrap_or(self.seconds).max(span.from);
            let row = names.iter().position(|name| *name == span.stage).unwrap_or(0);
            let kind = match span.end.as_deref() {
                Some("done") => "ran",
                None if self.cut => "cut",
                None => "ran",
                Some(_) => "failed",
            };
            let word = span.end.as_deref().unwrap_or(if self.cut { "cut short" } else { "at work" });
            json!({"stage": span.stage, "x": x(span.from), "y": row as f64 * ROW, "width": (x(to) - x(span.from)).max(2.0), "kind": kind,
                "words": format!("{:.1} s to {to:.1} s, {word}", span.from)})
        });
        let step = [1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0].into_iter().find(|step| longest / step <= 12.0).unwrap_or(1800.0);
        let ticks = (0..=(longest / step) as usize).map(|number| number as f64 * step).map(|at| json!({"x": x(at), "seconds": at as u64}));
        let ending = match (self.cut, self.ready) {
            (true, _) => format!("the power went off after {:.1} s", self.seconds),
            (false, Some(ready)) => format!("ready after {ready:.0} s"),
            (false, None) => format!("not ready after {:.0} s", self.seconds),
        };
        json!({"caption": format!("Boot {}: {ending}", self.boot), "height": names.len() as f64 * ROW + FOOT, "bars": bars.collect::<Vec<_>>(),
            "ticks": ticks.collect::<Vec<_>>(), "ready": self.ready.filter(|_| !self.cut).map(x).into_iter().collect::<Vec<_>>()})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_spans_and_what_a_cut_ends_is_told() {
        let mut boot = Timeline::new(1);
        for (name, state, at) in [("a", "done", 0.5), ("b", "waiting", 1.0), ("b", "running", 2.0), ("b", "retrying", 3.04), ("b", "running", 5.0)] {
            boot.stage(name, state, at);
        }
        boot.ended(7.0, None, true);
        let ends: Vec<_> = boot.spans.iter().map(|span| (span.from, span.to, span.end.as_deref())).collect();
        assert_eq!(ends, [(2.0, Some(3.0), Some("retrying")), (5.0, None, None)]);
        let drawn = boot.drawn(10.0);
        assert_eq!(drawn["bars"][1]["kind"], "cut");
        assert_eq!(drawn["caption"], "Boot 1: the power went off after 7.0 s");
        assert_eq!(drawn["bars"][0]["y"], drawn["bars"][1]["y"], "one row a stage");
    }
}
