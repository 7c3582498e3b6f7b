//! Services: what `x-bootstrap` says, and what the machine needs to know of the rest.

use crate::profile::model::{GitRef, GitSource, Metrics, PortRule};
use crate::profile::reader::{Reader, Spanned, Value, shown};
use crate::profile::text::{HealthPath, Request};
use crate::profile::written::{Extension, RouteWritten, SourceWritten, Store, Way};
use crate::report::{Report, Span};
use crate::yaml::{Kind, Node};

/// A service with its extension read.
#[derive(Debug)]
pub struct Extended {
    /// Its key under `services:`.
    pub name: String,
    /// Where the key stands.
    pub span: Span,
    /// The service as written.
    pub node: Node,
    /// Its routes that have a port.
    pub routes: Vec<Spanned<RouteWritten>>,
    /// Its health path.
    pub health: Option<Spanned<HealthPath>>,
    /// Requests that must be refused.
    pub closed: Vec<Spanned<Request>>,
    /// What it is built from, and where its key is written (without one: where the source is).
    pub source: Option<Spanned<GitSource>>,
    /// Ports it may publish to everybody.
    pub public_ports: Vec<Spanned<PortRule>>,
    /// The database that it is.
    pub backup: Option<Spanned<Store>>,
    /// It may run on one machine alone.
    pub single: bool,
    /// Why it may run as root.
    pub root_reason: Option<String>,
    /// Where its metrics are found.
    pub metrics: Option<Metrics>,
    /// How it is replaced.
    pub deploy: Option<Spanned<Way>>,
    /// What is run before and after that.
    pub hooks: [Option<Vec<String>>; 2],
}

impl Extended {
    /// True when two of it take turns.
    pub fn is_blue_green(&self) -> bool {
        self.deploy.as_ref().is_some_and(|way| way.value.blue_green)
    }

    /// The keys of the networks that it is on.
    pub fn networks(&self) -> Vec<&str> {
        match self.node.get("networks").map(|node| &node.kind) {
            _ if self.node.get("network_mode").is_some_and(|mode| !mode.is_null()) => Vec::new(),
            Some(Kind::Seq(items)) => items.iter().filter_map(Node::as_str).collect(),
            Some(Kind::Map(entries)) => entries.iter().filter_map(|(key, _)| key.as_str()).collect(),
            _ => vec!["default"],
        }
    }

    /// The image as written.
    pub fn image(&self) -> Option<&str> {
        self.node.get("image").filter(|image| !image.is_null()).and_then(Node::as_str)
    }

    /// True when Compose is told how to ask for its health.
    pub fn has_healthcheck(&self) -> bool {
        let Some(check) = self.node.get("healthcheck").filter(|check| !check.is_null()) else { return false };
        let disabled = check.get("disable").and_then(Node::as_bool) == Some(true);
        let test = check.get("test");
        let first = test.and_then(Node::as_seq).and_then(|items| items.first()).or(test);
        !disabled && first.and_then(Node::as_str) != Some("NONE")
    }

    /// True when Compose starts it only for a profile of its own, which the machine never names.
    pub fn is_optional(&self) -> bool {
        self.node.get("profiles").and_then(Node::as_seq).is_some_and(|profiles| !profiles.is_empty())
    }

    /// True when it waits for the service `job` to do its work and end.
    pub fn waits_for_end_of(&self, job: &str) -> bool {
        let condition = self.node.get("depends_on").and_then(|all| all.get(job)).and_then(|one| one.get("condition"));
        condition.and_then(Node::as_str) == Some("service_completed_successfully")
    }

    /// True when the image is made on the machine.
    pub fn is_built(&self) -> bool {
        self.source.is_some() || self.node.get("build").is_some_and(|build| !build.is_null())
    }
}

/// Reads the services of a Compose document.
pub fn read(document: &Node, report: &mut Report) -> Vec<Extended> {
    let Some(services) = document.get("services").filter(|services| !services.is_null()) else {
        report
            .error(document.span, "no-services", "this Compose file has no `services`")
            .help("add them, or take `compose` out of the profile");
        return Vec::new();
    };
    let Some(entries) = services.as_map() else {
        Reader { report }.wrong_type(services, "a mapping of services by name").help("write `services:` and below it, indented, each service's name");
        return Vec::new();
    };
    if entries.is_empty() {
        report
            .error(services.span, "no-services", "there is no service in `services`, so there is nothing to start")
            .help("add one, or take the stack out of the profile");
    }
    entries.iter().filter_map(|(key, node)| one(key, node, report)).collect()
}

