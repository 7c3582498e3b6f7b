//! What a booted machine is held to, derived from the plan.

use std::collections::BTreeSet;

use crate::plan::{Plan, edge};
use crate::profile::model::{Level, Profile, Protocol, Route, SecretPlace, SecretSpec, SecretValue};

/// Everything the checks compare with.
#[derive(Debug, Clone, Default)]
pub struct Expect {
    /// Name of the profile: `/opt/<name>`, prefix of units.
    pub name: String,
    /// Key of the distribution, such as `debian-13`.
    pub distribution: String,
    /// The administrator.
    pub admin_user: String,
    /// Where sshd listens.
    pub ssh_port: u16,
    /// What `sshd -T` must print, key and value in its own spelling.
    pub sshd: Vec<(String, String)>,
    /// TCP ports that answer from outside, and no other may.
    pub tcp_ports: BTreeSet<u16>,
    /// Ports published on the loopback address only.
    pub loopback_ports: Vec<u16>,
    /// The main domain, when there is a web edge.
    pub domain: Option<String>,
    /// Every host name that nginx serves: domain, aliases, hosts of routes.
    pub names: Vec<String>,
    /// Whether certificates come by ACME.
    pub acme: bool,
    /// Public addresses that must answer 200.
    pub health: Vec<PublicPath>,
    /// Method, host name and path of each request that must be refused.
    pub closed: Vec<(String, String, String)>,
    /// A route with a rate limit.
    pub limited: Option<PublicPath>,
    /// A route without one.
    pub unlimited: Option<PublicPath>,
    /// A service of which two take turns, and where it is asked: without a rate limit, if it has such a route.
    pub deploy: Option<(String, PublicPath)>,
    /// Every route of the web edge.
    pub routes: Vec<PublicRoute>,
    /// There are backups.
    pub backup: bool,
    /// How much is watched.
    pub monitoring: Option<Level>,
    /// What Prometheus must ask: the services with metrics, and the monitoring's own.
    pub metrics: Vec<String>,
    /// A service that has a route and metrics, to try alerts and logs on.
    pub public_service: Option<String>,
    /// The stack's services.
    pub services: Vec<ExpectService>,
    /// The secrets and where they end.
    pub secrets: Vec<ExpectSecret>,
    /// Swap in MiB, 0 for none.
    pub swap_mib: u32,
    /// Time zone of the machine.
    pub timezone: String,
    /// The machine's host name.
    pub hostname: String,
}

/// A path under a public host name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicPath {
    /// Host name.
    pub host: String,
    /// Path, starting with `/`.
    pub path: String,
}

/// A route of the web edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicRoute {
    /// Host name.
    pub host: String,
    /// Path, with `/` at both ends.
    pub path: String,
    /// WebSockets pass, to a service of the profile's own.
    pub websocket: bool,
}

/// A service of the stack.
#[derive(Debug, Clone)]
pub struct ExpectService {
    /// Its name in the Compose file.
    pub name: String,
    /// Whether it has a health check.
    pub has_healthcheck: bool,
    /// Why it may run as root.
    pub root_reason: Option<String>,
    /// It ends when its work is done.
    pub is_job: bool,
}

/// A secret.
#[derive(Debug, Clone)]
pub struct ExpectSecret {
    /// Its name.
    pub name: String,
    /// File under `credentials/`, or `None` for a line in `.env`.
    pub file: Option<String>,
    /// Made on the machine: its value may stand nowhere else.
    pub generated: bool,
}

impl Expect {
    /// The folder of the stack and its secrets.
    pub fn directory(&self) -> String {
        format!("/opt/{}", self.name)
    }
}

