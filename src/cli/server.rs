//! `launch`, `list` and `destroy`: servers at a provider.

use super::{BAD_INPUT, BadInput, Source, Verbosity, load_plan};
use crate::deliver::cloud::{self, Api, Client, Made, Order, Server};
use crate::lab::facility::Facility;
use crate::lab::ssh::Key;
use crate::lab::{interrupt, overrides};
use crate::lab::view::View;
use crate::plan::{Plan, edge};
use crate::profile::model::Profile;
use crate::{deliver, encode};
use anyhow::{Context, Result, bail};
use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};
use std::io::BufRead;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use url::Url;

/// How long a server may take until it has an address.
const ADDRESS: Duration = Duration::from_secs(300);
/// Before the first repetition of what failed; then twice that.
const PAUSE: Duration = Duration::from_secs(1);

/// Which account.
#[derive(Args)]
pub struct Account {
    /// The provider; its usual variable holds the token.
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(cloud::ALL.map(|api| api.provider().id)))]
    provider: String,
    /// Another address of its API, for tests.
    #[arg(long, value_name = "URL", hide = true)]
    api: Option<String>,
}

impl Account {
    fn api(&self) -> Result<&'static dyn Api> {
        cloud::named(&self.provider).context("there is no such provider")
    }

    /// Where it is talked to, where each region has an API of its own.
    fn region(&self, api: &dyn Api, region: Option<&str>) -> String {
        let usual = ["AWS_REGION", "AWS_DEFAULT_REGION"].iter().filter(|_| api.regional()).find_map(|name| std::env::var(name).ok());
        let first = || api.provider().regions.split(", ").next().unwrap_or_default().to_owned();
        region.map(str::to_owned).or(usual).unwrap_or_else(first)
    }

    fn client(&self, region: Option<&str>) -> Result<Client<'static>> {
        let api = self.api()?;
        let mut credentials = Vec::new();
        for variable in api.variables() {
            let value = variable.names.iter().find_map(|name| std::env::var(name).ok()).unwrap_or_default().trim().to_owned();
            if value.is_empty() && variable.needed {
                let names: Vec<_> = api.variables().iter().filter(|variable| variable.needed).map(|variable| variable.names[0]).collect();
                bail!(BadInput(format!("there is no token for {}: make one in its console, and set {}", api.provider().title, names.join(", "))));
            }
            credentials.push(value);
        }
        // Tests need not wait.
        let pause = if self.api.is_some() { Duration::from_millis(10) } else { PAUSE };
        Client::new(api, self.api.as_deref(), &self.region(api, region), credentials, pause)
    }
}

/// Create a server at a provider, which then builds itself.
///
/// A server of that name that is there already is left as it is, so it is safe to run this again.
#[derive(Args)]
#[command(after_help = "Examples:\n  HCLOUD_TOKEN=… julia-bootstrap launch my.yaml --provider hetzner --wait\n  julia-bootstrap launch my.yaml --provider digitalocean --region fra1 --dry-run\n\nExit codes: 0 it is there (with --wait: and answers), 1 it is not, 2 the profile has errors or does not fit.")]
pub struct Launch {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    account: Account,
    /// Where, as the provider writes it.
    #[arg(long, value_name = "REGION", value_parser = super::word)]
    region: Option<String>,
    /// The plan, as the provider writes it; without it, that of the profile's `host.size`.
    #[arg(long, value_name = "PLAN", value_parser = super::word)]
    size: Option<String>,
    /// The image, as the provider writes it; without it, the profile's distribution.
    #[arg(long, value_name = "IMAGE", value_parser = super::word)]
    image: Option<String>,
    /// Name of the server; without it, the profile's host name.
    #[arg(long, value_name = "NAME", value_parser = super::server_name)]
    name: Option<String>,
    /// Send a stub that fetches the rest from here; upload first what `bundle` writes.
    #[arg(long, value_name = "URL", value_parser = super::render::address)]
    bundle_url: Option<Url>,
    /// Print the request, and send nothing.
    #[arg(long)]
    dry_run: bool,
    /// Wait until the machine answers by HTTPS.
    #[arg(long)]
    wait: bool,
    /// How long.
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = super::boot::duration)]
    timeout: Duration,
    /// Port at which the machine is waited for, for tests.
    #[arg(long, default_value_t = 443, hide = true)]
    wait_port: u16,
    /// The lab that the server will be in, for tests.
    #[arg(long, value_name = "FILE", hide = true)]
    lab: Option<PathBuf>,
    /// The admin's private key there, made where there is none.
    #[arg(long, value_name = "FILE", hide = true, requires = "lab")]
    key: Option<PathBuf>,
}

