//! What stands behind a key: forms that Compose reads, or Docker when it makes the container, and that are refused on the machine else.

use super::{kind, number};
use crate::compose::parts;
use crate::profile::reader::{nearest, shown};
use crate::report::Report;
use crate::yaml::{Kind, Node};

/// The form of a text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As Go writes lengths of time: `90s`, `1m30s`, `1.5h`.
    Duration,
    /// `512m`, `1.5 GiB`.
    Size,
    /// A whole number within bounds.
    Whole(i64, i64),
    /// A number.
    Decimal,
    /// One of YAML's words for true and false.
    Truth,
    /// One of these words.
    Word(&'static [&'static str]),
    /// When Docker starts a container again.
    Restart,
}

/// What a whole number is held in.
const ANY: Form = Form::Whole(i64::MIN, i64::MAX);
const DURATIONS: &str = "interval timeout start_period start_interval stop_grace_period delay window monitor";
const SIZES: &str = "mem_limit mem_reservation memswap_limit shm_size memory size";
const PULLING: [&str; 5] = ["always", "never", "missing", "if_not_present", "build"];
const RESTARTING: [&str; 4] = ["unless-stopped", "always", "on-failure", "no"];
/// Keys below which each value is a text, a number, true or false, or nothing.
const VARIABLES: &str = "environment labels annotations sysctls args";

fn named(names: &str, name: &str) -> bool {
    names.split(' ').any(|one| one == name)
}

/// Whether a key takes a length of time.
pub(super) fn is_duration_of(name: &str) -> bool {
    named(DURATIONS, name)
}

/// The form of a key's value, where it is one; `shapes` are the letters of the table.
fn form(place: &str, name: &str, shapes: &str, newest: bool) -> Option<Form> {
    match name {
        _ if named(DURATIONS, name) => Some(Form::Duration),
        _ if named(SIZES, name) => Some(Form::Size),
        "cpus" => Some(Form::Decimal),
        "cpu_percent" => Some(Form::Whole(0, 100)),
        "pull_policy" if !newest => Some(Form::Word(&PULLING)),
        "restart" if place == "service" => Some(Form::Restart),
        "max_failure_ratio" => Some(Form::Decimal),
        "oom_score_adj" => Some(Form::Whole(-1000, 1000)),
        // A range.
        "published" => None,
        _ if shapes.contains('n') && shapes.contains('s') => Some(ANY),
        _ if shapes.contains('b') && shapes.contains('s') => Some(Form::Truth),
        _ => None,
    }
}

