//! The machine: keys, Docker, secrets, ports of the host.

use super::{at, is_example, services};
use crate::profile::model::{DockerSource, Protocol, SecretPlace, SecretValue};
use crate::profile::reader::{nearest, shown};
use crate::report::{Report, Severity, Span};
use crate::resolve::{Resolved, STAND_IN};
use crate::yaml::Node;

pub(super) fn check(resolved: &Resolved, root: &Node, report: &mut Report) {
    if let Some((key, _)) = root.entry("follow").filter(|(_, value)| !value.is_null())
        && resolved.compose.is_none()
    {
        report.error(key.span, "unused", "a bundle brings services, and there are none").help("write `services`, or take `follow` out");
    }
    keys(resolved, root, report);
    docker(resolved, root, report);
    ports(resolved, root, report);
    alerts(resolved, root, report);
    secrets(resolved, root, report);
}

fn keys(resolved: &Resolved, root: &Node, report: &mut Report) {
    let keys = &resolved.profile.admin.ssh_keys;
    let written = root.get("admin").and_then(|admin| admin.get("ssh_keys")).and_then(Node::as_seq).unwrap_or_default();
    if keys.is_empty() && written.is_empty() {
        report
            .warning(at(root, &["admin", "ssh_keys"]), "placeholder", "no SSH key is written, so nobody can log in")
            .help("add the line of your `.pub` file under `admin.ssh_keys`");
    }
    let body = |key: &str| key.split(' ').take(2).collect::<Vec<_>>().join(" ");
    for (index, key) in keys.iter().enumerate() {
        if keys[..index].iter().any(|earlier| body(earlier) == body(key)) {
            let span = written.get(index).map(|item| item.span);
            report.warning(span, "duplicate", "this SSH key stands here a second time").help("remove one");
        }
    }
    for item in written {
        if item.as_str().and_then(|key| key.rsplit_once('@')).is_some_and(|(_, host)| is_example(host)) {
            report
                .warning(item.span, "placeholder", "this SSH key is an example's: you cannot log in with it")
                .help("write the line of your own `.pub` file");
        }
    }
    if let Some(runbook) = root.get("runbook") {
        services::placeholders(runbook, report);
    }
    if let Some(email) = &resolved.profile.tls.email
        && email.rsplit_once('@').is_some_and(|(_, domain)| is_example(domain))
    {
        report
            .warning(at(root, &["tls", "email"]), "placeholder", format!("`{email}` is an example address"))
            .help("write an address that somebody reads");
    }
    if resolved.profile.ssh.allow_users.contains(&resolved.profile.admin.user) {
        let span = at(root, &["ssh", "allow_users"]);
        report.warning(span, "duplicate", "the admin user may log in anyway").help("remove it from `allow_users`");
    }
}

fn docker(resolved: &Resolved, root: &Node, report: &mut Report) {
    let docker = &resolved.profile.docker;
    let facts = resolved.profile.distribution.facts();
    if docker.source == DockerSource::Distribution && facts.docker_packages.is_none() {
        let message = format!("{} has no Compose v2 among its packages", facts.title);
        report.error(at(root, &["docker", "source"]), "no-compose", message).help("write `docker: {source: docker}`");
    }
    if docker.source == DockerSource::Distribution && docker.repository.is_some() {
        report
            .warning(at(root, &["docker", "repository"]), "unused", "this repository is not used")
            .help("write `docker.source: docker` to take Docker from it");
    }
    let logins = root.get("docker").and_then(|docker| docker.get("logins")).and_then(Node::as_seq).unwrap_or_default();
    for login in logins {
        if let Some(password) = login.get("password") {
            let name = password.as_str().unwrap_or_default();
            secret_exists(root, name, password.span, report);
            if is_generated(resolved, name) {
                let message = format!("the registry cannot know the password `{name}`, which the machine makes for itself");
                report.error(password.span, "generated", message).help("write the secret as `{env: …}` or `{file: …}`");
            }
        }
    }
    for service in &resolved.services {
        if let Some(source) = &service.source
            && let Some(key) = &source.value.deploy_key
        {
            secret_exists(root, key, source.span, report);
            let secret = resolved.profile.secrets.iter().find(|secret| secret.name == *key);
            if is_generated(resolved, key) {
                let message = format!("`{key}` is made on the machine from letters and digits, which is no SSH key");
                report.error(source.span, "deploy-key", message).help("write the secret as `{file: …, as: credential}`");
            } else if let Some(why) = secret.and_then(|secret| unusable_key(&secret.value)) {
                report
                    .error(source.span, "deploy-key", format!("`{key}` {why}"))
                    .help("make one by `ssh-keygen -t ed25519 -N '' -f deploy_key`, and name the file: `{file: deploy_key, as: credential}`");
            }
            if secret.is_some_and(|secret| secret.place == SecretPlace::Env && secret.value.is_given()) {
                let message =
                    format!("the deploy key `{}` would lie in `.env`, and ssh reads keys from files", shown(key));
                report
                    .error(source.span, "deploy-key", message)
                    .help("write `as: credential` beside the secret's `env` or `file`");
            }
        }
    }
}

