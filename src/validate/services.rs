//! Services: what will surprise somebody once they run on a machine that nobody logs in to.

use crate::compose::parts;
use crate::profile::reader::{nearest, shown};
use crate::report::{Report, SourceId, Span};
use crate::resolve::{Extended, Resolved};
use crate::yaml::{Kind, Node};

pub(super) fn check(resolved: &Resolved, document: &Node, report: &mut Report) {
    let names: Vec<&str> = resolved.services.iter().map(|service| service.name.as_str()).collect();
    if let Some((key, _)) = document.entry("x-bootstrap") {
        report
            .error(key.span, "unknown-field", "`x-bootstrap` belongs into a service, not beside `services`")
            .help("move it into the service it is about");
    }
    if let Some(name) = document.get("name").filter(|name| name.as_str() != Some(&resolved.profile.name)) {
        let message = format!("the stack is called `{}`, whatever this says", resolved.profile.name);
        report.warning(name.span, "compose-name", message).help("remove it, or write the same");
    }
    networks(document, report);
    placeholders(document, report);
    for key in ["configs", "secrets"] {
        for span in document.get(key).map(file_references).unwrap_or_default() {
            report
                .error(span, "relative-path", "nothing puts this file on the machine, and Compose starts nothing without it")
                .help("write its text as `content`, or make it a secret of the profile with `as: credential`");
        }
    }
    for service in &resolved.services {
        image(service, report);
        let job = resolved.services.iter().any(|other| other.waits_for_end_of(&service.name));
        habits(service, job, report);
        if service.is_optional() && !(service.routes.is_empty() && service.metrics.is_none()) {
            let message = format!("`{}` is started only for a Compose profile of its own, which the machine never names", service.name);
            report.error(service.span, "optional-service", message).help("take `profiles` out, or its routes and metrics");
        }
        mounts(service, document, resolved.builtin, report);
        references(service, document, &names, report);
        if !service.is_optional() {
            unstarted(service, &resolved.services, report);
            brought(service, document, report);
            network_mode(service, document, &resolved.profile.name, report);
        }
    }
}

/// Texts with a domain that only documentation uses.
pub(super) fn placeholders(node: &Node, report: &mut Report) {
    match &node.kind {
        Kind::Seq(items) => items.iter().for_each(|item| placeholders(item, report)),
        Kind::Map(entries) => {
            let own = |key: &Node| key.as_str().is_some_and(|key| key.starts_with("x-"));
            entries.iter().filter(|(key, _)| !own(key)).for_each(|(_, value)| placeholders(value, report));
        }
        Kind::Scalar { text, .. } => {
            let host = |c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '-');
            if let Some(name) = text.split(host).find(|word| word.contains('.') && super::is_example(word)) {
                let at = report.sources.within(node.span, name);
                report
                    .warning(at, "placeholder", format!("`{}` is an example domain", shown(name)))
                    .help("write your own; `${DOMAIN}` stands for the profile's domain");
            }
        }
    }
}

/// Networks that the firewall's table, which knows Docker's bridges by their names, would not see.
fn networks(document: &Node, report: &mut Report) {
    for (_, network) in document.get("networks").and_then(Node::as_map).unwrap_or_default() {
        if let Some(driver) = network.get("driver").filter(|driver| !driver.is_null())
            && let Some(name) = driver.as_str().filter(|name| !matches!(*name, "bridge" | "host" | "none"))
        {
            let message = format!("a network of the driver `{}` goes past the firewall", shown(name));
            report.error(driver.span, "network-driver", message).help("use a bridge: leave `driver` out");
        }
        if let Some(option) = network.get("driver_opts").and_then(|options| options.get("com.docker.network.bridge.name"))
            && !option.as_str().is_some_and(|name| name.starts_with("br-"))
        {
            report
                .error(option.span, "bridge-name", "the firewall knows Docker's bridges by names that begin with `br-`")
                .help("begin the name with `br-`, or leave it out");
        }
    }
}

