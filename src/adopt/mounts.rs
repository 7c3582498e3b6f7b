//! Files and folders beside the Compose file, which the machine does not have.

use super::private::is_private;
use super::{Adopted, Around, Row, section, text};
use crate::compose::{joined, parts};
use crate::interpolation::{self, Operator};
use crate::report::Span;
use crate::yaml::{Node, to_json};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Most bytes of such files that go into the profile.
const MOST: usize = 48 << 10;
/// Folders of the machine's own that hold nobody's data.
const SYSTEM: [&str; 9] = ["/etc/", "/proc", "/sys", "/dev", "/run", "/var/run", "/lib/modules", "/usr/", "/tmp"];

/// What became of them.
#[derive(Default)]
pub(super) struct Files {
    /// Texts, by the config's name.
    pub(super) configs: BTreeMap<String, String>,
    /// Volumes instead of folders, and where the first of them stands.
    pub(super) volumes: Vec<(String, Span)>,
    /// The name that a path got.
    names: BTreeMap<String, String>,
    /// Names that the file's own volumes and configs have.
    taken: BTreeSet<String>,
}

impl Files {
    /// None yet, beside what a document declares.
    pub(super) fn beside(document: &Node) -> Self {
        let declared = ["volumes", "configs"].into_iter().filter_map(|kind| document.get(kind)).flat_map(Node::names);
        Self { taken: declared.map(|(name, _)| name.to_owned()).collect(), ..Self::default() }
    }

    /// The one name of a path, however it is written, which nothing else has.
    fn name(&mut self, path: &str) -> String {
        let path = joined(Path::new(""), path.trim_end_matches('/'));
        if let Some(name) = self.names.get(&path) {
            return name.clone();
        }
        let mut slug: String = path.trim_matches(['.', '/']).to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        slug = slug.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
        if slug.is_empty() {
            slug = "here".to_owned();
        }
        while !self.taken.insert(slug.clone()) {
            slug.push_str("-2");
        }
        self.names.insert(path, slug.clone());
        slug
    }
}

/// What lies at a path here.
enum There {
    Text { text: String, executable: bool },
    /// A folder with something in it, or a file that is no text, or too large.
    Much,
    /// Nothing, or an empty folder.
    Nothing,
    /// A file that lies outside the folder of the Compose file, or that holds what looks like a secret: it goes nowhere by itself.
    Private,
}

fn there(folder: &Path, named: &str, room: usize) -> There {
    let path = &folder.join(named);
    let inside = |path: &Path| Some(path.canonicalize().ok()?.starts_with(if folder.as_os_str().is_empty() { Path::new(".") } else { folder }.canonicalize().ok()?));
    if path.exists() && inside(path) != Some(true) {
        return There::Private;
    }
    if path.is_dir() {
        let empty = path.read_dir().is_ok_and(|mut entries| entries.next().is_none());
        return if empty { There::Nothing } else { There::Much };
    }
    if !path.exists() {
        return There::Nothing;
    }
    let bytes = crate::yaml::read_some(path, room).unwrap_or_default();
    match String::from_utf8(bytes) {
        Ok(text) if is_private(path, &text) => There::Private,
        Ok(text) if text.len() <= room && path.is_file() && !text.contains(|c: char| c.is_control() && !"\n\t".contains(c)) => {
            use std::os::unix::fs::PermissionsExt;
            let executable = path.metadata().is_ok_and(|meta| meta.permissions().mode() & 0o100 != 0);
            There::Text { text, executable }
        }
        _ => There::Much,
    }
}

