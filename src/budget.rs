//! The budget: what a machine's services are expected to take of its memory and disk, and what there is.
//!
//! It is a sum of expectations, not of limits: limits are meant to be more than the machine has. Processors are not
//! reckoned with: they are shared, and a service that waits for one is slow, not dead.

mod disk;
pub mod figures;
pub mod page;
mod service;
pub mod words;

use crate::profile::BUILT_IN_SIZES;
use crate::profile::model::{Level, MachineSize, Profile};
use figures::{Of, TABLE, told};
pub use service::{limit, reservation};
use serde::Serialize;

/// One thing that takes something.
#[derive(Clone, Debug, Serialize)]
pub struct Item {
    /// What: a service, an image, or a part of the machine.
    pub name: String,
    /// How much.
    pub mib: u32,
    /// Who says so.
    pub source: String,
}

impl Item {
    fn of(name: impl Into<String>, figure: Option<&figures::Figure>, times: u32) -> Self {
        let (mib, source) = told(figure);
        Self { name: name.into(), mib: mib.saturating_mul(times), source: source.to_owned() }
    }
}

/// What is taken of one thing, and what there is of it.
#[derive(Clone, Debug, Serialize)]
pub struct Account {
    /// What there is to take.
    pub usable_mib: u32,
    /// What is expected to be taken.
    pub expected_mib: u32,
    /// By what, largest first.
    pub items: Vec<Item>,
}

impl Account {
    fn new(usable_mib: u32, mut items: Vec<Item>) -> Self {
        items.retain(|item| item.mib > 0);
        items.sort_by_key(|item| std::cmp::Reverse(item.mib));
        let expected_mib = items.iter().fold(0, |sum: u32, item| sum.saturating_add(item.mib));
        Self { usable_mib, expected_mib, items }
    }

    /// True when there is enough.
    pub fn fits(&self) -> bool {
        self.expected_mib <= self.usable_mib
    }
}

/// The budget of one machine.
#[derive(Clone, Debug, Serialize)]
pub struct Budget {
    /// What the plan has.
    pub size: MachineSize,
    /// Memory that the system sees of it.
    pub seen_mib: u32,
    /// Memory that stays in use. What passes is not in it.
    pub memory: Account,
    /// The most that comes on top of that for a while; what is kept free is there for it.
    pub passing: Option<Item>,
    /// The sum of the limits of memory, as far as services have one.
    pub limits_mib: u32,
    /// Disk.
    pub disk: Account,
}

impl Budget {
    /// True when memory is enough, also for what passes.
    pub fn memory_fits(&self) -> bool {
        self.memory.fits() && self.peak_mib() <= self.seen_mib
    }

    /// Memory with what passes.
    pub fn peak_mib(&self) -> u32 {
        self.memory.expected_mib.saturating_add(self.passing.as_ref().map_or(0, |item| item.mib))
    }

    /// The same on a machine of another size.
    pub fn on(&self, size: MachineSize) -> Self {
        let kept = figures::kept();
        let mut budget = self.clone();
        budget.size = size;
        budget.seen_mib = seen(size.memory_mib);
        budget.memory.usable_mib = less(budget.seen_mib, kept.memory);
        budget.disk.usable_mib = less(size.disk_mib, kept.filesystem + kept.disk);
        budget
    }

    /// The smallest plan that has a word, is larger, and on which everything fits.
    pub fn larger(&self) -> Option<MachineSize> {
        let now = self.size;
        let grows = |size: &MachineSize| size.memory_mib >= now.memory_mib && size.disk_mib >= now.disk_mib && *size != now;
        BUILT_IN_SIZES.into_iter().filter(grows).find(|size| {
            let budget = self.on(*size);
            budget.memory_fits() && budget.disk.fits()
        })
    }

    /// The least that a plan must have for everything to fit: memory in GiB, disk in GB.
    pub fn needed(&self) -> (u32, u32) {
        let size = |memory_mib: u32, disk_mib: u32| MachineSize { name: None, memory_mib, disk_mib, ..self.size };
        let gib = (1..1024).find(|gib| self.on(size(gib * 1024, 1)).memory_fits()).unwrap_or(1024);
        let gb = (1..1000).map(|ten| ten * 10).find(|gb| self.on(size(1024, disk_mib(*gb))).disk.fits());
        (gib, gb.unwrap_or(10_000))
    }
}

