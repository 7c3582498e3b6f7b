//! The one integration-test binary: a file a feature.

mod adopt;
mod backup;
mod budget;
mod check;
mod cloud;
mod cloud_signed;
mod compose_values;
mod deploy;
mod diff;
mod documented;
mod dotenv;
mod explain;
mod fleet;
mod imports;
mod init;
mod lock;
mod packed;
mod profile;
mod profiles;
mod properties;
mod render;
mod secrets;
mod sign;
mod support;
mod verify;
mod yaml;
