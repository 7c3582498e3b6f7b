//! From what is written to what it means: defaults, presets, ports, secrets' values, the Compose document.

mod colours;
mod backup;
mod compose;
mod external;
mod locked;
mod monitoring;
mod ports;
mod proxies;
mod secrets;
mod service;
mod variables;

pub use colours::COLOURS;
pub use ports::{Published, published};
pub use secrets::{Ask, Origin, STAND_IN};
pub use service::Extended;

use crate::distribution::Distribution;
use crate::lock::Lock;
use crate::profile::Certificates;
use crate::profile::model::*;
use crate::profile::quantity::Proxies;
use crate::profile::reader::{Reader, Spanned};
use crate::profile::text::FilePath;
use crate::profile::written::Written;
use crate::report::{Report, SourceId, Span};
use crate::yaml::Node;
use std::path::PathBuf;

/// Let's Encrypt's staging directory, for the rehearsal when `tls.directory` is Let's Encrypt's own.
const STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

/// The resolved profile, with what checks across fields need beside it.
#[derive(Debug)]
pub struct Resolved {
    /// What the plan is made from.
    pub profile: Profile,
    /// The Compose document as it was written, with its spans: services, volumes and so on at the top level.
    pub compose: Option<Node>,
    /// Each route with its place, in the order of `Stack::services` and their routes.
    pub routes: Vec<(String, Span, Route)>,
    /// Each service with its place and its extension.
    pub services: Vec<Extended>,
    /// The text that the monitoring's services stand in, if there are any.
    pub builtin: Option<SourceId>,
}

/// Fills in every default, also where findings stand, so that later checks find the rest.
pub fn resolve(written: &Written, root: &Node, origin: Origin<'_>, lock: Option<&Lock>, report: &mut Report) -> Resolved {
    let mut compose = compose::document(written, root, report);
    let elsewhere = compose.as_ref().map(|document| backup::elsewhere(document, &written.external, report)).unwrap_or_default();
    if let Some(document) = &mut compose {
        external::leave_out(document, &written.external, report);
    }
    let (monitoring, builtin) = monitoring::add(&mut compose, written, report).unzip();
    if let Some(document) = &mut compose {
        variables::fill_in_images(document, written);
    }
    if let (Some(document), Some(lock)) = (&mut compose, lock) {
        locked::pin(document, lock, written, report);
    }
    let services = compose.as_ref().map(|document| service::read(document, report)).unwrap_or_default();
    let backup = backup::resolve(written, compose.as_ref(), &services, elsewhere, report);
    let mut secrets = secrets::resolve(&written.secrets, origin, report);
    let sealed = secrets::sealed(&secrets, &written.secrets, written.sealed.as_ref(), origin.ask, report);
    if monitoring.is_some() {
        monitoring::add_secrets(&mut secrets);
    }
    let ca = certificates(written, root, report);
    // Where these are missing there is an error already; the rest is checked all the same.
    let name = written.name.as_ref().map_or_else(|| "unnamed".to_owned(), |name| name.0.clone());
    let distribution = written.distribution.unwrap_or(Distribution::Debian13);
    let docker = docker(written, distribution);
    let ports = ports::allocate(written, &services, report);
    let stack = compose.as_ref().map(|document| compose::stack(&name, document, &services, &ports));
    let routes = services
        .iter()
        .flat_map(|service| service.routes.iter().map(|route| (service.name.clone(), route)))
        .map(|(service, route)| (service.clone(), route.span, ports.route(&service, &route.value)))
        .collect();
    let tls = Tls {
        email: written.tls.email.as_ref().map(|email| email.0.clone()),
        acme: written.tls.acme,
        directory: written.tls.directory.0.clone(),
        staging_directory: match (&written.tls.staging_directory, root.get("tls").and_then(|t| t.get("directory"))) {
            (Some(url), _) => Some(url.0.clone()),
            (None, Some(directory)) if !directory.is_null() => None,
            (None, _) => Some(STAGING.to_owned()),
        },
        ca,
    };
    let profile = Profile {
        distribution,
        host: Host {
            hostname: written.host.hostname.as_ref().map_or_else(|| name.clone(), |hostname| hostname.0.clone()),
            timezone: written.host.timezone.0.clone(),
            locale: written.host.locale.0.clone(),
            swap_mib: written.host.swap.0,
            size: written.host.size,
        },
        admin: Admin {
            user: written.admin.user.0.clone(),
            ssh_keys: written.admin.ssh_keys.iter().map(|key| key.value.0.clone()).collect(),
        },
        ssh: Ssh {
            port: written.ssh.port.0,
            max_auth_tries: written.ssh.max_auth_tries.0,
            idle_timeout_seconds: written.ssh.idle_timeout.0,
            allow_users: written.ssh.allow_users.iter().map(|user| user.0.clone()).collect(),
        },
        firewall: Firewall { allow: written.firewall.allow.clone() },
        fail2ban: Fail2ban {
            max_retry: written.fail2ban.max_retry.0,
            find_time_seconds: written.fail2ban.find_time.0,
            ban_time_seconds: written.fail2ban.ban_time.0,
            ignore: written.fail2ban.ignore.iter().map(|range| range.0).collect(),
        },
        updates: Updates { security: written.updates.security, reboot: written.updates.reboot.0.clone() },
        apt: Apt {
            mirror: written.apt.mirror.as_ref().map(|url| url.0.clone()),
            security_mirror: written.apt.security_mirror.as_ref().map(|url| url.0.clone()),
        },
        docker,
        domain: written.domain.as_ref().map(|domain| domain.0.clone()),
        aliases: written.aliases.iter().map(|alias| alias.value.0.clone()).collect(),
        trusted_proxies: written
            .trusted_proxies
            .iter()
            .flat_map(|entry| match entry {
                Proxies::Preset(name) => proxies::preset(name),
                Proxies::Range(range) => vec![*range],
            })
            .collect(),
        client_header: match written.trusted_proxies[..] {
            [Proxies::Preset("cloudflare")] => "CF-Connecting-IP",
            _ => "X-Forwarded-For",
        },
        monitoring,
        language: written.language.0,
        runbook: written.runbook.as_ref().map(|text| text.0.clone()),
        deploy: Deploy {
            wait: written.deploy.wait.0,
            drain: written.deploy.drain.0,
            keep: written.deploy.keep.0,
            backup: written.deploy.backup && written.backup.is_some(),
            poll: written.deploy.poll.map(|poll| poll.0),
            windows: written.deploy.windows.iter().flat_map(|window| window.0.clone()).collect(),
            slack: written.alerts.slack.as_ref().map(|name| name.value.0.clone()),
        },
        follow: written.follow.as_ref().and_then(|follow| {
            Some(Follow { url: follow.url.as_ref()?.0.clone(), key: follow.key.as_ref()?.0.clone(), poll: follow.poll.0 })
        }),
        backup,
        variables: variables::variables(written),
        tls,
        secrets,
        sealed,
        stack,
        name,
    };
    Resolved { profile, compose, routes, services, builtin }
}

