//! Backups: what would be lost.

use super::at;
use super::services::{Mount, mounts_of};
use crate::compose::pairs;
use crate::profile::model::{SecretPlace, SecretValue};
use crate::profile::reader::shown;
use crate::report::Report;
use crate::resolve::{Extended, Resolved};
use crate::yaml::Node;
use std::path::Path;

/// The named volumes that a service uses.
fn mounted(service: &Extended) -> impl Iterator<Item = &str> {
    mounts_of(&service.node).filter(Mount::is_volume).map(|mount| mount.source)
}

/// Where a database keeps its data by itself: in its own image, and in Bitnami's.
fn homes(kind: &str) -> [&'static str; 2] {
    if kind == "postgres" { ["/var/lib/postgresql", "/bitnami/postgresql"] } else { ["/data", "/bitnami/redis"] }
}

/// The named volumes that hold the data of a database: its dump has what stands there, and nothing else of the service.
fn dumped(service: &Extended) -> Vec<&str> {
    let Some(store) = &service.backup else { return Vec::new() };
    let environment = service.node.get("environment").map(pairs).unwrap_or_default();
    let own = environment.iter().find(|(name, ..)| *name == "PGDATA" && store.value.0 == "postgres").and_then(|(_, value, _)| *value);
    let homes: Vec<&str> = homes(store.value.0).into_iter().chain(own).collect();
    let within = |inner: &str, outer: &str| Path::new(inner).starts_with(outer);
    // What hangs on a variable may well be there.
    let there = |place: &str| place.contains('$') || homes.iter().any(|home| home.contains('$') || within(place, home) || within(home, place));
    let placed = mounts_of(&service.node).filter(|mount| mount.place.is_some());
    let (binds, mounts): (Vec<_>, Vec<_>) = placed.partition(Mount::is_bind);
    let there = |mount: &Mount<'_>| mount.place.is_some_and(there);
    // An image of another kind keeps its data elsewhere; its only volume is where.
    let only = mounts.len() == 1 && !binds.iter().any(there);
    mounts.iter().filter(|mount| only || there(mount)).map(|mount| mount.source).collect()
}

/// Names of secrets in a repository's `${NAME}`.
fn filled(text: &str) -> impl Iterator<Item = &str> {
    text.split("${").skip(1).filter_map(|rest| Some(rest.split_once('}')?.0))
}

/// Every secret that backups need.
pub(super) fn secrets(resolved: &Resolved) -> Vec<&str> {
    let Some(backup) = &resolved.profile.backup else { return Vec::new() };
    let elsewhere = backup.parts.iter().filter_map(|part| Some(part.elsewhere.as_ref()?.password.as_str()));
    let offsite = backup.offsite.iter().flat_map(|offsite| {
        let named = [Some(&offsite.password), offsite.ssh_key.as_ref()].into_iter().flatten().chain(offsite.environment.values());
        named.map(String::as_str).chain(filled(&offsite.repository))
    });
    elsewhere.chain(offsite).collect()
}

