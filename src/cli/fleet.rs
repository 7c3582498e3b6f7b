//! `render --hosts`: one user-data for each row of a table, from one profile.

use super::init::is;
use super::{BAD_INPUT, BadInput, Source, Verbosity, terminal_width};
use crate::deliver::provider::Provider;
use crate::encode::{self, Format};
use crate::profile::text::Hostname;
use crate::report::{Report, Severity};
use crate::yaml::{self, Node};
use crate::{deliver, load, plan};
use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use url::Url;

/// Most bytes of a table: a hundred thousand hosts with a key each.
const MAX_TABLE: usize = 64 << 20;
/// So many findings are shown whole; of the others it is said how many there are.
const SHOWN: usize = 20;

/// One host.
struct Row {
    name: String,
    /// Where it stands in the table.
    line: usize,
    sets: Vec<String>,
}

/// What is written for a host, and how.
pub struct Fleet<'a> {
    /// The profile and what is laid over it.
    pub source: &'a Source,
    /// The folder that gets a file for each host.
    pub folder: &'a Path,
    /// How the machines are written down, where no provider chooses.
    pub format: Format,
    /// For which provider, which then chooses the format.
    pub provider: Option<&'a Provider>,
    /// Where each host's bundle will lie, as `NAME.bundle` below it: then its user-data is a stub.
    pub bundle_url: Option<&'a Url>,
}

/// What is told of the hosts together, once all are done.
#[derive(Default)]
struct Told {
    /// Rows that will not do: the line, and why.
    bad: Vec<(usize, String)>,
    /// Domains, and who has them.
    domains: BTreeMap<String, Vec<String>>,
    /// Most secrets in a bundle that others could read on its way.
    open_secrets: usize,
    /// What is to be warned of, and whose machines it is about.
    warnings: BTreeMap<String, Vec<String>>,
}

impl Fleet<'_> {
    /// Renders every host of the table `path`; a row that will not do is told, and the others go on.
    pub fn render(&self, path: &Path, verbosity: Verbosity) -> Result<ExitCode> {
        if let Some(url) = self.bundle_url {
            bundles_below(url)?;
        }
        if self.folder.exists() && !self.folder.is_dir() {
            bail!(BadInput(format!("{} is a file, and the hosts' files go into a folder: name one, or one that is not there yet", self.folder.display())));
        }
        let rows = table(path)?;
        if self.bundle_url.is_some() {
            let names: HashSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
            if let Some(row) = rows.iter().find(|row| names.contains(bundle_name(row).as_str())) {
                bail!(BadInput(format!("{}:{}: the bundle of `{}` would be called as another host is: call one of them otherwise", path.display(), row.line, row.name)));
            }
        }
        std::fs::create_dir_all(self.folder).with_context(|| format!("creating {}", self.folder.display()))?;
        let began = Instant::now();
        let bar = bar(rows.len(), verbosity);
        let (next, told) = (AtomicUsize::new(0), Mutex::new(Told::default()));
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(rows.len().max(1));
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if let Err(why) = self.one(path, row, &told)
                            && let Ok(mut told) = told.lock()
                        {
                            told.bad.push((row.line, format!("{}:{}: {}: {why}", path.display(), row.line, row.name)));
                        }
                        bar.inc(1);
                    }
                });
            }
        });
        bar.finish_and_clear();
        let Told { mut bad, domains, open_secrets, warnings } = told.into_inner().unwrap_or_default();
        bad.sort();
        for (_, why) in bad.iter().take(SHOWN) {
            crate::tell!("error: {}", why.trim_end());
        }
        if bad.len() > SHOWN {
            crate::tell!("error: and {} more rows", bad.len() - SHOWN);
        }
        if verbosity > Verbosity::Quiet {
            for (domain, hosts) in domains.iter().filter(|(_, hosts)| hosts.len() > 1) {
                crate::tell!("warning: {} hosts have the domain `{domain}` ({}), and its name can lead to one of them alone", hosts.len(), some(hosts));
            }
            for (warning, hosts) in warnings.iter().take(SHOWN) {
                crate::tell!("warning{warning} ({})", if hosts.len() == rows.len() { "every host".to_owned() } else { some(hosts) });
            }
            if warnings.len() > SHOWN {
                crate::tell!("warning: and {} more: `check` tells those of one host", warnings.len() - SHOWN);
            }
            if open_secrets > 0 {
                crate::tell!("{}", super::readable_on_its_way(open_secrets));
            }
            let good = rows.len() - bad.len();
            crate::tell!("{good} of {} hosts are in {} ({:.1} s)", rows.len(), self.folder.display(), began.elapsed().as_secs_f64());
        }
        Ok(if bad.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(BAD_INPUT) })
    }

    /// One host's files; an error is what is wrong with its row.
    fn one(&self, table: &Path, row: &Row, told: &Mutex<Told>) -> Result<(), String> {
        let mut input = self.source.input();
        input.sets.extend(row.sets.iter().cloned());
        input.inputs.push(table.to_owned());
        input.outputs.push(self.folder.join(&row.name));
        input.outputs.extend(self.bundle_url.map(|_| self.folder.join(bundle_name(row))));
        let mut report = Report::default();
        let profile = load::load(&input, &|name| std::env::var(name).ok(), &mut report);
        let Some(profile) = profile else {
            report.only_errors();
            return Err(report.render_human(false, terminal_width()));
        };
        if let Ok(mut told) = told.lock() {
            let warnings: BTreeSet<String> =
                report.findings().iter().filter(|finding| finding.severity == Severity::Warning).map(|finding| format!("[{}]: {}", finding.code, finding.message)).collect();
            for warning in warnings {
                told.warnings.entry(warning).or_default().push(row.name.clone());
            }
        }
        let render = || -> Result<()> {
            let plan = plan::plan(&profile)?;
            let format = self.provider.map_or(self.format, |provider| provider.form(plan.distribution));
            let (bytes, bundle) = match self.bundle_url {
                None => (format.encode(&plan)?.user_data, None),
                Some(url) => {
                    let name = bundle_name(row);
                    let (stub, bundle) = encode::remote(&plan, &url.join(&name)?, format.frame())?;
                    if let Ok(mut told) = told.lock() {
                        told.open_secrets = told.open_secrets.max(super::open_secrets(&plan, url));
                    }
                    (stub.user_data, Some((name, bundle)))
                }
            };
            if let Some(excess) = self.provider.and_then(|provider| provider.excess(bytes.len())) {
                bail!("its user-data is {excess} bytes too long for the provider: `--bundle-url URL/` makes a stub of it that fetches the rest, and without `--hosts` it is told what could be left out");
            }
            if let Some((name, bundle)) = bundle {
                deliver::file(&self.folder.join(name), &bundle, 0o600)?;
            }
            deliver::file(&self.folder.join(&row.name), &bytes, 0o600)
        };
        render().map_err(|error| format!("{error:#}"))?;
        if let (Some(domain), Ok(mut told)) = (profile.domain, told.lock()) {
            told.domains.entry(domain).or_default().push(row.name.clone());
        }
        Ok(())
    }
}

