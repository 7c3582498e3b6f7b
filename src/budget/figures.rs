//! What images and the machine itself take: `profiles/budget/figures.yaml`, compiled in.

use crate::profile::quantity::{Mib, Percent, one_of};
use crate::profile::reader::{Reader, Value, section};
use crate::profile::text::Line;
use crate::report::Report;
use crate::yaml::{self, Node};
use std::sync::LazyLock;

const TEXT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/profiles/budget/figures.yaml"));

section! {
    /// So much, and who says so.
    Figure {
        /// How much.
        mib: required Mib, "none: must be written", "64";
        /// Where it is from.
        source: required Line, "none: must be written", "\"measured: …\"";
    }
}

section! {
    /// Such a part, and who says so.
    Share {
        /// Of a hundred.
        percent: required Percent, "none: must be written", "15";
        /// Where it is from.
        source: required Line, "none: must be written", "\"measured: …\"";
    }
}

section! {
    /// What an image takes.
    Image {
        /// Memory of one container.
        memory: required Figure, "none: must be written", "{mib: 64, source: …}";
        /// The image itself, unpacked.
        image: required Figure, "none: must be written", "{mib: 64, source: …}";
        /// What is held ready for its volumes.
        data: optional Figure, "nothing", "{mib: 64, source: …}";
    }
}

/// The images by repository.
#[derive(Clone, Debug)]
pub struct Images(pub Vec<(String, Image)>);

impl Value for Images {
    fn type_name() -> String {
        "mapping by repository".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let entries = node.as_map()?;
        let row = |(key, value): &(Node, Node)| Some((key.as_str()?.to_owned(), Image::read(value, reader)?));
        entries.iter().map(row).collect::<Option<_>>().map(Self)
    }
}

/// Which machines have it, or how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Each machine.
    Machine,
    /// Each machine with a web server.
    Web,
    /// Each container that runs.
    Container,
}

impl Value for Of {
    fn type_name() -> String {
        "`machine`, `web` or `container`".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let at = one_of(node, reader, &["machine", "web", "container"], "what a machine has")?;
        Some([Self::Machine, Self::Web, Self::Container][at])
    }
}

section! {
    /// What the machine takes beside the services.
    Part {
        /// Its name.
        name: required Line, "none: must be written", "docker";
        /// How often it is there.
        of: required Of, "none: must be written", "machine";
        /// Memory.
        memory: optional Figure, "none", "{mib: 64, source: …}";
        /// Disk.
        disk: optional Figure, "none", "{mib: 64, source: …}";
    }
}

section! {
    /// What of a plan's size there is to use.
    Reserve {
        /// Memory that the kernel keeps.
        kernel: required Figure, "none: must be written", "{mib: 64, source: …}";
        /// And for each GiB.
        kernel_each_gib: required Figure, "none: must be written", "{mib: 64, source: …}";
        /// Memory that is to stay free.
        memory: required Share, "none: must be written", "{percent: 15, source: …}";
        /// Disk that the file system keeps.
        filesystem: required Share, "none: must be written", "{percent: 8, source: …}";
        /// Disk that is to stay free.
        disk: required Share, "none: must be written", "{percent: 15, source: …}";
    }
}

section! {
    /// The whole table.
    Table {
        /// By repository.
        images: required Images, "none: must be written", "{redis: …}";
        /// Of any other image.
        unknown: required Image, "none: must be written", "{memory: …}";
        /// Beside the services.
        host: with Vec<Part>, "[]", "[{name: docker, of: machine}]";
        /// A container's log.
        log: required Figure, "none: must be written", "{mib: 30, source: …}";
        /// What of an image its next version brings anew.
        version: required Share, "none: must be written", "{percent: 30, source: …}";
        /// What the copy of files takes of what is held ready for them.
        copy: required Share, "none: must be written", "{percent: 30, source: …}";
        /// What the dump of a database takes of what is held ready for it.
        dump: required Share, "none: must be written", "{percent: 30, source: …}";
        /// What is not to be used.
        reserve: required Reserve, "none: must be written", "{kernel: …}";
    }
}