fn image(service: &Extended, report: &mut Report) {
    let name = &service.name;
    if let Some(build) = service.node.get("build").filter(|build| !build.is_null() && service.source.is_none()) {
        let context = build.as_str().or_else(|| build.get("context").and_then(Node::as_str)).unwrap_or(".");
        // What stands in the profile itself needs no folder.
        let inline = build.get("dockerfile_inline").is_some_and(|text| !text.is_null()) && build.get("context").is_none_or(|context| context.as_str() == Some("."));
        if is_relative(context) && !context.contains("://") && !inline {
            report
                .error(build.span, "relative-path", "nothing puts this folder on the machine, so there is nothing to build")
                .help("let the machine fetch it: `x-bootstrap: {source: {git: …, branch: main}}`, or name an image");
        }
    }
    let node = service.node.get("image").filter(|image| !image.is_null() && image.as_str() != Some(""));
    let Some((node, image)) = node.and_then(|node| Some((node, node.as_str()?))) else {
        if !service.is_built() && service.node.get("extends").is_none() {
            report
                .error(service.span, "no-image", format!("the service `{name}` has neither an image nor a source"))
                .help("add `image: …`, or `x-bootstrap: {source: {git: …, branch: main}}`");
        }
        return;
    };
    if !image.contains('$') && let Err(error) = image.parse::<oci_client::Reference>() {
        report
            .error(node.span, "bad-image", format!("`{}` is no image: {error}", shown(image)))
            .help("write registry, name in lower case and tag or digest, as `ghcr.io/me/shop:1.4.2`, without `https://`");
        return;
    }
    if image.starts_with("example/") || image.contains("/example/") {
        report
            .warning(node.span, "placeholder", format!("`{}` is an example image", shown(image)))
            .help("write the image of your own app");
    }
    let last = image.rsplit('/').next().unwrap_or(image);
    let pinned = image.contains('@') || image.contains('$');
    match last.split_once(':') {
        None if !pinned && !service.is_built() => {
            report
                .warning(node.span, "unpinned-image", format!("`{}` names no version", shown(image)))
                .help("add a tag, or better a digest: what runs tomorrow should be what was tried today");
        }
        Some((_, "latest")) if !pinned => {
            report
                .warning(node.span, "unpinned-image", format!("`{}` is whatever is newest", shown(image)))
                .help("name the version that you tried");
        }
        _ => {}
    }
}

fn habits(service: &Extended, job: bool, report: &mut Report) {
    let (name, node) = (&service.name, &service.node);
    if !service.has_healthcheck() && !job {
        report
            .warning(service.span, "no-healthcheck", format!("nothing asks whether `{name}` is well"))
            .help("add Compose's `healthcheck`; deploys and alerts wait for it");
    }
    let policy = node.get("restart").filter(|restart| !restart.is_null());
    let swarm = node.get("deploy").and_then(|deploy| deploy.get("restart_policy"));
    if policy.is_none_or(|policy| policy.as_str() == Some("no")) && swarm.is_none() && !job {
        report
            .warning(service.span, "no-restart", format!("`{name}` stays down when it dies"))
            .help("add `restart: unless-stopped`; for what ends when its work is done, let a service wait by `service_completed_successfully`");
    }
    if let Some(value) = node.get("privileged").filter(|value| value.as_bool() == Some(true)) {
        report
            .warning(value.span, "privileged", format!("`{name}` is privileged: it can do anything to the machine"))
            .help("name the capabilities or devices it needs: `cap_add`, `devices`");
    }
    if let Some(mode) = node.get("network_mode").filter(|mode| mode.as_str() == Some("host")) {
        report
            .warning(mode.span, "host-network", format!("`{name}` shares the machine's network: it reaches what listens on 127.0.0.1 and the metadata service"))
            .help("use a network of the stack; routes publish on 127.0.0.1");
    }
}

/// One of a service's mounts that says what is mounted.
pub(super) struct Mount<'n> {
    /// As Compose writes it: `bind`, `volume` and others.
    kind: &'n str,
    /// The volume's name, or a path of the machine.
    pub source: &'n str,
    /// Where it stands in the container, as far as that is said.
    pub place: Option<&'n str>,
    span: Span,
}