/// Refuses what no bundle can lie below.
fn bundles_below(url: &Url) -> Result<()> {
    if url.query().is_some() || url.fragment().is_some() {
        bail!(BadInput("--bundle-url: each host's bundle will lie below this, so write a folder without `?` and `#`: `https://files.example.com/fleet/`".to_owned()));
    }
    if !url.path().ends_with('/') {
        bail!(BadInput(format!("--bundle-url: each host's bundle will lie below this, so write a folder that ends with a slash: `{url}/`")));
    }
    Ok(())
}

/// What a host's bundle is called, here and where it is uploaded.
fn bundle_name(row: &Row) -> String {
    format!("{}.bundle", row.name)
}

/// The first of many names.
fn some(names: &[String]) -> String {
    const FIRST: usize = 3;
    let mut sorted = names.to_vec();
    sorted.sort();
    let more = if sorted.len() > FIRST { ", …" } else { "" };
    sorted.truncate(FIRST);
    sorted.join(", ") + more
}

fn bar(rows: usize, verbosity: Verbosity) -> ProgressBar {
    if verbosity == Verbosity::Quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(rows as u64);
    if let Ok(style) = ProgressStyle::with_template("{elapsed:>4} {wide_bar} {pos} of {len} hosts") {
        bar.set_style(style);
    }
    bar
}

/// The hosts of a table: CSV with a head, or a YAML list of mappings.
fn table(path: &Path) -> Result<Vec<Row>> {
    // It may be a pipe, which is read once and has no size before.
    let bytes = yaml::read_some(path, MAX_TABLE).map_err(|error| BadInput(format!("{} cannot be read: {error}", path.display())))?;
    if bytes.len() > MAX_TABLE {
        bail!(BadInput(format!("{} has more than {MAX_TABLE} bytes: split it", path.display())));
    }
    let yaml = path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
    let rows = if yaml { yaml_rows(path, &bytes)? } else { csv_rows(path, &bytes)? };
    let mut known = HashSet::new();
    for row in &rows {
        let place = format!("{}:{}", path.display(), row.line);
        if is::<Hostname>(&row.name).is_err() {
            bail!(BadInput(format!("{place}: `{}` is no host name, and its file is to be called so: write letters, digits and inner dashes", row.name)));
        }
        if !known.insert(&row.name) {
            bail!(BadInput(format!("{place}: `{}` is there twice, and one would be written over the other", row.name)));
        }
    }
    if rows.is_empty() {
        bail!(BadInput(format!("{} names no host", path.display())));
    }
    Ok(rows)
}

/// A host's settings; without one of its own, its host name is its name.
fn row(name: String, line: usize, cells: impl Iterator<Item = (String, String)>) -> Row {
    let mut sets: Vec<String> = cells.map(|(path, value)| format!("{path}={value}")).collect();
    if !sets.iter().any(|set| set.starts_with("host.hostname=")) {
        sets.push(format!("host.hostname={}", serde_json::Value::from(name.as_str())));
    }
    Row { name, line, sets }
}

