//! What a person sees while a machine boots: progress on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::console::Event;

/// The stages as the console told of them.
#[derive(Debug, Clone, Default)]
pub struct Tracker {
    states: BTreeMap<String, String>,
    /// The machine's state, once it was told.
    pub state: Option<String>,
}

impl Tracker {
    /// Takes an event in.
    pub fn take(&mut self, event: &Event) {
        match event {
            Event::Stage { name, state, .. } => {
                self.states.insert(name.clone(), state.clone());
            }
            Event::State(state) => self.state = Some(state.clone()),
        }
    }

    /// The names of the stages in one of these states.
    pub fn stages_in(&self, states: &[&str]) -> Vec<&str> {
        let matching = self.states.iter().filter(|(_, state)| states.contains(&state.as_str()));
        matching.map(|(name, _)| name.as_str()).collect()
    }

    /// What is going on, in one phrase.
    pub fn phrase(&self) -> String {
        let running = self.stages_in(&["running", "retrying", "waiting"]);
        if running.is_empty() { self.state.clone().unwrap_or_else(|| "starting".to_string()) } else { running.join(", ") }
    }
}

/// The display.
pub struct View {
    bar: Option<ProgressBar>,
    quiet: bool,
    began: Instant,
}

impl View {
    /// A display on standard error; `quiet` shows nothing.
    pub fn new(quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed:>4} {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        View { bar, quiet, began: Instant::now() }
    }

    /// A line that stays.
    pub fn say(&self, text: &str) {
        if self.quiet {
            return;
        }
        let line = format!("[{:>4.0} s] {text}", self.began.elapsed().as_secs_f64());
        match &self.bar {
            Some(bar) => bar.println(line),
            None => crate::tell!("{line}"),
        }
    }

    /// What is going on right now; shown on a terminal only.
    pub fn now(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(text.to_string());
        }
    }

    /// Tells of an event on the console.
    pub fn event(&self, event: &Event, tracker: &Tracker) {
        match event {
            Event::State(state) => self.say(&format!("the machine is {state}")),
            Event::Stage { name, state, attempt, error } => {
                let attempt = attempt.map(|number| format!(" (attempt {number})")).unwrap_or_default();
                let error = error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
                if state != "waiting" || !error.is_empty() {
                    self.say(&format!("{name}: {state}{attempt}{error}"));
                }
            }
        }
        self.now(&tracker.phrase());
    }
}

impl Drop for View {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::console::parse;

    #[test]
    fn stages_are_followed() {
        let mut tracker = Tracker::default();
        for line in ["stage a: done", "stage b: running", "stage c: retrying (attempt 2): x", "state: provisioning"] {
            tracker.take(&parse(&format!("julia-bootstrap: {line}")).expect("an event"));
        }
        assert_eq!(tracker.phrase(), "b, c");
        assert_eq!(tracker.stages_in(&["done"]), ["a"]);
        assert_eq!(tracker.state.as_deref(), Some("provisioning"));
    }
}