fn one(key: &Node, node: &Node, report: &mut Report) -> Option<Extended> {
    let name = key.as_str().unwrap_or_default();
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if !name.bytes().all(fits) || !(1..=63).contains(&name.len()) || name.starts_with(['.', '_', '-']) {
        report
            .error(key.span, "service-name", format!("`{}` is not a name of a service", shown(name)))
            .help("use at most 63 letters, digits, `.`, `_` and `-`, and begin with a letter or digit");
        return None;
    }
    if node.as_map().is_none() {
        Reader { report }.wrong_type(node, "a service as Compose writes it").help("write its `image:` and what else it needs, indented below its name");
        return None;
    }
    misspelt(node, report);
    let mut extended = Extended {
        name: name.to_owned(),
        span: key.span,
        node: node.clone(),
        routes: Vec::new(),
        health: None,
        closed: Vec::new(),
        source: None,
        public_ports: Vec::new(),
        backup: None,
        single: false,
        root_reason: None,
        metrics: None,
        deploy: None,
        hooks: [None, None],
    };
    if let Some(extension) = node.get("x-bootstrap").filter(|extension| !extension.is_null())
        && let Some(extension) = Extension::read(extension, &mut Reader { report })
    {
        if let (Some(route), false) = (&extension.route, extension.routes.is_empty()) {
            report.error(route.span, "conflict", "`route` and `routes` are both written").help("move it into `routes`");
        }
        let routes = extension.route.into_iter().chain(extension.routes);
        extended.routes = routes.filter(|route| route.value.port.is_some()).collect();
        extended.health = extension.health;
        extended.closed = extension.closed;
        extended.source = extension.source.and_then(|source| git_source(source, report));
        extended.public_ports = extension.public_ports;
        extended.deploy = extension.deploy;
        extended.hooks = [extension.before, extension.after].map(|hook| hook.map(|command| command.0));
        extended.backup = extension.backup;
        extended.single = extension.single;
        extended.root_reason = extension.runs_as_root.map(|reason| reason.0);
        extended.metrics = extension.metrics.and_then(|metrics| {
            let dashboard = metrics.dashboard.map(|kind| kind.0);
            Some(Metrics { port: metrics.port?.0, path: metrics.path.0, dashboard })
        });
    }
    Some(extended)
}

/// An extension of another name is passed on to Compose, which ignores it: whoever meant ours must hear of it.
fn misspelt(node: &Node, report: &mut Report) {
    for (key, _) in node.as_map().unwrap_or_default() {
        let Some(name) = key.as_str().filter(|name| name.to_ascii_lowercase().starts_with(['x', '_'])) else { continue };
        if name != "x-bootstrap" && strsim::damerau_levenshtein(&name.to_lowercase(), "x-bootstrap") <= 2 {
            report
                .error(key.span, "unknown-field", format!("`{}` means nothing here", shown(name)))
                .help("did you mean `x-bootstrap`?");
        }
    }
}

fn git_source(source: Spanned<SourceWritten>, report: &mut Report) -> Option<Spanned<GitSource>> {
    let SourceWritten { git, branch, tag, deploy_key } = source.value;
    let reference = match (branch, tag) {
        (Some(branch), None) => GitRef::Branch(branch.0),
        (None, Some(tag)) => GitRef::Tag(tag.0),
        // What is written and cannot be read was told already.
        (None, None) if report.has_error_within(source.span) => return None,
        (both, _) => {
            let message = if both.is_some() {
                "`branch` and `tag` are both written"
            } else {
                "neither `branch` nor `tag` is written"
            };
            report
                .error(source.span, "git-reference", message)
                .help("say what to build: `branch: main` or `tag: v1.0.0`");
            return None;
        }
    };
    let Spanned { span: place, value: repository } = git?;
    let repository = repository.0;
    let https = repository.starts_with("https://");
    if deploy_key.is_none() && !https && !report.has_error_within(source.span) {
        report
            .error(place, "deploy-key", "by SSH nobody gets in without a key, and the machine has none")
            .help("add `deploy_key: DEPLOY_KEY` beside it, and the secret as `{file: deploy_key, as: credential}`; or write `https://…`, if the repository is public");
    }
    if let Some(key) = &deploy_key
        && https
    {
        report
            .error(key.span, "deploy-key", "a deploy key is for SSH, and this repository is fetched by HTTPS")
            .help("write the repository as `git@host:owner/project.git`");
    }
    // What is still to be checked of a source is its key: that is the place to point at.
    let span = deploy_key.as_ref().map_or(source.span, |key| key.span);
    let deploy_key = deploy_key.map(|key| key.value.0);
    Some(Spanned { span, value: GitSource { repository, reference, deploy_key } })
}
