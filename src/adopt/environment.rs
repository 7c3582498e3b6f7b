//! What the services get as environment, and what Compose fills in: passwords become secrets, the rest stands in the profile.

use super::{Adopted, Around, Row, text, walk};
use crate::compose::pairs;
use crate::dotenv::{self, is_reserved};
use crate::interpolation::{self, Operator};
use crate::hidden::{is_hidden, is_key, is_plain, looks_secret, may_hide};
use crate::report::Span;
use crate::yaml::Node;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Name, value as Compose reads it, and place.
type Pair = (String, Option<String>, Span);

/// What a service's own `environment` says, of each name once.
fn own_pairs(environment: &Node) -> Vec<Pair> {
    let mut all: Vec<Pair> = Vec::new();
    for (name, value, span) in pairs(environment) {
        // Of one name the last one counts.
        all.retain(|(known, ..)| known != name);
        all.push((name.to_owned(), value.map(str::to_owned), span));
    }
    all
}

/// What an env file says as it is; nothing where there is none.
fn text_of(path: &Path) -> Option<String> {
    let bytes = path.is_file().then(|| crate::yaml::read_some(path, crate::yaml::MAX_BYTES).ok()).flatten()?;
    String::from_utf8(bytes).ok()
}

/// Numbers of the lines of an env file that nobody can read, by what is wrong with them.
fn unread(text: &str) -> BTreeMap<String, Vec<String>> {
    let (mut all, mut first, mut at) = (BTreeMap::<String, Vec<String>>::new(), 1, 0);
    for (place, line) in dotenv::read_wide(text) {
        first += text[at..place.start].matches('\n').count();
        at = place.start;
        let Err(why) = line else { continue };
        let more = text[place].trim_end().matches('\n').count();
        all.entry(why).or_default().push(if more == 0 { first.to_string() } else { format!("{first}-{}", first + more) });
    }
    all
}

/// The lines of an env file, with their variables filled in as Compose does it: from `values` first.
pub fn lines(text: &str, values: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let mut known: Vec<(String, String)> = Vec::new();
    for (place, line) in dotenv::read_wide(text) {
        let Ok((name, value)) = line else { continue };
        let raw = &text[place];
        let literal = raw.contains("\\$") || raw.split_once(['=', ':']).is_some_and(|(_, value)| value.trim_start().starts_with('\''));
        let earlier = |name: &str| known.iter().find(|(there, _)| there == name).map(|(_, value)| value.clone());
        let lookup = |name: &str| values.get(name).cloned().or_else(|| earlier(name));
        let value = if literal { value } else { interpolation::expand(&value, &lookup).unwrap_or(value) };
        known.retain(|(there, _)| *there != name);
        known.push((name, value));
    }
    known
}

impl Adopted {
    /// Every variable that the file names.
    pub(super) fn look(&mut self, document: &Node) {
        walk(document, &mut |text, _| {
            for (name, operator) in interpolation::variables(text) {
                self.named.insert(name.to_owned());
                if operator == Operator::Default {
                    self.defaulted.insert(name.to_owned());
                }
            }
        });
    }

    /// The variables that `.env` beside the file sets, and what of it nobody reads.
    pub(super) fn dotenv(&mut self, document: &Node, around: &Around<'_>) {
        let text = text_of(&around.folder.join(".env")).unwrap_or_default();
        self.beside = dotenv::read_wide(&text).into_iter().filter_map(|(_, line)| line.ok()).map(|(name, _)| name).collect();
        self.unread(".env", &text, document.span);
    }

    /// Tells which lines of an env file are not taken along.
    fn unread(&mut self, path: &str, text: &str, span: Span) {
        for (why, numbers) in unread(text) {
            self.note(span, format!("{path} has what cannot be read, in line {}: {why}. Write `NAME=value` there, and adopt again", numbers.join(", ")), None);
        }
    }