/// Finds what Compose cannot make anything of in the value of a key.
pub(super) fn check(place: &str, name: &str, value: &Node, shapes: &str, newest: bool, report: &mut Report) {
    match (&value.kind, form(place, name, shapes, newest)) {
        (Kind::Scalar { tag: None, .. }, Some(form)) if !value.is_null() => scalar(name, value, form, report),
        _ => {}
    }
    match (place, name) {
        ("healthcheck", "test") => command(value, report),
        ("mounted memory", "mode") if kind(value) == 's' && !value.as_str().is_some_and(|text| text.contains('$')) => {
            report.error(value.span, "wrong-type", "`mode` is a number to Compose here, and this is a text").help("write it without quotes: `mode: 1777`");
        }
        ("service" | "build", "extra_hosts") => hosts(value, report),
        ("service", "container_name") => container(value, report),
        ("service", "expose") => exposed(value, report),
        ("service", "volumes") => value.as_seq().unwrap_or_default().iter().for_each(|item| mount(item, report)),
        ("service", "depends_on") => {
            let said = |how: &Node| how.get("condition").is_some() || matches!(how.kind, Kind::Scalar { tag: Some(_), .. });
            for (other, how) in value.as_map().unwrap_or_default().iter().filter(|(_, how)| !said(how)) {
                let message = format!("`depends_on` wants to know how far `{}` must be", shown(other.as_str().unwrap_or_default()));
                report.error(how.span, "wrong-type", message).help("write `{condition: service_healthy}` behind it, or the names alone as a list");
            }
        }
        ("logging", "options") => {
            for (option, row) in value.as_map().unwrap_or_default().iter().filter(|(_, row)| matches!(kind(row), 't' | 'm' | 'b')) {
                let message = format!("`{}` is a text or a number to Compose, and this is {}", shown(option.as_str().unwrap_or_default()), row.describe());
                report.error(row.span, "wrong-type", message).help("write it as one text, in quotes");
            }
        }
        ("service", "ulimits") => {
            for (limit, row) in value.as_map().unwrap_or_default() {
                match &row.kind {
                    Kind::Scalar { tag: None, .. } => scalar(limit.as_str().unwrap_or_default(), row, ANY, report),
                    Kind::Map(_) if row.get("soft").is_none() || row.get("hard").is_none() => {
                        report.error(row.span, "missing-field", "a limit has a `soft` and a `hard` half").help("write both, or one number for both");
                    }
                    _ => {}
                }
            }
        }
        _ if named(VARIABLES, name) => {
            for (key, row) in value.as_map().unwrap_or_default().iter().filter(|(_, row)| matches!(kind(row), 't' | 'm')) {
                let message = format!("`{}` is one value to Compose, and this is {}", shown(key.as_str().unwrap_or_default()), row.describe());
                report.error(row.span, "wrong-type", message).help("write it as one text; a program that reads lists takes them as JSON, in single quotes");
            }
            for (key, row) in value.as_map().unwrap_or_default().iter().filter(|(_, row)| rewritten(row)) {
                let what = if kind(row) == 'd' { "a date" } else { "a number" };
                let message = format!("`{}` arrives otherwise than it is written: without quotes it is {what}, and Compose writes that in its own way", shown(key.as_str().unwrap_or_default()));
                report.warning(row.span, "rewritten-value", message).help("write it in quotes");
            }
        }
        _ => {}
    }
}

/// Whether Compose reads a value as a number or a date and hands it on in another spelling, as `24.10`, `012`, `1e3`.
fn rewritten(value: &Node) -> bool {
    let text = value.as_str().unwrap_or_default();
    match kind(value) {
        'd' => true,
        'n' => {
            let unsigned = text.trim_start_matches('-');
            let (whole, part) = unsigned.split_once('.').map_or((unsigned, None), |(whole, part)| (whole, Some(part)));
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let plain = digits(whole) && (whole == "0" || !whole.starts_with('0')) && text != "-0";
            // Go goes over to exponents at a million and beneath a ten-thousandth.
            let kept = match part {
                None => whole.len() <= 18,
                Some(part) => digits(part) && !part.ends_with('0') && whole.len() <= 6 && whole.trim_start_matches('0').len() + part.len() <= 15 && !(whole == "0" && part.starts_with("0000")),
            };
            !(plain && kept)
        }
        _ => false,
    }
}

