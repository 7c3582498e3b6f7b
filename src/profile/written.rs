//! The profile as it is written: every section with its fields, their defaults and their documentation in one place.

use crate::hidden::{holds_password, holds_token, is_hidden, is_plain, is_public, is_secret_word};
use super::keys::{Certificates, SshKey};
use super::model::{MachineSize, PortRule};
use super::quantity::*;
use super::reader::{FieldDoc, Reader, Spanned, Value, section};
use super::text::*;
use crate::distribution::Distribution;
use crate::yaml::Node;

section! {
    /// The whole profile.
    Written "x-" {
        /// Version of the profile's language.
        version: required Version, "none: must be written", "1";
        /// Gives `/opt/<name>` and the prefix of volumes, networks and units.
        name: required Name, "none: must be written", "agent";
        /// What runs on the machine; the image chosen at the provider must be the same.
        distribution: required Distribution, "none: must be written", "debian-13";
        /// The machine itself.
        host: with Host, "{}", "{timezone: America/Sao_Paulo}";
        /// The person who looks after it: logs in by key, may use sudo without password, is in the docker group.
        admin: with Admin, "{}", "{user: deploy}";
        /// The SSH server; keys only, no root.
        ssh: with Ssh, "{}", "{port: 22}";
        /// Ports open beside SSH and, with a domain, 80 and 443.
        firewall: with Firewall, "{}", "{allow: [\"8883/tcp\"]}";
        /// Bans after failed logins.
        fail2ban: with Fail2ban, "{}", "{ban_time: 1h}";
        /// Unattended upgrades.
        updates: with Updates, "{}", "{reboot: \"04:30\"}";
        /// Package archives.
        apt: with Apt, "{}", "{mirror: \"https://mirror.example.com/debian\"}";
        /// Docker.
        docker: with Docker, "{}", "{source: distribution}";
        /// Main host name of the web edge; without it there is no web server and ports 80 and 443 stay closed.
        domain: optional Domain, "no web edge", "agent.example.com";
        /// Further host names that serve the same as the domain, each with its own certificate.
        aliases: with Vec<Spanned<Domain>>, "[]", "[www.example.com]";
        /// Proxies whose word on the client address is taken by nginx, rate limits and fail2ban.
        trusted_proxies: with Vec<Proxies>, "[]", "[cloudflare]";
        /// Certificates.
        tls: with Tls, "{}", "{email: ops@example.com}";
        /// Metrics, logs, dashboards and alerts: `full`; without the logs' store and per-container figures, for small machines: `lite`.
        monitoring: with Monitoring, "none", "full";
        /// Language of the runbook on the machine.
        language: with Language, "en", "pt-BR";
        /// Sections of your own at the end of the runbook, in Markdown: contacts, and what this stack alone needs.
        runbook: optional Markdown, "not set", "|\n  ## Contacts\n  …";
        /// A backup every night; what it holds is said by `x-bootstrap.backup` at services and volumes.
        backup: optional BackupWritten, "no backups", "{at: \"03:00\", keep: 7d}";
        /// A new machine begins with this off-site backup: `latest`, or a snapshot's ID.
        restore_from: optional Spanned<Snapshot>, "it begins empty", "latest";
        /// Who is told of alerts.
        alerts: with Alerts, "{}", "{slack: SLACK_WEBHOOK_URL}";
        /// How new versions come in.
        deploy: with DeployWritten, "{}", "{poll: 5m}";
        /// A signed bundle that the machine follows: whatever is signed and put at the URL, it becomes.
        follow: optional FollowWritten, "the stack is changed by hand", "{url: \"https://files.example.com/agent.bundle\", key: RWRvZLwehmTlEGn0uvBNYN6kfJIvgsSD81X1HfC8nGVnnpTctWcAP4qp}";
        /// Services of the stack that run elsewhere: each is left out, and `<SERVICE>_HOST` and so on stand in `.env`.
        external: with External, "{}", "{postgres: {host: db.example.com, port: 5432}}";
        /// What Compose fills in beside the secrets, where the stack says `${NAME}`; it stands in `.env` as well, and is nothing to hide.
        variables: with Settings, "{}", "{LOG_LEVEL: info}";
        /// Secrets by name. They end in `/opt/<name>/.env` for Compose's interpolation, or as files.
        secrets: with Secrets, "{}", "{POSTGRES_PASSWORD: generate}";
        /// Where the secrets with `sealed: true` lie encrypted, for the machine to fetch once at its first boot.
        sealed: optional SealedWritten, "not set", "{url: \"https://files.example.com/agent.sealed\", file: agent.sealed.json}";
        /// A Compose file beside the profile, with what it includes and its services extend; `services`, `volumes`, `networks` and `configs` here are laid over it, as an overlay is.
        compose: optional Spanned<FilePath>, "only what is written here", "compose.yaml";
        /// Compose's services, passed on as written; what Compose cannot say stands in `x-bootstrap`.
        services: optional Services, "no stack", "{api: {image: \"nginx:1.27\"}}";
        /// Compose's volumes; one without a name of its own gets `<name>-<key>`.
        volumes: optional Volumes, "not set", "{redis-data: {}}";
        /// Compose's networks; one without a name of its own gets `<name>-<key>`.
        networks: optional Compose, "not set", "{network: {}}";
        /// Compose's configs.
        configs: optional Compose, "not set", "{motd: {content: hello}}";
    }
}