/// The part of `mib` that is left when so many of a hundred are taken away.
fn less(mib: u32, percent: u32) -> u32 {
    u32::try_from(u64::from(mib) * u64::from(100 - percent.min(100)) / 100).unwrap_or(mib)
}

/// MiB of so many GB of 10⁹ bytes.
fn disk_mib(gb: u32) -> u32 {
    u32::try_from((u64::from(gb) * 1_000_000_000) >> 20).unwrap_or(u32::MAX)
}

/// Memory that the system sees of a plan's.
fn seen(memory_mib: u32) -> u32 {
    let kept = figures::kept();
    let pages = u64::from(memory_mib) * u64::from(kept.kernel_each_gib_mib) / 1024;
    memory_mib.saturating_sub(kept.kernel_mib.saturating_add(u32::try_from(pages).unwrap_or(0)))
}

/// The budget of a profile's machine.
pub fn budget(profile: &Profile) -> Budget {
    let services = service::services(profile);
    let staying = || services.iter().filter(|service| !service.is_job);
    let containers: u32 = staying().map(|service| service.copies).sum();
    let (mut memory, mut disk) = (Vec::new(), Vec::new());
    for part in &TABLE.host {
        let times = match part.of {
            Some(Of::Web) => u32::from(profile.domain.is_some()),
            Some(Of::Container) => containers,
            _ => 1,
        };
        let name = part.name.as_ref().map(|name| name.0.as_str()).unwrap_or_default();
        memory.push(Item::of(name, part.memory.as_ref(), times));
        disk.push(Item::of(name, part.disk.as_ref(), times));
    }
    memory.extend(staying().map(service::Service::memory_item));
    disk.extend(disk::items(profile, &services));
    let limit = |service: &service::Service| service.limit_mib.unwrap_or(0).saturating_mul(service.copies);
    let budget = Budget {
        size: profile.host.size,
        seen_mib: 0,
        memory: Account::new(0, memory),
        passing: service::passing(&services),
        limits_mib: staying().fold(0, |sum: u32, service| sum.saturating_add(limit(service))),
        disk: Account::new(0, disk),
    };
    budget.on(profile.host.size)
}

/// Something that makes a machine take less.
#[derive(Clone, Debug)]
pub struct Trim {
    /// What to write.
    pub switch: String,
    /// What is taken then.
    pub budget: Budget,
}

impl Trim {
    fn new(switch: impl Into<String>, profile: &Profile) -> Self {
        Self { switch: switch.into(), budget: budget(profile) }
    }
}

/// What less monitoring takes, the smaller loss first.
pub fn less_monitoring(profile: &Profile) -> Vec<Trim> {
    let Some(monitoring) = &profile.monitoring else { return Vec::new() };
    let without = |lite: bool| {
        let mut profile = profile.clone();
        let gone = |name: &str| monitoring.services.iter().any(|ours| ours.name == name && !(lite && ours.in_lite));
        if let Some(stack) = &mut profile.stack {
            stack.services.retain(|service| !gone(&service.name));
        }
        profile
    };
    let none = Trim::new("monitoring: none", &without(false));
    match monitoring.level {
        Level::Full => vec![Trim::new("monitoring: lite", &without(true)), none],
        Level::Lite => vec![none],
    }
}

/// The longest that backups could be kept on the disk, or a day where even that is too long.
pub fn fewer_backups(profile: &Profile) -> Option<Trim> {
    let days = profile.backup.as_ref()?.keep_seconds / disk::DAY;
    let keeping = |days: u32| {
        let mut profile = profile.clone();
        if let Some(backup) = &mut profile.backup {
            backup.keep_seconds = days * disk::DAY;
        }
        Trim::new(format!("backup: {{keep: {days}d}}"), &profile)
    };
    // A fortnight is as far as it is worth to try.
    (1..days.min(15)).rev().map(keeping).find(|trim| trim.budget.disk.fits()).or_else(|| (days > 1).then(|| keeping(1)))
}

/// What a container of an image is expected to take, if the table knows it.
pub fn usual(image: &str) -> Option<u32> {
    figures::row(image).map(|row| told(row.memory.as_ref()).0)
}
