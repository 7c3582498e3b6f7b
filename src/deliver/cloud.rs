//! Servers at a provider, by its API: made once by their name, listed, and destroyed. A new provider is one file and one line in [`ALL`].
//!
//! What is asked is data ([`Call`]), so that it can be shown and compared before anything is sent.

mod client;
mod contabo;
mod digitalocean;
mod hetzner;
mod lightsail;
mod vultr;

pub use client::{Client, cause};

use super::provider::Provider;
use crate::distribution::Distribution;
use crate::profile::model::PortRule;
use anyhow::{Result, bail};
use reqwest::StatusCode;
use reqwest::blocking::Request;
use serde::Serialize;
use serde_json::Value;

/// Every API.
pub const ALL: [&dyn Api; 5] = [&contabo::Contabo, &digitalocean::DigitalOcean, &hetzner::Hetzner, &lightsail::Lightsail, &vultr::Vultr];

/// What marks a server as one of ours.
pub const MARK: &str = "julia-bootstrap";

/// How a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads.
    Get,
    /// Makes.
    Post,
    /// Takes away.
    Delete,
}

/// What a call does: by that it is decided what may be asked again, whatever the method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    /// It asks.
    Reads,
    /// It makes something new each time.
    Makes,
    /// It leads to a state, however often it is sent.
    Settles,
    /// It takes something away; what is gone already is no mistake.
    Removes,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Call {
    /// How.
    pub method: Method,
    /// Path and query below the API's base.
    pub path: String,
    /// JSON that goes along.
    pub body: Option<Value>,
    /// What it does.
    #[serde(skip)]
    pub does: Does,
    /// Headers of its own.
    #[serde(skip)]
    pub headers: Vec<(&'static str, String)>,
}

impl Call {
    fn new(method: Method, path: &str, body: Option<Value>, does: Does) -> Self {
        Self { method, path: path.to_owned(), body, does, headers: Vec::new() }
    }

    fn get(path: String) -> Self {
        Self::new(Method::Get, &path, None, Does::Reads)
    }

    fn post(path: &str, body: Value) -> Self {
        Self::new(Method::Post, path, Some(body), Does::Makes)
    }

    fn delete(path: String) -> Self {
        Self::new(Method::Delete, &path, None, Does::Removes)
    }

    /// A question, of an API that takes all of them by `POST`.
    fn reading(path: &str, body: Value) -> Self {
        Self::new(Method::Post, path, Some(body), Does::Reads)
    }

    /// A state of something, by `POST`.
    fn settling(path: &str, body: Value) -> Self {
        Self::new(Method::Post, path, Some(body), Does::Settles)
    }

    /// The end of something, by `POST`.
    fn removing(path: &str, body: Value) -> Self {
        Self::new(Method::Post, path, Some(body), Does::Removes)
    }
}

/// A variable of the environment that holds a credential.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its names, the usual one first.
    pub names: &'static [&'static str],
    /// Whether it goes without.
    pub needed: bool,
}

impl Variable {
    const fn needed(names: &'static [&'static str]) -> Self {
        Self { names, needed: true }
    }
}

/// A server to be made.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    /// Its name, unique among the account's servers.
    pub name: &'a str,
    /// As the provider writes regions.
    pub region: &'a str,
    /// As the provider writes plans.
    pub size: &'a str,
    /// As the provider writes images.
    pub image: &'a str,
    /// What its API is sent: see [`Provider::sent`].
    pub user_data: &'a str,
}

/// A server that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Server {
    /// The provider's number for it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Public IPv4 address, once it has one.
    pub address: Option<String>,
    /// In the provider's word.
    pub state: String,
    /// Whether it bears our mark.
    pub ours: bool,
}

