//! The profiles compiled into the binary: every `profiles/*.yaml`.

include!(concat!(env!("OUT_DIR"), "/profiles.rs"));

/// The text of an embedded profile.
pub fn embedded(name: &str) -> Option<&'static str> {
    PROFILES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The names of all embedded profiles, sorted.
pub fn embedded_names() -> impl Iterator<Item = &'static str> {
    PROFILES.iter().map(|(name, _)| *name)
}
