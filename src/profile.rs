//! The profile: what a user writes, read with every finding at once, and what it means once all defaults are filled in.

mod docs;
mod embedded;
mod keys;
pub mod model;
pub mod quantity;
pub mod reader;
mod schema;
mod size;
pub mod text;
pub mod written;

pub use docs::{docs, markdown};
pub use embedded::{embedded, embedded_names};
pub use keys::{Certificates, SshKey};
pub use reader::FieldDoc;
pub use schema::schema;
pub use size::BUILT_IN as BUILT_IN_SIZES;
