//! The files of the machine.

use super::machine::{self, Packages};
use super::{File, edge, open_ports, stages::Stage};
use crate::profile::model::{DockerSource, Profile, Protocol, SecretValue};
use crate::{template, yaml};
use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Map, Value, json};

const CODE: &str = "/usr/local/lib/julia-bootstrap";
pub(super) const ETC: &str = "/etc/julia-bootstrap";
const UNITS: &str = "/etc/systemd/system";

/// Collects files, so that each line below says only what is special about one.
struct Files(Vec<File>);

impl Files {
    fn add(&mut self, section: &'static str, path: impl Into<String>, mode: u32, content: impl Into<String>, strip: bool) {
        self.0.push(File { path: path.into(), mode, content: content.into(), section, strip });
    }

    fn copy(&mut self, section: &'static str, path: impl Into<String>, mode: u32, name: &str) -> Result<()> {
        self.add(section, path, mode, template::text(name)?, !name.ends_with(".html"));
        Ok(())
    }

    /// Renders a template; blank lines carry meaning in apt's sources, and `#` in Markdown, so those are never stripped.
    fn render(&mut self, section: &'static str, path: impl Into<String>, mode: u32, name: &str, context: impl Serialize) -> Result<()> {
        let text = template::render(name, context)?;
        self.add(section, path, mode, text, !name.ends_with(".sources.j2") && !name.ends_with(".md.j2"));
        Ok(())
    }
}

/// Every file, code first, so that like stands beside like when it is compressed.
pub fn files(profile: &Profile, stages: &[Stage], packages: &Packages) -> Result<Vec<File>> {
    let mut files = Files(Vec::new());
    for name in ["firewall", "jb.py", "lib.sh", "stage", "start"] {
        let mode = if name.contains('.') { 0o644 } else { 0o755 };
        files.copy("stages", format!("{CODE}/{name}"), mode, &format!("lib/{name}"))?;
    }
    for stage in stages {
        files.copy("stages", format!("{CODE}/stages/{}", stage.name), 0o755, &format!("stages/{}", stage.name))?;
    }
    files.copy("bootstrapctl", "/usr/local/bin/bootstrapctl", 0o755, "lib/bootstrapctl")?;
    if profile.stack.is_some() || profile.domain.is_some() {
        files.copy("bootstrapctl", format!("{CODE}/ctl_stack.py"), 0o644, "lib/ctl_stack.py")?;
    }
    if profile.stack.is_some() {
        files.copy("bootstrapctl", format!("{CODE}/ctl_deploy.py"), 0o644, "lib/ctl_deploy.py")?;
    }
    if profile.secrets.iter().any(|secret| secret.value == SecretValue::Later) || profile.sealed.is_some() {
        files.copy("bootstrapctl", format!("{CODE}/late.py"), 0o644, "lib/late.py")?;
    }
    units(&mut files, profile, stages)?;
    base(&mut files, profile)?;
    if !edge::hosts(profile).is_empty() {
        web(&mut files, profile)?;
    }
    files.0.extend(super::secrets::files(profile)?);
    let plan = machine::plan_json(profile, stages, packages)?;
    files.add("plan", format!("{ETC}/plan.json"), 0o644, format!("{plan}\n"), false);
    runbook(&mut files, profile)?;
    if let Some(stack) = &profile.stack {
        // Merge keys are resolved by now: what top-level extensions held stands where it was used.
        let mut compose = stack.compose.clone();
        if let Some(entries) = compose.as_map_mut() {
            entries.retain(|(key, _)| !key.as_str().is_some_and(|key| key.starts_with("x-")));
        }
        let compose = yaml::emit(&compose);
        files.add("stack", format!("/opt/{}/compose.yaml", profile.name), 0o644, compose, false);
    }
    Ok(files.0)
}

