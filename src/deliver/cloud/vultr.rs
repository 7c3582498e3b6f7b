//! Vultr: `/v2/instances`.

use super::{Api, Call, MARK, Order, Server, Variable, text};
use crate::deliver::provider::{self, Provider};
use crate::distribution::Distribution;
use anyhow::{Context, Result};
use serde_json::{Value, json};

/// The API.
pub struct Vultr;

impl Api for Vultr {
    fn provider(&self) -> &'static Provider {
        &provider::vultr::PROVIDER
    }

    fn base(&self, _: &str) -> String {
        "https://api.vultr.com".to_owned()
    }

    fn variables(&self) -> &'static [Variable] {
        const ROWS: [Variable; 1] = [Variable::needed(&["VULTR_API_KEY"])];
        &ROWS
    }

    fn image(&self, distribution: Distribution) -> Option<&'static str> {
        Some(match distribution {
            Distribution::Debian12 => "2136",
            Distribution::Debian13 => "2625",
            Distribution::Ubuntu2204 => "1743",
            Distribution::Ubuntu2404 => "2284",
            Distribution::Ubuntu2604 => return None,
        })
    }

    fn create(&self, order: &Order<'_>) -> Result<Call> {
        let image: u32 = order.image.parse().context("an image at Vultr is a number (os_id), as 2625 for Debian 13")?;
        let body = json!({
            "region": order.region, "plan": order.size, "os_id": image, "label": order.name, "hostname": order.name, "enable_ipv6": true,
            "activation_email": false, "tags": [MARK], "user_data": order.user_data,
        });
        Ok(Call::post("/v2/instances", body))
    }

    fn created(&self, answer: &Value) -> Option<Server> {
        server(&answer["instance"])
    }

    fn list(&self, cursor: Option<&str>) -> Call {
        let from = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        Call::get(format!("/v2/instances?per_page=500{from}"))
    }

    fn listed(&self, answer: &Value) -> Option<(Vec<Server>, Option<String>)> {
        let servers = answer["instances"].as_array()?.iter().map(server).collect::<Option<Vec<_>>>()?;
        Some((servers, text(&answer["meta"]["links"]["next"]).filter(|next| !next.is_empty())))
    }

    fn destroy(&self, id: &str) -> Call {
        Call::delete(format!("/v2/instances/{id}"))
    }
}

fn server(instance: &Value) -> Option<Server> {
    Some(Server {
        id: text(&instance["id"])?,
        name: text(&instance["label"])?,
        // Until there is one.
        address: text(&instance["main_ip"]).filter(|address| address != "0.0.0.0"),
        state: text(&instance["status"])?,
        ours: instance["tags"].as_array().is_some_and(|tags| tags.iter().any(|tag| tag == MARK)),
    })
}