    /// What stands in env files and in the file itself goes where the profile's secrets are, or into the profile.
    pub(super) fn environment(&mut self, row: &mut Row<'_>, around: &Around<'_>) {
        let files = self.env_files(row, around);
        let node = row.node.get("environment").filter(|node| !node.is_null());
        let own = node.map(own_pairs).unwrap_or_default();
        let list = node.is_some_and(|node| node.as_seq().is_some());
        let (mut over, mut nobody, mut changed) = (Map::new(), Vec::new(), false);
        for (key, value, span) in files {
            let value = value.unwrap_or_default();
            if own.iter().any(|(known, ..)| *known == key) {
                continue;
            }
            changed = true;
            let escaped = value.replace('$', "$$");
            let text = match (may_hide(&key) && !is_plain(&value)) || looks_secret(&escaped) {
                true => self.kept_back(row.name, &key, &value, span, around),
                false => escaped,
            };
            over.insert(key, json!(text));
        }
        for (key, value, span) in &own {
            let Some(value) = value else {
                if around.values.contains_key(key) {
                    self.given(key, *span, around);
                    over.insert(key.clone(), json!(format!("${{{key}}}")));
                    changed |= list;
                } else {
                    changed = true;
                    nobody.push((key.as_str(), *span));
                    // In a mapping this takes the key out.
                    over.extend((!list).then(|| (key.clone(), Value::Null)));
                }
                continue;
            };
            let hidden = is_hidden(key);
            let variables = interpolation::variables(value);
            if !variables.is_empty() {
                if let ([(name, _)], true) = (&variables[..], hidden) {
                    self.hidden.insert((*name).to_owned());
                }
            } else if hidden && value.is_empty() {
                self.note(*span, format!("`{key}` of `{}` is empty: give it a value, or take it out", row.name), None);
            } else if (hidden && !is_plain(value)) || is_key(key, value) || looks_secret(value) {
                changed = true;
                let text = self.kept_back(row.name, key, &plainly(value), *span, around);
                over.insert(key.clone(), json!(text));
                continue;
            }
            if list {
                over.insert(key.clone(), json!(value));
            }
        }
        if let [(_, span), ..] = nobody[..] {
            let names: Vec<String> = nobody.iter().map(|(name, _)| format!("`{name}`")).collect();
            let found = format!("{} of `{}` {} no value here or in .env", names.join(", "), row.name, if names.len() == 1 { "has" } else { "have" });
            self.note(span, found, Some("left out, as Compose does; to set one, write it under `environment`"));
        }
        if changed {
            row.over.insert("environment".into(), if list && over.is_empty() { Value::Null } else { Value::Object(over) });
        }
    }

    /// What the service's env files say; they are not on the machine.
    fn env_files(&mut self, row: &mut Row<'_>, around: &Around<'_>) -> Vec<Pair> {
        let Some(node) = row.node.get("env_file").filter(|node| !node.is_null()) else { return Vec::new() };
        let (mut all, mut missing): (Vec<Pair>, Vec<Value>) = (Vec::new(), Vec::new());
        for file in node.as_seq().unwrap_or(std::slice::from_ref(node)) {
            let span = file.span;
            let path = file.as_str().or_else(|| text(file, "path")).unwrap_or_default();
            let path = around.expand(path).unwrap_or_else(|| path.to_owned());
            match text_of(&around.folder.join(&path)) {
                Some(text) => {
                    self.note(span, format!("{path} stays here, and `{}` gets what it says", row.name), Some("that stands in the profile, and what is secret under `secrets`"));
                    self.unread(&path, &text, span);
                    for (name, value) in lines(&text, around.values) {
                        all.retain(|(known, ..)| *known != name);
                        all.push((name, Some(value), span));
                    }
                }
                None if file.get("required").and_then(Node::as_bool) == Some(false) => {}
                None => {
                    self.note(span, format!("{path}, whose values `{}` gets, is not here: put it there and adopt again", row.name), None);
                    missing.extend(crate::yaml::to_json(file));
                }
            }
        }
        row.over.insert("env_file".into(), if missing.is_empty() { Value::Null } else { json!(missing) });
        all
    }

    /// A value that nobody may read becomes a secret; what stands in its place.
    fn kept_back(&mut self, service: &str, key: &str, value: &str, span: Span, around: &Around<'_>) -> String {
        let name_of = |text: &str| text.to_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        let plain = name_of(key);
        let own = format!("{}_{plain}", name_of(service));
        // The same name with another value is another secret.
        let free = |name: &str, secrets: &BTreeMap<String, Option<String>>| {
            let there = match secrets.get(name) {
                Some(Some(there)) => there == value,
                None if !self.named.contains(name) => true,
                // What one service names and another has written out is the same, unless somebody says otherwise.
                _ => around.values.get(name).map_or(!self.defaulted.contains(name), |known| known == value),
            };
            there && dotenv::is_shell_name(name) && !is_reserved(name)
        };
        let mut secret = if free(&plain, &self.secrets) { plain } else { own };
        while !free(&secret, &self.secrets) {
            secret.insert_str(0, "S_");
        }
        if self.secrets.insert(secret.clone(), Some(value.to_owned())).flatten().is_none() {
            self.note(span, format!("the value of `{key}` stands in the file"), Some(&format!("it is the secret {secret}")));
        }
        format!("${{{secret}}}")
    }