fn units(files: &mut Files, profile: &Profile, stages: &[Stage]) -> Result<()> {
    let name = &profile.name;
    let unit = |what: &str| format!("{name}-{what}.service");
    for stage in stages {
        let after: Vec<_> = stage.after.iter().map(|other| unit(other)).collect();
        let context = json!({"title": format!("{name}: {}", stage.title), "after": after, "stage": stage.name, "systemd": profile.distribution.facts().systemd});
        files.render("units", format!("{UNITS}/{}", unit(stage.name)), 0o644, "units/stage.service.j2", context)?;
    }
    let all: Vec<_> = stages.iter().map(|stage| unit(stage.name)).collect();
    let target = format!("{UNITS}/{name}-bootstrap.target");
    files.render("units", target, 0o644, "units/bootstrap.target.j2", json!({"units": all}))?;
    let tidy = [
        (profile.stack.is_some(), "/usr/local/bin/bootstrapctl deploy --recover"),
        (profile.backup.is_some(), "/usr/bin/python3 /usr/local/lib/julia-bootstrap/ctl_backup.py tidy"),
    ];
    let tidy: Vec<_> = tidy.into_iter().filter(|(wanted, _)| *wanted).map(|(_, command)| command).collect();
    for what in ["firewall.service", "check.service", "check.timer"] {
        files.render("units", format!("{UNITS}/{name}-{what}"), 0o644, &format!("units/{what}.j2"), json!({"tidy": tidy}))?;
    }
    if profile.stack.is_some() {
        files.copy("units", format!("{CODE}/zeros"), 0o755, "lib/zeros")?;
        files.render("units", format!("{UNITS}/docker.service.d/julia-bootstrap.conf"), 0o644, "units/docker.conf.j2", json!({}))?;
    }
    if profile.monitoring.is_some() {
        for what in ["collect.service", "collect.timer"] {
            files.render("units", format!("{UNITS}/{name}-{what}"), 0o644, &format!("units/{what}.j2"), json!({}))?;
        }
        files.copy("monitoring", format!("{CODE}/collect"), 0o755, "monitoring/collect")?;
    }
    if let (Some(_), Some(seconds)) = (&profile.stack, profile.deploy.poll) {
        for what in ["deploy.service", "deploy.timer"] {
            files.render("units", format!("{UNITS}/{name}-{what}"), 0o644, &format!("units/{what}.j2"), json!({"name": name, "seconds": seconds}))?;
        }
    }
    if let Some(follow) = &profile.follow {
        for program in ["ctl_follow.py", "follow_back.py"] {
            files.copy("follow", format!("{CODE}/{program}"), 0o644, &format!("lib/{program}"))?;
        }
        let context = json!({"name": name, "seconds": follow.poll, "units": all});
        for what in ["follow.service", "follow.timer", "follow-recover.service"] {
            files.render("follow", format!("{UNITS}/{name}-{what}"), 0o644, &format!("units/{what}.j2"), &context)?;
        }
    }
    if let Some(backup) = &profile.backup {
        let local = [("backup", "Backup", format!("OnCalendar={}", backup.at)), ("drill", "Trial of the newest backup", "OnCalendar=Sun 05:15".to_owned())];
        let offsite = [
            ("offsite", "Newest backup to elsewhere", "OnBootSec=15min\nOnUnitInactiveSec=1h".to_owned()),
            ("check", "Test of the backups elsewhere", "OnCalendar=Sun 06:45".to_owned()),
            ("watch", "Whether a newer machine took over", "OnBootSec=1min\nOnUnitInactiveSec=3min".to_owned()),
        ];
        let log = [
            ("base", "New beginning for restores to any moment", format!("OnCalendar={}", later(&backup.at))),
            ("rehearse", "Trial of a restore to the newest moment", "OnCalendar=Sun 07:30".to_owned()),
            ("ship", "PostgreSQL's log to elsewhere", "OnBootSec=2min\nOnUnitInactiveSec=2min".to_owned()),
        ];
        let programs = [("ctl_backup", &local[..], true), ("offsite", &offsite[..], backup.offsite.is_some()), ("pitr", &log[..], backup.pitr)];
        for (program, rows, _) in programs.into_iter().filter(|(.., wanted)| *wanted) {
            files.copy("backup", format!("{CODE}/{program}.py"), 0o644, &format!("lib/{program}.py"))?;
            for (what, title, when) in rows {
                let context = json!({"title": format!("{name}: {title}"), "program": program, "what": what, "when": when});
                let unit = if *what == "backup" { "backup".to_owned() } else { format!("backup-{what}") };
                for kind in ["service", "timer"] {
                    files.render("backup", format!("{UNITS}/{name}-{unit}.{kind}"), 0o644, &format!("units/backup.{kind}.j2"), &context)?;
                }
            }
        }
    }
    if profile.backup.as_ref().is_some_and(|backup| backup.pitr) {
        files.render("backup", format!("{UNITS}/{name}-backup-log.service"), 0o644, "units/backup-log.service.j2", json!({}))?;
    }
    if profile.host.swap_mib > 0 {
        files.render("units", format!("{UNITS}/swapfile.swap"), 0o644, "units/swapfile.swap.j2", json!({}))?;
    }
    Ok(())
}

