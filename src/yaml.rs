//! YAML as a tree whose nodes know where they stand.

mod node;

pub use node::{Kind, Node};
