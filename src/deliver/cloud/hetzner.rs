//! Hetzner Cloud: `/v1/servers`.

use super::{Api, Call, MARK, Order, Server, Variable, text};
use crate::deliver::provider::{self, Provider};
use crate::distribution::Distribution;
use anyhow::Result;
use serde_json::{Value, json};

/// The API.
pub struct Hetzner;

/// The label that says who made it.
const LABEL: &str = "managed-by";

impl Api for Hetzner {
    fn provider(&self) -> &'static Provider {
        &provider::hetzner::PROVIDER
    }

    fn base(&self, _: &str) -> String {
        "https://api.hetzner.cloud".to_owned()
    }

    fn variables(&self) -> &'static [Variable] {
        const ROWS: [Variable; 1] = [Variable::needed(&["HCLOUD_TOKEN"])];
        &ROWS
    }

    fn image(&self, distribution: Distribution) -> Option<&'static str> {
        Some(match distribution {
            Distribution::Debian12 => "debian-12",
            Distribution::Debian13 => "debian-13",
            Distribution::Ubuntu2204 => "ubuntu-22.04",
            Distribution::Ubuntu2404 => "ubuntu-24.04",
            Distribution::Ubuntu2604 => return None,
        })
    }

    fn create(&self, order: &Order<'_>) -> Result<Call> {
        let body = json!({
            "name": order.name, "server_type": order.size, "image": order.image, "location": order.region, "start_after_create": true,
            "labels": {LABEL: MARK}, "user_data": order.user_data,
        });
        Ok(Call::post("/v1/servers", body))
    }

    fn created(&self, answer: &Value) -> Option<Server> {
        server(&answer["server"])
    }

    fn list(&self, cursor: Option<&str>) -> Call {
        Call::get(format!("/v1/servers?per_page=50&page={}", cursor.unwrap_or("1")))
    }

    fn listed(&self, answer: &Value) -> Option<(Vec<Server>, Option<String>)> {
        let servers = answer["servers"].as_array()?.iter().map(server).collect::<Option<Vec<_>>>()?;
        Some((servers, text(&answer["meta"]["pagination"]["next_page"])))
    }

    fn destroy(&self, id: &str) -> Call {
        Call::delete(format!("/v1/servers/{id}"))
    }
}

fn server(server: &Value) -> Option<Server> {
    Some(Server {
        id: text(&server["id"])?,
        name: text(&server["name"])?,
        address: text(&server["public_net"]["ipv4"]["ip"]),
        state: text(&server["status"])?,
        ours: server["labels"][LABEL] == MARK,
    })
}
