//! julia-bootstrap: a YAML profile goes in, one cloud-init user-data comes out.

/// Writes a line to standard error. Where nobody can read it, as on a full disk, it is not said, and work goes on.
macro_rules! tell {
    ($($part:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(anstream::stderr(), $($part)*);
    }};
}
pub(crate) use tell;

pub mod adopt;
pub mod budget;
pub mod cli;
pub mod compose;
pub mod deliver;
pub mod distribution;
pub mod diff;
pub mod dotenv;
pub mod encode;
pub mod explain;
pub mod hidden;
pub mod http;
pub mod interpolation;
pub mod lab;
pub mod load;
pub mod lock;
pub mod plan;
pub mod profile;
pub mod registry;
pub mod report;
pub mod resolve;
pub mod secret;
pub mod template;
pub mod validate;
pub mod yaml;
