//! Where the names lead, as the system's own resolver says.

use std::net::IpAddr;

use anyhow::Result;

use super::{Context, Outcome};

/// Every name leads to the same machine as the first.
pub fn names(context: &mut Context) -> Result<Outcome> {
    let Some(live) = context.live else { return Ok(Outcome::Skipped("the lab answers for the names".to_string())) };
    if live.resolved.is_empty() {
        return Ok(Outcome::Skipped("--address says where the machine is: nobody was asked".to_string()));
    }
    let list = |addresses: &[IpAddr]| addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
    let (mut wrong, mut told) = (Vec::new(), Vec::new());
    let mut first: Option<(&str, &[IpAddr])> = None;
    for (name, answer) in &live.resolved {
        match (answer, first) {
            (Err(why), _) => wrong.push(format!("{name}: {why}")),
            (Ok(addresses), Some((other, expected))) if addresses != expected => {
                wrong.push(format!("{name} leads to {}, {other} to {}", list(addresses), list(expected)));
            }
            (Ok(addresses), _) => {
                first.get_or_insert((name, addresses));
                told.push(format!("{name}: {}", list(addresses)));
            }
        }
    }
    if !live.out_of_reach.is_empty() {
        told.push(format!("not looked at, for there is no such network here: {}", list(&live.out_of_reach)));
    }
    Ok(if wrong.is_empty() { Outcome::Pass(told.join("; ")) } else { Outcome::Fail(wrong.join("; ")) })
}
