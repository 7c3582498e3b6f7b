//! AWS Lightsail: JSON to one address, signed by AWS's version 4.

use super::{Api, Call, Client, MARK, Order, Server, Variable, text};
use crate::deliver::provider::{self, Provider};
use crate::distribution::Distribution;
use crate::profile::model::PortRule;
use anyhow::{Context, Result};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use reqwest::StatusCode;
use reqwest::blocking::Request;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use std::time::SystemTime;

/// The API.
pub struct Lightsail;

const TAG: &str = "managed-by";

impl Api for Lightsail {
    fn provider(&self) -> &'static Provider {
        &provider::lightsail::PROVIDER
    }

    fn base(&self, region: &str) -> String {
        format!("https://lightsail.{}.amazonaws.com", area(region))
    }

    fn regional(&self) -> bool {
        true
    }

    fn variables(&self) -> &'static [Variable] {
        const ROWS: [Variable; 3] = [
            Variable::needed(&["AWS_ACCESS_KEY_ID"]),
            Variable::needed(&["AWS_SECRET_ACCESS_KEY"]),
            Variable { names: &["AWS_SESSION_TOKEN"], needed: false },
        ];
        &ROWS
    }

    fn image(&self, distribution: Distribution) -> Option<&'static str> {
        Some(match distribution {
            Distribution::Debian12 => "debian_12",
            Distribution::Debian13 => "debian_13",
            Distribution::Ubuntu2204 => "ubuntu_22_04",
            Distribution::Ubuntu2404 => "ubuntu_24_04",
            Distribution::Ubuntu2604 => return None,
        })
    }

    fn create(&self, order: &Order<'_>) -> Result<Call> {
        // The usual variable names a region, and a server stands in one of its zones.
        let zone = if area(order.region) == order.region { format!("{}a", order.region) } else { order.region.to_owned() };
        let body = json!({
            "instanceNames": [order.name], "availabilityZone": zone, "blueprintId": order.image, "bundleId": order.size,
            "userData": order.user_data, "tags": [{"key": TAG, "value": MARK}],
        });
        Ok(action(Call::post("/", body), "CreateInstances"))
    }

    fn created(&self, answer: &Value) -> Option<Server> {
        // It tells what it is about to do, by the name it was given.
        let row = answer["operations"].as_array()?.iter().find(|row| row["resourceType"] == "Instance")?;
        let name = text(&row["resourceName"])?;
        Some(Server { id: name.clone(), name, address: None, state: "pending".to_owned(), ours: true })
    }

    fn list(&self, cursor: Option<&str>) -> Call {
        let body = cursor.map_or_else(|| json!({}), |token| json!({"pageToken": token}));
        action(Call::reading("/", body), "GetInstances")
    }

    fn listed(&self, answer: &Value) -> Option<(Vec<Server>, Option<String>)> {
        let servers = answer["instances"].as_array()?.iter().map(server).collect::<Option<Vec<_>>>()?;
        Some((servers, text(&answer["nextPageToken"])))
    }

    fn destroy(&self, id: &str) -> Call {
        action(Call::removing("/", json!({"instanceName": id})), "DeleteInstance")
    }

    fn open(&self, name: &str, ports: &[PortRule]) -> Option<Call> {
        // Its own firewall lets SSH and HTTP through, and nothing else.
        let rows: Vec<_> = ports.iter().map(|rule| json!({"fromPort": rule.port, "toPort": rule.port, "protocol": rule.protocol.name()})).collect();
        Some(action(Call::settling("/", json!({"portInfos": rows, "instanceName": name})), "PutInstancePublicPorts"))
    }

    fn authorize(&self, client: &Client<'_>, request: &mut Request) -> Result<()> {
        let [key, secret, session @ ..] = client.credentials() else { anyhow::bail!("there are two credentials") };
        let session = session.first().filter(|token| !token.is_empty()).cloned();
        let identity = Credentials::new(key, secret, session, None, "environment").into();
        let settings = SigningSettings::default();
        let area = area(client.region());
        let params = v4::SigningParams::builder().identity(&identity).region(area).name("lightsail").time(SystemTime::now()).settings(settings);
        let params = params.build().context("signing")?.into();
        let body = request.body().and_then(reqwest::blocking::Body::as_bytes).unwrap_or_default();
        let headers = request.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let signable = SignableRequest::new(request.method().as_str(), request.url().as_str(), headers, SignableBody::Bytes(body)).context("signing")?;
        let (instructions, _) = sign(signable, &params).context("signing")?.into_parts();
        let made: Vec<_> = instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        for (name, value) in made {
            request.headers_mut().insert(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
        }
        Ok(())
    }

    fn authorization(&self) -> &'static str {
        "AWS4-HMAC-SHA256 Credential=[redacted], SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=[redacted]"
    }

    /// Nearly every refusal comes as 400, and says what it is in the answer.
    fn status(&self, status: StatusCode, answer: Option<&Value>) -> StatusCode {
        let kind = answer.and_then(|answer| answer["__type"].as_str()).unwrap_or_default();
        match kind.rsplit('#').next().unwrap_or_default() {
            "UnauthenticatedException" | "UnrecognizedClientException" | "InvalidSignatureException" | "InvalidClientTokenId" => StatusCode::UNAUTHORIZED,
            "AccessDeniedException" | "AccountSetupInProgressException" => StatusCode::FORBIDDEN,
            "NotFoundException" | "DoesNotExist" => StatusCode::NOT_FOUND,
            "OperationFailureException" => StatusCode::CONFLICT,
            "InvalidInputException" => StatusCode::UNPROCESSABLE_ENTITY,
            "ThrottlingException" => StatusCode::TOO_MANY_REQUESTS,
            "ServiceException" => StatusCode::INTERNAL_SERVER_ERROR,
            _ => status,
        }
    }
}

fn action(call: Call, name: &str) -> Call {
    Call { headers: vec![("content-type", "application/x-amz-json-1.1".to_owned()), ("x-amz-target", format!("Lightsail_20161128.{name}"))], ..call }
}

/// The region of an availability zone, which is that of its name without the letter at the end.
fn area(zone: &str) -> &str {
    zone.strip_suffix(|letter: char| letter.is_ascii_lowercase()).filter(|rest| rest.ends_with(|digit: char| digit.is_ascii_digit())).unwrap_or(zone)
}

fn server(row: &Value) -> Option<Server> {
    let tags = row["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
    let name = text(&row["name"])?;
    Some(Server {
        id: name.clone(),
        name,
        // It has an address before it can be reached, and its firewall cannot be set before it runs.
        address: text(&row["publicIpAddress"]).filter(|_| row["state"]["name"] == "running"),
        state: text(&row["state"]["name"])?,
        ours: tags.iter().any(|tag| tag["key"] == TAG && tag["value"] == MARK),
    })
}

#[cfg(test)]
mod tests {
    use super::area;

    #[test]
    fn a_zone_is_in_a_region() {
        assert_eq!((area("eu-central-1a"), area("us-east-1"), area("")), ("eu-central-1", "us-east-1", ""));
    }
}