impl Adopted {
    pub(super) fn mounts(&mut self, row: &mut Row<'_>, around: &Around<'_>, files: &mut Files) {
        let list = row.node.get("volumes").and_then(Node::as_seq).unwrap_or_default();
        let (mut kept, mut configs, mut changed) = (Vec::new(), Vec::new(), false);
        for mount in list {
            let line = mount.as_str().map(parts).filter(|parts| parts.len() > 1);
            let named = line.as_ref().map(|parts| parts[0]).or_else(|| text(mount, "source"));
            let target = line.as_ref().map(|parts| parts[1]).or_else(|| text(mount, "target")).unwrap_or_default();
            let bind = mount.as_str().is_some() || text(mount, "type") == Some("bind");
            let (Some(named), Some(mut entry)) = (named, to_json(mount)) else {
                kept.extend(to_json(mount));
                continue;
            };
            let filled = named.contains('$').then(|| around.expand(named)).flatten().filter(|filled| !filled.is_empty());
            let unset = unset(named, around);
            if let Some(variable) = unset {
                let read = filled.as_ref().map_or_else(|| "nothing".to_owned(), |filled| format!("`{filled}`, which is written here"));
                let found = format!("`{variable}`, which what `{}` mounts hangs on, has no value, so that Compose reads {read}: write the path, or name a volume", row.name);
                self.note(mount.span, found, None);
            } else if named.contains('$') && filled.is_none() {
                self.note(mount.span, format!("what `{}` mounts hangs on a variable: write it", row.name), None);
            }
            let source = filled.as_deref().unwrap_or(named);
            let as_is = entry.clone();
            let rewritten = |source: &str| match &line {
                Some(parts) => {
                    let rest: Vec<&str> = parts[1..].to_vec();
                    json!(format!("{source}:{}", rest.join(":")))
                }
                None => {
                    let mut entry = as_is.clone();
                    entry["source"] = json!(source);
                    entry
                }
            };
            if filled.is_some() {
                changed = true;
                if unset.is_none() {
                    self.note(mount.span, format!("what `{}` mounts hangs on a variable", row.name), Some("its value is written here"));
                }
                entry = rewritten(source);
            }
            let relative = bind && (source.starts_with('.') || (mount.as_str().is_none() && !source.starts_with(['/', '~', '$'])));
            if source.ends_with("docker.sock") {
                self.note(mount.span, format!("through Docker's socket `{}` is root on the machine: a proxy that only reads will often do", row.name), None);
            } else if relative {
                match there(around.folder, source, MOST.saturating_sub(self.carried)) {
                    There::Text { text, executable } => {
                        let name = files.name(source);
                        if files.configs.insert(name.clone(), text.replace('$', "$$")).is_none() {
                            self.carried += text.len();
                        }
                        let mut config = json!({"source": name, "target": target});
                        if executable {
                            config["mode"] = json!(0o555);
                        }
                        configs.push(config);
                        changed = true;
                        self.note(mount.span, format!("`{source}` is not on the machine"), Some(&format!("its text is the config `{name}`")));
                        continue;
                    }
                    There::Private => self.note(mount.span, format!("`{source}` is not on the machine, and was not looked into further: it lies elsewhere, or looks like a secret. Make it a secret of the profile, `{{file: {source}, as: credential}}`, and mount `./credentials/NAME`"), None),
                    There::Nothing if !is_files(source) => {
                        let name = files.name(source);
                        if !files.volumes.iter().any(|(known, _)| *known == name) {
                            files.volumes.push((name.clone(), mount.span));
                        }
                        changed = true;
                        entry = match &line {
                            Some(_) => rewritten(&name),
                            None => {
                                let mut entry = rewritten(&name);
                                entry["type"] = json!("volume");
                                entry.as_object_mut().expect("a mount").remove("bind");
                                entry
                            }
                        };
                        self.note(mount.span, format!("`{source}` is not on the machine"), Some(&format!("it is the volume `{name}`, which begins empty")));
                    }
                    _ => self.note(mount.span, format!("`{source}` is not on the machine: make it a `config` with `content`, part of the image, or a volume"), None),
                }
            } else if bind && source.starts_with('~') {
                self.note(mount.span, format!("`{source}` is not on the machine: name a volume"), None);
            } else if bind && source.starts_with('/') && !SYSTEM.iter().any(|folder| source.starts_with(folder)) {
                self.note(mount.span, format!("`{source}` is a folder of the machine itself, empty at first, of which no backup is made: name a volume"), None);
            }
            kept.push(entry);
        }
        if changed {
            row.over.insert("volumes".into(), if kept.is_empty() { Value::Null } else { json!(kept) });
        }
        if !configs.is_empty() {
            row.over.insert("configs+".into(), json!(configs));
        }
    }