section! {
    /// The machine itself.
    Host {
        /// Host name.
        hostname: optional Hostname, "the profile's name", "agent";
        /// Time zone of the machine and of every time of day in the profile.
        timezone: with Timezone, "UTC", "America/Sao_Paulo";
        /// Locale.
        locale: with Locale, "C.UTF-8", "pt_BR.UTF-8";
        /// Size of the swap file, or `none`.
        swap: with Swap, "2GiB", "4GiB";
        /// What the provider's plan has: `minimum` is 2 vCPU, 4 GB and 40 GB, `recommended` 4 vCPU, 8 GB and 80 GB. `check` adds up what the services take.
        size: with MachineSize, "minimum", "{cpus: 2, memory: 4GiB, disk: 40GB}";
    }
}

section! {
    /// The admin user.
    Admin {
        /// Login name.
        user: with User, "deploy", "deploy";
        /// Public keys that may log in. Without one nobody can.
        ssh_keys: with Vec<Spanned<SshKey>>, "[]", "[ssh-ed25519 AAAA… me@laptop]";
    }
}

section! {
    /// The SSH server.
    Ssh {
        /// Port it listens on.
        port: with Port, "22", "2222";
        /// Tries a connection has.
        max_auth_tries: with Tries, "3", "3";
        /// Idle sessions end after this; `0s` lets them live.
        idle_timeout: with Duration, "10m", "30m";
        /// Users who may log in beside the admin user.
        allow_users: with Vec<User>, "[]", "[ops]";
    }
}

section! {
    /// The firewall.
    Firewall {
        /// Ports open to processes of the host. Ports of containers are opened by `x-bootstrap.public_ports`.
        allow: with Vec<PortRule>, "[]", "[\"51820/udp\"]";
    }
}

section! {
    /// Bans.
    Fail2ban {
        /// Failures before a ban.
        max_retry: with Failures, "3", "5";
        /// Window in which failures count.
        find_time: with Period, "10m", "10m";
        /// Length of a ban.
        ban_time: with Period, "1h", "1d";
        /// Addresses that are never banned.
        ignore: with Vec<Range>, "[]", "[203.0.113.7]";
    }
}

section! {
    /// Unattended upgrades.
    Updates {
        /// Install security updates by themselves; Docker is left alone.
        security: with bool, "true", "true";
        /// Local time at which a needed reboot may happen, or `never`.
        reboot: with RebootTime, "\"04:30\"", "never";
    }
}

section! {
    /// Package archives.
    Apt {
        /// Archive to use instead of the distribution's own.
        mirror: optional HttpUrl, "the distribution's own", "https://mirror.example.com/debian";
        /// Security archive to use instead of the distribution's own.
        security_mirror: optional HttpUrl, "the distribution's own", "https://mirror.example.com/debian-security";
    }
}

/// How much is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Monitoring(pub Option<super::model::Level>);

/// A language that people read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Language(pub &'static str);

