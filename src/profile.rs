//! The profile: what a user writes, read with every finding at once, and what it means once all defaults are filled in.

pub mod model;
