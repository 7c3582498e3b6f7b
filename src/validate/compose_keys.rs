//! The keys that Compose knows: what it does not know it refuses on the machine, where nobody sees it.

mod table;
mod values;

use super::services::is_relative;
use crate::profile::model::DockerSource;
use crate::profile::reader::{appended, nearest, shown};
use crate::report::Report;
use crate::resolve::Resolved;
use crate::yaml::{Kind, Node};
use table::{Below, NESTED, PLACES, rows};

/// The top-level sections of which Compose takes what is there already, and what one entry is called above.
const SECTIONS: [(&str, &str); 4] = [("networks", "network"), ("volumes", "volume"), ("configs", "config"), ("secrets", "secret")];

pub(super) fn check(resolved: &Resolved, document: &Node, report: &mut Report) {
    let newest = resolved.profile.docker.source == DockerSource::Upstream;
    known("", document, newest, report);
    for (section, kind) in SECTIONS {
        for (name, entry) in document.get(section).and_then(Node::as_map).unwrap_or_default() {
            let external = entry.get("external").filter(|external| !external.is_null() && external.as_bool() != Some(false) && external.as_str() != Some("false"));
            let given = |name: &str| matches!(name, "host" | "bridge" | "none") && kind == "network";
            if let Some(external) = external
                && !entry.get("name").and_then(Node::as_str).is_some_and(given)
            {
                let message = format!("nothing makes the {kind} `{}` on a new machine", shown(name.as_str().unwrap_or_default()));
                report.error(external.span, "external-resource", message).help(match kind {
                    "config" => "write its text here, as `content`",
                    "secret" => "make it a secret of the profile: `as: credential` puts it into a file",
                    _ => "take `external` out: the stack then makes its own",
                });
            }
        }
    }
    for service in &resolved.services {
        let Some(extends) = service.node.get("extends").filter(|extends| !extends.is_null()) else { continue };
        let base = extends.as_str().map_or_else(|| extends.get("service"), |_| Some(extends));
        let name = base.and_then(Node::as_str).unwrap_or_default();
        let other = resolved.services.iter().find(|other| other.name == name);
        if let Some(file) = extends.get("file").filter(|file| !file.is_null()) {
            let relative = file.as_str().is_some_and(is_relative);
            let message = if relative {
                "nothing puts this file on the machine, and Compose starts nothing without it"
            } else {
                "what stands in another file is not looked at: it may publish ports"
            };
            report.error(file.span, "extends", message).help("write here what the service takes from there");
        } else if let Some(other) = other {
            let message = format!("what `{}` takes from `{name}` is not looked at", service.name);
            if other.is_blue_green() {
                report
                    .error(extends.span, "extends", format!("there are two of `{name}` on the machine, of other names"))
                    .help("write here what the service takes from there; a YAML anchor saves the repetition");
            } else {
                report.warning(extends.span, "extends", message).help("a YAML anchor, `<<: *name`, does the same, and is seen");
            }
        } else {
            let names = resolved.services.iter().map(|service| service.name.as_str());
            let finding = report.error(extends.span, "no-service", format!("there is no service `{}`", shown(name)));
            match nearest(name, names) {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding.help("name a service that stands here"),
            };
        }
    }
}

/// Finds what Compose would refuse in a mapping, and in what stands below it.
fn known(place: &str, node: &Node, newest: bool, report: &mut Report) {
    let place = PLACES.iter().find(|row| row.name == place).expect("every place that is asked for has a row");
    let find = |keys: &'static str, name: &str| rows(keys).find(|(key, _)| *key == name).map(|(_, shapes)| shapes);
    for (key, value) in node.as_map().unwrap_or_default() {
        let name = key.as_str().unwrap_or_default();
        // What is built has its image's name from us; what has neither is refused elsewhere.
        let unnamed = (place.name, name) == ("service", "image") && value.is_null();
        if name.starts_with("x-") || name == "<<" || unnamed {
            continue;
        }
        let later = find(place.later, name);
        if let Some(shapes) = find(place.keys, name).or(later.filter(|_| newest)) {
            if fits(name, value, shapes, report) {
                values::check(place.name, name, value, shapes, newest, report);
                below(place.name, name, value, newest, report);
            }
        } else if later.is_some() {
            report
                .error(key.span, "unknown-field", format!("`{name}` is newer than the Compose of this distribution"))
                .help("leave it out, or write `docker: {source: docker}`");
        } else if let Some(list) = name.strip_suffix('+').filter(|list| find(place.keys, list).is_some()) {
            appended(key, list, described(value), report);
        } else {
            let finding = report.error(key.span, "unknown-field", format!("Compose knows no `{}` here", shown(name)));
            match nearest(name, rows(place.keys).map(|(key, _)| key)) {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding.help("take it out; what begins with `x-` Compose passes over"),
            };
        }
    }
}

/// What the letters of the table stand for.
const WORDS: [(char, &str); 7] = [
    ('s', "a text"),
    ('n', "a number"),
    ('b', "true or false"),
    ('l', "a list"),
    ('t', "a list"),
    ('m', "a mapping"),
    ('0', "nothing"),
];

