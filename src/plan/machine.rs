//! What the on-machine programs read: packages, and `plan.json`.

use super::{edge, open_ports, stages::Stage};
use crate::dotenv::dotenv_quote;
use crate::profile::model::{DockerSource, GitRef, Monitoring, Profile, SecretPlace, SecretSpec, SecretValue, Stack};
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

/// Packages by the stage that installs them.
pub struct Packages {
    edge: Vec<&'static str>,
    fetch: Vec<&'static str>,
    docker: Vec<&'static str>,
    harden: Vec<&'static str>,
    /// What `edge` installs at its end, by name: its configuration stands before it comes.
    web: Vec<&'static str>,
    /// What `docker` installs before all else, by name: it reads the key of Docker's repository.
    key: Vec<&'static str>,
}

impl Packages {
    /// The packages of the machine of `profile`.
    pub fn of(profile: &Profile) -> Self {
        let facts = profile.distribution.facts();
        let web = !edge::hosts(profile).is_empty();
        let mut edge = vec!["nftables", "sudo", "ca-certificates", "openssl", "tzdata", "curl", "iproute2"];
        // What is sealed is opened with it, and what a signed bundle brings later.
        if profile.sealed.is_some() || profile.follow.is_some() && profile.secrets.iter().any(|secret| secret.value == SecretValue::Later) {
            edge.push("age");
        }
        if profile.host.locale != "C.UTF-8" {
            edge.push("locales");
        }
        if web {
            edge.push("logrotate");
        }
        let key = if profile.docker.source == DockerSource::Upstream { vec!["gnupg"] } else { Vec::new() };
        let mut docker = match profile.docker.source {
            DockerSource::Distribution => facts.docker_packages.unwrap_or_default().to_vec(),
            DockerSource::Upstream => facts.docker_upstream_packages.to_vec(),
        };
        // Docker only recommends it, and without it runs containers unconfined.
        docker.push("apparmor");
        if !sources(profile).is_empty() {
            docker.extend(["git", "openssh-client"]);
        }
        // fail2ban reads the journal through python3-systemd, which it only recommends.
        let mut harden = vec!["ufw", "fail2ban", "python3-systemd", "unattended-upgrades", "needrestart"];
        if web && profile.tls.acme {
            harden.push("certbot");
        }
        if profile.follow.is_some() {
            harden.push("minisign");
        }
        let mut fetch = Vec::new();
        let backup = profile.backup.as_ref();
        if let Some(offsite) = backup.and_then(|backup| backup.offsite.as_ref()) {
            let early = backup.is_some_and(|backup| backup.restore_from.is_some());
            let list = if early { &mut fetch } else { &mut harden };
            list.push("restic");
            if offsite.ssh_key.is_some() {
                list.push("openssh-client");
            }
        }
        Self { edge, fetch, docker, harden, web: if web { vec!["nginx"] } else { Vec::new() }, key }
    }

    /// All of them in the order of installation.
    pub fn all(&self) -> Vec<String> {
        [&self.edge, &self.web, &self.fetch, &self.key, &self.docker, &self.harden].into_iter().flatten().map(|name| (*name).to_owned()).collect()
    }
}

/// Docker's own signing key, as its installation page names it.
const DOCKER_FINGERPRINT: &str = "9DC858229FC7DD38854AE2D88D81803C0EBFCD88";
/// Seconds until the services must be healthy.
const WAIT_SECONDS: u32 = 900;

/// The archive URL of Docker's repository for this profile.
pub fn docker_repository(profile: &Profile) -> &str {
    profile.docker.repository.as_deref().unwrap_or(profile.distribution.facts().docker_repository)
}

fn sources(profile: &Profile) -> Vec<(&str, &crate::profile::model::GitSource)> {
    let services = profile.stack.iter().flat_map(|stack| &stack.services);
    services.filter_map(|service| Some((service.name.as_str(), service.source.as_ref()?))).collect()
}

/// What `sshd -T` must answer.
fn sshd(profile: &Profile) -> Value {
    let ssh = &profile.ssh;
    json!({
        "port": ssh.port.to_string(),
        "permitrootlogin": "no",
        "passwordauthentication": "no",
        "kbdinteractiveauthentication": "no",
        "permitemptypasswords": "no",
        "maxauthtries": ssh.max_auth_tries.to_string(),
        "clientaliveinterval": ssh.idle_timeout_seconds.div_ceil(2).to_string(),
        "x11forwarding": "no",
    })
}

fn secret(secret: &SecretSpec) -> Value {
    let mut row = Map::new();
    row.insert("name".into(), json!(secret.name));
    if let SecretValue::Generate { length } = secret.value {
        row.insert("length".into(), json!(length));
    }
    for (word, is) in [("sealed", matches!(secret.value, SecretValue::Sealed(_))), ("later", secret.value == SecretValue::Later)] {
        if is {
            row.insert(word.into(), json!(true));
        }
    }
    if let SecretPlace::Credential(file) = &secret.place {
        row.insert("credential".into(), json!(file));
    }
    Value::Object(row)
}