fn docker(written: &Written, distribution: Distribution) -> Docker {
    let source = match (written.docker.source, distribution.facts().docker_packages) {
        (Some(source), _) => source.0,
        (None, Some(_)) => DockerSource::Distribution,
        (None, None) => DockerSource::Upstream,
    };
    Docker {
        source,
        repository: written.docker.repository.as_ref().map(|url| url.0.clone()),
        fingerprint: written.docker.fingerprint.as_ref().map(|text| text.0.clone()),
        registry_mirrors: written.docker.registry_mirrors.iter().map(|url| url.0.clone()).collect(),
        authorities: written
            .docker
            .authorities
            .iter()
            .filter_map(|one| Some((one.registry.as_ref()?.0.clone(), one.ca.as_ref()?.0.clone())))
            .collect(),
        logins: written
            .docker
            .logins
            .iter()
            .filter_map(|login| {
                Some(Login {
                    registry: login.registry.as_ref()?.0.clone(),
                    username: login.username.as_ref()?.0.clone(),
                    password: login.password.as_ref()?.value.0.clone(),
                })
            })
            .collect(),
    }
}

/// `tls.ca`, or what stands in the file that `tls.ca_file` names.
fn certificates(written: &Written, root: &Node, report: &mut Report) -> Option<String> {
    let (ca, file) = (&written.tls.ca, &written.tls.ca_file);
    if let (Some(_), Some(file)) = (ca, file) {
        report.error(file.span, "conflict", "`ca` and `ca_file` are both written").help("keep one of the two");
    }
    if let Some(ca) = ca {
        return Some(ca.0.clone());
    }
    let file = file.as_ref()?;
    let node = root.get("tls").and_then(|tls| tls.get("ca_file"))?;
    let text = read_beside(file, 256 * 1024, report)?;
    Certificates::check(&text, node, &mut Reader { report }).map(|ca| ca.0)
}

/// The path of a file named in the profile: relative to the folder of the text that names it.
fn beside(file: &Spanned<FilePath>, report: &mut Report) -> Option<PathBuf> {
    match place(file, report) {
        Some(path) => Some(path),
        None => {
            let message = "an embedded profile has no folder that this file could stand in";
            report.error(file.span, "unreadable", message).help("name it by --set or in an overlay");
            None
        }
    }
}

/// Where such a file lies, if that can be said; it counts as read from then on.
fn place(file: &Spanned<FilePath>, report: &mut Report) -> Option<PathBuf> {
    let folder = report.sources.get(file.span.source).and_then(|source| source.folder.clone());
    let path = PathBuf::from(&file.value.0);
    let path = if path.is_absolute() { path } else { folder?.join(path) };
    report.read.push(path.clone());
    Some(path)
}

/// Reads a text file named in the profile; a problem is a finding at the place that names it.
fn read_beside(file: &Spanned<FilePath>, limit: usize, report: &mut Report) -> Option<String> {
    let path = beside(file, report)?;
    let problem = match crate::yaml::read_some(&path, limit) {
        Err(error) => format!("{} cannot be read: {error}", path.display()),
        Ok(bytes) if bytes.len() > limit => format!("{} is larger than {limit} bytes", path.display()),
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => return Some(text),
            Err(_) => format!("{} is not UTF-8 text", path.display()),
        },
    };
    report.error(file.span, "unreadable", problem).help("check the path; it is relative to the file that names it");
    None
}