    /// Compose's secrets that are files become credentials.
    pub(super) fn secret_files(&mut self, row: &mut Row<'_>, document: &Node, around: &Around<'_>) {
        let list = row.node.get("secrets").and_then(Node::as_seq).unwrap_or_default();
        let (mut kept, mut mounts) = (Vec::new(), Vec::new());
        for item in list {
            let name = item.as_str().or_else(|| text(item, "source")).unwrap_or_default();
            let declared = document.get("secrets").and_then(|secrets| secrets.get(name));
            if let Some((key, variable)) = declared.and_then(|declared| declared.entry("environment")) {
                let Some(variable) = self.variable_of("secret", name, variable, key.span) else { continue };
                self.secret_of(variable, key.span, around);
            }
            let Some(file) = declared.and_then(|declared| text(declared, "file")) else {
                kept.extend(to_json(item));
                continue;
            };
            let file = around.expand(file).unwrap_or_else(|| file.to_owned());
            let target = text(item, "target").unwrap_or(name);
            let target = if target.starts_with('/') { target.to_owned() } else { format!("/run/secrets/{target}") };
            mounts.push(json!(format!("./credentials/{name}:{target}:ro")));
            let found = format!("the secret `{name}` is the file {file}");
            match around.folder.join(&file).is_file() {
                true => self.note(item.span, found, Some("it is a credential of the profile")),
                false => self.note(item.span, format!("{found}, which is not here: put it there"), None),
            }
            self.files.insert(name.to_owned(), file);
        }
        if !mounts.is_empty() {
            row.over.insert("secrets".into(), if kept.is_empty() { Value::Null } else { json!(kept) });
            match row.over.get_mut("volumes").and_then(Value::as_array_mut) {
                Some(list) => list.extend(mounts),
                None => {
                    row.over.insert("volumes+".into(), json!(mounts));
                }
            }
        }
    }

    /// The variable that a secret or a config is filled from.
    fn variable_of<'n>(&mut self, kind: &str, name: &str, variable: &'n Node, span: Span) -> Option<&'n str> {
        let variable = variable.as_str().unwrap_or_default();
        let good = crate::dotenv::is_shell_name(variable);
        if !good {
            self.note(span, format!("the {kind} `{name}` names no variable: write one, of letters, digits and `_`"), None);
        }
        good.then_some(variable)
    }

    /// Compose's configs that are files bring their text along, and those that are variables their value.
    pub(super) fn config_files(&mut self, rows: &[Row<'_>], document: &Node, around: &Around<'_>) {
        for (key, entry) in document.get("configs").and_then(Node::as_map).unwrap_or_default() {
            let Some(name) = key.as_str() else { continue };
            let uses = |row: &Row<'_>| {
                let list = row.node.get("configs").and_then(Node::as_seq).unwrap_or_default();
                !row.left_out && list.iter().any(|item| item.as_str().or_else(|| text(item, "source")) == Some(name))
            };
            if !rows.iter().any(uses) {
                continue;
            }
            if let Some((key, variable)) = entry.entry("environment").filter(|(_, variable)| !variable.is_null()) {
                let Some(variable) = self.variable_of("config", name, variable, key.span) else { continue };
                self.given_or_secret(variable, key.span, around);
            }
            let Some(file) = text(entry, "file") else { continue };
            let file = around.expand(file).unwrap_or_else(|| file.to_owned());
            match there(around.folder, &file, MOST.saturating_sub(self.carried)) {
                There::Text { text, .. } => {
                    self.carried += text.len();
                    section(&mut self.overlay, "configs").insert(name.to_owned(), json!({"file": null, "content": text.replace('$', "$$")}));
                    self.note(key.span, format!("`{file}` is not on the machine"), Some(&format!("its text stands in the config `{name}`")));
                }
                There::Nothing => self.note(key.span, format!("the config `{name}` is the file {file}, which is not here: write its text as `content`"), None),
                There::Private => self.note(key.span, format!("`{file}` is not on the machine: it lies elsewhere, or looks like a secret, so make it a secret of the profile, `{{file: {file}, as: credential}}`"), None),
                There::Much => self.note(key.span, format!("`{file}` is not on the machine, and is too large to go along: make it part of the image"), None),
            }
        }
    }
}

/// The first variable of a text that nothing gives a value, and that brings none along.
fn unset<'t>(text: &'t str, around: &Around<'_>) -> Option<&'t str> {
    let plain = interpolation::variables(text).into_iter().filter(|(_, operator)| *operator == Operator::Plain);
    plain.map(|(name, _)| name).find(|name| around.values.get(*name).is_none_or(String::is_empty))
}

/// Whether a path is a file's by its name.
fn is_files(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    last.rsplit_once('.').is_some_and(|(stem, end)| !stem.is_empty() && (2..=5).contains(&end.len()) && end.chars().any(|c| c.is_ascii_alphabetic()))
}