impl Mount<'_> {
    /// Whether it is of a path of the machine.
    pub fn is_bind(&self) -> bool {
        self.kind == "bind"
    }

    /// Whether it is of a volume that the Compose file names.
    pub fn is_volume(&self) -> bool {
        self.kind == "volume"
    }
}

/// A service's mounts, in both of Compose's ways to write them. One that lacks its type is told of elsewhere.
pub(super) fn mounts_of(service: &Node) -> impl Iterator<Item = Mount<'_>> {
    let kind_of = |source: &str, paths: &[char]| if source.starts_with(paths) { "bind" } else { "volume" };
    service.get("volumes").and_then(Node::as_seq).unwrap_or_default().iter().filter_map(move |entry| match &entry.kind {
        Kind::Scalar { text, .. } => {
            let [source, place, ..] = parts(text)[..] else { return None };
            Some(Mount { kind: kind_of(source, &['.', '/', '~', '$']), source, place: Some(place), span: entry.span })
        }
        _ => {
            let said = |key: &str| entry.get(key).and_then(Node::as_str);
            let source = said("source")?;
            Some(Mount { kind: said("type").unwrap_or_else(|| kind_of(source, &['.', '/', '~'])), source, place: said("target"), span: entry.span })
        }
    })
}

/// True for what the profile's author wrote.
fn written_here(span: Span, builtin: Option<SourceId>) -> bool {
    Some(span.source) != builtin
}

fn mounts(service: &Extended, document: &Node, builtin: Option<SourceId>, report: &mut Report) {
    for mount in mounts_of(&service.node).filter(|mount| mount.is_bind() || mount.is_volume()) {
        let (source, bind, span) = (mount.source, mount.is_bind(), mount.span);
        if source.ends_with("docker.sock") && written_here(span, builtin) {
            report
                .warning(
                    span,
                    "docker-socket",
                    format!("with Docker's socket `{}` is root on the machine", service.name),
                )
                .help("put a read-only socket proxy between them");
        } else if bind && source.ends_with("docker.sock") {
            // Our own proxy, which lets nobody do more than look.
        } else if bind && is_relative(source) {
            relative(source, span, report);
        } else if !bind && !source.is_empty() && document.get("volumes").and_then(|volumes| volumes.entry(source)).is_none() {
            undeclared("volume", "volumes", source, span, document, report);
        }
    }
    let env_files = service.node.get("env_file").map(|node| node.as_seq().unwrap_or(std::slice::from_ref(node))).unwrap_or_default();
    let needed = |file: &&Node| file.get("required").and_then(Node::as_bool) != Some(false);
    for span in env_files.iter().filter(needed).flat_map(file_references) {
        report
            .error(span, "relative-path", "nothing puts this file on the machine, and Compose starts nothing without it")
            .help("write the values under `environment`, and those that are secret under `secrets`");
    }
    for span in service.node.get("label_file").map(file_references).unwrap_or_default() {
        report
            .error(span, "relative-path", "nothing puts this file on the machine, and Compose starts nothing without it")
            .help("write them under `labels`");
    }
    for file in env_files.iter().map(|file| file.get("path").unwrap_or(file)) {
        if matches!(file.as_str(), Some(".env" | "./.env")) {
            let message = format!(
                "your own `.env` stays here: on the machine `.env` holds every secret of the profile, and `{}` gets all of them",
                service.name
            );
            report.warning(file.span, "env-file", message).help("name what it needs: `environment: {NAME: ${NAME}}`, and under `secrets` what is secret");
        }
    }
    if let Some((key, _)) = service.node.entry("secrets")
        && document.get("secrets").is_none()
    {
        report
            .error(
                key.span,
                "compose-secrets",
                "the `secrets` of a profile are not Compose's: they stand in `.env` and `credentials/`",
            )
            .help("pass one on as `environment: {NAME: ${NAME}}`, or mount `./credentials/FILE`");
    }
}