/// True for a secret that the machine makes.
pub(super) fn is_generated(resolved: &Resolved, name: &str) -> bool {
    let secret = resolved.profile.secrets.iter().find(|secret| secret.name == name);
    secret.is_some_and(|secret| matches!(secret.value, SecretValue::Generate { .. }))
}

/// Why ssh would not take a secret as its key; nothing of the secret is in the sentence.
fn unusable_key(value: &SecretValue) -> Option<&'static str> {
    let SecretValue::Given(secret) = value else { return None };
    let text = secret.expose();
    if text == STAND_IN {
        return None;
    }
    let first = text.lines().next().unwrap_or_default();
    if !first.starts_with("-----BEGIN ") || !first.ends_with(" PRIVATE KEY-----") {
        return Some("is no SSH private key");
    }
    if !text.ends_with('\n') {
        return Some("has lost its last line break, without which ssh cannot read a key; a shell's `$(…)` takes it away");
    }
    if text.contains("OPENSSH") {
        return match ssh_key::PrivateKey::from_openssh(text) {
            Ok(key) if key.is_encrypted() => Some("is protected by a passphrase, which nobody could type"),
            Ok(_) => None,
            Err(_) => Some("is damaged: it is no SSH private key"),
        };
    }
    text.contains("ENCRYPTED").then_some("is protected by a passphrase, which nobody could type")
}

pub(super) fn secret_exists(root: &Node, name: &str, span: Span, report: &mut Report) {
    let names = || super::secret_names(root);
    if names().any(|known| known == name) {
        return;
    }
    // What stands here may be the secret itself, by mistake: it is repeated only where it is nearly a known name.
    match nearest(name, names()) {
        Some(near) => {
            let message = format!("there is no secret `{}`", shown(name));
            report.error(span, "no-secret", message).help(format!("did you mean `{near}`?"));
        }
        None => {
            report
                .error(span, "no-secret", "this must be the name of a secret, and there is none of this name")
                .hide()
                .help("write a name, and add it under `secrets`: `{env: VARIABLE}` or `{file: PATH}`");
        }
    }
}

/// Every `${NAME}` in Alertmanager's words is a secret that others gave.
fn filled_in(node: &Node, resolved: &Resolved, root: &Node, report: &mut Report) {
    match &node.kind {
        crate::yaml::Kind::Seq(items) => items.iter().for_each(|item| filled_in(item, resolved, root, report)),
        crate::yaml::Kind::Map(entries) => entries.iter().for_each(|(_, value)| filled_in(value, resolved, root, report)),
        crate::yaml::Kind::Scalar { text, .. } => {
            for name in text.split("${").skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)) {
                secret_exists(root, name, node.span, report);
                if is_generated(resolved, name) {
                    let message = format!("`{name}` is made on the machine, and nobody else can know it");
                    report.warning(node.span, "generated", message).help("write the secret as `{env: …}` or `{file: …}`");
                }
            }
        }
    }
}

fn alerts(resolved: &Resolved, root: &Node, report: &mut Report) {
    let wanted = root.get("monitoring").filter(|node| !node.is_null() && node.as_str() != Some("none"));
    if let (Some(wanted), None, None) = (wanted, &resolved.profile.monitoring, &resolved.compose) {
        report
            .warning(wanted.span, "unused", "monitoring runs beside a stack, and there is none")
            .help("add `services` or `compose`, or write `monitoring: none`");
    }
    for (name, _) in &resolved.profile.variables {
        if let Some((key, _)) = root.get("secrets").and_then(|secrets| secrets.entry(name)) {
            report.warning(key.span, "duplicate", format!("`{name}` is known without this secret, which wins")).help("rename the secret");
        }
    }
    let Some((place, alerts)) = root.entry("alerts").filter(|(_, alerts)| !alerts.is_null()) else {
        if resolved.profile.monitoring.is_some() {
            report
                .warning(at(root, &["monitoring"]), "no-alerts", "what is found wrong is told to nobody")
                .help("add `alerts: {slack: SLACK_WEBHOOK_URL}` and the secret, or `alerts.receivers`");
        }
        return;
    };
    // Deploys are told to Slack with and without monitoring.
    let slack = resolved.compose.is_some() && alerts.get("slack").is_some_and(|node| !node.is_null());
    if resolved.profile.monitoring.is_none() && !slack {
        let stack = resolved.compose.is_some();
        let help = if stack { "add `monitoring: full` or `lite`" } else { "monitoring runs beside a stack: add `services`" };
        report.warning(place.span, "unused", "without monitoring there are no alerts").help(help);
    }
    if let Some(receivers) = alerts.get("receivers") {
        filled_in(receivers, resolved, root, report);
    }
    for key in ["slack", "heartbeat"] {
        let Some(node) = alerts.get(key).filter(|node| !node.is_null()) else { continue };
        let name = node.as_str().unwrap_or_default();
        secret_exists(root, name, node.span, report);
        let place = resolved.profile.secrets.iter().find(|secret| secret.name == name).map(|secret| &secret.place);
        if matches!(place, Some(SecretPlace::Credential(_))) {
            let message = format!("`{name}` is a file, and this must be a variable that Compose can fill in");
            report.error(node.span, "alert-secret", message).help("take `as: credential` out");
        }
        if is_generated(resolved, name) {
            let message = format!("`{name}` is made on the machine, and this must be an address that others gave");
            report.error(node.span, "generated", message).help("write the secret as `{env: …}` or `{file: …}`");
        }
    }
}