impl Value for Language {
    fn type_name() -> String {
        "`en` or `pt-BR`".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        const LANGUAGES: &[&str] = &["en", "pt-BR"];
        one_of(node, reader, LANGUAGES, "a language of the runbook").map(|at| Self(LANGUAGES[at]))
    }
}

impl Value for Monitoring {
    fn type_name() -> String {
        "`none`, `lite` or `full`".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        use super::model::Level::{Full, Lite};
        let at = one_of(node, reader, &["none", "lite", "full"], "a level of monitoring")?;
        Some(Self([None, Some(Lite), Some(Full)][at]))
    }
}

section! {
    /// Who is told of alerts.
    Alerts {
        /// Name of the secret that holds a Slack webhook's URL.
        slack: optional Spanned<SecretName>, "nobody is told there", "SLACK_WEBHOOK_URL";
        /// Name of the secret that holds the URL of a dead man's switch, asked every minute for as long as alerts work.
        heartbeat: optional Spanned<SecretName>, "not set", "HEARTBEAT_URL";
        /// Further receivers in Alertmanager's own words; `${NAME}` in them is filled in from the secrets.
        receivers: optional Receivers, "not set", "{webhook_configs: [{url: \"${WEBHOOK_URL}\"}]}";
    }
}

section! {
    /// Backups.
    BackupWritten {
        /// Local time of day; what was missed while the machine was off is made up for.
        at: with TimeOfDay, "\"03:00\"", "\"03:00\"";
        /// How long copies stay on the machine; the newest one always does.
        keep: with Keep, "7d", "14d";
        /// A second copy elsewhere, encrypted, by restic.
        offsite: optional OffsiteWritten, "not set", "{repository: \"s3:https://s3.example.com/bucket\", password: RESTIC_PASSWORD}";
        /// PostgreSQL's log goes off-site every two minutes too: a server as it was at any moment (`bootstrapctl restore --to`).
        pitr: with bool, "false", "true";
    }
}

section! {
    /// A copy elsewhere.
    OffsiteWritten {
        /// Where, in restic's words (`s3:`, `sftp:`, `rest:`, `b2:`, `azure:`, `gs:`); `${NAME}` in it is filled in from the secrets.
        repository: required Spanned<Repository>, "none: must be written", "s3:https://s3.example.com/bucket";
        /// Name of the secret with the repository's password. Hold it yourself as well: without it the copy cannot be read.
        password: required Spanned<SecretName>, "none: must be written", "RESTIC_PASSWORD";
        /// Variables that restic wants, each with the name of the secret that it is filled from.
        environment: with Environment, "{}", "{AWS_ACCESS_KEY_ID: S3_KEY, AWS_SECRET_ACCESS_KEY: S3_SECRET}";
        /// For `sftp:`, name of the secret with the SSH private key, a file (`as: credential`).
        ssh_key: optional Spanned<SecretName>, "not set", "BACKUP_KEY";
        /// How many are kept there.
        keep: with OffsiteKeep, "{}", "{daily: 7, weekly: 4, monthly: 6}";
    }
}

section! {
    /// How many copies stay elsewhere.
    OffsiteKeep {
        /// One a day, for so many days.
        daily: with Copies, "7", "7";
        /// One a week, for so many weeks.
        weekly: with Copies, "4", "4";
        /// One a month, for so many months.
        monthly: with Copies, "6", "12";
    }
}

/// Variables, each with the name of a secret.
#[derive(Clone, Debug)]
pub struct Environment(pub Vec<(String, Spanned<SecretName>)>);

impl Value for Environment {
    fn type_name() -> String {
        "mapping of variables to names of secrets".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let Some(entries) = node.as_map() else {
            reader.wrong_type(node, "a mapping of variables to names of secrets");
            return None;
        };
        let mut all = Vec::new();
        for (key, value) in entries {
            let name = EnvName::read(&Node::string(key.span, key.as_str().unwrap_or_default()), reader);
            let secret = Spanned::<SecretName>::read(value, reader);
            all.extend(name.map(|name| name.0).zip(secret));
        }
        Some(Self(all))
    }
}

