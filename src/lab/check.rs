//! The acceptance checks: a registry of small functions, each held against the booted machine from outside.

mod backup;
mod containers;
mod deploy;
mod dns;
mod faults;
mod https;
mod machine;
mod metadata;
mod monitoring;
mod ports;
mod routes;
mod secrets;
mod ssh;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::background::Watch;
use super::engine::Engine;
use super::expect::Expect;
use super::facility::Facility;
use super::net::socket::Origin;
use super::net::tls::Trust;
use super::outside::{Neighbour, Role};
use super::live;
use super::report::{Row, Verdict};
use super::ssh::{Script, Ssh};
use super::view::View;
use super::{Seed, interrupt};

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It holds; what was seen.
    Pass(String),
    /// It does not; what was seen instead.
    Fail(String),
    /// It cannot be tried here; why.
    Skipped(String),
}

/// What the checks work with.
pub struct Context<'a> {
    /// The machine.
    pub engine: &'a mut dyn Engine,
    /// The lab, if there is one.
    pub lab: Option<&'a Facility>,
    /// A place outside to look from.
    pub neighbour: Option<&'a Neighbour>,
    /// The scanner that ran all along.
    pub watch: Option<&'a Watch>,
    /// What the machine is held to.
    pub expect: &'a Expect,
    /// The administrator's way in.
    pub ssh: Ssh,
    /// What it was booted from.
    pub seed: &'a Seed,
    /// Seconds from power-on to ready, when it got there.
    pub ready: Option<f64>,
    /// The stages with which the run ends; empty: all.
    pub until: &'a [String],
    /// Beginnings of the identifiers of the checks to run; empty: all.
    pub only: &'a [String],
    /// How long a boot may take.
    pub timeout: Duration,
    /// The display.
    pub view: &'a View,
    /// The ACME server's root, fetched once.
    pub root: Option<Vec<u8>>,
    /// What was broken on purpose.
    pub faults: faults::Faults,
    /// Who could read the metadata service, asked once.
    pub metadata: Option<serde_json::Value>,
    /// A machine that somebody runs, in place of one that was booted for this.
    pub live: Option<&'a live::Names>,
}

/// A named check.
pub struct Check {
    /// Stable identifier.
    pub id: &'static str,
    /// What is held to.
    pub title: &'static str,
    needs: Needs,
    place: Place,
    run: Function,
}

/// At which machines a check may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At one that was booted for it and may be broken.
    Booted,
    /// At one that somebody runs as well: it takes nothing, and nobody notices.
    Anywhere,
    /// The same, once somebody may log in.
    AnywhereBySsh,
    /// Only at one that somebody runs.
    Live,
}

/// How far a machine must have come for a check to make sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// Its base: users, SSH, firewall.
    Base,
    /// Everything.
    Ready,
}

use Needs::{Base, Ready};
use Place::{Anywhere, AnywhereBySsh, Live};

type Function = fn(&mut Context) -> Result<Outcome>;

const fn check(id: &'static str, needs: Needs, title: &'static str, run: Function) -> Check {
    Check { id, title, needs, place: Place::Booted, run }
}

impl Check {
    /// Whether it is tried at a machine that somebody runs.
    pub fn is_for_live(&self) -> bool {
        self.place != Place::Booted
    }

    const fn at(mut self, place: Place) -> Self {
        self.place = place;
        self
    }
}