/// Whether a value is of a kind that may stand there.
fn fits(name: &str, value: &Node, shapes: &str, report: &mut Report) -> bool {
    let kind = kind(value);
    if kind == 't' && shapes.contains('t') {
        return value.as_seq().unwrap_or_default().iter().all(|item| item_fits(name, item, report));
    }
    let taken = shapes.contains(kind) || kind == 't' && shapes.contains('l');
    // What `!reset` stands before is gone in the end; what a variable says becomes of the kind that is wanted.
    let tagged = matches!(&value.kind, Kind::Scalar { tag: Some(_), .. });
    let variable = shapes.contains(['n', 'b']) && value.as_str().is_some_and(|text| text.contains('$'));
    if taken || tagged || variable {
        return true;
    }
    let words: Vec<_> =
        WORDS.iter().filter(|(shape, _)| *shape != '0' && shapes.contains(*shape)).map(|(_, word)| *word).collect();
    let message = format!("`{name}` is {} to Compose, and this is {}", words.join(" or "), described(value));
    let text = value.as_str().unwrap_or_default();
    let help = match (kind, shapes.chars().next()) {
        ('b', _) if name == "restart" => "write `restart: unless-stopped`, `always` or `on-failure`; or `\"no\"`, in quotes".to_owned(),
        ('n', Some('s')) if values::is_duration_of(name) && text.bytes().all(|digit| digit.is_ascii_digit()) => format!("write its unit as well: `{name}: {text}s`"),
        ('0', _) => format!("leave `{name}` out, or write what belongs there"),
        ('n' | 'b' | 'd', Some('s')) if !shapes.contains('n') => {
            format!("write it in quotes: `{name}: \"{text}\"`")
        }
        ('s', Some('n' | 'b')) => {
            format!("write it without quotes, as `{name}: {}`", if shapes.starts_with('n') { "10" } else { "true" })
        }
        (_, Some('l' | 't')) => format!("write it as `{name}: […]`, or one line each with a dash before it"),
        (_, Some('m')) => format!("write it as `{name}: {{…}}`, or one `name: value` a line"),
        _ => format!("write it as `{name}: …`, in one line"),
    };
    report.error(value.span, "wrong-type", message).help(help);
    false
}

fn item_fits(name: &str, item: &Node, report: &mut Report) -> bool {
    let kind = kind(item);
    if kind != 's' {
        let finding = report.error(
            item.span,
            "wrong-type",
            format!("`{name}` is a list of texts to Compose, and this is {}", described(item)),
        );
        match kind {
            'n' | 'b' | 'd' => finding.help(format!("write it in quotes: `\"{}\"`", item.as_str().unwrap_or_default())),
            _ => finding.help("write one text for each entry"),
        };
    }
    kind == 's'
}

/// The letter of a value, as the reader of Compose sees it (`d` is a date, which it takes nowhere).
fn kind(value: &Node) -> char {
    match &value.kind {
        Kind::Seq(_) => 't',
        Kind::Map(_) => 'm',
        Kind::Scalar { .. } if value.is_null() => '0',
        Kind::Scalar { .. } if value.as_bool().is_some() => 'b',
        Kind::Scalar { text, plain: true, tag: None } if number(text).is_some() => 'n',
        Kind::Scalar { text, plain: true, tag: None } if is_date(text) => 'd',
        Kind::Scalar { .. } => 's',
    }
}

fn described(value: &Node) -> &'static str {
    match kind(value) {
        'n' => "a number",
        'b' => "true or false",
        'd' => "a date",
        _ => value.describe(),
    }
}

/// An unquoted number by YAML 1.1 and 1.2, of which Compose's reader takes both.
pub(super) fn number(text: &str) -> Option<f64> {
    let plain = text.replace('_', "").to_ascii_lowercase();
    let digits = plain.trim_start_matches(['+', '-']);
    let sign = if plain.starts_with('-') { -1.0 } else { 1.0 };
    for (mark, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = digits.strip_prefix(mark) {
            let value = digits.chars().try_fold(0.0, |sum, digit| Some(sum * f64::from(radix) + f64::from(digit.to_digit(radix)?)));
            return value.filter(|_| !digits.is_empty()).map(|value| sign * value);
        }
    }
    match digits {
        ".inf" => return Some(sign * f64::INFINITY),
        ".nan" => return Some(f64::NAN),
        _ => {}
    }
    let begins = text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first))
        && digits.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    digits.parse::<f64>().ok().filter(|_| begins).map(|value| sign * value)
}

/// Whether an unquoted scalar begins as a date does.
fn is_date(text: &str) -> bool {
    let parts: Vec<_> = text.split(['T', 't', ' ']).next().unwrap_or_default().split('-').collect();
    matches!(parts[..], [year, month, day] if year.len() == 4 && [month, day].iter().all(|part| matches!(part.len(), 1 | 2)))
        && parts.iter().all(|part| part.chars().all(|digit| digit.is_ascii_digit()))
}

