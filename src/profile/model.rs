//! The resolved profile: every default filled in, every string checked. The plan is made from this alone.

use crate::distribution::Distribution;
use crate::secret::Secret;
use crate::yaml::Node;
use ipnet::IpNet;
use serde::Serialize;

/// One machine.
#[derive(Clone, Debug, Serialize)]
pub struct Profile {
    /// Gives `/opt/<name>` and the prefix of volumes, networks and units: `[a-z][a-z0-9-]{0,30}`.
    pub name: String,
    /// What runs on the machine.
    pub distribution: Distribution,
    /// The machine itself.
    pub host: Host,
    /// The person who looks after it.
    pub admin: Admin,
    /// The SSH server.
    pub ssh: Ssh,
    /// Ports open beside SSH and the web.
    pub firewall: Firewall,
    /// Bans after failed logins.
    pub fail2ban: Fail2ban,
    /// Unattended upgrades.
    pub updates: Updates,
    /// Package archives.
    pub apt: Apt,
    /// Docker.
    pub docker: Docker,
    /// Main host name of the web edge, in ASCII; `None`: no web edge.
    pub domain: Option<String>,
    /// Further host names that serve the same as `domain`.
    pub aliases: Vec<String>,
    /// Proxies whose word on the client address is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// The header that names the client: Cloudflare's own where nothing but Cloudflare stands in front, since what
    /// its customers' Workers send carries an `X-Forwarded-For` of their making.
    pub client_header: &'static str,
    /// Certificates.
    pub tls: Tls,
    /// How much is watched, and who is told.
    pub monitoring: Option<Monitoring>,
    /// Language of the runbook.
    pub language: &'static str,
    /// What the profile adds to the runbook.
    pub runbook: Option<String>,
    /// How new versions come in.
    pub deploy: Deploy,
    /// The signed bundle that the machine follows.
    pub follow: Option<Follow>,
    /// Backups, if there are any.
    pub backup: Option<Backup>,
    /// Variables of `.env` that are no secrets: where external services run.
    pub variables: Vec<(String, String)>,
    /// Secrets in the order written.
    pub secrets: Vec<SecretSpec>,
    /// Where those of them lie that are sealed.
    pub sealed: Option<Sealed>,
    /// The Compose stack, if there is one.
    pub stack: Option<Stack>,
}

/// How much is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Without the logs' store and per-container figures.
    Lite,
    /// Everything.
    Full,
}

/// Metrics, logs, dashboards and alerts.
#[derive(Clone, Debug, Serialize)]
pub struct Monitoring {
    /// How much.
    pub level: Level,
    /// Name of the secret with Slack's webhook.
    pub slack: Option<String>,
    /// Name of the secret with the dead man's switch.
    pub heartbeat: Option<String>,
    /// Alertmanager's own words for further receivers.
    #[serde(skip)]
    pub receivers: Option<Node>,
    /// Its services.
    #[serde(skip)]
    pub services: Vec<MonitoringService>,
}

/// A service that comes with the monitoring.
#[derive(Clone, Debug)]
pub struct MonitoringService {
    /// Its key under `services:`.
    pub name: String,
    /// [`Level::Lite`] has it, too.
    pub in_lite: bool,
}

/// How new versions come in.
#[derive(Clone, Debug, Serialize)]
pub struct Deploy {
    /// Seconds until a new version must be healthy.
    pub wait: u32,
    /// Seconds that the old version has for what it has in hand.
    pub drain: u32,
    /// Versions that stay on the disk.
    pub keep: u32,
    /// Whether databases are saved first.
    pub backup: bool,
    /// Seconds between two looks for a new version.
    pub poll: Option<u32>,
    /// Minutes of the week between which new versions may come in by themselves; empty: always.
    pub windows: Vec<(u32, u32)>,
    /// Name of the secret with Slack's webhook.
    pub slack: Option<String>,
}

/// A signed bundle with the stack's part of the machine.
#[derive(Clone, Debug, Serialize)]
pub struct Follow {
    /// Where it is looked for.
    pub url: String,
    /// The signer's public key, as minisign writes it.
    pub key: String,
    /// Seconds between two looks.
    #[serde(skip)]
    pub poll: u32,
}

/// How one service is replaced by its new version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Replacement {
    /// Two of it take turns.
    pub blue_green: bool,
    /// Networks on which the live one bears the service's name.
    pub networks: Vec<String>,
    /// Run in the new version before it starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Vec<String>>,
    /// Run in the new version when it has taken over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Vec<String>>,
}

/// Backups.
#[derive(Clone, Debug, Serialize)]
pub struct Backup {
    /// Local time of day, `HH:MM`.
    pub at: String,
    /// How long local copies are kept.
    pub keep_seconds: u32,
    /// What is saved beside the machine's own files.
    pub parts: Vec<Part>,
    /// The copy elsewhere.
    pub offsite: Option<Offsite>,
    /// PostgreSQL's log goes there, too.
    pub pitr: bool,
    /// The off-site backup that a new machine begins with.
    pub restore_from: Option<String>,
    /// Services that may run on one machine alone.
    pub single: Vec<String>,
}