fn ports(resolved: &Resolved, root: &Node, report: &mut Report) {
    let profile = &resolved.profile;
    if [80, 443].contains(&profile.ssh.port) {
        let message = format!("port {} belongs to the web server", profile.ssh.port);
        report.error(at(root, &["ssh", "port"]), "port-conflict", message).help("choose another port for SSH");
    }
    let web: &[u16] = if profile.domain.is_some() { &[80, 443] } else { &[] };
    for rule in &profile.firewall.allow {
        if rule.protocol == Protocol::Tcp && (rule.port == profile.ssh.port || web.contains(&rule.port)) {
            let message = format!("port {} is open anyway", rule.port);
            report.warning(at(root, &["firewall", "allow"]), "duplicate", message).help("remove it");
        }
    }
}

fn secrets(resolved: &Resolved, root: &Node, report: &mut Report) {
    let text = resolved.compose.as_ref().map(crate::yaml::emit).unwrap_or_default();
    let whole_file = text.contains("env_file");
    let monitoring = resolved.profile.monitoring.as_ref();
    let receivers = monitoring.and_then(|m| m.receivers.as_ref()).map(crate::yaml::emit).unwrap_or_default();
    for secret in &resolved.profile.secrets {
        let span = root.get("secrets").and_then(|secrets| secrets.entry(&secret.name)).map(|(key, _)| key.span);
        let name = &secret.name;
        let login = resolved.profile.docker.logins.iter().any(|login| login.password == *name);
        let keys = resolved.services.iter().filter_map(|service| service.source.as_ref()?.value.deploy_key.as_ref());
        let told = resolved.compose.is_some() && resolved.profile.deploy.slack.as_deref() == Some(name);
        let alert = told || monitoring.is_some_and(|m| [&m.slack, &m.heartbeat].contains(&&Some(name.clone()))) || receivers.contains(name.as_str());
        let given = super::backup::secrets(resolved).contains(&name.as_str()) || alert || login || keys.into_iter().any(|key| key == name);
        let needed = given || whole_file;
        if given && secret.value == SecretValue::Later {
            report
                .error(span, "later", format!("`{name}` is needed from the first boot on, by more than services"))
                .help("take `later` out: `sealed: true` beside `env`, `file` or `command` keeps the value out of the user-data, too");
        }
        if matches!(secret.value, SecretValue::Given(_)) {
            let message = format!(
                "`{name}` is embedded in user-data, which the provider keeps and the machine's metadata service shows"
            );
            // What others gave cannot be made on the machine: that is then nothing to mend.
            let (severity, help) = if given {
                (Severity::Note, "`sealed: true` beside `env`, `file` or `command` keeps it out of there; rotate it if it is ever exposed")
            } else {
                (Severity::Warning, "use `generate` where the machine may choose the value; else `sealed: true` beside `env`, `file` or `command`, or `later: true` alone, keep it out of there; rotate this one if it is ever exposed")
            };
            report.push(severity, span, "embedded-secret", message).help(help);
        }
        let unread = resolved.compose.is_none() && ["compose", "services"].iter().any(|key| root.get(key).is_some_and(|n| !n.is_null()));
        if !unread && !needed && !text.contains(name.as_str()) && secret.place == SecretPlace::Env {
            report
                .warning(span, "unused", format!("nothing uses the secret `{name}`"))
                .help(format!("pass it to a service, as `environment: {{{name}: ${{{name}}}}}`, or remove it"));
        }
    }
}