impl Launch {
    /// Runs the command.
    pub fn run(mut self, verbosity: Verbosity) -> Result<ExitCode> {
        if let Some(path) = &self.lab {
            let sets = overrides::of(Some(&Facility::load(path)?), self.key.as_deref().map_or_else(Key::generate, Key::at)?.public(), false)?;
            self.source.sets.extend(sets.iter().map(overrides::Override::set));
        }
        let (profile, plan) = match load_plan(&self.source, None, verbosity)? {
            Ok(both) => both,
            Err(code) => return Ok(code),
        };
        if self.wait && edge::hosts(&profile).is_empty() {
            return Ok(refused("the profile has no domain, so nothing will answer by HTTPS: leave --wait out, or write `domain: agent.example.com`"));
        }
        let api = self.account.api()?;
        let provider = api.provider();
        let form = provider.form(profile.distribution);
        let encoded = super::encoded(&plan, form, self.bundle_url.as_ref(), verbosity)?;
        if let Some(excess) = provider.excess(encoded.user_data.len()) {
            let bytes = encoded.user_data.len();
            return Ok(refused(&format!("{} takes no {bytes} bytes of user-data ({excess} too many): `julia-bootstrap render --provider {}` says what would fit; or upload what `bundle` writes, and add --bundle-url", provider.title, provider.id)));
        }
        let Some(image) = self.image.as_deref().or_else(|| api.image(profile.distribution)) else {
            let title = profile.distribution.facts().title;
            let hint = provider.images.iter().find(|image| image.starts_with(title.trim_end_matches(" LTS"))).copied().map_or("its console and its API say which there are".to_owned(), |image| format!("there is {image}"));
            return Ok(refused(&format!("no image of {title} at {} is known here: name one by --image; {hint}", provider.title)));
        };
        let wanted = profile.host.size.memory_mib;
        let size = match (self.size.as_deref(), wanted) {
            (Some(size), _) => size,
            (None, ..=4096) => provider.sizes[0],
            (None, ..=8192) => provider.sizes[1],
            _ => return Ok(refused(&format!("no plan of {} with {wanted} MiB of memory is known here: name one by --size", provider.title))),
        };
        let region = self.account.region(api, self.region.as_deref());
        let sent = String::from_utf8(provider.sent(&encoded.user_data)).context("user-data for an API is text")?;
        let order = Order {
            name: self.name.as_deref().unwrap_or(&profile.host.hostname),
            region: &region,
            size,
            image,
            user_data: &sent,
        };
        if let Err(error) = api.create(&order) {
            return Ok(refused(&format!("{error:#}")));
        }
        if self.dry_run {
            deliver::stdout(shown(api, &order, &encoded)?.as_bytes())?;
            return Ok(ExitCode::SUCCESS);
        }
        self.launch(&profile, &plan, &order, verbosity)
    }

    fn launch(&self, profile: &Profile, plan: &Plan, order: &Order<'_>, verbosity: Verbosity) -> Result<ExitCode> {
        let client = self.account.client(Some(order.region))?;
        let (title, id, name) = (client.title(), client.api.provider().id, order.name);
        let say = |text: String| {
            if verbosity > Verbosity::Quiet {
                crate::tell!("{text}");
            }
        };
        say(format!("creating {name} at {title} ({}, {}, {}); should this be interrupted, `julia-bootstrap list --provider {id}{}` shows what is there", order.region, order.size, order.image, client.region_option()));
        let server = match cloud::make(&client, order)? {
            Made::New(server) => server,
            Made::There(server) => {
                say(format!("{name} is there already ({}), and is left as it is", server.id));
                server
            }
        };
        let address = address(&client, server, name)?;
        if let Some(call) = client.api.open(name, &plan.ports) {
            client.send(&call).with_context(|| format!("{name} is at {address}, and {title}'s own firewall before it could not be opened: run this again"))?;
        }
        deliver::stdout(format!("{address}\n").as_bytes())?;
        let hosts = edge::hosts(profile);
        for host in &hosts {
            say(format!("DNS: {host} A {address}"));
        }
        let Some(host) = hosts.first().filter(|_| self.wait) else { return Ok(ExitCode::SUCCESS) };
        let address: IpAddr = address.parse().with_context(|| format!("{address} is no address"))?;
        wait(host, SocketAddr::new(address, self.wait_port), self.timeout, verbosity)
    }
}

/// Says what is wrong with what was asked for.
fn refused(why: &str) -> ExitCode {
    crate::tell!("error: {why}");
    ExitCode::from(BAD_INPUT)
}

/// The request as it would be sent, without what is secret in it.
fn shown(api: &dyn Api, order: &Order<'_>, encoded: &encode::Encoded) -> Result<String> {
    let mut call = api.create(order)?;
    if let Some(body) = call.body.as_mut() {
        let bytes = encoded.user_data.len();
        let key = if body.get("userData").is_some() { "userData" } else { "user_data" };
        body[key] = json!(format!("[{bytes} bytes, as `render --provider {}` prints them; bundle {}]", api.provider().id, encoded.sha256));
    }
    let body = serde_json::to_string_pretty(&call.body).context("writing JSON")?;
    let mut headers: Vec<_> = call.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    if headers.is_empty() {
        headers.push("content-type: application/json\n".to_owned());
    }
    Ok(format!("POST {}{}\nauthorization: {}\n{}\n{body}\n", api.base(order.region), call.path, api.authorization(), headers.concat()))
}