/// Files that nothing puts on the machine. What we put there ourselves is fine.
pub(super) fn is_relative(path: &str) -> bool {
    let ours = ["./credentials", "credentials/", "./monitoring/", "./.env", ".env"];
    !path.starts_with(['/', '$']) && !ours.iter().any(|prefix| path.starts_with(prefix))
}

/// Every relative path named by `file:`, `path:` or as a bare text.
fn file_references(node: &Node) -> Vec<Span> {
    match &node.kind {
        Kind::Scalar { text, .. } if is_relative(text) && !node.is_null() => vec![node.span],
        Kind::Scalar { .. } => Vec::new(),
        Kind::Seq(items) => items.iter().flat_map(file_references).collect(),
        Kind::Map(entries) => entries
            .iter()
            .flat_map(|(key, value)| match key.as_str() {
                Some("file" | "path") => file_references(value),
                _ if value.as_map().is_some() => file_references(value),
                _ => Vec::new(),
            })
            .collect(),
    }
}

fn relative(source: &str, span: Span, report: &mut Report) {
    let message = format!("nothing puts `{}` on the machine: Docker makes an empty folder there, of which no backup is made", shown(source));
    report
        .warning(span, "relative-path", message)
        .help("for data use a named volume; for files `configs` with `content`, a secret with `as: credential`, or the image");
}

fn references(service: &Extended, document: &Node, names: &[&str], report: &mut Report) {
    for (other, span) in names_of(service, "depends_on") {
        if !names.contains(&other) {
            let finding = report.error(span, "no-service", format!("there is no service `{}`", shown(other)));
            match nearest(other, names.iter().copied()) {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding.help(format!("the services are {}", names.join(", "))),
            };
        }
    }
    for (other, condition) in service.node.get("depends_on").and_then(Node::as_map).unwrap_or_default() {
        let known = ["service_started", "service_healthy", "service_completed_successfully"];
        let Some(node) = condition.get("condition").filter(|node| !node.is_null()) else { continue };
        let name = node.as_str().unwrap_or_default();
        if !known.contains(&name) {
            let message = format!("`{}` is no condition to wait for `{}` by", shown(name), other.as_str().unwrap_or_default());
            let finding = report.error(node.span, "depends-on", message);
            match nearest(name, known.into_iter()).or(name.contains("complete").then_some(known[2])) {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding.help(format!("write one of {}", known.join(", "))),
            };
        }
    }
    // What is not started misses nobody.
    let linked = if service.is_optional() { Vec::new() } else { linked(service) };
    for (other, span) in linked {
        if !names.contains(&other) {
            report
                .error(span, "no-service", format!("there is no service `{}`", shown(other)))
                .help(format!("the services are {}", names.join(", ")));
        }
    }
    for (network, span) in names_of(service, "networks") {
        let there = document.get("networks").and_then(|networks| networks.entry(network));
        if there.is_none() && network != "default" {
            undeclared("network", "networks", network, span, document, report);
        }
    }
}

/// Services without which Compose does not start this one, beside those of `depends_on`. What only a variable names is not known here.
fn linked(service: &Extended) -> Vec<(&str, Span)> {
    let known = |name: &str| !name.contains('$');
    let linked = ["links", "volumes_from"].iter().flat_map(|key| names_of(service, key));
    let shared = ["network_mode", "ipc", "pid"].iter().filter_map(|key| {
        let node = service.node.get(key)?;
        Some((node.as_str()?.strip_prefix("service:")?, node.span))
    });
    let linked = linked.filter(|(name, _)| !name.starts_with("container:") && known(name));
    linked.map(|(name, span)| (name.rsplit_once(':').map_or(name, |(other, _)| other), span)).chain(shared.filter(|(name, _)| known(name))).collect()
}