/// One provider's API.
pub trait Api: Sync {
    /// The row that tells what it takes.
    fn provider(&self) -> &'static Provider;
    /// Where it is, for a region.
    fn base(&self, region: &str) -> String;
    /// Whether each region has an API of its own.
    fn regional(&self) -> bool {
        false
    }
    /// Where the credentials are, the token where there is but one.
    fn variables(&self) -> &'static [Variable];
    /// Its name of a distribution's image, if it has one.
    fn image(&self, distribution: Distribution) -> Option<&'static str>;
    /// Makes a server.
    fn create(&self, order: &Order<'_>) -> Result<Call>;
    /// The server in the answer to that.
    fn created(&self, answer: &Value) -> Option<Server>;
    /// Lists servers, from the beginning or from where the last page ended.
    fn list(&self, cursor: Option<&str>) -> Call;
    /// The servers in the answer to that, and where the next page begins.
    fn listed(&self, answer: &Value) -> Option<(Vec<Server>, Option<String>)>;
    /// Takes a server away.
    fn destroy(&self, id: &str) -> Call;
    /// What is to be said of the end of a server, where it does not end at once.
    fn afterlife(&self) -> &'static str {
        ""
    }
    /// Lets ports through a firewall that the provider has before a new server.
    fn open(&self, _name: &str, _ports: &[PortRule]) -> Option<Call> {
        None
    }
    /// Puts what proves who asks into a request.
    fn authorize(&self, client: &Client<'_>, request: &mut Request) -> Result<()> {
        client::bearer(request, &client.credentials()[0])
    }
    /// What that looks like, without what is secret in it.
    fn authorization(&self) -> &'static str {
        "Bearer [redacted]"
    }
    /// What a status means, for an API that has its own way of saying it.
    fn status(&self, status: StatusCode, _answer: Option<&Value>) -> StatusCode {
        status
    }
}

/// The API of the provider of that name.
pub fn named(id: &str) -> Option<&'static dyn Api> {
    ALL.into_iter().find(|api| api.provider().id == id)
}

/// A number or a text, as a text.
fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned).or_else(|| value.as_u64().map(|number| number.to_string()))
}

/// All servers of the account.
pub fn servers(client: &Client<'_>) -> Result<Vec<Server>> {
    let (mut all, mut cursor) = (Vec::new(), None);
    // An API that leads in a circle is not followed for ever.
    for _ in 0..1000 {
        let answer = client.send(&client.api.list(cursor.as_deref()))?;
        let Some((page, next)) = client.api.listed(&answer) else { bail!("{} answered with JSON that is no list of servers", client.title()) };
        all.extend(page);
        if next.is_none() || next == cursor {
            return Ok(all);
        }
        cursor = next;
    }
    bail!("the list of servers has no end")
}

/// The one server of that name.
pub fn find(client: &Client<'_>, name: &str) -> Result<Option<Server>> {
    let mut found: Vec<_> = servers(client)?.into_iter().filter(|server| server.name == name).collect();
    if found.len() > 1 {
        bail!("{} servers are called {name}: destroy what is too many at {}, or choose another name", found.len(), client.title());
    }
    Ok(found.pop())
}

/// What became of an order.
#[derive(Debug)]
pub enum Made {
    /// It was made now.
    New(Server),
    /// It was there.
    There(Server),
}

/// Makes a server, unless one of that name is there.
pub fn make(client: &Client<'_>, order: &Order<'_>) -> Result<Made> {
    if let Some(server) = find(client, order.name)? {
        if !server.ours {
            bail!("there is a server called {} already, which was not made by this tool: choose another --name", order.name);
        }
        return Ok(Made::There(server));
    }
    let call = client.api.create(order)?;
    match client.send(&call) {
        Ok(answer) => match client.api.created(&answer) {
            // Some tell of it without its name.
            Some(server) => Ok(Made::New(Server { name: order.name.to_owned(), ..server })),
            None => found_after(client, order, anyhow::anyhow!("{} answered with JSON that is no server", client.title())),
        },
        // Whether it was made nobody said: what is there says so.
        Err(error) if client::is_unclear(&error) => found_after(client, order, error),
        Err(error) => Err(error),
    }
}

/// A list may lag behind an order: nothing is there only when that was seen this often.
const LOOKS: u32 = 3;

fn found_after(client: &Client<'_>, order: &Order<'_>, error: anyhow::Error) -> Result<Made> {
    let mut found = find(client, order.name);
    for _ in 1..LOOKS {
        if matches!(found, Ok(None)) {
            client.rest();
            found = find(client, order.name);
        }
    }
    match found {
        Ok(Some(server)) => Ok(Made::New(server)),
        Ok(None) => Err(error.context(format!("no server called {} was made", order.name))),
        Err(second) => Err(error.context(format!(
            "whether a server called {} was made is not known ({second:#}): `julia-bootstrap list --provider {}{}` tells, and what is there costs money",
            order.name,
            client.api.provider().id,
            client.region_option()
        ))),
    }
}
