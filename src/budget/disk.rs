//! What lies on the disk.

use super::Item;
use super::figures::{self, TABLE};
use super::service::Service;
use crate::profile::model::{Part, Profile};

/// Seconds.
pub const DAY: u32 = 86_400;

/// Everything but the machine's own parts.
pub fn items(profile: &Profile, services: &[Service]) -> Vec<Item> {
    let mut items = vec![Item { name: "swap".into(), mib: profile.host.swap_mib, source: "the profile's host.swap".into() }];
    items.extend(images(profile, services));
    items.extend(data(services).into_iter().map(|(_, item)| item));
    items.push(logs(services));
    items.extend(backups(profile, services));
    items
}

/// The row of an image, or that of all that have none.
fn row(image: &str) -> Option<&'static figures::Image> {
    figures::row(image).or(TABLE.unknown.as_ref())
}

/// Each image once, and what is kept of older versions.
fn images(profile: &Profile, services: &[Service]) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    let share = figures::kept().version;
    let source = figures::source(TABLE.version.as_ref());
    for service in services.iter().filter(|service| service.copies > 0) {
        let image = service.image.as_str();
        if seen.contains(&image) {
            continue;
        }
        seen.push(image);
        let item = Item::of(format!("image {image}"), row(image).and_then(|row| row.image.as_ref()), 1);
        if services.iter().any(|other| other.image == image && other.is_deployed) {
            let older = u64::from(item.mib) * u64::from(share) * u64::from(profile.deploy.keep.saturating_sub(1)) / 100;
            items.push(Item { name: format!("older versions of {}", service.name), mib: u32::try_from(older).unwrap_or(u32::MAX), source: source.to_owned() });
        }
        items.push(item);
    }
    items
}

/// Each volume once, with the service that it is counted for.
fn data(services: &[Service]) -> Vec<(&Service, Item)> {
    let mut items: Vec<(&Service, Item)> = Vec::new();
    for service in services.iter().filter(|service| service.volume.is_some()) {
        let same = |other: &Service| other.volume == service.volume && other.image == service.image;
        if !items.iter().any(|(other, _)| same(other)) {
            let figure = row(&service.image).and_then(|row| row.data.as_ref());
            items.push((service, Item::of(format!("data of {}", service.name), figure, 1)));
        }
    }
    items
}

/// All logs together.
fn logs(services: &[Service]) -> Item {
    let mut logs = Item { name: "logs of containers".into(), mib: 0, source: String::new() };
    for service in services {
        logs.mib = logs.mib.saturating_add(service.log.0.saturating_mul(service.copies));
        if logs.source.is_empty() {
            logs.source.clone_from(&service.log.1);
        }
    }
    logs
}

/// All backups together: every day's is whole, and one more is being written.
fn backups(profile: &Profile, services: &[Service]) -> Option<Item> {
    let backup = profile.backup.as_ref()?;
    let (data, kept) = (data(services), figures::kept());
    let percent = |mib: u32, percent: u32| u32::try_from(u64::from(mib) * u64::from(percent) / 100).unwrap_or(mib);
    let of = |found: Option<&(&Service, Item)>| found.map_or(0, |(_, item)| item.mib);
    let mib = |part: &Part| match (part.kind, &part.elsewhere) {
        // Where a volume is the second one of a service, its data are counted with the first.
        ("volume", _) => percent(of(data.iter().find(|(service, _)| service.volume.as_deref() == Some(&part.name))), kept.copy),
        (_, Some(elsewhere)) => percent(Item::of("", row(&elsewhere.image).and_then(|row| row.data.as_ref()), 1).mib, kept.dump),
        _ => percent(of(data.iter().find(|(service, _)| service.name == part.name)), kept.dump),
    };
    let one = backup.parts.iter().fold(0, |sum: u32, part| sum.saturating_add(mib(part)));
    let days = (backup.keep_seconds / DAY).max(1);
    let source = format!("{days} days of {one} MiB, and one more in the making; files and databases as the table of figures reckons them");
    Some(Item { name: "backups".into(), mib: one.saturating_mul(days.saturating_add(1)), source })
}
