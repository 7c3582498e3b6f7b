//! Looking at a machine from outside: sockets, scans, HTTP and TLS, also from other network namespaces.

pub mod der;
pub mod hello;
pub mod http;
pub mod namespace;
pub mod scan;
pub mod socket;
pub mod tls;