/// What it leans on and is never started, since the machine names no profile of Compose: Compose then starts nothing at all.
fn unstarted(service: &Extended, services: &[Extended], report: &mut Report) {
    let depends = service.node.get("depends_on");
    let needed = |name: &str| depends.and_then(|all| all.get(name)).and_then(|how| how.get("required")).and_then(Node::as_bool) != Some(false);
    let waits = names_of(service, "depends_on").into_iter().filter(|(name, _)| needed(name)).map(|(other, span)| {
        let why = format!("Compose starts nothing while `{}` waits for it", service.name);
        (other, span, why, format!("write `{other}: {{condition: service_started, required: false}}` here"))
    });
    let leans = linked(service).into_iter().map(|(other, span)| (other, span, format!("`{}` cannot be without it", service.name), "this out".to_owned()));
    for (other, span, why, else_) in waits.chain(leans) {
        if services.iter().any(|service| service.name == other && service.is_optional()) {
            report
                .error(span, "optional-service", format!("`{other}` is started only for a Compose profile of its own, and {why}"))
                .help(format!("take `profiles` out of `{other}`, or {else_}"));
        }
    }
}

/// Compose's `configs` and `secrets` that a service names, and that stand nowhere.
fn brought(service: &Extended, document: &Node, report: &mut Report) {
    let build = service.node.get("build");
    for (what, key, of) in [("config", "configs", Some(&service.node)), ("secret", "secrets", Some(&service.node)), ("secret", "secrets", build)] {
        // Without any in the Compose file, those of the profile are meant: that is told elsewhere.
        if key == "secrets" && document.get(key).is_none() {
            continue;
        }
        for item in of.and_then(|node| node.get(key)).and_then(Node::as_seq).unwrap_or_default() {
            let name = if item.as_map().is_some() { item.get("source") } else { Some(item) };
            match name.filter(|name| !name.is_null()).and_then(|name| Some((name.as_str()?, name.span))) {
                None => {
                    report.error(item.span, "missing-field", format!("this names no {what}")).help(format!("write the name of one of `{key}`, or `{{source: NAME, target: /PLACE}}`"));
                }
                Some((name, _)) if name.contains('$') || document.get(key).is_some_and(|all| all.entry(name).is_some()) => {}
                Some((name, span)) => undeclared(what, key, name, span, document, report),
            }
        }
    }
}

/// A network that Docker does not know: beside its own words there are those of the stack, by their whole names.
fn network_mode(service: &Extended, document: &Node, stack: &str, report: &mut Report) {
    let Some(node) = service.node.get("network_mode").filter(|node| !node.is_null()) else { return };
    let Some(mode) = node.as_str().filter(|mode| !mode.contains(['$', ':'])) else { return };
    let networks = document.get("networks").and_then(Node::as_map).unwrap_or_default();
    let whole = |(key, network): &(Node, Node)| {
        let name = network.get("name").and_then(Node::as_str).map(str::to_owned);
        name.unwrap_or_else(|| format!("{stack}-{}", key.as_str().unwrap_or_default()))
    };
    if !matches!(mode, "none" | "host" | "bridge" | "default" | "") && mode != format!("{stack}_default") && !networks.iter().any(|network| whole(network) == mode) {
        report
            .error(node.span, "wrong-value", format!("there is no network `{}`, and Docker makes no container without it", shown(mode)))
            .help("write `none`, `host`, `bridge` or `service:NAME`; a network of the stack stands under `networks`");
    }
}

fn names_of<'s>(service: &'s Extended, key: &str) -> Vec<(&'s str, Span)> {
    service.node.get(key).map(Node::names).unwrap_or_default()
}

fn undeclared(what: &str, key: &str, name: &str, span: Span, document: &Node, report: &mut Report) {
    let known = document.get(key).map(Node::names).unwrap_or_default();
    let message = format!("the {what} `{}` is not declared under `{key}`", shown(name));
    let finding = report.error(span, "undeclared", message);
    match nearest(name, known.iter().map(|(name, _)| *name)) {
        Some(near) => finding.help(format!("did you mean `{near}`?")),
        None if key == "configs" => finding.help(format!("add `configs: {{{}: {{content: …}}}}`", shown(name))),
        None if key == "secrets" => finding.help(format!("add it there, as `{}: {{environment: NAME}}` with the name of one of the profile's", shown(name))),
        None => finding.help(format!("add `{key}: {{{}: {{}}}}`", shown(name))),
    };
}