fn offsite(resolved: &Resolved, root: &Node, report: &mut Report) {
    if let Some((key, _)) = root.entry("restore_from").filter(|(_, node)| !node.is_null())
        && resolved.profile.backup.as_ref().is_none_or(|backup| backup.offsite.is_none())
        && !report.has_error_within(at(root, &["backup"]))
    {
        report
            .error(key.span, "no-offsite", "there is no off-site backup that a machine could begin with")
            .help("add `backup: {offsite: {repository: …, password: …}}`, the one that the old machine writes to");
    }
    if let Some((key, _)) = root.get("backup").and_then(|backup| backup.entry("pitr"))
        && let Some(backup) = resolved.profile.backup.as_ref().filter(|backup| backup.pitr)
    {
        if backup.offsite.is_none() && !report.has_error_within(at(root, &["backup"])) {
            report
                .error(key.span, "no-offsite", "there is no off-site repository that the log could go to")
                .help("add `offsite: {repository: …, password: …}` beside it");
        }
        if !backup.parts.iter().any(|part| part.kind == "postgres" && part.elsewhere.is_none()) {
            report
                .error(key.span, "no-postgres", "no PostgreSQL of this machine is backed up, and only its log can be kept")
                .help("write `x-bootstrap: {backup: postgres}` at its service, or take `pitr` out");
        }
    }
    let Some(node) = root.get("backup").and_then(|backup| backup.get("offsite")).filter(|node| !node.is_null()) else { return };
    let environment = node.get("environment").and_then(Node::as_map).unwrap_or_default().iter().map(|(_, value)| value);
    let named = ["password", "ssh_key"].iter().filter_map(|key| node.get(key)).chain(environment).filter(|value| !value.is_null());
    let repository = node.get("repository").filter(|repository| !repository.is_null());
    let texts = named.filter_map(|value| Some((value.as_str()?, value.span)));
    let inside = repository.into_iter().flat_map(|node| filled(node.as_str().unwrap_or_default()).map(|name| (name, node.span)));
    for (name, span) in texts.chain(inside) {
        super::machine::secret_exists(root, name, span, report);
        if super::machine::is_generated(resolved, name) {
            let message = format!("`{name}` is made on the machine, and dies with it: nobody could reach or read the backups then");
            report.error(span, "generated", message).help("choose it yourself, keep it elsewhere too, and write the secret as `{env: …}` or `{file: …}`");
        }
        let sealed = resolved.profile.secrets.iter().any(|secret| secret.name == name && matches!(secret.value, SecretValue::Sealed(_)));
        if sealed && resolved.profile.backup.as_ref().is_some_and(|backup| backup.restore_from.is_some()) {
            let message = format!("`{name}` is sealed, and the backup that this machine begins with is fetched before anything is unsealed");
            report.error(span, "sealed", message).help("take `sealed` out of the secret, or `restore_from` out of the profile");
        }
    }
    // What is no secret's name may be the value itself.
    let password = node.get("password").filter(|password| password.as_str().is_some_and(|name| super::secret_names(root).any(|known| known == name)));
    if let Some(password) = password {
        let message = format!("without the value of `{}` nobody can read the off-site backups, and the machine's own copy is lost with the machine", shown(password.as_str().unwrap_or_default()));
        report.note(password.span, "repository-password", message).help("keep it where your team keeps passwords, and try it from another computer: `restic snapshots`");
    }
    // What cannot be read was told already.
    let repository = repository.filter(|node| !report.has_error_within(node.span));
    let sftp = repository.and_then(Node::as_str).is_some_and(|text| text.starts_with("sftp:"));
    // What restic asks for in each kind of store, by its manual.
    let logins = [("s3:", "AWS_ACCESS_KEY_ID: S3_KEY, AWS_SECRET_ACCESS_KEY: S3_SECRET"), ("b2:", "B2_ACCOUNT_ID: B2_ID, B2_ACCOUNT_KEY: B2_KEY"), ("azure:", "AZURE_ACCOUNT_NAME: AZURE_NAME, AZURE_ACCOUNT_KEY: AZURE_KEY")];
    let written = repository.and_then(|node| Some((node, node.as_str()?)));
    if let Some((repository, text)) = written
        && let Some((_, login)) = logins.iter().find(|(kind, _)| text.starts_with(kind))
        && node.get("environment").is_none_or(Node::is_null)
    {
        report
            .warning(repository.span, "repository-login", "nobody may write there without a login, and none is written")
            .help(format!("add `environment: {{{login}}}`, and these secrets as `{{env: …}}`"));
    }
    let key = node.get("ssh_key").filter(|key| !key.is_null());
    match (sftp, key, repository) {
        (true, None, Some(repository)) => {
            report.error(repository.span, "ssh-key", "`sftp:` wants a key, since nobody is there to type a password").help("add `ssh_key: BACKUP_KEY`, and the secret as `{file: backup_key, as: credential}`");
        }
        (false, Some(key), Some(_)) => {
            report.warning(key.span, "unused", "this key is for `sftp:` alone").help("take `ssh_key` out");
        }
        (_, Some(key), _) => {
            let secret = resolved.profile.secrets.iter().find(|secret| Some(secret.name.as_str()) == key.as_str());
            if secret.is_some_and(|secret| secret.place == SecretPlace::Env) {
                report.error(key.span, "ssh-key", "ssh reads keys from files, and this one would lie in `.env`").help("write `as: credential` beside the secret's `file`");
            }
        }
        _ => {}
    }
}

