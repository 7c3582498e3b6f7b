//! `diff`: what a change means for the machine.

use super::{BAD_INPUT, BadInput, Verbosity};
use crate::diff::{Change, Machine, Text, Weight, diff};
use crate::encode::{self, strip};
use crate::report::printable;
use crate::load::{Input, PathOrName};
use crate::report::Report;
use crate::resolve::Ask;
use crate::{deliver, load, plan, yaml};
use anyhow::{Context, Result, bail};
use clap::Args;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Tell what differs between two machines: ports, services, data at risk, secrets, files.
#[derive(Args)]
#[command(after_help = "Examples:\n  julia-bootstrap diff old.yaml new.yaml\n  julia-bootstrap diff rendered/ my.yaml --env-file my.env --json\n  julia-bootstrap diff user-data my.yaml\n\nExit codes: 0 the same machine, 1 something differs, 2 one of them cannot be read.")]
pub struct Diff {
    /// A profile, an embedded profile's name, a folder that `render --format bundle` wrote, or user-data in any format.
    #[arg(value_name = "OLD")]
    old: String,
    /// The same.
    #[arg(value_name = "NEW")]
    new: String,
    /// Read the values of `env` secrets from this file (NAME=VALUE lines) before the environment.
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// No user-data is larger: providers take 64 KiB at most, and files may be megabytes.
const MOST: u64 = 16 << 20;

impl Diff {
    /// Runs the command.
    pub fn run(self, verbosity: Verbosity) -> Result<ExitCode> {
        // 1 says that something differs: whatever cannot be read is bad input here.
        let read = |name: &str| self.machine(name, verbosity).map_err(|error| anyhow::Error::from(BadInput(format!("{name}: {error:#}"))));
        let (Some(old), Some(new)) = (read(&self.old)?, read(&self.new)?) else { return Ok(ExitCode::from(BAD_INPUT)) };
        let changes = diff(&old, &new);
        let text = if self.json { format!("{:#}\n", serde_json::json!({"changes": changes})) } else { words(&changes) };
        deliver::stdout(text.as_bytes())?;
        Ok(ExitCode::from(u8::from(!changes.is_empty())))
    }

    /// The machine that a profile or a bundle describes; `None` when what is wrong with it was told.
    fn machine(&self, name: &str, verbosity: Verbosity) -> Result<Option<Machine>> {
        let path = Path::new(name);
        let files = if path.is_dir() {
            bundle(path)?
        } else if let Some(files) = user_data(path)? {
            files
        } else {
            let mut report = Report::default();
            let input = Input { ask: Ask::WithoutCommands, env_file: self.env_file.clone(), ..Input::new(PathOrName::parse(name)) };
            let profile = load::load(&input, &|name| std::env::var(name).ok(), &mut report);
            if report.has_errors() || verbosity > Verbosity::Normal {
                super::tell(&mut report, verbosity);
            }
            let Some(profile) = profile else { return Ok(None) };
            plan::plan(&profile)?.files.into_iter().map(|file| {
                let bare = strip::strip(&file).into_owned();
                (file.path, (file.mode, Text { whole: file.content, bare }))
            }).collect()
        };
        let json = |path: &str| files.get(path).map(|(_, text): &(u32, Text)| serde_json::from_str(&text.whole)).transpose();
        let plan: serde_json::Value = json("/etc/julia-bootstrap/plan.json").context("reading plan.json")?.context("there is no plan.json in it: is it a bundle?")?;
        let place = format!("/opt/{}/compose.yaml", plan["name"].as_str().unwrap_or_default());
        let compose = match files.get(&place) {
            None => serde_json::Value::Null,
            Some((_, text)) => {
                let mut report = Report::new();
                let source = report.sources.add(&place, text.whole.as_str());
                yaml::parse(&mut report, source).and_then(|node| yaml::to_json(&node)).with_context(|| format!("{place} cannot be read"))?
            }
        };
        Ok(Some(Machine { files, plan, compose }))
    }
}

/// The files of a user-data; nothing where the file is none, and so a profile.
fn user_data(path: &Path) -> Result<Option<BTreeMap<String, (u32, Text)>>> {
    let Ok(file) = std::fs::File::open(path) else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes).context("reading it")?;
    if ![&b"#cloud-config\n"[..], b"#!/bin/sh\n", b"\x1f\x8b", b"H4sI"].iter().any(|start| bytes.starts_with(start)) {
        return Ok(None);
    }
    let whole = bytes.windows(13).any(|part| part == b"\nwrite_files:");
    let text = |(path, (mode, whole_text)): (String, (u32, String))| {
        let bare = if whole { strip::bare(&path, &whole_text) } else { whole_text.clone() };
        (path, (mode, Text { whole: whole_text, bare }))
    };
    Ok(Some(encode::read::files(&bytes)?.into_iter().map(text).collect()))
}

/// The files of a folder that `render --format bundle` wrote.
fn bundle(folder: &Path) -> Result<BTreeMap<String, (u32, Text)>> {
    let manifest = folder.join("manifest.json");
    let text = std::fs::read_to_string(&manifest).with_context(|| format!("reading {}: is it a bundle?", manifest.display()))?;
    let rows: Vec<serde_json::Value> = serde_json::from_str(&text).with_context(|| format!("reading {}", manifest.display()))?;
    let mut files = BTreeMap::new();
    for row in rows {
        let path = row["path"].as_str().context("a file without a path")?;
        if Path::new(path).components().any(|part| matches!(part, std::path::Component::ParentDir)) {
            bail!("{path} leads out of the bundle");
        }
        let mode = row["mode"].as_u64().or_else(|| row["mode"].as_str().and_then(|text| u64::from_str_radix(text, 8).ok())).unwrap_or(0o644);
        let content = std::fs::read_to_string(folder.join("root").join(path.trim_start_matches('/'))).with_context(|| format!("reading {path}"))?;
        let mut bare = strip::bare(path, &content);
        if row["packed_sha256"] != encode::sha256(bare.as_bytes()) {
            bare.clone_from(&content);
        }
        files.insert(path.to_owned(), (u32::try_from(mode)?, Text { whole: content, bare }));
    }
    Ok(files)
}

fn words(changes: &[Change]) -> String {
    let mut text = String::new();
    for (weight, title) in [(Weight::Danger, "Careful"), (Weight::Notice, "Noticed by those who use it"), (Weight::Quiet, "Besides")] {
        let rows: Vec<&Change> = changes.iter().filter(|change| change.weight == weight).collect();
        if !rows.is_empty() {
            text += &format!("{title}\n");
        }
        for change in rows {
            text += &format!("  {:<9} {}\n", change.about, printable(&change.what));
        }
    }
    if text.is_empty() { "the same machine\n".to_owned() } else { text }
}