/// Receivers as Alertmanager writes them: `email_configs`, `webhook_configs` and so on, each a list.
#[derive(Clone, Debug)]
pub struct Receivers(pub Node);

impl Value for Receivers {
    fn type_name() -> String {
        "as in Alertmanager".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let Some(entries) = node.as_map() else {
            reader.wrong_type(node, "a mapping of receivers");
            return None;
        };
        for (key, value) in entries {
            let name = key.as_str().unwrap_or_default();
            let lists = value.as_seq().is_some_and(|items| items.iter().all(|item| item.as_map().is_some()));
            if !name.ends_with("_configs") || !lists {
                reader
                    .invalid(key.span, format!("`{}` is no list of receivers", super::reader::shown(name)))
                    .help("write as Alertmanager does: `email_configs: [{to: …}]`, `webhook_configs: [{url: …}]`");
                return None;
            }
        }
        literals(node, reader).then(|| Self(node.clone()))
    }
}

/// Settings that hold secrets must name them: what stands here can be read by everybody on the machine.
fn literals(node: &Node, reader: &mut Reader<'_>) -> bool {
    match &node.kind {
        // Each is looked at: all findings are told at once.
        crate::yaml::Kind::Seq(items) => items.iter().filter(|item| !literals(item, reader)).count() == 0,
        crate::yaml::Kind::Map(entries) => entries.iter().fold(true, |well, (key, value)| {
            let literal = key.as_str().is_some_and(is_secret_word)
                && value.as_str().is_some_and(|text| !(text.starts_with("${") && text.ends_with('}')));
            if literal {
                reader
                    .invalid(value.span, "a secret is made or fetched, never written in the profile")
                    .hide()
                    .help("add it under `secrets`, and write `${NAME}` here");
            }
            literals(value, reader) && well && !literal
        }),
        crate::yaml::Kind::Scalar { .. } => true,
    }
}

section! {
    /// How new versions come in, of the services that say `x-bootstrap.deploy` and of what shares their image.
    DeployWritten {
        /// How long a new version may take until it is healthy.
        wait: with Period, "60s", "2m";
        /// How long requests that the old version has in hand, and its WebSockets, may go on.
        drain: with Period, "60s", "5m";
        /// How many versions stay on the disk, to return to.
        keep: with Kept, "5", "10";
        /// Databases are saved before a new version starts, where there are backups; one that cannot be saved stops the deploy.
        backup: with bool, "true", "false";
        /// How often the registry or the repository is asked for a new version, which is then deployed; without it, never.
        poll: optional Period, "not set", "5m";
        /// When that may happen, in local time.
        windows: with Vec<Window>, "[]", "[\"Mon-Fri 09:00-17:00\"]";
    }
}

section! {
    /// A signed bundle with the stack's part of the machine: services, routes, monitoring, timers. Written by `julia-bootstrap sign`.
    FollowWritten {
        /// Where it is looked for.
        url: required HttpUrl, "none: must be written", "https://files.example.com/agent.bundle";
        /// The public key, of minisign's kind, of whoever may sign one.
        key: required MinisignKey, "none: must be written", "RWRvZLwehmTlEGn0uvBNYN6kfJIvgsSD81X1HfC8nGVnnpTctWcAP4qp";
        /// How often.
        poll: with Period, "5m", "1h";
    }
}

section! {
    /// Secrets that travel beside the user-data.
    SealedWritten {
        /// Where `seal`'s file lies; best a URL that ends soon after the first boot.
        url: required HttpUrl, "none: must be written", "https://files.example.com/agent.sealed";
        /// What `seal` wrote beside it, with the key.
        file: required Spanned<FilePath>, "none: must be written", "agent.sealed.json";
    }
}

/// How a service is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// Beside the old one, or after it.
    pub blue_green: bool,
}

impl Value for Way {
    fn type_name() -> String {
        "`recreate` or `blue-green`".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        one_of(node, reader, &["recreate", "blue-green"], "a way to deploy").map(|at| Self { blue_green: at == 1 })
    }
}

/// A command: its words, or a line for the shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command(pub Vec<String>);