fn below(place: &str, key: &str, value: &Node, newest: bool, report: &mut Report) {
    let Some((.., how, child)) = NESTED.iter().find(|row| (row.0, row.1) == (place, key)) else { return };
    match (how, &value.kind) {
        (Below::Value, _) => known(child, value, newest, report),
        (Below::Each, Kind::Seq(items)) => items.iter().for_each(|item| known(child, item, newest, report)),
        (Below::Each, Kind::Map(entries)) => entries.iter().for_each(|(_, entry)| known(child, entry, newest, report)),
        (Below::Each, Kind::Scalar { .. }) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Span;
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    /// The schema stands as text in the program of Compose, which `make tools` fetches from Debian.
    #[test]
    fn the_keys_are_those_of_debians_compose() {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"))).expect("a home");
        let program = cache.join("julia-bootstrap/lab/tools/docker-compose");
        let Ok(bytes) = std::fs::read(&program) else {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{} is missing: run `make tools`", program.display());
            eprintln!("SKIPPED: {} is missing: run `make tools`", program.display());
            return;
        };
        let mark = b"\"compose_spec.json\"";
        let starts = bytes.windows(mark.len()).enumerate().filter(|(_, window)| window == mark).map(|(at, _)| at);
        let mut schema = starts.filter_map(|at| {
            let open = bytes[..at].iter().rposition(|byte| *byte == b'{')?;
            serde_json::Deserializer::from_slice(&bytes[open..]).into_iter::<serde_json::Value>().next()?.ok()
        });
        let schema = schema.next_back().expect("Compose's program holds its schema");
        let whole = schema.clone();
        let resolved = |node: &serde_json::Value| match node["$ref"].as_str() {
            Some(place) => whole.pointer(place.trim_start_matches('#')).expect("a definition").clone(),
            None => node.clone(),
        };
        for row in &PLACES {
            let place = schema.pointer(row.pointer).unwrap_or_else(|| panic!("{} is not in the schema", row.pointer));
            let properties = place["properties"].as_object().expect("a mapping");
            let theirs: BTreeSet<String> = properties.iter().map(|(key, value)| format!("{key}/{}", shapes(value, &resolved))).collect();
            assert_eq!(row.keys.split_whitespace().map(str::to_owned).collect::<BTreeSet<_>>(), theirs, "{}", row.name);
            assert_eq!(place["additionalProperties"], false, "{} takes more", row.name);
        }
    }

    /// What may stand at a place of the schema, in the order of the table.
    fn shapes(node: &serde_json::Value, resolved: &dyn Fn(&serde_json::Value) -> serde_json::Value) -> String {
        let node = resolved(node);
        let mut found = BTreeSet::new();
        for one in ["oneOf", "anyOf"].iter().flat_map(|key| node[key].as_array().into_iter().flatten()) {
            found.extend(shapes(one, resolved).chars());
        }
        let types = node["type"].as_array().cloned().unwrap_or_else(|| vec![node["type"].clone()]);
        for kind in types.iter().filter_map(serde_json::Value::as_str) {
            found.insert(match kind {
                "array" if resolved(&node["items"])["type"] == "string" => 't',
                "array" => 'l',
                "object" => 'm',
                "string" => 's',
                "boolean" => 'b',
                "null" => '0',
                _ => 'n',
            });
        }
        WORDS.iter().map(|(letter, _)| *letter).filter(|letter| found.contains(letter)).collect()
    }

    #[test]
    fn a_scalar_is_what_the_reader_of_compose_takes_it_for() {
        let source = Report::new().sources.add("a.yaml", "");
        let letter = |text: &str| kind(&Node::plain(Span { source, start: 0, end: 0 }, text));
        let of =
            |wanted: char, texts: &[&str]| texts.iter().for_each(|text| assert_eq!(letter(text), wanted, "{text}"));
        of('n', &["1", "-1", "+1.5", ".5", "1.", "1e3", "007", "0x1F", "0o7", "0b1", "1_000", ".inf", "-.Inf", ".nan"]);
        of(
            's',
            &[
                "1:1", "12:30:45", "yes", "inf", "nan", "infinity", "1.2.3", "0x", "0xg", "-", ".", "_1", "1s", "e1",
                "2020-01", "2020-1-x",
            ],
        );
        for (text, wanted) in [("0o440", 288.0), ("1_000", 1000.0), ("0x10", 16.0), ("1e3", 1000.0), ("-1", -1.0), ("3.0", 3.0)] {
            assert_eq!(number(text), Some(wanted), "{text}");
        }
        of('d', &["2020-01-01", "2020-1-1", "2020-01-01T10:00:00Z"]);
        of('b', &["true", "False"]);
        of('0', &["", "~", "null"]);
    }

    #[test]
    fn every_place_but_the_first_stands_in_one() {
        for (above, key, _, child) in &NESTED {
            let above = PLACES.iter().find(|row| row.name == *above).expect("a row");
            assert!(rows(above.keys).any(|(one, _)| one == *key), "{key}");
            assert!(PLACES.iter().any(|row| row.name == *child), "{child}");
        }
        assert!(PLACES[1..].iter().all(|row| NESTED.iter().any(|(.., child)| *child == row.name)));
    }
}
