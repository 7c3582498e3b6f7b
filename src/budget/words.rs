//! The budget in words.

use super::{Account, Budget, figures};

/// A plan's memory.
pub fn memory(mib: u32) -> String {
    if mib.is_multiple_of(1024) { format!("{} GiB", mib / 1024) } else { format!("{} MiB", thousands(mib)) }
}

/// A plan's disk, in GB as providers count.
pub fn disk(mib: u32) -> String {
    format!("{} GB", thousands(((u64::from(mib) << 20) as f64 / 1e9).round() as u32))
}

/// What takes the most.
pub fn largest(account: &Account, count: usize) -> String {
    let items: Vec<_> = account.items.iter().take(count).map(|item| format!("{} ({})", item.name, thousands(item.mib))).collect();
    items.join(", ")
}

/// `12,345`.
pub fn thousands(number: u32) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A few lines for who wants to know.
pub fn lines(budget: &Budget) -> Vec<String> {
    let account = |what: &str, account: &Account| {
        format!("{what}: {} MiB expected, {} to use", thousands(account.expected_mib), thousands(account.usable_mib))
    };
    let (size, free) = (&budget.size, figures::kept());
    let mut lines = vec![
        format!("{} (of {} the system sees {}, and {} % stay free)", account("memory", &budget.memory), memory(size.memory_mib), thousands(budget.seen_mib), free.memory),
        format!("  most by {}", largest(&budget.memory, 5)),
    ];
    if let Some(item) = &budget.passing {
        lines.push(format!("  {} more {}", thousands(item.mib), item.name));
    }
    if budget.limits_mib > 0 {
        let more = if budget.limits_mib > budget.seen_mib { ": more than there is, as limits may" } else { "" };
        lines.push(format!("  limits add up to {}{more}", thousands(budget.limits_mib)));
    }
    lines.push(format!("{} (of {}, {} % are the file system's, and {} % stay free)", account("disk", &budget.disk), disk(size.disk_mib), free.filesystem, free.disk));
    lines.push(format!("  most by {}", largest(&budget.disk, 5)));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_people_read_them() {
        for (number, wanted) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567"), (u32::MAX, "4,294,967,295")] {
            assert_eq!(thousands(number), wanted);
        }
        assert_eq!((memory(4096), memory(3000), disk(38_146)), ("4 GiB".into(), "3,000 MiB".into(), "40 GB".into()));
    }
}