impl Expect {
    /// What the machine of this profile and plan is held to.
    pub fn of(profile: &Profile, plan: &Plan) -> Self {
        let mut names: Vec<String> = Vec::new();
        // What waits for a secret is not there yet.
        let needs = crate::plan::needs(profile);
        let later = |name: &String| profile.secrets.iter().any(|secret| secret.name == *name && secret.value == SecretValue::Later);
        let services = || profile.stack.iter().flat_map(|stack| &stack.services).filter(|service| !needs.get(&service.name).is_some_and(|names| names.iter().any(later)));
        let routes = || services().flat_map(|service| &service.routes);
        if profile.domain.is_some() {
            let hosts = routes().filter_map(|route| route.host.as_ref());
            for name in profile.domain.iter().chain(&profile.aliases).chain(hosts) {
                if !names.contains(name) {
                    names.push(name.clone());
                }
            }
        }
        let place = |route: &Route, path: String| {
            let host = route.host.clone().or_else(|| profile.domain.clone())?;
            Some(PublicPath { host, path })
        };
        let first = |limited: bool| {
            let route = routes().find(|route| route.rate_limit.is_some() == limited)?;
            place(route, route.path.clone())
        };
        let health = edge::health(profile).into_iter().filter(|row| !needs.contains_key(row.2)).map(|(host, path, _)| PublicPath { host, path }).collect();
        let tcp = plan.ports.iter().filter(|rule| rule.protocol == Protocol::Tcp).map(|rule| rule.port);
        Expect {
            name: profile.name.clone(),
            distribution: profile.distribution.id().to_string(),
            admin_user: profile.admin.user.clone(),
            ssh_port: profile.ssh.port,
            sshd: sshd(profile),
            tcp_ports: tcp.collect(),
            loopback_ports: routes().flat_map(|route| [Some(route.loopback_port), route.green_port]).flatten().collect(),
            domain: profile.domain.clone(),
            acme: profile.tls.acme && !names.is_empty(),
            names,
            health,
            closed: edge::closed(profile).into_iter().filter(|row| !needs.contains_key(row.3)).map(|(method, host, path, _)| (method, host, path)).collect(),
            deploy: services().filter(|service| service.deploy.as_ref().is_some_and(|way| way.blue_green)).find_map(|service| {
                let route = service.routes.iter().find(|route| route.rate_limit.is_none()).or(service.routes.first())?;
                let host = route.host.clone().or_else(|| profile.domain.clone())?;
                Some((service.name.clone(), PublicPath { host, path: route.path.clone() }))
            }),
            routes: services()
                .flat_map(|service| service.routes.iter().map(move |route| (service, route)))
                .filter_map(|(service, route)| {
                    let host = route.host.clone().or_else(|| profile.domain.clone())?;
                    // Grafana's own WebSocket wants a login.
                    let websocket = route.websocket && service.name != "grafana";
                    Some(PublicRoute { host, path: route.path.clone(), websocket })
                })
                .collect(),
            backup: profile.backup.is_some(),
            monitoring: profile.monitoring.as_ref().map(|monitoring| monitoring.level),
            metrics: match &profile.monitoring {
                None => Vec::new(),
                Some(monitoring) => {
                    let own: &[&str] = match monitoring.level {
                        Level::Lite => &["prometheus", "alertmanager", "node"],
                        Level::Full => &["prometheus", "alertmanager", "node", "cadvisor", "loki"],
                    };
                    let services = services().filter(|service| service.metrics.is_some()).map(|service| service.name.clone());
                    own.iter().map(|name| (*name).to_string()).chain(services).collect()
                }
            },
            public_service: services()
                .find(|service| !service.routes.is_empty() && service.metrics.is_some())
                .map(|service| service.name.clone()),
            limited: first(true),
            unlimited: first(false),
            services: services()
                .map(|service| ExpectService {
                    name: service.name.clone(),
                    has_healthcheck: service.has_healthcheck,
                    root_reason: service.root_reason.clone(),
                    is_job: service.is_job,
                })
                .collect(),
            secrets: profile.secrets.iter().filter(|secret| secret.value != SecretValue::Later).map(secret).collect(),
            swap_mib: profile.host.swap_mib,
            timezone: profile.host.timezone.clone(),
            hostname: profile.host.hostname.clone(),
        }
    }
}

fn secret(spec: &SecretSpec) -> ExpectSecret {
    ExpectSecret {
        name: spec.name.clone(),
        file: match &spec.place {
            SecretPlace::Env => None,
            SecretPlace::Credential(file) => Some(file.clone()),
        },
        generated: matches!(spec.value, SecretValue::Generate { .. }),
    }
}

fn sshd(profile: &Profile) -> Vec<(String, String)> {
    let users = std::iter::once(&profile.admin.user).chain(&profile.ssh.allow_users).cloned().collect::<Vec<_>>();
    [
        ("port", profile.ssh.port.to_string()),
        ("permitrootlogin", "no".to_string()),
        ("passwordauthentication", "no".to_string()),
        ("kbdinteractiveauthentication", "no".to_string()),
        ("permitemptypasswords", "no".to_string()),
        ("pubkeyauthentication", "yes".to_string()),
        ("maxauthtries", profile.ssh.max_auth_tries.to_string()),
        ("x11forwarding", "no".to_string()),
        ("allowusers", users.join(" ")),
    ]
    .map(|(key, value)| (key.to_string(), value))
    .to_vec()
}