/// What the monitoring's settings are made from on the machine.
fn watched(profile: &Profile, monitoring: &Monitoring) -> Result<Value> {
    let services = || profile.stack.iter().flat_map(|stack| &stack.services);
    let targets: Vec<Value> = services()
        .filter_map(|service| {
            let metrics = service.metrics.as_ref()?;
            let mut row = json!({"job": service.name, "address": format!("{}:{}", service.name, metrics.port), "path": metrics.path});
            if let Some(dashboard) = metrics.dashboard {
                row["dashboard"] = json!(dashboard);
            }
            Some(row)
        })
        .collect();
    let receivers = match &monitoring.receivers {
        Some(node) => crate::yaml::to_json(node).context("reading `alerts.receivers`")?,
        None => json!({}),
    };
    Ok(json!({
        "level": monitoring.level,
        "targets": targets,
        "slack": monitoring.slack,
        "heartbeat": monitoring.heartbeat,
        "receivers": receivers,
        "public": services().filter(|service| !service.routes.is_empty()).map(|service| &service.name).collect::<Vec<_>>(),
        "backup": profile.backup.is_some(),
        "url": profile.domain.as_ref().map_or_else(|| "http://localhost:3001/grafana/".to_owned(), |domain| format!("https://{domain}/grafana/")),
    }))
}

/// What deploys go by.
fn deploy(profile: &Profile, stack: &Stack) -> Value {
    let mut services = Map::new();
    for service in &stack.services {
        let Some(replacement) = &service.deploy else { continue };
        let mut row = json!(replacement);
        let mut ports: Vec<_> = service.routes.iter().filter_map(|route| Some((route.loopback_port, route.green_port?))).collect();
        ports.sort_unstable();
        ports.dedup();
        row["ports"] = json!(ports);
        services.insert(service.name.clone(), row);
    }
    let mut all = json!(profile.deploy);
    all["services"] = Value::Object(services);
    all
}

/// `/etc/julia-bootstrap/plan.json`: all that the stages and `bootstrapctl` need to know.
pub fn plan_json(profile: &Profile, stages: &[Stage], packages: &Packages) -> Result<Value> {
    let mut rows = Map::new();
    for stage in stages {
        let mut row = Map::new();
        row.insert("title".into(), json!(stage.title));
        row.insert("timeout".into(), json!(stage.timeout_seconds));
        if stage.every_boot {
            row.insert("every_boot".into(), json!(true));
        }
        if !stage.required {
            row.insert("required".into(), json!(false));
        }
        rows.insert(stage.name.into(), Value::Object(row));
    }
    let mut git = Vec::new();
    for (service, source) in sources(profile) {
        let reference = match &source.reference {
            GitRef::Branch(name) | GitRef::Tag(name) => name,
        };
        let key = match &source.deploy_key {
            None => "",
            Some(name) => match profile.secrets.iter().find(|secret| secret.name == *name).map(|secret| &secret.place) {
                Some(SecretPlace::Credential(file)) => file,
                _ => bail!("the deploy key {name} of {service} must be a secret with `as: credential`, because ssh reads it from a file"),
            },
        };
        git.push(format!("{service}\t{}\t{reference}\t{key}", source.repository));
    }
    let tls = &profile.tls;
    let mut plan = json!({
        "name": profile.name,
        "distribution": profile.distribution,
        "stages": rows,
        "host": profile.host,
        "admin": {"user": profile.admin.user},
        "packages": {"edge": packages.edge, "fetch": packages.fetch, "docker": packages.docker, "harden": packages.harden},
        "docker": {
            "key_url": format!("{}/gpg", docker_repository(profile).trim_end_matches('/')),
            "fingerprint": profile.docker.fingerprint.as_deref().unwrap_or(DOCKER_FINGERPRINT),
            "logins": profile.docker.logins,
        },
        "sshd": sshd(profile),
        "ports": open_ports(profile).iter().map(|rule| format!("{}/{}", rule.port, rule.protocol.name())).collect::<Vec<_>>(),
        "hosts": edge::hosts(profile),
        "tls": {
            "acme": tls.acme && !edge::hosts(profile).is_empty(),
            "email": tls.email,
            "directory": tls.directory,
            "staging": tls.staging_directory,
        },
        "secrets": profile.secrets.iter().map(secret).collect::<Vec<_>>(),
        "services": profile.stack.iter().flat_map(|stack| &stack.services).map(|service| &service.name).collect::<Vec<_>>(),
        "health": edge::health(profile),
        "closed": edge::closed(profile),
        "sources": git,
        "wait_seconds": WAIT_SECONDS,
    });
    let needs = super::secrets::needs(profile);
    if !needs.is_empty() {
        plan["needs"] = json!(needs);
    }
    if let Some(stack) = &profile.stack {
        plan["deploy"] = deploy(profile, stack);
    }
    if let Some(follow) = &profile.follow {
        plan["follow"] = json!(follow);
    }
    let stack = profile.stack.as_ref().map(|stack| crate::yaml::emit(&stack.compose)).unwrap_or_default();
    let used = || profile.variables.iter().filter(|(name, _)| stack.contains(name.as_str()));
    if used().next().is_some() {
        let quoted = used().filter_map(|(name, value)| Some((name.clone(), json!(dotenv_quote(value)?))));
        plan["variables"] = Value::Object(quoted.collect());
    }
    if let Some(backup) = &profile.backup {
        plan["backup"] = json!({"keep": backup.keep_seconds, "parts": backup.parts});
        if let Some(offsite) = &backup.offsite {
            plan["backup"]["offsite"] = json!(offsite);
            plan["backup"]["single"] = json!(backup.single);
            plan["backup"]["restore_from"] = json!(backup.restore_from);
            if backup.pitr {
                plan["backup"]["pitr"] = json!(true);
            }
        }
    }
    if let Some(monitoring) = &profile.monitoring {
        plan["monitoring"] = watched(profile, monitoring)?;
    }
    Ok(plan)
}
