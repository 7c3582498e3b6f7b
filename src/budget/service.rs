//! What one service takes, as far as Compose's own words or the table of figures tell.

use super::Item;
use super::figures::{self, TABLE, told};
use crate::profile::model::Profile;
use crate::resolve::COLOURS;
use crate::yaml::{Kind, Node};

/// A service, as far as the budget goes.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its key under `services:`.
    pub name: String,
    /// It ends when its work is done.
    pub is_job: bool,
    /// How many containers it has.
    pub copies: u32,
    /// Memory of one container, and who says so.
    pub memory: (u32, String),
    /// Its limit.
    pub limit_mib: Option<u32>,
    /// Image, or what stands for it where it is built.
    pub image: String,
    /// What it keeps its data in, if anything.
    pub volume: Option<String>,
    /// What its log may come to, and who says so.
    pub log: (u32, String),
    /// The profile says how a new version comes in.
    pub is_deployed: bool,
    /// Two of it run while that happens.
    pub takes_turns: bool,
}

impl Service {
    /// Its line in the account of memory.
    pub fn memory_item(&self) -> Item {
        let mib = self.memory.0.saturating_mul(self.copies);
        Item { name: self.name.clone(), mib, source: self.memory.1.clone() }
    }
}

/// The most that comes on top of what stays, for a while: a job, or what is replaced and runs twice meanwhile.
pub fn passing(services: &[Service]) -> Option<Item> {
    let item = |service: &Service, what: &str| Item { name: format!("while {} {what}", service.name), ..service.memory_item() };
    let jobs = services.iter().filter(|service| service.is_job).map(|service| item(service, "runs"));
    let turns = || services.iter().filter(|service| service.takes_turns);
    // What shares an image is replaced together.
    let first = |service: &&Service| turns().find(|other| other.image == service.image).is_some_and(|other| other.name == service.name);
    let replaced = turns().filter(first).map(|service| {
        let all = turns().filter(|other| other.image == service.image).map(|other| other.memory_item().mib);
        Item { mib: all.fold(0, u32::saturating_add), ..item(service, "is replaced") }
    });
    jobs.chain(replaced).max_by_key(|item| item.mib)
}

/// The services that the machine starts.
pub fn services(profile: &Profile) -> Vec<Service> {
    let Some(stack) = &profile.stack else { return Vec::new() };
    let written = stack.compose.get("services");
    stack
        .services
        .iter()
        .filter_map(|service| {
            let takes_turns = service.deploy.as_ref().is_some_and(|way| way.blue_green);
            let first = format!("{}-{}", service.name, COLOURS[0]);
            let node = written?.get(if takes_turns { &first } else { &service.name })?;
            let image = service.image.clone().unwrap_or_else(|| format!("{} (built)", service.name));
            Some(Service {
                name: service.name.clone(),
                is_job: service.is_job,
                copies: copies(node),
                memory: memory(node, &image, service.is_job),
                limit_mib: limit(node).map(|(_, mib)| mib),
                volume: volume(node),
                log: log(node),
                is_deployed: service.deploy.is_some(),
                takes_turns,
                image,
            })
        })
        .collect()
}

/// How many containers; none are none.
fn copies(node: &Node) -> u32 {
    let replicas = node.get("deploy").and_then(|deploy| deploy.get("replicas"));
    let number = |node: &Node| node.as_str().and_then(|text| text.parse::<u32>().ok());
    node.get("scale").and_then(number).or_else(|| replicas.and_then(number)).unwrap_or(1).min(1000)
}

/// Compose's two places for one setting: on the service, and under `deploy.resources`.
fn setting<'n>(node: &'n Node, short: &str, long: &str) -> Option<&'n Node> {
    let resources = || node.get("deploy")?.get("resources")?.get(long)?.get("memory");
    node.get(short).filter(|value| !value.is_null()).or_else(resources)
}

/// What is written of the memory that it takes.
pub fn reservation(node: &Node) -> Option<(&Node, u32)> {
    let value = setting(node, "mem_reservation", "reservations")?;
    Some((value, bytes_mib(value.as_str()?)?))
}

/// What is written of the memory that it may take.
pub fn limit(node: &Node) -> Option<(&Node, u32)> {
    let value = setting(node, "mem_limit", "limits")?;
    Some((value, bytes_mib(value.as_str()?)?)).filter(|(_, mib)| *mib > 0)
}

