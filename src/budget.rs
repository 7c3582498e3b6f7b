//! The budget: what a machine's services are expected to take of its memory and disk, and what there is.
//!
//! It is a sum of expectations, not of limits: limits are meant to be more than the machine has. Processors are not
//! reckoned with: they are shared, and a service that waits for one is slow, not dead.

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
    /// Memory that stays in use. Jobs end, and are not in it.
    pub memory: Account,
    /// The job that takes the most, on top of all that while it runs; what is kept free is there for that.
    pub job: Option<Item>,
    /// The sum of the limits of memory, as far as services have one.
    pub limits_mib: u32,
    /// Disk.
    pub disk: Account,
}

impl Budget {
    /// True when memory is enough, also while the largest job runs.
    pub fn memory_fits(&self) -> bool {
        self.memory.fits() && self.peak_mib() <= self.seen_mib
    }

    /// What is taken while the largest job runs.
    pub fn peak_mib(&self) -> u32 {
        self.memory.expected_mib.saturating_add(self.job.as_ref().map_or(0, |job| job.mib))
    }
}

/// Something that makes a machine take less.
#[derive(Clone, Debug)]
pub struct Trim {
    /// What to write.
    pub switch: &'static str,
    /// What is taken then.
    pub budget: Budget,
}

/// The part of `mib` that is left when so many of a hundred are taken away.
fn less(mib: u32, percent: u32) -> u32 {
    u32::try_from(u64::from(mib) * u64::from(100 - percent.min(100)) / 100).unwrap_or(mib)
}

/// Memory that the system sees of a plan's.
fn seen(memory_mib: u32) -> u32 {
    let kept = figures::kept();
    let pages = u64::from(memory_mib) * u64::from(kept.kernel_each_gib_mib) / 1024;
    memory_mib.saturating_sub(kept.kernel_mib + u32::try_from(pages).unwrap_or(0))
}

/// The budget of a profile's machine.
pub fn budget(profile: &Profile) -> Budget {
    of(profile, profile.host.size, &|_| true)
}

/// The budget of a machine of this size with these of the services.
fn of(profile: &Profile, size: MachineSize, has: &dyn Fn(&str) -> bool) -> Budget {
    let kept = figures::kept();
    let services: Vec<_> = service::services(profile).into_iter().filter(|service| has(&service.name)).collect();
    let running: u32 = services.iter().filter(|service| !service.is_job).map(|service| service.copies).sum();
    let web = profile.domain.is_some();
    let (mut memory, mut disk) = (Vec::new(), Vec::new());
    for part in &TABLE.host {
        let times = match part.of {
            Some(Of::Web) => u32::from(web),
            Some(Of::Container) => running,
            _ => 1,
        };
        let item = |figure: Option<&figures::Figure>| {
            let (mib, source) = told(figure);
            Item { name: part.name.as_ref().map(|name| name.0.clone()).unwrap_or_default(), mib: mib.saturating_mul(times), source: source.to_owned() }
        };
        memory.push(item(part.memory.as_ref()));
        disk.push(item(part.disk.as_ref()));
    }
    let swap = Item { name: "swap".into(), mib: profile.host.swap_mib, source: "the profile's host.swap".into() };
    disk.push(swap);
    memory.extend(services.iter().filter(|service| !service.is_job).map(service::Service::memory_item));
    disk.extend(service::disk(&services));
    let job = services.iter().filter(|service| service.is_job).map(service::Service::memory_item).max_by_key(|item| item.mib);
    let limits_mib = services.iter().filter(|service| !service.is_job).fold(0, |sum: u32, service| {
        sum.saturating_add(service.limit_mib.unwrap_or(0).saturating_mul(service.copies))
    });
    let seen_mib = seen(size.memory_mib);
    Budget {
        size,
        seen_mib,
        memory: Account::new(less(seen_mib, kept.memory), memory),
        job,
        limits_mib,
        disk: Account::new(less(size.disk_mib, kept.filesystem + kept.disk), disk),
    }
}

/// What less monitoring takes, the smaller loss first.
pub fn trims(profile: &Profile) -> Vec<Trim> {
    let Some(monitoring) = &profile.monitoring else { return Vec::new() };
    let ours = |name: &str| monitoring.services.iter().find(|service| service.name == name);
    let mut trims = Vec::new();
    if monitoring.level == Level::Full {
        let budget = of(profile, profile.host.size, &|name| ours(name).is_none_or(|service| service.in_lite));
        trims.push(Trim { switch: "monitoring: lite", budget });
    }
    let budget = of(profile, profile.host.size, &|name| ours(name).is_none());
    trims.push(Trim { switch: "monitoring: none", budget });
    trims
}

/// The smallest plan that has a word, is larger, and on which everything fits.
pub fn larger(profile: &Profile) -> Option<MachineSize> {
    let now = profile.host.size;
    let grows = |size: &MachineSize| size.memory_mib >= now.memory_mib && size.disk_mib >= now.disk_mib && *size != now;
    BUILT_IN_SIZES.into_iter().filter(grows).find(|size| {
        let budget = of(profile, *size, &|_| true);
        budget.memory_fits() && budget.disk.fits()
    })
}

/// The least that a plan must have for everything to fit: memory in GiB, disk in GB.
pub fn needed(profile: &Profile) -> (u32, u32) {
    let size = |memory_mib: u32, disk_mib: u32| MachineSize { name: None, memory_mib, disk_mib, ..profile.host.size };
    let gib = (1..1024).find(|gib| of(profile, size(gib * 1024, 1), &|_| true).memory_fits()).unwrap_or(1024);
    let gb = (1..1000).map(|ten| ten * 10).find(|gb| of(profile, size(1024, disk_mib(*gb)), &|_| true).disk.fits());
    (gib, gb.unwrap_or(10_000))
}

/// MiB of so many GB of 10⁹ bytes.
fn disk_mib(gb: u32) -> u32 {
    u32::try_from((u64::from(gb) * 1_000_000_000) >> 20).unwrap_or(u32::MAX)
}

/// What a container of an image is expected to take, if the table knows it.
pub fn usual(image: &str) -> Option<u32> {
    figures::row(image).map(|row| told(row.memory.as_ref()).0)
}