/// Every check, in the order they run: what disturbs the machine comes late, the reboot last but for what watches it.
pub const CHECKS: &[Check] = &[
    check("machine-ready", Base, "The machine said that it is ready", machine::ready),
    check("ssh-admin", Base, "The administrator logs in with the key and may use sudo", ssh::admin),
    check("ssh-root-refused", Base, "root is refused", ssh::root_refused),
    check("ssh-password-refused", Base, "Passwords are refused", ssh::password_refused),
    check("sshd-settings", Base, "`sshd -T` is as planned", ssh::settings),
    check("machine-settings", Base, "Host name, time zone, swap and kernel settings are as planned", machine::settings),
    check("containers-healthy", Ready, "Every service runs and is healthy", containers::healthy),
    check("containers-not-root", Ready, "No container's first process is root without a reason", containers::not_root),
    check("monitoring-volume", Ready, "A small volume is filled to the brim", faults::volume),
    check("dns-names", Ready, "Every name leads to the machine", dns::names).at(Live),
    check("https-chain", Ready, "Certificates chain to a root that is believed", https::chain).at(Anywhere),
    check("https-expiry", Ready, "Certificates are valid for another week", https::expiry).at(Anywhere),
    check("https-redirect", Ready, "HTTP leads to HTTPS", https::redirect).at(Anywhere),
    check("https-headers", Ready, "Security headers and HSTS are sent", https::headers).at(Anywhere),
    check("https-versions", Ready, "TLS 1.2 and 1.3, nothing older", https::versions).at(Anywhere),
    check("https-health", Ready, "Health paths answer 200 through nginx", https::health).at(Anywhere),
    check("https-unlimited", Ready, "The route without a rate limit takes 60 requests at once", https::unlimited),
    check("https-rate-limit", Ready, "The route with a rate limit refuses most of 60 requests at once", https::limited),
    check("https-unknown-host", Ready, "Unknown host names are closed without an answer", https::unknown_host).at(Anywhere),
    check("https-routes", Ready, "Every route leads to a service that answers", routes::all).at(Anywhere),
    check("https-websockets", Ready, "WebSockets pass where they are promised", routes::websockets).at(Anywhere),
    check("https-logins", Ready, "Grafana refuses default credentials and sign-up", routes::logins).at(Anywhere),
    check("https-closed", Ready, "Sign-up and first-run pages refuse everybody", routes::closed).at(Anywhere),
    check("https-renewal", Ready, "A forced renewal changes what nginx serves", https::renewal),
    check("metadata-host", Ready, "The metadata service answers the machine itself, v4 and v6", metadata::host),
    check("metadata-containers", Ready, "The metadata service answers no container, v4 and v6", metadata::containers),
    check("secrets-modes", Ready, "Secrets are readable by root alone", secrets::modes),
    check("secrets-nowhere-else", Ready, "No secret's value in user-data, logs, console, ps or status", secrets::nowhere_else),
    check("bootstrapctl-check", Ready, "The machine's own acceptance test passes", machine::own_check).at(AnywhereBySsh),
    check("machine-runbook", Ready, "Every command of the runbook is one", machine::runbook),
    check("machine-memory", Ready, "Everything has room in the machine's memory", machine::memory),
    check("backup-made", Ready, "A backup is made, and restored by way of trial", backup::made),
    check("deploy-unnoticed", Ready, "A deploy that no request notices", deploy::unnoticed),
    check("backup-restored", Ready, "A backup brings back rows, keys, files and secrets", backup::restored),
    check("backup-damaged", Ready, "A backup with a flipped bit is refused, and nothing touched", backup::damaged),
    check("backup-drill", Ready, "A backup is restored by way of trial, and Prometheus knows", backup::drill),
    check("monitoring-targets", Ready, "Every target of Prometheus is up", monitoring::targets),
    check("monitoring-panels", Ready, "Every query of every dashboard has an answer", monitoring::panels),
    check("monitoring-logs", Ready, "What a container logs is found in Loki by its service", monitoring::logs),
    check("monitoring-faults", Ready, "A stage, a backup's date and a service are broken", faults::others),
    // Alerts take minutes to come: meanwhile the ports are scanned.
    check("ports-canaries", Ready, "Canaries listen on the machine, as process and as container, v4 and v6", ports::canaries),
    check("ports-scan", Base, "All TCP ports from outside, v4 and v6: only the planned ones", ports::scan).at(Anywhere),
    check("ports-routes", Ready, "Routes into Docker's networks and to 127.0.0.1 lead nowhere", ports::routes),
    check("monitoring-service", Ready, "A service that stops is told to Slack as critical", faults::service),
    check("monitoring-stage", Ready, "A stage that keeps failing is told to Slack as critical", faults::stage),
    check("monitoring-backup", Ready, "An old backup is told to Slack as critical", faults::backup),
    check("monitoring-memory", Ready, "A container killed for its memory is told to Slack", faults::memory),
    check("monitoring-disk", Ready, "A full disk is told to Slack as critical", faults::disk),
    check("monitoring-inhibited", Ready, "Warnings are held back by their critical ones", faults::inhibited),
    check("monitoring-mended", Ready, "After mending, each is told as resolved", faults::mended),
    check("monitoring-heartbeat", Ready, "Without Alertmanager the heartbeat stops", monitoring::heartbeat),
    check("upgrades-restart", Ready, "What an upgrade replaced begins anew, and no container with it", machine::upgrades),
    check("ports-disturbed", Ready, "The same after ufw reset, iptables -F and a dockerd restart; the machine mends it", ports::disturbed),
    check("fail2ban-bans", Base, "Failed logins lead to a ban of that address alone", ssh::bans),
    check("machine-recovered", Ready, "After being put right, the machine's own test passes again", machine::own_check),
    check("machine-reboot", Ready, "A reboot returns to ready by itself", machine::reboot),
    check("ports-all-along", Base, "From power-on to now, no scan ever saw another port", ports::all_along),
];

