//! Servers at a provider, by its API: made once by their name, listed, and destroyed. A new provider is one file and one line in [`ALL`].
//!
//! What is asked is data ([`Call`]), so that it can be shown and compared before anything is sent.

mod client;
mod digitalocean;
mod hetzner;
mod vultr;

pub use client::Client;

use super::provider::Provider;
use crate::distribution::Distribution;
use anyhow::{Result, bail};
use serde::Serialize;
use serde_json::Value;

/// Every API.
pub const ALL: [&dyn Api; 3] = [&digitalocean::DigitalOcean, &hetzner::Hetzner, &vultr::Vultr];

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

/// One request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Call {
    /// How.
    pub method: Method,
    /// Path and query below the API's base.
    pub path: String,
    /// JSON that goes along.
    pub body: Option<Value>,
}

impl Call {
    fn get(path: String) -> Self {
        Self { method: Method::Get, path, body: None }
    }

    fn post(path: &str, body: Value) -> Self {
        Self { method: Method::Post, path: path.to_owned(), body: Some(body) }
    }

    fn delete(path: String) -> Self {
        Self { method: Method::Delete, path, body: None }
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
    /// Where it is.
    fn base(&self) -> &'static str;
    /// Variables that may hold the token, the usual one first.
    fn variables(&self) -> &'static [&'static str];
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
            Some(server) => Ok(Made::New(server)),
            None => found_after(client, order, anyhow::anyhow!("{} answered with JSON that is no server", client.title())),
        },
        // Whether it was made nobody said: what is there says so.
        Err(error) if client::is_unclear(&error) => found_after(client, order, error),
        Err(error) => Err(error),
    }
}

fn found_after(client: &Client<'_>, order: &Order<'_>, error: anyhow::Error) -> Result<Made> {
    match find(client, order.name) {
        Ok(Some(server)) => Ok(Made::New(server)),
        Ok(None) => Err(error.context(format!("no server called {} was made", order.name))),
        Err(second) => Err(error.context(format!(
            "whether a server called {} was made is not known ({second:#}): `julia-bootstrap list --provider {}` tells, and what is there costs money",
            order.name,
            client.api.provider().id
        ))),
    }
}
