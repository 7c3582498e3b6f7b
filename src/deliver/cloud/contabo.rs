//! Contabo: `/v1/compute/instances`, behind OAuth2.

use super::{Api, Call, Client, MARK, Order, Server, Variable, client, text};
use crate::deliver::provider::{self, Provider};
use crate::distribution::Distribution;
use anyhow::{Context, Result};
use reqwest::blocking::Request;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The API.
pub struct Contabo;

/// Where a token is given for the four credentials.
const TOKENS: &str = "https://auth.contabo.com";
const TOKENS_PATH: &str = "/auth/realms/contabo/protocol/openid-connect/token";

impl Api for Contabo {
    fn provider(&self) -> &'static Provider {
        &provider::contabo::PROVIDER
    }

    fn base(&self, _: &str) -> String {
        "https://api.contabo.com".to_owned()
    }

    fn variables(&self) -> &'static [Variable] {
        // What its own command line reads.
        const ROWS: [Variable; 4] = [
            Variable::needed(&["CNTB_OAUTH2_CLIENTID", "CONTABO_CLIENT_ID"]),
            Variable::needed(&["CNTB_OAUTH2_CLIENT_SECRET", "CONTABO_CLIENT_SECRET"]),
            Variable::needed(&["CNTB_OAUTH2_USER", "CONTABO_API_USER"]),
            Variable::needed(&["CNTB_OAUTH2_PASSWORD", "CONTABO_API_PASSWORD"]),
        ];
        &ROWS
    }

    fn image(&self, _: Distribution) -> Option<&'static str> {
        // They are called by UUIDs, which change with each build of an image.
        None
    }

    fn create(&self, order: &Order<'_>) -> Result<Call> {
        let groups: Vec<_> = order.image.split('-').map(str::len).collect();
        anyhow::ensure!(
            groups == [8, 4, 4, 4, 12] && order.image.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-'),
            "an image at Contabo is a UUID: `cntb get images` shows them"
        );
        // A name that nobody else gives: it has no tags that an order could set.
        let body = json!({
            "imageId": order.image, "productId": order.size, "region": order.region, "period": 1,
            "displayName": format!("{}{}", order.name, mark()), "userData": order.user_data,
        });
        Ok(Call::post("/v1/compute/instances", body))
    }

    fn created(&self, answer: &Value) -> Option<Server> {
        // What was ordered is told without its name, which is what it was ordered by.
        let row = answer["data"].get(0)?;
        Some(Server { id: text(&row["instanceId"])?, name: String::new(), address: None, state: text(&row["status"]).unwrap_or_default(), ours: true })
    }

    fn list(&self, cursor: Option<&str>) -> Call {
        Call::get(format!("/v1/compute/instances?size=100&page={}", cursor.unwrap_or("1")))
    }

    fn listed(&self, answer: &Value) -> Option<(Vec<Server>, Option<String>)> {
        let servers = answer["data"].as_array()?.iter().map(server).collect::<Option<Vec<_>>>()?;
        let pages = &answer["_pagination"];
        let (page, last) = (pages["page"].as_u64().unwrap_or(1), pages["totalPages"].as_u64().unwrap_or(1));
        // What was cancelled stays in the list until its contract ends.
        let servers = servers.into_iter().filter(|server| server.state != "cancelled").collect();
        Some((servers, (page < last).then(|| (page + 1).to_string())))
    }

    fn destroy(&self, id: &str) -> Call {
        Call::removing(&format!("/v1/compute/instances/{id}/cancel"), json!({}))
    }

    fn afterlife(&self) -> &'static str {
        " when the time that is paid for is over: until then it runs, with all that is on it"
    }

    fn authorize(&self, client: &Client<'_>, request: &mut Request) -> Result<()> {
        let token = client.token(|| {
            let [id, secret, user, password] = client.credentials() else { anyhow::bail!("there are four credentials") };
            let form = [("grant_type", "password"), ("client_id", id), ("client_secret", secret), ("username", user), ("password", password)];
            let answer = client.form(client.other(TOKENS) + TOKENS_PATH, &form)?;
            let token = answer["access_token"].as_str().map(str::to_owned).context("Contabo gave no token for its credentials")?;
            // Where it does not say, each call asks anew.
            Ok((token, Duration::from_secs(answer["expires_in"].as_u64().unwrap_or(0))))
        })?;
        client::bearer(request, &token)?;
        request.headers_mut().insert("x-request-id", request_id().parse().context("a header")?);
        Ok(())
    }
}

/// What a name ends in that marks a server as ours.
fn mark() -> String {
    format!(" ({MARK})")
}

fn server(row: &Value) -> Option<Server> {
    let name = text(&row["displayName"]).unwrap_or_default();
    Some(Server {
        id: text(&row["instanceId"])?,
        name: name.strip_suffix(&mark()).unwrap_or(&name).to_owned(),
        address: text(&row["ipConfig"]["v4"]["ip"]).filter(|address| !address.is_empty()),
        // A contract that was cancelled runs on to its end.
        state: if row["cancelDate"].as_str().is_some_and(|date| !date.is_empty()) { "cancelled".to_owned() } else { text(&row["status"])? },
        ours: name.ends_with(&mark()),
    })
}

/// A version-4 UUID of its own for each request; it is for their support, and needs not be unguessable.
fn request_id() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let text = crate::encode::sha256(format!("{} {}", now.as_nanos(), std::process::id()).as_bytes());
    format!("{}-{}-4{}-8{}-{}", &text[..8], &text[8..12], &text[13..16], &text[17..20], &text[20..32])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_an_id() {
        let id = request_id();
        assert_eq!(id.len(), 36);
        assert_eq!((&id[14..15], &id[19..20]), ("4", "8"));
    }
}
