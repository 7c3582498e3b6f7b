//! julia-bootstrap: a YAML profile goes in, one cloud-init user-data comes out.

pub mod cli;
pub mod deliver;
pub mod distribution;
pub mod dotenv;
pub mod encode;
pub mod lab;
pub mod load;
pub mod plan;
pub mod profile;
pub mod report;
pub mod resolve;
pub mod secret;
pub mod template;
pub mod validate;
pub mod yaml;
