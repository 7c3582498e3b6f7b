//! Image registries: what a tag stands for at this moment, by the registry's own API.

use crate::profile::model::{Docker, Profile, SecretValue};
use crate::resolve::STAND_IN;
use crate::lock::is_digest;
use anyhow::{Context, Result, anyhow, ensure};
use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use std::time::Duration;
use url::Url;

/// For a connection, and between two pieces of an answer.
const LIMIT: Duration = Duration::from_secs(30);
/// Docker Hub, as references name it.
const HUB: &str = "docker.io";

/// Who asks registries, as the machine of a profile would: with its logins, mirrors and authorities.
pub struct Registries {
    client: Client,
    runtime: tokio::runtime::Runtime,
    logins: Vec<(String, RegistryAuth)>,
    mirrors: Vec<String>,
}

impl Registries {
    /// Takes logins, mirrors and authorities from a profile.
    pub fn of(profile: &Profile) -> Result<Self> {
        crate::http::choose_tls();
        let docker = &profile.docker;
        let (mut mirrors, mut plain) = (Vec::new(), Vec::new());
        for text in &docker.registry_mirrors {
            let url = Url::parse(text).with_context(|| format!("reading the mirror {text}"))?;
            let host = url.host_str().with_context(|| format!("{text} names no host"))?;
            let place = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
            plain.extend(Some(place.clone()).filter(|_| url.scheme() == "http"));
            mirrors.push(place);
        }
        // As Docker does, for who tries a registry on his own machine.
        let images = profile.stack.iter().flat_map(|stack| &stack.services).filter_map(|service| service.image.as_deref());
        let own = images.filter_map(|image| image.split_once('/').map(|(registry, _)| registry.to_owned()));
        plain.extend(own.filter(|registry| registry.starts_with("127.") || registry.split(':').next() == Some("localhost")));
        let authorities = docker.authorities.iter();
        let config = ClientConfig {
            protocol: ClientProtocol::HttpsExcept(plain),
            extra_root_certificates: authorities
                .map(|(_, pem)| Certificate { encoding: CertificateEncoding::Pem, data: pem.clone().into_bytes() })
                .collect(),
            connect_timeout: Some(LIMIT),
            read_timeout: Some(LIMIT),
            user_agent: concat!("julia-bootstrap/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        let client = Client::try_from(config).map_err(|error| anyhow!("setting up HTTPS: {error}"))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting a runtime")?;
        Ok(Self { client, runtime, logins: logins(docker, profile), mirrors })
    }

    /// The digest that an image's tag stands for.
    ///
    /// # Errors
    /// A sentence for people: no such image, no permission, nobody there.
    pub fn digest(&self, image: &str) -> Result<String> {
        let reference: Reference = image.parse().map_err(|error| anyhow!("`{image}` is no image: {error}"))?;
        let auth = self.logins.iter().find(|(registry, _)| registry == reference.registry()).map(|(_, auth)| auth.clone());
        let auth = auth.unwrap_or(RegistryAuth::Anonymous);
        // Docker asks the mirrors first, and those alone that stand for the Hub.
        for mirror in self.mirrors.iter().filter(|_| reference.registry() == HUB) {
            let mut there = reference.clone();
            there.set_mirror_registry(mirror.clone());
            if let Ok(digest) = self.runtime.block_on(self.client.fetch_manifest_digest(&there, &RegistryAuth::Anonymous)) {
                ensure!(is_digest(&digest), "{mirror} calls `{image}` by something that is no sha256");
                return Ok(digest);
            }
        }
        let asked = self.client.fetch_manifest_digest(&reference, &auth);
        let digest = self.runtime.block_on(asked).map_err(|error| anyhow!(sentence(image, reference.registry(), &error, auth == RegistryAuth::Anonymous)))?;
        ensure!(is_digest(&digest), "{} calls `{image}` by something that is no sha256", reference.registry());
        Ok(digest)
    }
}

/// Logins whose passwords are known here.
fn logins(docker: &Docker, profile: &Profile) -> Vec<(String, RegistryAuth)> {
    let known = docker.logins.iter().filter_map(|login| {
        let secret = profile.secrets.iter().find(|secret| secret.name == login.password)?;
        let SecretValue::Given(password) = &secret.value else { return None };
        // What is sealed is not known here.
        let password = Some(password.expose().trim_end_matches('\n')).filter(|password| *password != STAND_IN)?.to_owned();
        Some((login.registry.clone(), RegistryAuth::Basic(login.username.clone(), password)))
    });
    known.collect()
}

/// What went wrong, for people.
fn sentence(image: &str, registry: &str, error: &OciDistributionError, anonymous: bool) -> String {
    let refused = || match anonymous {
        true => format!("{registry} does not show `{image}` to everybody: it is not there, or needs a login (`docker.logins`)"),
        false => format!("{registry} does not show `{image}` to the login of the profile: it is not there, or the password is wrong"),
    };
    match error {
        OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => refused(),
        OciDistributionError::ImageManifestNotFoundError(_) => format!("{registry} has no image `{image}`"),
        OciDistributionError::RegistryError { envelope, .. } => match envelope.errors.first().map(|error| &error.code) {
            Some(OciErrorCode::Unauthorized | OciErrorCode::Denied) => refused(),
            Some(OciErrorCode::ManifestUnknown | OciErrorCode::NameUnknown | OciErrorCode::NotFound) => format!("{registry} has no image `{image}`"),
            Some(OciErrorCode::Toomanyrequests) => format!("{registry} was asked too often: wait, or write a login (`docker.logins`)"),
            _ => format!("{registry} refuses to say what `{image}` is: {error}"),
        },
        OciDistributionError::ServerError { code: 404, .. } => format!("{registry} has no image `{image}`"),
        OciDistributionError::ServerError { code: 401 | 403, .. } => refused(),
        OciDistributionError::ServerError { code: 429, .. } => format!("{registry} was asked too often: wait, or write a login (`docker.logins`)"),
        OciDistributionError::ServerError { code, .. } => format!("{registry} answered {code} when asked for `{image}`"),
        OciDistributionError::RequestError(error) => format!("{registry} cannot be reached: {}", crate::deliver::cloud::cause(error)),
        error => format!("{registry} does not say what `{image}` is: {error}"),
    }
}
