//! DigitalOcean: `/v2/droplets`.

use super::{Api, Call, MARK, Order, Server, Variable, text};
use crate::deliver::provider::{self, Provider};
use crate::distribution::Distribution;
use anyhow::Result;
use serde_json::{Value, json};

/// The API.
pub struct DigitalOcean;

impl Api for DigitalOcean {
    fn provider(&self) -> &'static Provider {
        &provider::digitalocean::PROVIDER
    }

    fn base(&self, _: &str) -> String {
        "https://api.digitalocean.com".to_owned()
    }

    fn variables(&self) -> &'static [Variable] {
        const ROWS: [Variable; 1] = [Variable::needed(&["DIGITALOCEAN_ACCESS_TOKEN", "DIGITALOCEAN_TOKEN"])];
        &ROWS
    }

    fn image(&self, distribution: Distribution) -> Option<&'static str> {
        Some(match distribution {
            Distribution::Debian12 => "debian-12-x64",
            Distribution::Debian13 => "debian-13-x64",
            Distribution::Ubuntu2204 => "ubuntu-22-04-x64",
            Distribution::Ubuntu2404 => "ubuntu-24-04-x64",
            Distribution::Ubuntu2604 => return None,
        })
    }

    fn create(&self, order: &Order<'_>) -> Result<Call> {
        let body = json!({
            "name": order.name, "region": order.region, "size": order.size, "image": order.image, "ipv6": true, "monitoring": false,
            "tags": [MARK], "user_data": order.user_data,
        });
        Ok(Call::post("/v2/droplets", body))
    }

    fn created(&self, answer: &Value) -> Option<Server> {
        server(&answer["droplet"])
    }

    fn list(&self, cursor: Option<&str>) -> Call {
        Call::get(format!("/v2/droplets?per_page=200&page={}", cursor.unwrap_or("1")))
    }

    fn listed(&self, answer: &Value) -> Option<(Vec<Server>, Option<String>)> {
        let servers = answer["droplets"].as_array()?.iter().map(server).collect::<Option<Vec<_>>>()?;
        let next = answer["links"]["pages"]["next"].as_str().and_then(|url| url::Url::parse(url).ok());
        let page = next.and_then(|url| url.query_pairs().find(|(key, _)| key == "page").map(|(_, value)| value.into_owned()));
        Some((servers, page))
    }

    fn destroy(&self, id: &str) -> Call {
        Call::delete(format!("/v2/droplets/{id}"))
    }
}

fn server(droplet: &Value) -> Option<Server> {
    let networks = droplet["networks"]["v4"].as_array().map(Vec::as_slice).unwrap_or_default();
    let public = networks.iter().find(|network| network["type"] == "public");
    Some(Server {
        id: text(&droplet["id"])?,
        name: text(&droplet["name"])?,
        address: public.and_then(|network| text(&network["ip_address"])),
        state: text(&droplet["status"])?,
        ours: droplet["tags"].as_array().is_some_and(|tags| tags.iter().any(|tag| tag == MARK)),
    })
}
