//! julia-bootstrap: a YAML profile goes in, one cloud-init user-data comes out.

pub mod distribution;
pub mod dotenv;
pub mod load;
pub mod profile;
pub mod report;
pub mod resolve;
pub mod secret;
pub mod validate;
pub mod yaml;
