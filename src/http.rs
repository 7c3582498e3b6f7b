//! HTTP clients, as every part that speaks it begins them.

use reqwest::blocking::{Client, ClientBuilder};

/// Who answers for TLS; another part of the program may have chosen already, which is fine.
pub fn choose_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A client that says who it is; how long it waits, and whom it believes, is up to who builds it.
pub fn client() -> ClientBuilder {
    choose_tls();
    Client::builder().user_agent(concat!("julia-bootstrap/", env!("CARGO_PKG_VERSION")))
}