/// Runs every check.
pub fn run_all(context: &mut Context) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let here = |check: &&Check| match check.place {
        Place::Live => context.live.is_some(),
        _ => context.live.is_none() || check.is_for_live(),
    };
    let asked = |check: &&Check| context.only.is_empty() || context.only.iter().any(|prefix| check.id.starts_with(prefix));
    for check in CHECKS.iter().filter(here).filter(asked).collect::<Vec<_>>() {
        interrupt::check()?;
        context.view.now(&format!("checking: {}", check.title));
        let began = Instant::now();
        let outcome = if check.needs == Ready && !context.until.is_empty() {
            Outcome::Skipped(format!("the run ends with the stages {} (--until)", context.until.join(", ")))
        } else if check.place == AnywhereBySsh && !context.ssh.is_somewhere() {
            Outcome::Skipped("nobody may log in: --ssh USER@HOST".to_string())
        } else {
            (check.run)(context).unwrap_or_else(|error| Outcome::Fail(format!("{error:#}")))
        };
        interrupt::check()?;
        let (result, detail) = match outcome {
            Outcome::Pass(detail) => (Verdict::Pass, detail),
            Outcome::Fail(detail) => (Verdict::Fail, detail),
            Outcome::Skipped(detail) => (Verdict::Skipped, detail),
        };
        let word = match result {
            Verdict::Pass => "pass",
            Verdict::Fail => "FAIL",
            Verdict::Skipped => "skipped",
        };
        let why = if result == Verdict::Fail { format!(": {detail}") } else { String::new() };
        // The table of a look from outside comes at once.
        if context.live.is_none() {
            context.view.say(&format!("{word}: {}{why}", check.id));
        }
        rows.push(Row {
            id: check.id.to_string(),
            title: check.title.to_string(),
            result,
            detail,
            seconds: (began.elapsed().as_secs_f64() * 10.0).round() / 10.0,
        });
    }
    Ok(rows)
}

/// A script from `guest/`.
macro_rules! script {
    ($name:literal, $seconds:literal) => {
        $crate::lab::ssh::Script {
            name: $name,
            text: include_str!(concat!("guest/", $name)),
            limit: std::time::Duration::from_secs($seconds),
        }
    };
}

/// What runs on the machine.
pub const VERSIONS: Script = script!("versions.py", 60);
const BACKUP: Script = script!("backup.py", 1200);
const CANARY_START: Script = script!("canary_start.py", 180);
const CANARY_STOP: Script = script!("canary_stop.py", 120);
const NETWORKS: Script = script!("networks.py", 60);
const DISTURB: Script = script!("disturb.py", 300);
const CONTAINERS: Script = script!("containers.py", 60);
const METADATA: Script = script!("metadata.py", 300);
const SECRETS: Script = script!("secrets.py", 180);
const FAULTS: Script = script!("faults.py", 300);
const MONITORING: Script = script!("monitoring.py", 180);
const MEMORY: Script = script!("memory.py", 120);
const RUNBOOK: Script = script!("runbook.py", 300);
const RENEW: Script = script!("renew.py", 300);
const UPGRADES: Script = script!("upgrades.py", 420);

/// The texts of a list in what the machine told; none where it told no list.
fn words(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

impl Context<'_> {
    /// Where a role's traffic comes from: the neighbour, or right here without a lab.
    fn origin(&self, role: Role) -> Origin {
        self.neighbour.map(|neighbour| neighbour.origin(role)).unwrap_or_default()
    }

    /// The machine's addresses, or the reason why there are none.
    fn addresses(&self) -> std::result::Result<Vec<IpAddr>, Outcome> {
        let addresses = &self.engine.reach().addresses;
        if addresses.is_empty() {
            return Err(Outcome::Skipped(
                "user-mode networking shows three ports only: boot in a lab (--lab) for this".to_string(),
            ));
        }
        Ok(addresses.clone())
    }

    /// The machine's addresses and a place to look from, or the reason why there are none.
    fn outside(&self) -> std::result::Result<(&Neighbour, Vec<IpAddr>), Outcome> {
        let addresses = self.addresses()?;
        let neighbour = self.neighbour.ok_or_else(|| Outcome::Skipped("there is no place outside to look from: boot in a lab (--lab)".to_string()))?;
        Ok((neighbour, addresses))
    }

    /// Whom HTTPS checks believe: the ACME server's root, or anyone where there is no ACME. At a machine that somebody
    /// runs, whom the system believes.
    fn trust(&mut self) -> Result<Trust> {
        if let Some(root) = &self.root {
            return Ok(Trust::Roots(root.clone()));
        }
        if !self.expect.acme {
            return Ok(Trust::Anyone);
        }
        if self.live.is_some() {
            return Ok(Trust::System);
        }
        let lab = self.lab.context("without a lab there is no ACME server whose root could be asked for")?;
        let root = https::fetch_root(lab)?;
        self.root = Some(root.clone());
        Ok(Trust::Roots(root))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_unique_and_plain() {
        let mut seen = std::collections::BTreeSet::new();
        for check in CHECKS {
            assert!(seen.insert(check.id), "{} twice", check.id);
            assert!(check.id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'));
            assert!(!check.title.ends_with('.'));
        }
    }
}
