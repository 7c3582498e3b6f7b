//! The machine's size against what its services take.

use super::at;
use crate::budget::words::{disk, largest, memory, thousands};
use crate::budget::{self, Budget, Trim};
use crate::report::Report;
use crate::resolve::Resolved;
use crate::yaml::Node;

pub(super) fn check(resolved: &Resolved, root: &Node, report: &mut Report) {
    limits(resolved, report);
    // What is taken is known of a profile that reads.
    if report.has_errors() {
        return;
    }
    let profile = &resolved.profile;
    let budget = budget::budget(profile);
    let span = at(root, &["host", "size"]);
    if !budget.memory_fits() {
        let (taken, there) = match &budget.passing {
            Some(item) if budget.memory.fits() => (format!("{} MiB {}", thousands(budget.peak_mib()), item.name), budget.seen_mib),
            _ => (format!("{} MiB", thousands(budget.memory.expected_mib)), budget.memory.usable_mib),
        };
        let message = format!(
            "memory is short: {taken} are expected to be taken, and of {} there are {} MiB to use; the most take {}",
            memory(budget.size.memory_mib),
            thousands(there),
            largest(&budget.memory, 3)
        );
        let trims = budget::less_monitoring(profile);
        let help = mend(&budget, &trims, &|budget| budget.memory.expected_mib, &Budget::memory_fits);
        report.warning(span, "budget-memory", message).help(help);
    }
    if !budget.disk.fits() {
        let message = format!(
            "the disk is small: {} MiB are expected to be taken, and of {} there are {} MiB to use; the most take {}",
            thousands(budget.disk.expected_mib),
            disk(budget.size.disk_mib),
            thousands(budget.disk.usable_mib),
            largest(&budget.disk, 3)
        );
        let trims: Vec<_> = budget::fewer_backups(profile).into_iter().chain(budget::less_monitoring(profile)).collect();
        let help = mend(&budget, &trims, &|budget| budget.disk.expected_mib, &|budget| budget.disk.fits());
        report.warning(span, "budget-disk", message).help(help);
    }
}

/// Services that would be killed for what they are expected to take.
fn limits(resolved: &Resolved, report: &mut Report) {
    let is_job = |name: &str| resolved.services.iter().any(|other| other.waits_for_end_of(name));
    for service in &resolved.services {
        let Some((node, limit)) = budget::limit(&service.node) else { continue };
        let name = &service.name;
        if let Some((written, reservation)) = budget::reservation(&service.node) {
            if reservation > limit {
                report
                    .error(written.span, "memory-limit", format!("Docker does not start `{name}`: it reserves more memory than its limit allows"))
                    .help("raise `mem_limit`, or lower `mem_reservation`");
            }
        } else if let Some(expected) = service.image().and_then(budget::usual)
            && expected > limit
            && !is_job(name)
        {
            let message = format!("`{name}` is expected to take {} MiB, and is killed at {}", thousands(expected), thousands(limit));
            report.warning(node.span, "memory-limit", message).help(format!("write `mem_limit: {expected}m` or more; or say what it takes by `mem_reservation`"));
        }
    }
}

/// What brings it to fit: one of the switches, if one does, and a larger machine.
fn mend(now: &Budget, trims: &[Trim], sum: &dyn Fn(&Budget) -> u32, fits: &dyn Fn(&Budget) -> bool) -> String {
    let saved = |trim: &Trim| sum(now).saturating_sub(sum(&trim.budget));
    let saves = |trim: &Trim| thousands(saved(trim));
    let mut ways = Vec::new();
    match trims.iter().position(|trim| fits(&trim.budget)) {
        Some(at) => {
            let trim = &trims[at];
            let vain = trims[..at].iter().map(|vain| format!("; `{}` takes only {} MiB less", vain.switch, saves(vain)));
            ways.push(format!("write `{}`, which takes {} MiB less{}", trim.switch, saves(trim), vain.collect::<String>()));
        }
        None => {
            if let Some(trim) = trims.iter().max_by_key(|trim| saved(trim)) {
                ways.push(format!("`{}` takes {} MiB less, which is not enough", trim.switch, saves(trim)));
            }
        }
    }
    let plan = match now.larger() {
        Some(size) => {
            let (memory, disk, word) = (memory(size.memory_mib), disk(size.disk_mib), size.name.unwrap_or_default());
            format!("choose a plan of {} vCPU, {memory} and {disk}, and write `host: {{size: {word}}}`", size.cpus)
        }
        None => {
            let (gib, gb) = now.needed();
            format!("choose a plan with at least {gib} GiB of memory and {gb} GB of disk, and write it as `host.size`")
        }
    };
    ways.push(plan);
    ways.join("; or ")
}