/// A copy elsewhere, by restic.
#[derive(Clone, Debug, Serialize)]
pub struct Offsite {
    /// Where, in restic's words.
    pub repository: String,
    /// Name of the secret with the password.
    pub password: String,
    /// Variables, each with the name of a secret.
    pub environment: std::collections::BTreeMap<String, String>,
    /// File in `credentials/` with the SSH key.
    pub ssh_key: Option<String>,
    /// How many are kept, by `daily`, `weekly`, `monthly`.
    pub keep: std::collections::BTreeMap<&'static str, u32>,
}

/// One part of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// `postgres`, `redis` or `volume`.
    pub kind: &'static str,
    /// The service, or the volume's key.
    pub name: String,
    /// What the services that use a volume do meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<&'static str>,
    /// A database that runs elsewhere.
    #[serde(flatten)]
    pub elsewhere: Option<Elsewhere>,
}

/// How a database that runs elsewhere is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Elsewhere {
    /// The image whose client is used.
    pub image: String,
    /// Settings of the client.
    pub env: std::collections::BTreeMap<&'static str, String>,
    /// Name of the secret with the password.
    pub password: String,
}

/// Where a service's metrics are found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Metrics {
    /// Port inside the container.
    pub port: u16,
    /// Path.
    pub path: String,
    /// The dashboard made for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dashboard: Option<&'static str>,
}

/// The machine itself.
#[derive(Clone, Debug, Serialize)]
pub struct Host {
    /// Host name, one or more RFC 1123 labels.
    pub hostname: String,
    /// `Area/City` or `UTC`.
    pub timezone: String,
    /// As in `C.UTF-8`.
    pub locale: String,
    /// Size of the swap file; 0: none.
    pub swap_mib: u32,
    /// What the provider's plan has; the machine itself need not be told.
    #[serde(skip)]
    pub size: MachineSize,
}

/// What a provider's plan has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MachineSize {
    /// The word for it in a profile, if it has one.
    pub name: Option<&'static str>,
    /// Processors.
    pub cpus: u32,
    /// Memory as sold.
    pub memory_mib: u32,
    /// Disk as sold.
    pub disk_mib: u32,
}

/// The person who looks after the machine.
#[derive(Clone, Debug, Serialize)]
pub struct Admin {
    /// Login name.
    pub user: String,
    /// Checked OpenSSH lines.
    pub ssh_keys: Vec<String>,
}

/// The SSH server.
#[derive(Clone, Debug, Serialize)]
pub struct Ssh {
    /// Port it listens on.
    pub port: u16,
    /// Tries a connection has.
    pub max_auth_tries: u8,
    /// Idle sessions end after this; 0: never.
    pub idle_timeout_seconds: u32,
    /// Users who may log in beside the admin user.
    pub allow_users: Vec<String>,
}

/// Transport protocol of an open port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// `tcp` or `udp`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// One open port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PortRule {
    /// Port number.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
}

/// Ports open beside SSH and, with a domain, 80 and 443.
#[derive(Clone, Debug, Serialize)]
pub struct Firewall {
    /// The extra ports.
    pub allow: Vec<PortRule>,
}

/// Bans after failed logins.
#[derive(Clone, Debug, Serialize)]
pub struct Fail2ban {
    /// Failures before a ban.
    pub max_retry: u32,
    /// Window in which failures count.
    pub find_time_seconds: u32,
    /// Length of a ban.
    pub ban_time_seconds: u32,
    /// Addresses never banned.
    pub ignore: Vec<IpNet>,
}

/// Unattended upgrades.
#[derive(Clone, Debug, Serialize)]
pub struct Updates {
    /// Install security updates by themselves.
    pub security: bool,
    /// Local time `HH:MM` at which a needed reboot may happen; `None`: never.
    pub reboot: Option<String>,
}

/// Package archives.
#[derive(Clone, Debug, Serialize)]
pub struct Apt {
    /// Archive instead of the distribution's own.
    pub mirror: Option<String>,
    /// Security archive instead of the distribution's own.
    pub security_mirror: Option<String>,
}

/// Where Docker comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DockerSource {
    /// The distribution's packages; a profile writes `distribution`.
    Distribution,
    /// Docker's own repository; a profile writes `docker`.
    Upstream,
}

/// Docker.
#[derive(Clone, Debug, Serialize)]
pub struct Docker {
    /// Where it comes from.
    pub source: DockerSource,
    /// Docker's repository, when not the usual one.
    pub repository: Option<String>,
    /// Fingerprint of the key that signs it, when not Docker's: 40 hexadecimal digits.
    pub fingerprint: Option<String>,
    /// Mirrors of Docker Hub.
    pub registry_mirrors: Vec<String>,
    /// Registries with certificates of their own authority: host name and PEM.
    pub authorities: Vec<(String, String)>,
    /// Logins for private images.
    pub logins: Vec<Login>,
}

/// A login at a registry.
#[derive(Clone, Debug, Serialize)]
pub struct Login {
    /// Host, with a port if it has one.
    pub registry: String,
    /// Login name.
    pub username: String,
    /// Name of the secret that holds the password.
    pub password: String,
}