fn read(report: &mut Report) -> Option<Table> {
    let source = report.sources.add("figures.yaml", TEXT);
    let root = yaml::parse(report, source)?;
    Table::read(&root, &mut Reader { report })
}

/// The table; that it reads whole is what a test sees to.
pub static TABLE: LazyLock<Table> = LazyLock::new(|| read(&mut Report::new()).expect("the table of figures reads"));

/// How much, and from where; nothing where nothing is written.
pub fn told(figure: Option<&Figure>) -> (u32, &str) {
    let figure = figure.and_then(|figure| Some((figure.mib.as_ref()?.0, figure.source.as_ref()?.0.as_str())));
    figure.unwrap_or_default()
}

/// The figures that are parts, and what the kernel keeps.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kept {
    /// MiB that the kernel has for itself.
    pub kernel_mib: u32,
    /// And of each GiB.
    pub kernel_each_gib_mib: u32,
    /// Percent of the memory that stay free.
    pub memory: u32,
    /// Percent of the disk that the file system has for itself.
    pub filesystem: u32,
    /// Percent of the disk that stay free.
    pub disk: u32,
    /// Percent of an image that its next version brings anew.
    pub version: u32,
    /// Percent of what is held ready for files that their copy takes.
    pub copy: u32,
    /// Percent of what is held ready for a database that its dump takes.
    pub dump: u32,
}

/// The figures that are parts, and what the kernel keeps.
pub fn kept() -> Kept {
    let percent = |share: &Option<Share>| share.as_ref().and_then(|share| share.percent).map_or(0, |percent| percent.0);
    let kept = |reserve: &Reserve| Kept {
        kernel_mib: told(reserve.kernel.as_ref()).0,
        kernel_each_gib_mib: told(reserve.kernel_each_gib.as_ref()).0,
        memory: percent(&reserve.memory),
        filesystem: percent(&reserve.filesystem),
        disk: percent(&reserve.disk),
        version: percent(&TABLE.version),
        copy: percent(&TABLE.copy),
        dump: percent(&TABLE.dump),
    };
    TABLE.reserve.as_ref().map(kept).unwrap_or_default()
}

/// Where a part is from.
pub fn source(share: Option<&Share>) -> &str {
    share.and_then(|share| share.source.as_ref()).map_or("", |source| &source.0)
}

/// The repository of an image as the table writes it: without tag, digest, and what Docker adds by itself.
pub fn repository(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    let name = image.rfind('/').map_or(0, |slash| slash + 1);
    let image = image[name..].find(':').map_or(image, |colon| &image[..name + colon]);
    let image = ["docker.io/", "index.docker.io/", "registry-1.docker.io/"].iter().find_map(|hub| image.strip_prefix(hub)).unwrap_or(image);
    image.strip_prefix("library/").unwrap_or(image)
}

/// The row of an image, if there is one.
pub fn row(image: &str) -> Option<&'static Image> {
    let repository = repository(image);
    TABLE.images.as_ref()?.0.iter().find(|(known, _)| known == repository).map(|(_, row)| row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_reads_without_a_finding() {
        let mut report = Report::new();
        read(&mut report).expect("a table");
        assert!(report.findings().is_empty(), "{}", report.render_human(false, 120));
    }

    #[test]
    fn repositories_are_found_however_they_are_written() {
        for (image, wanted) in [
            ("redis", "redis"),
            ("docker.io/library/redis:7.4-alpine", "redis"),
            ("prom/prometheus:v2@sha256:00", "prom/prometheus"),
            ("registry.dev:5000/me/app", "registry.dev:5000/me/app"),
            ("registry.dev:5000/me/app:1", "registry.dev:5000/me/app"),
            ("me/app:${TAG:-1}", "me/app"),
            ("", ""),
        ] {
            assert_eq!(repository(image), wanted, "{image}");
        }
    }
}
