//! What Compose may fill in beside the secrets, and where that is done here already.

use crate::dotenv::is_reserved;
use crate::interpolation::{Operator, expand, variables as named};
use crate::profile::written::Written;
use crate::yaml::Node;

/// The profile's variables: its own, the domain, the time zone, and where external services run.
pub fn variables(written: &Written) -> Vec<(String, String)> {
    let domain = written.domain.iter().map(|domain| ("DOMAIN".to_owned(), domain.0.clone()));
    let zone = ("TIMEZONE".to_owned(), written.host.timezone.0.clone());
    let external = written.external.0.iter().flat_map(|(_, pairs)| pairs.clone());
    let own = &written.variables.0;
    let ours = domain.chain([zone]).chain(external).filter(|(name, _)| !own.iter().any(|(known, _)| known == name));
    ours.chain(own.iter().cloned()).filter(|(name, _)| !is_secret(written, name)).collect()
}

fn is_secret(written: &Written, name: &str) -> bool {
    written.secrets.0.iter().any(|(secret, _)| secret.value.0 == name)
}

/// Names every image outright whose variables are known, so that it can be judged, locked and shown like any other. What
/// hangs on a secret, or on nothing, stays for Compose.
pub fn fill_in_images(document: &mut Node, written: &Written) {
    let known = variables(written);
    let value = |name: &str| known.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    for (_, service) in document.get_mut("services").and_then(Node::as_map_mut).into_iter().flatten() {
        let Some(node) = service.get_mut("image") else { continue };
        let Some(text) = node.as_str().filter(|text| text.contains('$')) else { continue };
        let certain = named(text).into_iter().all(|(name, operator)| !is_secret(written, name) && !is_reserved(name) && (value(name).is_some() || operator == Operator::Default));
        // A dollar sign that is left would be one of Compose's own.
        if let Some(image) = expand(text, &value).filter(|image| certain && !image.contains('$')) {
            node.kind = Node::string(node.span, image).kind;
        }
    }
}