/// Certificates.
#[derive(Clone, Debug, Serialize)]
pub struct Tls {
    /// Contact given to the certificate authority.
    pub email: Option<String>,
    /// Fetch certificates; otherwise the machine keeps its self-signed ones.
    pub acme: bool,
    /// ACME directory.
    pub directory: String,
    /// ACME directory tried first; `None`: no rehearsal.
    pub staging_directory: Option<String>,
    /// PEM certificates that the ACME directory's own TLS is checked against, instead of the system's.
    pub ca: Option<String>,
}

/// One secret: its name, where it ends and where it comes from.
#[derive(Clone, Debug, Serialize)]
pub struct SecretSpec {
    /// Name, which is the variable's name for [`SecretPlace::Env`].
    pub name: String,
    /// Where it ends.
    pub place: SecretPlace,
    /// What it is.
    pub value: SecretValue,
    /// Where its author keeps it, for people: ``the variable `X` ``; none for what is not given.
    pub origin: Option<String>,
}

/// Where a secret ends on the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretPlace {
    /// A line of `/opt/<name>/.env`.
    Env,
    /// The file of this name in `/opt/<name>/credentials/`.
    Credential(String),
}

/// Where a secret's value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretValue {
    /// Made on the machine at first boot, from `[A-Za-z0-9]`; never in user-data.
    Generate {
        /// How many characters, at least 32.
        length: u32,
    },
    /// Given by the profile's author; embedded in user-data.
    Given(Secret),
    /// Given, but fetched by the machine from where it lies encrypted; the value itself is known to `seal` alone.
    Sealed(Option<Secret>),
    /// Brought once the machine runs; what needs it waits.
    Later,
}

impl SecretValue {
    /// It is there from the first boot on, and somebody chose it.
    pub fn is_given(&self) -> bool {
        matches!(self, Self::Given(_) | Self::Sealed(_))
    }
}

/// Where the sealed secrets lie, and what opens them.
#[derive(Clone, Debug, Serialize)]
pub struct Sealed {
    /// What the machine fetches, once.
    pub url: String,
    /// An age identity, `AGE-SECRET-KEY-1…`.
    pub key: Secret,
    /// SHA-256 of what lies there, in lower-case hex.
    pub sha256: String,
}

/// The Compose stack.
#[derive(Clone, Debug, Serialize)]
pub struct Stack {
    /// The whole Compose document: `name:` set, `x-bootstrap` removed, loopback ports added.
    #[serde(skip)]
    pub compose: Node,
    /// What the machine needs to know of each service, in the order written.
    pub services: Vec<Service>,
    /// Ports that services publish on all addresses because the profile asks by name.
    pub public_ports: Vec<PortRule>,
}

/// What the machine needs to know of a service beyond Compose.
#[derive(Clone, Debug, Serialize)]
pub struct Service {
    /// Its key under `services:`.
    pub name: String,
    /// Image; set also for a built service.
    pub image: Option<String>,
    /// Repository it is built from on the machine.
    pub source: Option<GitSource>,
    /// Paths of the web edge that lead to it.
    pub routes: Vec<Route>,
    /// Path asked on the first route's upstream.
    pub health: Option<String>,
    /// Requests that must be refused, each a method and a path on the first route's upstream.
    pub closed: Vec<String>,
    /// Compose knows a health check of it.
    pub has_healthcheck: bool,
    /// Why its process runs as root, if it says so.
    pub root_reason: Option<String>,
    /// It does its work and ends, and others wait for that.
    pub is_job: bool,
    /// Where its metrics are found.
    pub metrics: Option<Metrics>,
    /// How it is replaced, if the profile says so.
    pub deploy: Option<Replacement>,
}

/// A git repository built on the machine, in `/opt/<name>/src/<service>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GitSource {
    /// URL as git takes it.
    pub repository: String,
    /// What is checked out.
    pub reference: GitRef,
    /// Name of the secret that holds the deploy key.
    pub deploy_key: Option<String>,
}

/// What is checked out of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GitRef {
    /// The tip of a branch.
    Branch(String),
    /// A tag.
    Tag(String),
}

/// One path of the web edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Route {
    /// Host name it belongs to; `None`: the main domain.
    pub host: Option<String>,
    /// Starts and ends with `/`.
    pub path: String,
    /// Port inside the container.
    pub port: u16,
    /// Port on 127.0.0.1 that leads to it.
    pub loopback_port: u16,
    /// The same for the second of two that take turns.
    pub green_port: Option<u16>,
    /// The upstream sees the path without `path`.
    pub strip_prefix: bool,
    /// Passes WebSocket upgrades.
    pub websocket: bool,
    /// Limit per client address.
    pub rate_limit: Option<RateLimit>,
    /// Largest request body.
    pub body_size_mib: u32,
    /// How long the upstream may take.
    pub timeout_seconds: u32,
}

/// Requests per second and how many more may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RateLimit {
    /// Requests per second.
    pub per_second: u32,
    /// How many may come at once beyond that.
    pub burst: u32,
}
