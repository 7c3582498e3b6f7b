//! Logins: who gets in, who does not, and what happens to those who try.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;

use super::{Context, Outcome};
use crate::lab::interrupt;
use crate::lab::outside::Role;
use crate::lab::ssh::Ssh;

const LIMIT: Duration = Duration::from_secs(30);

/// The administrator, with sudo.
pub fn admin(context: &mut Context) -> Result<Outcome> {
    let who = context.ssh.run(&["id", "-un"])?;
    if !who.ok() || who.stdout.trim() != context.expect.admin_user {
        return Ok(Outcome::Fail(format!("login as {} failed: {}", context.expect.admin_user, who.tail())));
    }
    let root = context.ssh.sudo(&["id", "-u"])?;
    Ok(if root.ok() && root.stdout.trim() == "0" {
        Outcome::Pass(format!("{} over {}", context.expect.admin_user, context.ssh.target))
    } else {
        Outcome::Fail(format!("sudo failed: {}", root.tail()))
    })
}

/// Someone whom a ban does not matter to.
fn intruder(context: &Context, user: &str) -> Ssh {
    let from = context.neighbour.map(|neighbour| (neighbour.netns().to_string(), neighbour.address(Role::Intrudes)));
    Ssh { user: user.to_string(), from, ..context.ssh.clone() }
}

/// root, with the very key that opens the administrator's account.
pub fn root_refused(context: &mut Context) -> Result<Outcome> {
    let ended = intruder(context, "root").run_with(&[], &["id"], b"", LIMIT)?;
    Ok(if ended.code == Some(255) && ended.stderr.contains("Permission denied") {
        Outcome::Pass(ended.tail())
    } else {
        Outcome::Fail(format!("ssh ended with {:?}: {}", ended.code, ended.tail()))
    })
}

/// The server offers keys and nothing else.
pub fn password_refused(context: &mut Context) -> Result<Outcome> {
    let options =
        ["PubkeyAuthentication=no", "PreferredAuthentications=password,keyboard-interactive", "NumberOfPasswordPrompts=1"];
    let user = context.expect.admin_user.clone();
    let ended = intruder(context, &user).run_with(&options, &["id"], b"", LIMIT)?;
    Ok(if ended.code == Some(255) && ended.stderr.contains("Permission denied (publickey)") {
        Outcome::Pass("the server offers public keys only".to_string())
    } else {
        Outcome::Fail(format!("ssh ended with {:?}: {}", ended.code, ended.tail()))
    })
}

/// `sshd -T` against the plan.
pub fn settings(context: &mut Context) -> Result<Outcome> {
    let ended = context.ssh.sudo(&["sshd", "-T"])?;
    if !ended.ok() {
        return Ok(Outcome::Fail(format!("sshd -T failed: {}", ended.tail())));
    }
    let wrong = differences(&ended.stdout, &context.expect.sshd);
    Ok(if wrong.is_empty() {
        Outcome::Pass(format!("{} settings", context.expect.sshd.len()))
    } else {
        Outcome::Fail(wrong.join("; "))
    })
}

/// Keys may come several times (AllowUsers does); their values are compared as sets.
fn differences(printed: &str, expected: &[(String, String)]) -> Vec<String> {
    let mut found: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in printed.lines() {
        if let Some((key, value)) = line.split_once(' ') {
            found.entry(key).or_default().extend(value.split_whitespace());
        }
    }
    expected
        .iter()
        .filter_map(|(key, value)| {
            let mut have = found.get(key.as_str()).cloned().unwrap_or_default();
            let mut want: Vec<&str> = value.split_whitespace().collect();
            have.sort_unstable();
            want.sort_unstable();
            (have != want).then(|| format!("{key} is `{}`, not `{value}`", have.join(" ")))
        })
        .collect()
}

/// Enough failures from one address, and it is shut out; others are not.
pub fn bans(context: &mut Context) -> Result<Outcome> {
    let (neighbour, _) = match context.outside() {
        Ok(found) => found,
        Err(skipped) => return Ok(skipped),
    };
    let address = neighbour.address(Role::Intrudes).to_string();
    let intruder = intruder(context, "nobody-of-that-name");
    let mut refused = false;
    for _ in 0..8 {
        let ended = intruder.run_with(&["ConnectTimeout=3"], &["id"], b"", Duration::from_secs(6))?;
        if !ended.stderr.contains("Permission denied") {
            refused = true;
            break;
        }
        interrupt::sleep(Duration::from_secs(1))?;
    }
    let listed = context.ssh.sudo(&["fail2ban-client", "get", "sshd", "banip"])?;
    let named = listed.stdout.split_whitespace().any(|word| word == address);
    let others = context.ssh.answers();
    let _ = context.ssh.sudo(&["fail2ban-client", "unban", &address]);
    Ok(match (refused, named, others) {
        (true, true, true) => Outcome::Pass(format!("{address} was banned, and unbanned by us")),
        (_, false, _) => Outcome::Fail(format!("fail2ban did not ban {address} after 8 failed logins: {}", listed.tail())),
        (false, ..) => Outcome::Fail(format!("fail2ban lists {address}, but its connections still got through")),
        (.., false) => Outcome::Fail("the ban shut out the administrator, too".to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sshd_settings_are_compared() {
        let printed = "port 22\nallowusers b\nallowusers a\nmaxauthtries 3\n";
        let pair = |key: &str, value: &str| (key.to_string(), value.to_string());
        assert!(differences(printed, &[pair("port", "22"), pair("allowusers", "a b")]).is_empty());
        assert_eq!(differences(printed, &[pair("maxauthtries", "6")]), ["maxauthtries is `3`, not `6`"]);
        assert_eq!(differences(printed, &[pair("x", "no")]).len(), 1);
    }
}