/// The server's address, as soon as it has one.
fn address(client: &Client<'_>, mut server: Server, name: &str) -> Result<String> {
    let end = Instant::now() + ADDRESS;
    loop {
        if let Some(address) = server.address {
            return Ok(address);
        }
        if Instant::now() > end {
            bail!("{name} ({}) was made, and has no address yet: `julia-bootstrap list --provider {}` shows it", server.id, client.api.provider().id);
        }
        std::thread::sleep(Duration::from_secs(2));
        server = cloud::find(client, name)?.with_context(|| format!("{name} was made, and is gone"))?;
    }
}

/// Waits until the machine's own page gives way to what it serves.
fn wait(host: &str, target: SocketAddr, limit: Duration, verbosity: Verbosity) -> Result<ExitCode> {
    interrupt::install();
    // Until the name leads there, its certificate is the machine's own.
    let http = crate::http::client()
        .resolve(host, target)
        .no_proxy()
        .tls_danger_accept_invalid_certs(true)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(15))
        .build()
        .context("setting up HTTPS")?;
    let view = View::new(verbosity == Verbosity::Quiet);
    let (began, mut last) = (Instant::now(), String::new());
    while began.elapsed() < limit {
        let said = match http.get(format!("https://{host}:{}/", target.port())).send() {
            Ok(answer) if answer.status() == reqwest::StatusCode::SERVICE_UNAVAILABLE => {
                answer.text().ok().and_then(|page| steps(&page)).unwrap_or_else(|| "building itself".to_owned())
            }
            Ok(answer) => {
                view.say(&format!("https://{host}/ answers: {}", answer.status()));
                return Ok(ExitCode::SUCCESS);
            }
            Err(_) => "nobody answers yet".to_owned(),
        };
        if said != last {
            view.say(&said);
        }
        view.now(&said);
        last = said;
        let end = Instant::now() + Duration::from_secs(3);
        while Instant::now() < end {
            if interrupt::asked() {
                bail!("interrupted: the server stays, and goes on building itself");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    bail!("https://{host}/ did not answer within {} s ({last}): the provider's console shows what the machine says", limit.as_secs())
}

/// How far the machine says that it is.
fn steps(page: &str) -> Option<String> {
    let (before, _) = page.split_once(" steps done")?;
    let line = before.rsplit(['>', '\n']).next()?;
    line.chars().all(|character| character.is_ascii_digit() || " of".contains(character)).then(|| format!("{line} steps done"))
}

/// List the servers that `launch` made at a provider.
#[derive(Args)]
pub struct List {
    #[command(flatten)]
    account: Account,
    /// Where, at a provider whose regions have an API each (Lightsail).
    #[arg(long, value_name = "REGION", value_parser = super::word)]
    region: Option<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl List {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode> {
        let client = self.account.client(self.region.as_deref())?;
        let servers: Vec<_> = cloud::servers(&client)?.into_iter().filter(|server| server.ours).collect();
        let text = if self.json {
            let rows: Vec<Value> = servers.iter().map(|server| json!({"id": server.id, "name": server.name, "address": server.address, "state": server.state})).collect();
            serde_json::to_string_pretty(&rows).context("writing JSON")? + "\n"
        } else {
            servers.iter().map(|server| format!("{:<24}{:<18}{:<12}{}\n", server.name, server.address.as_deref().unwrap_or("-"), server.state, server.id)).collect()
        };
        deliver::stdout(text.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Destroy a server that `launch` made, with all that is on it.
#[derive(Args)]
pub struct Destroy {
    /// Its name.
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    account: Account,
    /// Where, at a provider whose regions have an API each (Lightsail).
    #[arg(long, value_name = "REGION", value_parser = super::word)]
    region: Option<String>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

impl Destroy {
    /// Runs the command.
    pub fn run(self, verbosity: Verbosity) -> Result<ExitCode> {
        let client = self.account.client(self.region.as_deref())?;
        let name = &self.name;
        let Some(server) = cloud::find(&client, name)? else { bail!("{} has no server called {name}", client.title()) };
        if !server.ours {
            bail!("{name} ({}) was not made by this tool: destroy it at {}, if that is meant", server.id, client.title());
        }
        if !self.yes {
            crate::tell!("{name} ({}, {}) and everything on it will be gone{}. Type its name to go on:", server.id, server.address.as_deref().unwrap_or("no address"), client.api.afterlife());
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line).context("reading the name")?;
            if line.trim() != *name {
                bail!("that is not its name: nothing was destroyed");
            }
        }
        client.send(&client.api.destroy(&server.id))?;
        if verbosity > Verbosity::Quiet {
            crate::tell!("{name} ({}) is destroyed{}", server.id, client.api.afterlife());
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::steps;

    #[test]
    fn the_page_says_how_far_it_is() {
        assert_eq!(steps("<label>3 of 12 steps done<progress").as_deref(), Some("3 of 12 steps done"));
        assert_eq!(steps("<p>Back in a moment"), None);
        assert_eq!(steps("<script>x steps done"), None);
    }
}
