//! julia-bootstrap: a YAML profile goes in, one cloud-init user-data comes out.
