//! Doing something from inside another network namespace.

use std::path::Path;

use anyhow::{Context, Result, anyhow};

/// Runs `work` on a thread of its own inside the named network namespace (or right here without a name).
pub fn within<T: Send>(name: Option<&str>, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let Some(name) = name else {
        return work();
    };
    let path = Path::new("/run/netns").join(name);
    let file = std::fs::File::open(&path)
        .with_context(|| format!("opening the network namespace {}", path.display()))?;
    std::thread::scope(|scope| {
        scope
            .spawn(move || {
                let kind = Some(rustix::thread::LinkNameSpaceType::Network);
                rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), kind)
                    .with_context(|| format!("entering the network namespace {name}"))?;
                work()
            })
            .join()
            .map_err(|_| anyhow!("the work inside the network namespace {name} broke off"))?
    })
}