/// What one container is expected to keep in use.
fn memory(node: &Node, image: &str, is_job: bool) -> (u32, String) {
    if let Some((_, mib)) = reservation(node) {
        return (mib, "the profile's mem_reservation".into());
    }
    let limit = limit(node).map(|(_, mib)| (mib, "the profile's mem_limit".to_owned()));
    let row = figures::row(image).map(|row| told(row.memory.as_ref())).map(|(mib, source)| (mib, source.to_owned()));
    let known = match (row, limit) {
        // A job may be a small client in the image of a large server.
        (Some(row), Some(limit)) if is_job && limit.0 < row.0 => Some(limit),
        (row, limit) => row.or(limit),
    };
    if let Some(known) = known {
        return known;
    }
    let (mib, source) = told(TABLE.unknown.as_ref().and_then(|row| row.memory.as_ref()));
    (mib, source.into())
}

/// What Compose and Docker read as a size: `512m`, `1.5gb`, `268435456`, `2GiB`; in whole MiB, rounded up.
pub fn bytes_mib(text: &str) -> Option<u32> {
    let text = text.trim().to_ascii_lowercase();
    let text = text.strip_suffix('b').unwrap_or(&text);
    let text = text.strip_suffix('i').unwrap_or(text);
    let power = match text.chars().next_back()? {
        'k' => 1,
        'm' => 2,
        'g' => 3,
        't' => 4,
        _ => 0,
    };
    let number = if power > 0 { &text[..text.len() - 1] } else { text }.trim_end();
    let plain = !number.is_empty() && number.len() <= 18 && number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let bytes = number.parse::<f64>().ok().filter(|_| plain)? * 1024f64.powi(power);
    Some((bytes / f64::from(1 << 20)).ceil().min(f64::from(1 << 30)) as u32)
}

/// The first volume or folder that it mounts: where two services name the same, the data are the same.
fn volume(node: &Node) -> Option<String> {
    let entries = node.get("volumes").and_then(Node::as_seq).unwrap_or_default();
    entries.iter().find_map(|entry| {
        let (source, read_only) = match &entry.kind {
            Kind::Scalar { text, .. } => {
                let mut parts = text.split(':');
                (parts.next()?, parts.nth(1).is_some_and(|mode| mode.split(',').any(|word| word == "ro")))
            }
            _ => {
                let read_only = entry.get("read_only").and_then(Node::as_bool) == Some(true);
                (entry.get("source").and_then(Node::as_str)?, read_only)
            }
        };
        (!read_only && !source.ends_with(".sock")).then(|| source.to_owned())
    })
}

/// What its log may come to. Without a word of its own the daemon's holds.
fn log(node: &Node) -> (u32, String) {
    let logging = node.get("logging").filter(|logging| !logging.is_null());
    let driver = logging.and_then(|logging| logging.get("driver")).and_then(Node::as_str).unwrap_or("json-file");
    let option = |name: &str| logging.and_then(|logging| logging.get("options"))?.get(name).and_then(Node::as_str);
    match (driver, option("max-size").and_then(bytes_mib)) {
        ("json-file", Some(mib)) => {
            let files = option("max-file").and_then(|text| text.parse::<u32>().ok()).unwrap_or(1);
            (mib.saturating_mul(files), "the services' logging: max-size times max-file".into())
        }
        ("json-file" | "local", _) => {
            let (mib, source) = told(TABLE.log.as_ref());
            (mib, source.into())
        }
        // The journal has a bound of its own, and what goes elsewhere is not here.
        _ => (0, String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_docker_reads_them() {
        for (text, mib) in [
            ("512m", 512),
            ("1g", 1024),
            ("1.5gb", 1536),
            ("2GiB", 2048),
            ("268435456", 256),
            ("268435457b", 257),
            ("64 M", 64),
            ("0", 0),
            ("1t", 1 << 20),
            ("999999999999999999t", 1 << 30),
        ] {
            assert_eq!(bytes_mib(text), Some(mib), "{text}");
        }
        for text in ["", "m", "b", "12q", "-1", "1e3", "${MEMORY}", "1..2", "é", "ib"] {
            assert_eq!(bytes_mib(text), None, "{text}");
        }
    }
}