    /// Where Compose would have a variable's value from here.
    fn origin(&self, name: &str, around: &Around<'_>) -> &'static str {
        match (self.beside.contains(name), around.values.contains_key(name)) {
            (true, _) => ".env",
            (false, true) => "the env file of an included file",
            (false, false) => "the environment",
        }
    }

    /// A secret that somebody gives when rendering.
    pub(super) fn secret_of(&mut self, name: &str, span: Span, around: &Around<'_>) {
        if !self.secrets.contains_key(name) {
            let origin = self.origin(name, around);
            self.note(span, format!("`{name}` comes from {origin}"), Some("it is a secret that `--env-file` or the environment gives when rendering"));
            self.secrets.insert(name.to_owned(), None);
        }
    }

    /// A variable whose value is in `.env`, or in the env file of an included file.
    fn given(&mut self, name: &str, span: Span, around: &Around<'_>) {
        let Some(value) = around.values.get(name) else { return };
        let known = self.secrets.contains_key(name) || self.variables.contains_key(name);
        if !value.is_empty() && (may_hide(name) || self.hidden.contains(name) || looks_secret(&value.replace('$', "$$"))) {
            self.variables.remove(name);
            self.secret_of(name, span, around);
        } else if !known {
            let origin = self.origin(name, around);
            self.note(span, format!("`{name}` comes from {origin}"), Some("its value stands under `variables`"));
            self.variables.insert(name.to_owned(), value.clone());
        }
    }

    /// A variable that something is filled from: with its value from here, or one that somebody gives when rendering.
    pub(super) fn given_or_secret(&mut self, name: &str, span: Span, around: &Around<'_>) {
        match around.values.contains_key(name) {
            true => self.given(name, span, around),
            false => self.secret_of(name, span, around),
        }
    }

    /// What Compose would look up in the environment.
    pub(super) fn variables(&mut self, document: &Node, rows: &[Row<'_>], around: &Around<'_>) {
        let mut found: Vec<(String, Operator, Span, String)> = Vec::new();
        let mut with_default = BTreeSet::new();
        let mut see = |text: &str, span: Span| {
            for (name, operator) in interpolation::variables(text).into_iter().filter(|(_, operator)| *operator != Operator::Broken) {
                let default = interpolation::default_of(text, name).unwrap_or_default();
                if text.contains(&format!("${{{name}:-")) {
                    with_default.insert(name.to_owned());
                }
                found.push((name.to_owned(), operator, span, default.to_owned()));
            }
        };
        for row in rows.iter().filter(|row| !row.left_out) {
            for (key, value) in row.node.as_map().unwrap_or_default() {
                let name = key.as_str().unwrap_or_default();
                match row.over.get(name) {
                    _ if name.starts_with("x-") => {}
                    None => walk(value, &mut see),
                    Some(Value::Object(over)) if value.as_map().is_some() => {
                        for (inner, value) in value.as_map().unwrap_or_default() {
                            match inner.as_str().and_then(|inner| over.get(inner)) {
                                Some(over) => strings(over, &mut |text| see(text, value.span)),
                                None => walk(value, &mut see),
                            }
                        }
                    }
                    Some(over) => {
                        let mut places: Vec<(String, Span)> = Vec::new();
                        walk(value, &mut |text, span| places.push((text.to_owned(), span)));
                        strings(over, &mut |text| see(text, places.iter().find(|(place, _)| place.contains(text)).map_or(value.span, |(_, span)| *span)));
                    }
                }
            }
        }
        for key in ["volumes", "networks", "configs", "secrets"] {
            if let Some(node) = document.get(key) {
                walk(node, &mut see);
            }
        }
        for (name, operator, span, default) in found {
            let ours = name == "TIMEZONE" || (name == "DOMAIN" && around.domain) || name == "COMPOSE_PROJECT_NAME";
            if ours || matches!(self.secrets.get(&name), Some(Some(_))) {
                continue;
            }
            let given = around.values.contains_key(&name);
            if is_reserved(&name) {
                if given || operator != Operator::Default {
                    self.note(span, format!("`{name}` is a variable of Compose's or the shell's own: write its value into the file"), None);
                }
            } else if given {
                self.given(&name, span, around);
            } else if operator == Operator::Plain && with_default.contains(&name) && !may_hide(&name) && !self.hidden.contains(&name) {
                self.note(span, format!("`{name}` has no value, and a default elsewhere alone"), Some("it is empty under `variables`, as to Compose"));
                self.variables.insert(name, String::new());
            } else if operator != Operator::Default {
                self.secret_of(&name, span, around);
            } else if !is_plain(&default) && !interpolation::has_variable(&default) && (is_hidden(&name) || self.hidden.contains(&name) || is_key(&name, &default) || looks_secret(&default)) {
                let found = format!("everybody who has the file knows the default of `{name}`");
                self.note(span, found, Some(&format!("it is the secret {name}: choose another value while nothing uses it")));
                self.secrets.insert(name, Some(plainly(&default)));
            }
        }
    }
}

/// A text without variables as Compose takes it: its `$$` is a dollar sign.
fn plainly(text: &str) -> String {
    interpolation::expand(text, &|_| None).unwrap_or_else(|| text.to_owned())
}

fn strings(value: &Value, see: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => see(text),
        Value::Array(items) => items.iter().for_each(|item| strings(item, see)),
        Value::Object(entries) => entries.values().for_each(|value| strings(value, see)),
        _ => {}
    }
}