/// Three quarters of an hour after a time of day, `HH:MM`.
fn later(at: &str) -> String {
    let number = |text: &str| text.parse::<u32>().unwrap_or_default();
    let (hours, minutes) = at.split_once(':').unwrap_or((at, "0"));
    let minutes = number(hours) * 60 + number(minutes) + 45;
    format!("{:02}:{:02}", minutes / 60 % 24, minutes % 60)
}

/// `/etc/docker/daemon.json`. Log limits are the mission's: 10 MB, three files.
fn daemon(profile: &Profile) -> Value {
    let mut daemon = Map::new();
    daemon.insert("live-restore".into(), json!(true));
    daemon.insert("ip".into(), json!("127.0.0.1"));
    daemon.insert("log-driver".into(), json!("json-file"));
    let mut log = json!({"max-size": "10m", "max-file": "3"});
    if profile.monitoring.is_some() {
        // Each line of a container's log says whose it is.
        log["labels"] = json!("com.docker.compose.service");
    }
    daemon.insert("log-opts".into(), log);
    if !profile.docker.registry_mirrors.is_empty() {
        daemon.insert("registry-mirrors".into(), json!(profile.docker.registry_mirrors));
        // Pulls follow a mirror's own scheme, builds only believe in plain HTTP when told here.
        let plain = profile.docker.registry_mirrors.iter().filter_map(|mirror| mirror.strip_prefix("http://"));
        let plain: Vec<_> = plain.map(|mirror| mirror.trim_end_matches('/')).collect();
        if !plain.is_empty() {
            daemon.insert("insecure-registries".into(), json!(plain));
        }
    }
    Value::Object(daemon)
}

fn ports(rules: &[crate::profile::model::PortRule], protocol: Protocol) -> Vec<u16> {
    rules.iter().filter(|rule| rule.protocol == protocol).map(|rule| rule.port).collect()
}

fn base(files: &mut Files, profile: &Profile) -> Result<()> {
    let facts = profile.distribution.facts();
    let open = open_ports(profile);
    let public = profile.stack.as_ref().map(|stack| stack.public_ports.clone()).unwrap_or_default();
    let firewall = json!({
        "tcp": ports(&open, Protocol::Tcp), "udp": ports(&open, Protocol::Udp),
        "public_tcp": ports(&public, Protocol::Tcp), "public_udp": ports(&public, Protocol::Udp),
    });
    files.render("base", format!("{ETC}/firewall.nft"), 0o600, "etc/firewall.nft.j2", firewall)?;
    let users: Vec<_> = std::iter::once(&profile.admin.user).chain(&profile.ssh.allow_users).collect();
    let ssh = json!({"ssh": profile.ssh, "users": users});
    files.render("base", "/etc/ssh/sshd_config.d/00-julia-bootstrap.conf", 0o600, "etc/sshd.conf.j2", &ssh)?;
    if profile.ssh.idle_timeout_seconds > 0 {
        files.render("base", "/etc/profile.d/julia-bootstrap.sh", 0o644, "etc/idle.sh.j2", &ssh)?;
    }
    files.render("base", "/etc/sudoers.d/90-julia-bootstrap", 0o440, "etc/sudoers.j2", json!({"admin": profile.admin}))?;
    let keys: String = profile.admin.ssh_keys.iter().map(|key| format!("{key}\n")).collect();
    files.add("base", format!("{ETC}/authorized_keys"), 0o644, keys, false);
    files.render("base", "/etc/sysctl.d/90-julia-bootstrap.conf", 0o644, "etc/sysctl.conf.j2", json!({}))?;
    files.render("base", "/etc/modprobe.d/julia-bootstrap.conf", 0o644, "etc/modprobe.conf.j2", json!({}))?;
    files.render("base", "/etc/systemd/journald.conf.d/julia-bootstrap.conf", 0o644, "etc/journald.conf.j2", json!({}))?;
    files.render("base", "/etc/apt/apt.conf.d/52julia-bootstrap", 0o644, "etc/apt.conf.j2", json!({"updates": profile.updates}))?;
    files.render("base", "/etc/needrestart/conf.d/julia-bootstrap.conf", 0o644, "etc/needrestart.conf.j2", json!({"name": profile.name}))?;
    let web = !edge::hosts(profile).is_empty();
    // A banned proxy would be every client behind it.
    let ignore: Vec<_> = profile.fail2ban.ignore.iter().chain(&profile.trusted_proxies).map(ToString::to_string).collect();
    let jail = json!({"fail2ban": profile.fail2ban, "ssh": profile.ssh, "ignore": ignore, "web": web});
    files.render("base", "/etc/fail2ban/jail.local", 0o644, "etc/fail2ban.conf.j2", jail)?;
    let daemon = serde_json::to_string_pretty(&daemon(profile)).context("writing daemon.json")?;
    files.add("base", "/etc/docker/daemon.json", 0o644, daemon + "\n", false);
    for (registry, ca) in &profile.docker.authorities {
        files.add("base", format!("/etc/docker/certs.d/{registry}/ca.crt"), 0o644, ca, false);
    }
    files.render("base", "/etc/update-motd.d/50-julia-bootstrap", 0o755, "etc/motd.j2", json!({}))?;
    if profile.apt.mirror.is_some() || profile.apt.security_mirror.is_some() {
        let mirror = profile.apt.mirror.as_deref().unwrap_or(facts.mirror);
        let security = profile.apt.security_mirror.as_deref().unwrap_or(facts.security_mirror);
        let context = json!({
            "mirror": mirror, "security_mirror": security, "codename": facts.codename,
            "components": facts.components, "keyring": facts.keyring,
        });
        files.render("base", format!("{ETC}/apt.sources"), 0o644, "etc/apt.sources.j2", context)?;
    }
    if profile.docker.source == DockerSource::Upstream {
        let context = json!({"url": machine::docker_repository(profile), "codename": facts.codename});
        files.render("base", format!("{ETC}/docker.sources"), 0o644, "etc/docker.sources.j2", context)?;
    }
    Ok(())
}