impl Value for Command {
    fn type_name() -> String {
        "list of words, or a line for the shell".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        if let Some(items) = node.as_seq().filter(|items| !items.is_empty()) {
            return items.iter().map(|item| Line::read(item, reader).map(|line| line.0)).collect::<Option<_>>().map(Self);
        }
        Line::read(node, reader).map(|line| Self(vec!["sh".into(), "-c".into(), line.0]))
    }
}

/// Services that run elsewhere, each with what is known of it.
#[derive(Clone, Debug)]
pub struct External(pub Vec<(Spanned<String>, Variables)>);

/// Names and values for `.env`.
pub type Variables = Vec<(String, String)>;

impl Value for External {
    fn type_name() -> String {
        "mapping of services; `host` and what else is written of each".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let Some(entries) = node.as_map() else {
            reader.wrong_type(node, "a mapping of services");
            return None;
        };
        let mut all = Vec::new();
        for (key, value) in entries {
            let service = Spanned { span: key.span, value: key.as_str().unwrap_or_default().to_owned() };
            let Some(known) = value.as_map().filter(|_| value.get("host").is_some()) else {
                reader.invalid(value.span, "where it runs is not said").help("write `{host: db.example.com, port: 5432}`");
                continue;
            };
            let mut pairs = Vec::new();
            for (key, value) in known {
                let word = key.as_str().unwrap_or_default();
                let name = format!("{}_{}", service.value.replace(['-', '.'], "_"), word).to_ascii_uppercase();
                if is_secret_word(word) {
                    reader
                        .invalid(value.span, "a secret is made or fetched, never written in the profile")
                        .hide()
                        .help(format!("add `{name}` under `secrets`: `{{env: {name}}}`"));
                    continue;
                }
                let text = reader.text(value, "text").map(str::to_owned);
                match text.filter(|_| crate::dotenv::is_shell_name(&name)) {
                    Some(text) => pairs.push((name, text)),
                    None => {
                        reader.invalid(key.span, format!("`{}` is no name for a variable", super::reader::shown(word))).help("use letters, digits and `_`");
                    }
                }
            }
            all.push((service, pairs));
        }
        Some(Self(all))
    }
}

/// What Compose fills in.
#[derive(Clone, Debug)]
pub struct Settings(pub Variables);

impl Value for Settings {
    fn type_name() -> String {
        "mapping of variables to texts".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let Some(entries) = node.as_map() else {
            reader.wrong_type(node, "a mapping of variables to texts");
            return None;
        };
        let mut pairs = Vec::new();
        for (key, value) in entries {
            let name = key.as_str().unwrap_or_default();
            let text = reader.text(value, "text").map(str::to_owned).unwrap_or_default();
            if !crate::dotenv::is_shell_name(name) || crate::dotenv::is_reserved(name) {
                let why = format!("`{}` is no name for a variable of the stack", super::reader::shown(name));
                reader.invalid(key.span, why).help("use letters, digits and `_`, and no name of the shell's or Compose's own");
            } else if (is_secret_word(name) || is_hidden(name) && !is_plain(&text) || holds_password(&text) || holds_token(&text) && !is_public(name)) && !text.is_empty() {
                reader
                    .invalid(value.span, "a secret is made or fetched, never written in the profile")
                    .hide()
                    .help(format!("add `{name}` under `secrets`: `{{env: {name}}}`"));
            } else {
                pairs.push((name.to_owned(), text));
            }
        }
        Some(Self(pairs))
    }
}

/// Where Docker comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DockerSource(pub super::model::DockerSource);

impl Value for DockerSource {
    fn type_name() -> String {
        "`distribution` or `docker`".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let at = one_of(node, reader, &["distribution", "docker"], "a source of Docker")?;
        Some(Self([super::model::DockerSource::Distribution, super::model::DockerSource::Upstream][at]))
    }
}

