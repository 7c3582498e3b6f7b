//! Images by digest, where the lock beside the profile knows what their tags stood for.

use crate::lock::{self, Lock};
use crate::profile::reader::shown;
use crate::profile::written::Written;
use crate::report::Report;
use crate::yaml::Node;

/// Puts digests behind the tags; what the lock does not know is a warning.
pub fn pin(document: &mut Node, lock: &Lock, written: &Written, report: &mut Report) {
    let polled = polled(document, written);
    for (_, service) in document.get_mut("services").and_then(Node::as_map_mut).into_iter().flatten() {
        let extension = |key: &str| service.get("x-bootstrap").and_then(|extension| extension.get(key)).is_some_and(|node| !node.is_null());
        let built = extension("source") || service.get("build").is_some_and(|build| !build.is_null());
        let optional = service.get("profiles").and_then(Node::as_seq).is_some_and(|profiles| !profiles.is_empty());
        let Some(node) = service.get_mut("image") else { continue };
        let Some(image) = node.as_str().map(str::to_owned) else { continue };
        if node.is_null() || optional || lock::exempt(&image, built, polled.contains(&image)).is_some() {
            continue;
        }
        match lock.images.get(&image) {
            Some(digest) => node.kind = Node::string(node.span, format!("{image}@{digest}")).kind,
            None => {
                let message = format!("the lock beside this profile does not know `{}`", shown(&image));
                report.warning(node.span, "not-locked", message).help("run `julia-bootstrap lock` again");
            }
        }
    }
}

/// Images that are asked for by their tags: what shares one with a service that is polled goes along with it.
fn polled(document: &Node, written: &Written) -> Vec<String> {
    let services = document.get("services").and_then(Node::as_map).unwrap_or_default().iter().filter(|_| written.deploy.poll.is_some());
    let deployed = |service: &Node| service.get("x-bootstrap").and_then(|extension| extension.get("deploy")).is_some_and(|node| !node.is_null());
    services.filter(|(_, service)| deployed(service)).filter_map(|(_, service)| service.get("image")?.as_str().map(str::to_owned)).collect()
}