fn scalar(name: &str, value: &Node, form: Form, report: &mut Report) {
    let text = value.as_str().unwrap_or_default();
    // YAML has more ways to write a number than a text has; a variable becomes what it stands for.
    let number = if kind(value) == 'n' { number(text) } else { None };
    let taken = match (number, form) {
        (Some(_), Form::Size | Form::Decimal) => true,
        (Some(number), Form::Whole(least, most)) => number.fract() == 0.0 && (least as f64..=most as f64).contains(&number),
        _ => form.takes(text),
    };
    if text.contains('$') || taken {
        return;
    }
    let what = match form {
        Form::Duration => "a length of time".to_owned(),
        Form::Size => "a size".to_owned(),
        Form::Whole(i64::MIN, _) => "a whole number".to_owned(),
        Form::Whole(least, most) => format!("a whole number from {least} to {most}"),
        Form::Decimal => "a number".to_owned(),
        Form::Truth => "true or false".to_owned(),
        Form::Word(words) => format!("one of {}", words.join(", ")),
        Form::Restart => format!("one of {}", RESTARTING.join(", ")),
    };
    let by = if matches!(form, Form::Restart) { "Docker" } else { "Compose" };
    let finding = report.error(value.span, "wrong-value", format!("`{name}` is {what} to {by}, and this is `{}`", shown(text)));
    let near = |words: &[&'static str]| nearest(text, words.iter().copied()).or(words.first().copied()).unwrap_or_default();
    match form {
        Form::Duration => finding.help("write a number and its unit, `ms`, `s`, `m` or `h`, without a space: `30s`, `1m30s`"),
        Form::Size => finding.help("write a number and its unit, `k`, `m` or `g`: `512m`, `1.5g`"),
        Form::Whole(..) | Form::Decimal => finding.help(format!("write the number alone, as `{name}: 2`")),
        Form::Truth => finding.help(format!("write `{name}: true` or `{name}: false`")),
        Form::Word(words) => finding.help(format!("write `{name}: {}`", near(words))),
        Form::Restart => finding.help(format!("write `{name}: {}`", near(&RESTARTING))),
    };
}

impl Form {
    fn takes(self, text: &str) -> bool {
        match self {
            Self::Duration => is_duration(text),
            Self::Size => is_size(text),
            Self::Whole(least, most) => text.parse::<i64>().is_ok_and(|number| (least..=most).contains(&number)),
            Self::Decimal => text.replace('_', "").parse::<f64>().is_ok_and(f64::is_finite),
            Self::Truth => matches!(text.to_ascii_lowercase().as_str(), "true" | "yes" | "y" | "on" | "false" | "no" | "n" | "off"),
            Self::Word(words) => words.contains(&text),
            // What Compose makes something else of before Docker sees it counts, too.
            Self::Restart => RESTARTING.contains(&text) || matches!(text, "" | "any" | "none") || text.starts_with("on-failure:"),
        }
    }
}

fn is_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let Some(unit) = ["ns", "us", "µs", "μs", "ms", "s", "m", "h"].iter().find(|unit| tail.starts_with(**unit)) else { return false };
        if number.parse::<f64>().is_err() {
            return false;
        }
        rest = &tail[unit.len()..];
    }
    true
}

fn is_size(text: &str) -> bool {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let unit = unit.strip_prefix(['k', 'm', 'g', 't', 'p']).unwrap_or(&unit);
    number.starts_with(|c: char| c.is_ascii_digit()) && !number.ends_with('.') && number.parse::<f64>().is_ok() && matches!(unit, "" | "b" | "i" | "ib")
}

fn command(value: &Node, report: &mut Report) {
    let Some(first) = value.as_seq().and_then(<[Node]>::first) else { return };
    let word = first.as_str().unwrap_or_default();
    if !matches!(word, "CMD" | "CMD-SHELL" | "NONE") && !word.contains('$') {
        report
            .error(first.span, "wrong-value", "a `test` that is a list says first how it is run, and this begins with the command")
            .help("put `CMD` before it, or `CMD-SHELL` and the whole command as one text; a text instead of a list is run by a shell");
    }
}

fn hosts(value: &Node, report: &mut Report) {
    for item in value.as_seq().unwrap_or_default() {
        let text = item.as_str().unwrap_or_default();
        let name = text.split([':', '=']).next().unwrap_or_default();
        if !text.contains('$') && (name.is_empty() || name == text) {
            let message = if name.is_empty() { "no host is named here" } else { "this names a host and not its address" };
            report
                .error(item.span, "wrong-value", format!("{message}: `{}`", shown(text)))
                .help("write it as `NAME:ADDRESS`; `NAME:host-gateway` is the machine itself");
        }
    }
    for (name, address) in value.as_map().unwrap_or_default().iter().filter(|(_, address)| !matches!(kind(address), 's' | 't')) {
        let message = format!("the address of `{}` is a text to Compose, and this is {}", shown(name.as_str().unwrap_or_default()), address.describe());
        report.error(address.span, "wrong-type", message).help("write the address in quotes; `host-gateway` is the machine itself");
    }
}

/// By Docker's own rule.
fn container(value: &Node, report: &mut Report) {
    let Some(text) = value.as_str().filter(|text| !text.contains('$') && !value.is_null()) else { return };
    let name = text.strip_prefix('/').unwrap_or(text);
    if name.len() < 2 || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c)) {
        report
            .error(value.span, "wrong-value", format!("`{}` is no name for a container to Docker", shown(text)))
            .help("use two letters, digits, `.`, `_` and `-` or more, and begin with a letter or digit; or leave it out");
    }
}