section! {
    /// Docker.
    Docker {
        /// The distribution's packages, or those of Docker's own repository.
        source: optional DockerSource, "distribution; on Debian 12, which has no Compose v2, docker", "docker";
        /// A mirror of Docker's own repository.
        repository: optional HttpUrl, "Docker's own", "https://mirror.example.com/docker/linux/debian";
        /// Fingerprint of the OpenPGP key that signs the repository; the key lies there as `gpg`.
        fingerprint: optional Fingerprint, "that of Docker's own key", "9DC858229FC7DD38854AE2D88D81803C0EBFCD88";
        /// Mirrors of Docker Hub.
        registry_mirrors: with Vec<OriginUrl>, "[]", "[\"https://mirror.example.com\"]";
        /// Registries whose certificates no public authority signed.
        authorities: with Vec<AuthorityWritten>, "[]", "[{registry: registry.example.com, ca: \"-----BEGIN CERTIFICATE-----…\"}]";
        /// Logins for private images.
        logins: with Vec<LoginWritten>, "[]", "[{registry: ghcr.io, username: me, password: GHCR_TOKEN}]";
    }
}

section! {
    /// Who signed a registry's certificate.
    AuthorityWritten {
        /// The registry's host name.
        registry: required Registry, "none: must be written", "registry.example.com";
        /// PEM certificates to check its own against.
        ca: required Certificates, "none: must be written", "|\n  -----BEGIN CERTIFICATE-----\n  …";
    }
}

section! {
    /// A login at a registry.
    LoginWritten {
        /// The registry's host name.
        registry: required Registry, "none: must be written", "ghcr.io";
        /// Login name.
        username: required Login, "none: must be written", "me";
        /// Name of the secret that holds the password or token.
        password: required Spanned<SecretName>, "none: must be written", "GHCR_TOKEN";
    }
}

section! {
    /// Certificates.
    Tls {
        /// Contact given to the certificate authority.
        email: optional Email, "not set", "ops@example.com";
        /// Fetch certificates by ACME; otherwise the machine keeps its self-signed ones.
        acme: with bool, "true", "false";
        /// ACME directory.
        directory: with HttpUrl, "\"https://acme-v02.api.letsencrypt.org/directory\"", "https://acme.example.com/directory";
        /// ACME directory for the rehearsal before each first certificate.
        staging_directory: optional HttpUrl, "Let's Encrypt's staging; none when only `directory` is set", "https://staging.example.com/directory";
        /// Certificates to check the ACME directory's own TLS against, instead of the system's.
        ca: optional Certificates, "the system's", "|\n  -----BEGIN CERTIFICATE-----\n  …";
        /// The same, in a file beside the profile.
        ca_file: optional Spanned<FilePath>, "the system's", "ca.pem";
    }
}

/// A part of the profile that is passed on to Compose as it is; it must be a mapping.
#[derive(Clone, Debug)]
pub struct Compose;

impl Value for Compose {
    fn type_name() -> String {
        "as in Compose".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        if node.as_map().is_none() {
            reader.wrong_type(node, "a mapping");
            return None;
        }
        Some(Self)
    }
}

/// Compose's volumes.
#[derive(Clone, Debug)]
pub struct Volumes;

impl Value for Volumes {
    fn type_name() -> String {
        "as in Compose, and `x-bootstrap`".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        Compose::read(node, reader).map(|_| Self)
    }

    fn docs(path: &str, out: &mut Vec<FieldDoc>) {
        VolumeExtension::docs(&format!("{path}.<volume>.x-bootstrap"), out);
    }
}

section! {
    /// What Compose cannot say of a volume.
    VolumeExtension {
        /// Whether its files are in the backup, and what the services that use it do meanwhile: go on (`live`), stand still (`pause`) or `stop`.
        backup: optional Hold, "not in the backup; `none` says that this is meant", "pause";
    }
}

/// What the services that use a volume do while it is copied; nothing: it is not copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold(pub Option<&'static str>);

impl Value for Hold {
    fn type_name() -> String {
        "`live`, `pause`, `stop` or `none`".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let ways = ["live", "pause", "stop", "none"];
        one_of(node, reader, &ways, "a way to copy a volume").map(|at| Self((at < 3).then_some(ways[at])))
    }
}

/// A kind of database that is saved by its own means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Store(pub &'static str);

impl Value for Store {
    fn type_name() -> String {
        "`postgres` or `redis`".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let kinds = ["postgres", "redis"];
        one_of(node, reader, &kinds, "a database that can be saved by its own means").map(|at| Self(kinds[at]))
    }
}

/// Compose's services.
#[derive(Clone, Debug)]
pub struct Services;