fn web(files: &mut Files, profile: &Profile) -> Result<()> {
    files.render("web", "/etc/nginx/nginx.conf", 0o644, "nginx/nginx.conf.j2", edge::Edge::of(profile))?;
    files.render("web", format!("{UNITS}/nginx.service.d/julia-bootstrap.conf"), 0o644, "units/nginx.conf.j2", json!({}))?;
    files.copy("web", "/etc/needrestart/restart.d/nginx.service", 0o755, "etc/needrestart-nginx")?;
    files.copy("web", format!("{CODE}/page.html"), 0o644, "page.html")?;
    if profile.tls.acme {
        files.copy("web", "/etc/letsencrypt/renewal-hooks/deploy/julia-bootstrap", 0o755, "lib/renewed")?;
    }
    if let Some(ca) = &profile.tls.ca {
        files.add("web", format!("{ETC}/acme-ca.pem"), 0o644, ca, false);
        let path = format!("{UNITS}/certbot.service.d/julia-bootstrap.conf");
        files.render("web", path, 0o644, "etc/certbot.conf.j2", json!({}))?;
    }
    Ok(())
}

/// What people do by hand, with this machine's own names.
fn runbook(files: &mut Files, profile: &Profile) -> Result<()> {
    let services = profile.stack.iter().flat_map(|stack| &stack.services).filter(|service| !service.is_job);
    let context = json!({
        "name": profile.name,
        "user": profile.admin.user,
        "port": profile.ssh.port,
        "web": profile.domain.is_some(),
        "backup": profile.backup.is_some(),
        "offsite": profile.backup.as_ref().is_some_and(|backup| backup.offsite.is_some()),
        "pitr": profile.backup.as_ref().is_some_and(|backup| backup.pitr),
        "follow": profile.follow.is_some(),
        "services": services.map(|service| &service.name).collect::<Vec<_>>(),
        "monitoring": profile.monitoring.is_some(),
        "grafana": profile.monitoring.as_ref().and(profile.domain.as_ref()).map(|domain| format!("https://{domain}/grafana/")),
        "more": profile.runbook,
    });
    let path = format!("/opt/{}/RUNBOOK.md", profile.name);
    files.render("runbook", path, 0o644, &format!("runbook/{}.md.j2", profile.language), context)
}
