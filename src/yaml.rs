//! YAML as a tree whose nodes know where they stand: parsed under limits, merged, changed by path and written back.

mod emit;
mod file;
mod json;
mod merge;
mod node;
mod parse;
mod path;
mod tags;

pub use emit::emit;
pub use file::{read_file, read_some};
pub use json::to_json;
pub use merge::merge;
pub use node::{Kind, Node};
pub use parse::{add_bytes, parse, parse_range};
pub use path::{Path, Step, append_path, set_path};

/// Largest file read.
pub const MAX_BYTES: usize = 1 << 20;
/// Deepest nesting.
pub const MAX_DEPTH: usize = 64;
/// Most nodes in one document, aliases expanded.
pub const MAX_NODES: usize = 20_000;
/// Most bytes of text that aliases may add to one document.
pub const MAX_ALIAS_BYTES: usize = 1 << 20;