impl Value for Services {
    fn type_name() -> String {
        "as in Compose, and `x-bootstrap`".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        Compose::read(node, reader).map(|_| Self)
    }

    fn docs(path: &str, out: &mut Vec<FieldDoc>) {
        Extension::docs(&format!("{path}.<service>.x-bootstrap"), out);
    }
}

section! {
    /// What Compose cannot say of a service.
    Extension {
        /// One path of the web edge that leads here.
        route: optional Spanned<RouteWritten>, "not set", "{path: /, port: 8000}";
        /// Several paths of the web edge that lead here.
        routes: with Vec<Spanned<RouteWritten>>, "[]", "[{path: /, port: 8000}, {path: /webhook/, port: 8000}]";
        /// Path that answers 200 when the service is well, asked on the first route's port.
        health: optional Spanned<HealthPath>, "not set", "/health";
        /// Requests on the first route that nobody may succeed with, such as sign-up and first-run pages; the acceptance test sends each.
        closed: with Vec<Spanned<Request>>, "[]", "[\"POST /signup\"]";
        /// Git repository that the image is built from on the machine.
        source: optional Spanned<SourceWritten>, "the image is pulled", "{git: \"https://git.example.com/me/app.git\", branch: main}";
        /// How a new version takes its place: `blue-green` starts it beside the old one and leads requests over when it is healthy,
        /// `recreate` stops the old one first. Written at either, the service and all that share its image are deployed together.
        deploy: optional Spanned<Way>, "only by hand, `recreate`", "blue-green";
        /// Command that is run in a container of the new version before it starts, such as a migration; if it fails, the old version stays.
        before: optional Command, "not set", "[python3, manage.py, migrate]";
        /// The same once the new version has taken over.
        after: optional Command, "not set", "[python3, manage.py, clear_cache]";
        /// Published ports that everybody may reach; all others must be on 127.0.0.1.
        public_ports: with Vec<Spanned<PortRule>>, "[]", "[\"8883/tcp\"]";
        /// Where Prometheus finds its metrics.
        metrics: optional MetricsWritten, "not set", "{port: 8000}";
        /// The database that it is, for the backup: every database and role of a `postgres`, a snapshot of a `redis`.
        backup: optional Spanned<Store>, "its volumes say for themselves", "postgres";
        /// It may run on one machine alone: when another one was restored from this one's backups, it is stopped here.
        single: with bool, "false", "true";
        /// Why its process may run as root, for the acceptance test.
        runs_as_root: optional Line, "it may not", "the agent reads other processes";
    }
}

section! {
    /// Where metrics are found.
    MetricsWritten {
        /// Port inside the container.
        port: required Port, "none: must be written", "8000";
        /// Path.
        path: with MetricsPath, "/metrics", "/metrics";
        /// What they are of, for a dashboard of its own.
        dashboard: optional Dashboard, "the app's", "postgres";
    }
}

/// A dashboard made for one kind of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dashboard(pub &'static str);

impl Value for Dashboard {
    fn type_name() -> String {
        "`postgres` or `redis`".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let kinds = ["postgres", "redis"];
        one_of(node, reader, &kinds, "a kind of metrics with a dashboard").map(|at| Self(kinds[at]))
    }
}

section! {
    /// A path of the web edge.
    RouteWritten {
        /// Host name it belongs to.
        host: optional Spanned<Domain>, "the domain and its aliases", "chat.example.com";
        /// Path, which ends with `/`.
        path: with RoutePath, "/", "/webhook/";
        /// Port the service listens on inside its container.
        port: required Port, "none: must be written", "8000";
        /// Take the path off before the request goes to the service.
        strip_prefix: with bool, "false", "true";
        /// Pass WebSocket upgrades.
        websocket: with bool, "false", "true";
        /// Limit of requests per client address.
        rate_limit: optional RateLimitWritten, "not set", "{per_second: 10, burst: 20}";
        /// Largest request body.
        body_size: with Size, "10MiB", "50MiB";
        /// How long the service may take to answer.
        timeout: with Period, "60s", "5m";
    }
}

