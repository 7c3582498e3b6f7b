//! `docs/budget.md`: every figure with its source, and what they come to.

use super::figures::{Figure, Of, TABLE, told};
use super::words::{disk, memory, thousands};
use super::{Budget, budget, fewer_backups, less_monitoring};
use crate::profile::BUILT_IN_SIZES;
use crate::profile::model::Profile;

/// The page, with the budget of a profile called `name` as an example.
pub fn markdown(name: &str, profile: &Profile) -> String {
    let mut text = String::from(include_str!("page_head.md"));
    text += "\n## Sizes\n\n| `host.size` | vCPU | Memory | The system sees | To use | Disk | To use |\n|---|---|---|---|---|---|---|\n";
    let now = budget(profile);
    for size in BUILT_IN_SIZES {
        let budget = now.on(size);
        text += &format!(
            "| `{}` | {} | {} | {} MiB | {} MiB | {} | {} MiB |\n",
            size.name.unwrap_or_default(),
            size.cpus,
            memory(size.memory_mib),
            thousands(budget.seen_mib),
            thousands(budget.memory.usable_mib),
            disk(size.disk_mib),
            thousands(budget.disk.usable_mib)
        );
    }
    text += &format!("\n## The profile `{name}`\n\n| | Memory, MiB | Disk, MiB |\n|---|---|---|\n");
    text += &sum("as it is", &now);
    for trim in less_monitoring(profile).into_iter().chain(fewer_backups(profile)) {
        text += &sum(&format!("`{}`", trim.switch), &trim.budget);
    }
    if let Some(item) = &now.passing {
        text += &format!("\n{} MiB of memory more {}.\n", thousands(item.mib), item.name);
    }
    text += "\n## Figures\n\nIn MiB.\n\n| Of | What | MiB | Source |\n|---|---|---|---|\n";
    for part in &TABLE.host {
        let of = match part.of {
            Some(Of::Web) => "machine with a domain",
            Some(Of::Container) => "each container",
            _ => "machine",
        };
        let name = part.name.as_ref().map(|name| name.0.as_str()).unwrap_or_default();
        text += &row(&format!("{of}: {name}"), "memory", part.memory.as_ref());
        text += &row(&format!("{of}: {name}"), "disk", part.disk.as_ref());
    }
    text += &row("each container", "log", TABLE.log.as_ref());
    let images = TABLE.images.iter().flat_map(|images| &images.0).map(|(name, image)| (format!("`{name}`"), image));
    for (name, image) in images.chain(TABLE.unknown.iter().map(|image| ("any other image".to_owned(), image))) {
        text += &row(&name, "memory", image.memory.as_ref());
        text += &row(&name, "image", image.image.as_ref());
        text += &row(&name, "data", image.data.as_ref());
    }
    if let Some(reserve) = &TABLE.reserve {
        text += &row("kept by the kernel", "memory", reserve.kernel.as_ref());
        text += &row("kept by the kernel, of each GiB", "memory", reserve.kernel_each_gib.as_ref());
        for (name, what, share) in [
            ("an image's next version", "of the image", &TABLE.version),
            ("a copy of files", "of their data", &TABLE.copy),
            ("a dump of a database", "of its data", &TABLE.dump),
            ("kept free", "memory", &reserve.memory),
            ("kept by the file system", "disk", &reserve.filesystem),
            ("kept free", "disk", &reserve.disk),
        ] {
            if let Some((percent, source)) = share.as_ref().and_then(|share| Some((share.percent?.0, &share.source.as_ref()?.0))) {
                text += &format!("| {name} | {what} | {percent} % | {source} |\n");
            }
        }
    }
    text
}

fn sum(what: &str, budget: &Budget) -> String {
    format!("| {what} | {} | {} |\n", thousands(budget.memory.expected_mib), thousands(budget.disk.expected_mib))
}

fn row(of: &str, what: &str, figure: Option<&Figure>) -> String {
    match figure {
        Some(_) => {
            let (mib, source) = told(figure);
            format!("| {of} | {what} | {} | {} |\n", thousands(mib), source.replace('|', "\\|"))
        }
        None => String::new(),
    }
}