/// What separates the cells: a comma, or what spreadsheets write where that is the decimal sign.
fn delimiter(bytes: &[u8]) -> u8 {
    let head = bytes.split(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
    [b',', b';', b'\t'].into_iter().find(|byte| head.contains(byte)).unwrap_or(b',')
}

/// The line of a quote that nothing closes: what comes after it would all be one cell.
fn open_quote(bytes: &[u8], delimiter: u8) -> Option<usize> {
    enum At {
        Start,
        Bare,
        Quoted,
        Closed,
    }
    let (mut at, mut line, mut opened) = (At::Start, 1, 1);
    for byte in bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes) {
        at = match (at, *byte) {
            (At::Start, b'"') => {
                opened = line;
                At::Quoted
            }
            (At::Quoted, b'"') => At::Closed,
            // Two of them stand for one; any other byte leaves a quoted cell as it is.
            (At::Closed, b'"') | (At::Quoted, _) => At::Quoted,
            (_, b'\n' | b'\r') => At::Start,
            (_, byte) if byte == delimiter => At::Start,
            _ => At::Bare,
        };
        line += usize::from(*byte == b'\n');
    }
    matches!(at, At::Quoted).then_some(opened)
}

/// The line of what is read at a position. The reader goes over empty lines, and calls the first of them the place.
fn line_of(bytes: &[u8], position: &csv::Position) -> usize {
    let [line, byte] = [position.line(), position.byte()].map(|number| usize::try_from(number).unwrap_or(usize::MAX));
    let rest = bytes.get(byte..).unwrap_or_default();
    line + rest.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).filter(|byte| **byte == b'\n').count()
}

fn csv_rows(path: &Path, bytes: &[u8]) -> Result<Vec<Row>> {
    let wrong = |error: csv::Error| {
        let line = error.position().map_or(String::new(), |position| format!("{}:", line_of(bytes, position)));
        let why = match error.kind() {
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => format!("the row has {len} cells, and the head {expected_len}: write as many, empty ones too"),
            csv::ErrorKind::Utf8 { .. } => "the row is not UTF-8: save the table as UTF-8".to_owned(),
            _ => error.to_string(),
        };
        BadInput(format!("{}:{line} {why}", path.display()))
    };
    let delimiter = delimiter(bytes);
    if let Some(line) = open_quote(bytes, delimiter) {
        bail!(BadInput(format!("{}:{line}: the quote is not closed: write `\"` at the end of its cell, and twice where one stands within", path.display())));
    }
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).delimiter(delimiter).from_reader(bytes);
    let head: Vec<String> = reader.headers().map_err(wrong)?.iter().map(str::to_owned).collect();
    let line = reader.headers().ok().and_then(csv::StringRecord::position).map_or(1, |position| line_of(bytes, position));
    let mut known = HashSet::new();
    if let Some(column) = head.iter().find(|column| !column.is_empty() && !known.insert(column.as_str())) {
        bail!(BadInput(format!("{}:{line}: the column `{column}` is there twice, and one value would be taken for the other: keep one of them", path.display())));
    }
    let Some(name) = head.iter().position(|column| column == "name") else {
        bail!(BadInput(format!("{}:{line}: no column is called `name`: the first line names the columns, the others are paths of the profile, as `name,domain,host.timezone`", path.display())));
    };
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(wrong)?;
        let line = record.position().map_or(0, |position| line_of(bytes, position));
        // An empty cell leaves what the profile says.
        let cells = head.iter().zip(record.iter()).enumerate().filter(|(index, (_, value))| *index != name && !value.is_empty());
        rows.push(row(record.get(name).unwrap_or_default().to_owned(), line, cells.map(|(_, (path, value))| (path.clone(), value.to_owned()))));
    }
    Ok(rows)
}

fn yaml_rows(path: &Path, bytes: &[u8]) -> Result<Vec<Row>> {
    let mut report = Report::new();
    let source = yaml::add_bytes(&mut report, &path.display().to_string(), bytes);
    let node = source.and_then(|source| yaml::parse(&mut report, source));
    let Some(node) = node else { bail!(BadInput(report.render_human(false, terminal_width()).trim_end().to_owned())) };
    let line = |node: &Node| report.sources.position(node.span).map_or(0, |(_, line, _)| line);
    let mut rows = Vec::new();
    let items = node.as_seq().with_context(|| format!("{}: a list of hosts is expected, each a mapping with `name` and paths of the profile", path.display())).map_err(|error| BadInput(error.to_string()))?;
    for item in items {
        let name = item.get("name").and_then(Node::as_str);
        let (Some(name), Some(entries)) = (name, item.as_map()) else {
            bail!(BadInput(format!("{}:{}: a host is a mapping with a `name`, as `- {{name: web1, domain: web1.example.com}}`", path.display(), line(item))));
        };
        let cells = entries.iter().filter(|(key, value)| key.as_str() != Some("name") && !value.is_null()).map(|(key, value)| {
            (key.as_str().unwrap_or_default().to_owned(), yaml::to_json(value).unwrap_or_default().to_string())
        });
        rows.push(row(name.to_owned(), line(item), cells));
    }
    Ok(rows)
}