section! {
    /// A limit per client address.
    RateLimitWritten {
        /// Requests per second.
        per_second: required PerSecond, "none: must be written", "10";
        /// How many more may come at once.
        burst: with Burst, "20", "20";
    }
}

section! {
    /// A git repository.
    SourceWritten {
        /// Its URL; by SSH for a deploy key.
        git: required Spanned<GitUrl>, "none: must be written", "git@git.example.com:me/app.git";
        /// Branch to build; or a tag.
        branch: optional GitRefName, "not set", "main";
        /// Tag to build; or a branch.
        tag: optional GitRefName, "not set", "v1.0.0";
        /// Name of the secret that holds the SSH private key.
        deploy_key: optional Spanned<SecretName>, "not set: the repository is public", "DEPLOY_KEY";
    }
}

/// The secrets by name.
#[derive(Clone, Debug)]
pub struct Secrets(pub Vec<(Spanned<SecretName>, SecretWritten)>);

impl Value for Secrets {
    fn type_name() -> String {
        "mapping by name".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let Some(entries) = node.as_map() else {
            reader.wrong_type(node, "a mapping of secrets by name");
            return None;
        };
        let mut secrets = Vec::new();
        for (key, value) in entries {
            let name = Spanned::<SecretName>::read(&Node::string(key.span, key.as_str().unwrap_or_default()), reader);
            let secret = SecretWritten::read(value, reader);
            secrets.extend(name.zip(secret));
        }
        Some(Self(secrets))
    }

    fn docs(path: &str, out: &mut Vec<FieldDoc>) {
        SecretFields::docs(&format!("{path}.<NAME>"), out);
    }
}

/// One secret: the word `generate`, or a mapping.
#[derive(Clone, Debug)]
pub struct SecretWritten(pub SecretFields);

impl Value for SecretWritten {
    fn type_name() -> String {
        "`generate` or mapping".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        if node.as_str() == Some("generate") {
            let generate = Some(SecretLength(32));
            return Some(Self(SecretFields { generate, env: None, file: None, command: None, sealed: false, later: false, place: None }));
        }
        if node.as_map().is_none() {
            reader
                .invalid(node.span, "a secret is made or fetched, never written in the profile")
                .hide()
                .help("write `generate`, `{env: VARIABLE}`, `{file: PATH}` or `{command: [WORDS]}`");
            return None;
        }
        let fields = SecretFields::read(node, reader)?;
        let written = |name: &str| node.get(name).is_some_and(|value| !value.is_null());
        let read = [
            ("generate", fields.generate.is_some()),
            ("env", fields.env.is_some()),
            ("file", fields.file.is_some()),
            ("command", fields.command.is_some()),
        ];
        let all = read.iter().all(|(name, read)| *read == written(name));
        all.then_some(Self(fields))
    }
}

/// Where a secret ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// As a file in `credentials/`, not as a line of `.env`.
    pub credential: bool,
}

impl Value for Place {
    fn type_name() -> String {
        "`env` or `credential`".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        one_of(node, reader, &["env", "credential"], "a place for a secret").map(|at| Self { credential: at == 1 })
    }
}

section! {
    /// A secret.
    SecretFields {
        /// Made on the machine at first boot, of this many characters `[A-Za-z0-9]`; never in user-data.
        generate: optional SecretLength, "32 for the word `generate`", "64";
        /// Variable of `--env-file` or of the environment to take it from when rendering.
        env: optional Spanned<EnvName>, "not set", "SLACK_WEBHOOK_URL";
        /// File beside the profile to take it from when rendering.
        file: optional Spanned<FilePath>, "not set", "gcp.json";
        /// Command whose output it is, run when rendering, such as a password manager's; one line break at the end is not part of it.
        command: optional Spanned<Command>, "not set", "[op, read, \"op://ops/slack/url\"]";
        /// Not embedded in user-data: `seal` encrypts the value, and the machine fetches it once from the profile's `sealed.url`.
        sealed: with bool, "false", "true";
        /// Brought by `bootstrapctl secrets set` once the machine runs; services that need it wait until then.
        later: with bool, "false", "true";
        /// A line of `.env` under its name, or a file of its name in `/opt/<name>/credentials/`.
        place: optional Place, "env", "credential";
    }
}