fn exposed(value: &Node, report: &mut Report) {
    let is_port = |text: &str| text.parse::<u16>().is_ok_and(|port| port > 0);
    let is_range = |text: &str| text.split_once('-').map_or_else(|| is_port(text), |(first, last)| is_port(first) && is_port(last));
    for item in value.as_seq().unwrap_or_default() {
        let text = item.as_str().filter(|_| !item.is_null()).unwrap_or_default();
        if !text.contains('$') && !is_range(text.split('/').next().unwrap_or_default()) {
            let what = if text.is_empty() { item.describe().to_owned() } else { format!("`{}`", shown(text)) };
            report
                .error(item.span, "wrong-value", format!("`expose` is a list of ports, and this is {what}"))
                .help("write the number of a port, `3000`, or a range, `\"3000-3005\"`; or take it out, for services reach each other without");
        }
    }
}

/// One of a service's `volumes`.
fn mount(item: &Node, report: &mut Report) {
    let missing = |key: &str| item.get(key).is_none_or(|value| value.is_null() || value.as_str() == Some(""));
    let source = item.get("source").and_then(Node::as_str).unwrap_or_default();
    let kind_of = item.get("type").and_then(Node::as_str);
    match &item.kind {
        Kind::Scalar { tag: Some(_), .. } => {}
        Kind::Scalar { text, .. } if kind(item) == 's' => {
            let parts = parts(text);
            if text.is_empty() || parts[..parts.len() - 1].contains(&"") {
                report.error(item.span, "wrong-value", format!("`{}` does not say what is mounted where", shown(text))).help("write it as `NAME:/PLACE`, and `NAME` under `volumes`");
            }
        }
        Kind::Scalar { .. } | Kind::Seq(_) => {
            let message = format!("a mount is a text or a mapping to Compose, and this is {}", super::described(item));
            report.error(item.span, "wrong-type", message).help("write it as `NAME:/PLACE`, and `NAME` under `volumes`");
        }
        Kind::Map(_) if missing("type") => {
            let word = if source.starts_with(['.', '/', '~']) { "bind" } else { "volume" };
            report.error(item.span, "missing-field", "this does not say of what type the mount is").help(format!("add `type: {word}`, or write it in short, as `NAME:/PLACE`"));
        }
        Kind::Map(_) if missing("target") => {
            report.error(item.span, "missing-field", "this does not say where in the container the mount is").help("add `target: /PLACE`");
        }
        Kind::Map(_) if missing("source") && kind_of == Some("bind") => {
            report.error(item.span, "missing-field", "this does not say what of the machine is mounted").help("add `source: /PATH`");
        }
        Kind::Map(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_those_of_compose() {
        let of = |form: Form, good: &[&str], bad: &[&str]| {
            good.iter().for_each(|text| assert!(form.takes(text), "{text}"));
            bad.iter().for_each(|text| assert!(!form.takes(text), "{text}"));
        };
        of(Form::Duration, &["1.5h", "-5s", "0", "1m30s", "5µs", "+5s", ".5s", "5.s"], &["1d", "5", "1M", "1m 30s", "", "1m30", "1 min", "s", ".s", "-"]);
        of(Form::Size, &["5", "5 m", "5.5m", "5mib", "5 MiB", "5mi", "5i", "5B"], &["-1", "5kb ", ".5g", "1_0", "5.5.5m", "1e3", "5bb", "b", "", "5  m", "+5m", "1.g"]);
        of(ANY, &["+5", "05", "-1"], &["0x5", "1e3", "5.0", "1_0", " 5", "two", ""]);
        of(Form::Decimal, &["1e3", "5.0", "1_0", ".5", "-1"], &["0x5", "inf", "nan", "half"]);
        of(Form::Truth, &["y", "Yes", "ON", "no"], &["1", "t", "maybe", "yes "]);
        of(Form::Restart, &["on-failure:3", "no", "any", ""], &["sometimes", "on-failures"]);
    }
}