/// `redis-cli`, which saves and restores, reads the password from its own variable alone.
fn redis(resolved: &Resolved, report: &mut Report) {
    let parts = resolved.profile.backup.iter().flat_map(|backup| &backup.parts).filter(|part| part.kind == "redis" && part.elsewhere.is_none());
    for part in parts {
        let Some(service) = resolved.services.iter().find(|service| service.name == part.name) else { continue };
        let Some(command) = service.node.get("command") else { continue };
        let asks = |node: &Node| node.as_str().is_some_and(|text| text.contains("requirepass"));
        let asked = asks(command) || command.as_seq().is_some_and(|words| words.iter().any(asks));
        let environment = service.node.get("environment");
        let named = |node: &Node| node.as_str().is_some_and(|text| text.starts_with("REDISCLI_AUTH"));
        let given = environment.is_some_and(|node| node.get("REDISCLI_AUTH").is_some() || node.as_seq().is_some_and(|items| items.iter().any(named)));
        if asked && !given && service.node.get("env_file").is_none() {
            report
                .error(command.span, "redis-password", format!("`{}` asks for a password that its backup does not have", part.name))
                .help("add it to the service's environment as well: `REDISCLI_AUTH: ${REDIS_PASSWORD}`, which `redis-cli` reads, or write `x-bootstrap: {backup: none}`");
        }
    }
}

pub(super) fn check(resolved: &Resolved, root: &Node, document: &Node, report: &mut Report) {
    offsite(resolved, root, report);
    redis(resolved, report);
    let volumes = document.get("volumes").and_then(Node::as_map).unwrap_or_default();
    let saved = |key: &str| resolved.services.iter().any(|service| dumped(service).contains(&key));
    let used = |key: &str| resolved.services.iter().any(|service| mounted(service).any(|source| source == key));
    let mut left = Vec::new();
    for (key, node) in volumes.iter().filter(|(key, _)| Some(key.span.source) != resolved.builtin) {
        let name = key.as_str().unwrap_or_default();
        let silent = node.get("x-bootstrap").and_then(|extension| extension.get("backup")).is_none_or(Node::is_null);
        if silent && used(name) && (resolved.profile.backup.is_none() || !saved(name)) {
            left.push((key.span, name));
        }
    }
    let Some(backup) = &resolved.profile.backup else {
        if !left.is_empty() {
            let names: Vec<_> = left.iter().map(|(_, name)| format!("`{name}`")).collect();
            let message = format!("nothing is backed up, and {} hold data", names.join(", "));
            let message = if names.len() == 1 { message.replace(" hold data", " holds data") } else { message };
            report
                .warning(left[0].0, "no-backup", message)
                .help("add `backup: {}`, and say at services and volumes what is saved; `x-bootstrap: {backup: none}` at a volume that is not");
        }
        return;
    };
    for (span, name) in left {
        if let Some(service) = resolved.services.iter().filter(|service| mounted(service).any(|source| source == name)).find(|service| service.backup.is_some()) {
            let message = format!("the volume `{name}` is not in the backup, which has of `{}` what is below its data directory alone", service.name);
            report.warning(span, "no-backup", message).help("write `x-bootstrap: {backup: pause}` (or `live`, `stop`, `none`) below it");
            continue;
        }
        report
            .warning(span, "no-backup", format!("the volume `{name}` is not in the backup"))
            .help("write `x-bootstrap: {backup: pause}` (or `live`, `stop`, `none`) below it, or `x-bootstrap: {backup: postgres}` at its database's service");
    }
    if backup.parts.is_empty() {
        report
            .warning(at(root, &["backup"]), "no-backup", "the backup would hold `.env` and certificates, and no data")
            .help("write `x-bootstrap: {backup: postgres}` at a service, or `x-bootstrap: {backup: pause}` at a volume");
    }
    for part in &backup.parts {
        let Some(elsewhere) = &part.elsewhere else { continue };
        let secret = resolved.profile.secrets.iter().find(|secret| secret.name == elsewhere.password);
        if !secret.is_some_and(|secret| secret.value.is_given()) && !report.has_error_within(at(root, &["secrets"])) {
            let message = format!("to back up `{}`, which runs elsewhere, its password must be given", part.name);
            report
                .error(at(root, &["external", &part.name]), "no-secret", message)
                .help(format!("add `{0}: {{env: {0}}}` to `secrets`", elsewhere.password));
        }
    }
}
