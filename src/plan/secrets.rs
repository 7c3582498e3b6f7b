//! Secrets on their way to the machine: those that travel with it, those that it fetches, those that come later.

use super::{File, files::ETC};
use crate::dotenv;
use crate::interpolation::variables;
use crate::profile::model::{Profile, SecretPlace, SecretSpec, SecretValue, Stack};
use crate::resolve::COLOURS;
use crate::secret::Secret;
use crate::yaml::{Kind, Node};
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The values that `choose` picks, as the machine's stage for secrets reads them.
fn values<'p>(profile: &'p Profile, choose: impl Fn(&'p SecretValue) -> Option<&'p Secret>) -> Result<Map<String, Value>> {
    let mut rows = Map::new();
    for secret in &profile.secrets {
        let Some(value) = choose(&secret.value) else { continue };
        let mut row = Map::new();
        row.insert("value".into(), json!(value.expose()));
        if secret.place == SecretPlace::Env {
            let quoted = dotenv::dotenv_quote(value.expose())
                .with_context(|| format!("the secret {} has a value that .env cannot carry", secret.name))?;
            row.insert("dotenv".into(), json!(quoted));
        }
        rows.insert(secret.name.clone(), Value::Object(row));
    }
    Ok(rows)
}

/// Files with what travels in the user-data, until the stage for secrets has put it where it belongs.
pub fn files(profile: &Profile) -> Result<Vec<File>> {
    let mut files = Vec::new();
    let mut add = |name: &str, content: Value| {
        let path = format!("{ETC}/{name}");
        files.push(File { path, mode: 0o600, content: content.to_string(), section: "secrets", strip: false });
    };
    let given = values(profile, |value| if let SecretValue::Given(value) = value { Some(value) } else { None })?;
    if !given.is_empty() {
        add("given.json", Value::Object(given));
    }
    if let Some(sealed) = &profile.sealed {
        add("sealed.json", json!({"url": sealed.url, "key": sealed.key.expose(), "sha256": sealed.sha256}));
    }
    Ok(files)
}

/// What `seal` encrypts, and the names in it.
pub fn to_seal(profile: &Profile) -> Result<(Secret, Vec<String>)> {
    let rows = values(profile, |value| if let SecretValue::Sealed(value) = value { value.as_ref() } else { None })?;
    let names = rows.keys().cloned().collect();
    Ok((Secret::new(Value::Object(rows).to_string()), names))
}

/// The services that must wait for secrets that come later, each with their names; who depends on one waits with it. And those that use
/// sealed ones, which can be replaced, too.
pub fn needs(profile: &Profile) -> BTreeMap<String, BTreeSet<String>> {
    let later: Vec<_> = profile.secrets.iter().filter(|secret| matches!(secret.value, SecretValue::Later | SecretValue::Sealed(_))).collect();
    let Some(stack) = profile.stack.as_ref().filter(|_| !later.is_empty()) else { return BTreeMap::new() };
    let services = stack.compose.get("services").and_then(Node::as_map).unwrap_or_default();
    let services: Vec<_> = services.iter().filter_map(|(key, node)| Some((base(stack, key.as_str()?), node))).collect();
    let mut needs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, node) in &services {
        let mut words = Words::default();
        words.service(node, &stack.compose);
        let mine = later.iter().filter(|secret| words.name(secret)).map(|secret| secret.name.clone());
        needs.entry((*name).to_owned()).or_default().extend(mine);
    }
    loop {
        let mut grown = false;
        for (name, node) in &services {
            let theirs: BTreeSet<_> = depends(node).into_iter().flat_map(|other| needs.get(base(stack, other)).cloned().unwrap_or_default()).collect();
            let mine = needs.entry((*name).to_owned()).or_default();
            let before = mine.len();
            mine.extend(theirs);
            grown |= mine.len() > before;
        }
        if !grown {
            needs.retain(|_, names| !names.is_empty());
            return needs;
        }
    }
}

/// Of Compose's two the profile's one.
fn base<'n>(stack: &Stack, name: &'n str) -> &'n str {
    let turns = |base: &&str| stack.services.iter().any(|service| service.name == *base && stack.compose.get("services").is_none_or(|all| all.get(base).is_none()));
    COLOURS.iter().filter_map(|colour| name.strip_suffix(colour)?.strip_suffix('-')).find(turns).unwrap_or(name)
}

/// The services that must be there before one is: by `depends_on`, or because it lives in a part of theirs.
fn depends(node: &Node) -> Vec<&str> {
    let shared = ["network_mode", "ipc", "pid"].iter().filter_map(|key| node.get(key)?.as_str()?.strip_prefix("service:"));
    let parts = ["links", "volumes_from"].iter().flat_map(|key| names(node.get(key))).filter_map(|item| item.split(':').next());
    names(node.get("depends_on")).into_iter().chain(shared).chain(parts).collect()
}

/// The items of a list, or the keys of a mapping.
fn names(node: Option<&Node>) -> Vec<&str> {
    match node.map(|node| &node.kind) {
        Some(Kind::Seq(items)) => items.iter().filter_map(|item| item.as_str().or_else(|| item.get("source")?.as_str())).collect(),
        Some(Kind::Map(entries)) => entries.iter().filter_map(|(key, _)| key.as_str()).collect(),
        _ => Vec::new(),
    }
}

/// What a service names: variables, files with credentials, or all of either.
#[derive(Default)]
struct Words {
    variables: BTreeSet<String>,
    files: BTreeSet<String>,
    all_variables: bool,
    all_files: bool,
}

impl Words {
    fn service(&mut self, node: &Node, document: &Node) {
        self.walk(node);
        // Named without a value, a variable is passed on.
        match node.get("environment").map(|node| &node.kind) {
            Some(Kind::Map(entries)) => self.variables.extend(entries.iter().filter(|(_, value)| value.is_null()).filter_map(|(key, _)| Some(key.as_str()?.to_owned()))),
            Some(Kind::Seq(items)) => self.variables.extend(items.iter().filter_map(|item| Some(item.as_str()?.to_owned()))),
            _ => {}
        }
        let environment = node.get("env_file").map(crate::yaml::emit).unwrap_or_default();
        self.all_variables |= environment.contains(".env");
        for key in ["secrets", "configs"] {
            for name in names(node.get(key)) {
                let Some(declared) = document.get(key).and_then(|all| all.get(name)) else { continue };
                self.walk(declared);
                self.variables.extend(declared.get("environment").and_then(Node::as_str).map(str::to_owned));
            }
        }
    }

    fn walk(&mut self, node: &Node) {
        match &node.kind {
            Kind::Seq(items) => items.iter().for_each(|item| self.walk(item)),
            Kind::Map(entries) => entries.iter().for_each(|(key, value)| {
                self.walk(key);
                self.walk(value);
            }),
            Kind::Scalar { text, .. } => {
                self.variables.extend(variables(text).into_iter().map(|(name, _)| name.to_owned()));
                for path in text.split(':') {
                    let mut parts = path.trim_end_matches('/').rsplit('/');
                    match (parts.next(), parts.next()) {
                        (Some("credentials"), _) => self.all_files = true,
                        (Some(file), Some("credentials")) => _ = self.files.insert(file.to_owned()),
                        _ => {}
                    }
                }
            }
        }
    }

    fn name(&self, secret: &SecretSpec) -> bool {
        match &secret.place {
            SecretPlace::Env => self.all_variables || self.variables.contains(&secret.name),
            SecretPlace::Credential(file) => self.all_files || self.files.contains(file),
        }
    }
}
