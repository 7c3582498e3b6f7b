//! The keys that Compose knows: what it does not know it refuses on the machine, where nobody sees it.

use super::services::is_relative;
use crate::profile::model::DockerSource;
use crate::profile::reader::{nearest, shown};
use crate::report::Report;
use crate::resolve::Resolved;
use crate::yaml::Node;

/// Where keys stand, those that the Compose of Debian 13 takes there (2.26, by the schema in its program; a test
/// compares), and those that came later.
const KEYS: [(&str, &str, &str); 9] = [
    ("", "configs include name networks secrets services version volumes", "models"),
    (
        "service",
        "annotations attach blkio_config build cap_add cap_drop cgroup cgroup_parent command configs container_name cpu_count \
         cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus cpuset credential_spec depends_on deploy \
         develop device_cgroup_rules devices dns dns_opt dns_search domainname entrypoint env_file environment expose extends \
         external_links extra_hosts gpus group_add healthcheck hostname image init ipc isolation label_file labels links logging \
         mac_address mem_limit mem_reservation mem_swappiness memswap_limit network_mode networks oom_kill_disable oom_score_adj \
         pid pids_limit platform ports post_start pre_stop privileged profiles pull_policy read_only restart runtime scale secrets \
         security_opt shm_size stdin_open stop_grace_period stop_signal storage_opt sysctls tmpfs tty ulimits user userns_mode uts \
         volumes volumes_from working_dir",
        "models provider use_api_socket",
    ),
    (
        "build",
        "additional_contexts args cache_from cache_to context dockerfile dockerfile_inline entitlements extra_hosts isolation \
         labels network no_cache platforms privileged pull secrets shm_size ssh tags target ulimits",
        "no_cache_filter provenance sbom",
    ),
    ("healthcheck", "disable interval retries start_interval start_period test timeout", ""),
    ("deployment", "endpoint_mode labels mode placement replicas resources restart_policy rollback_config update_config", ""),
    ("network", "attachable driver driver_opts enable_ipv4 enable_ipv6 external internal ipam labels name", ""),
    ("volume", "driver driver_opts external labels name", ""),
    ("config", "content environment external file labels name template_driver", ""),
    ("secret", "driver driver_opts environment external file labels name template_driver", ""),
];

/// The top-level sections of a document, and what one entry of each is called above.
const SECTIONS: [(&str, &str); 5] =
    [("services", "service"), ("networks", "network"), ("volumes", "volume"), ("configs", "config"), ("secrets", "secret")];

/// Parts of a service that have keys of their own.
const PARTS: [(&str, &str); 3] = [("build", "build"), ("healthcheck", "healthcheck"), ("deploy", "deployment")];

pub(super) fn check(resolved: &Resolved, document: &Node, report: &mut Report) {
    let newest = resolved.profile.docker.source == DockerSource::Upstream;
    known("", document, newest, report);
    for (section, kind) in SECTIONS {
        for (name, entry) in document.get(section).and_then(Node::as_map).unwrap_or_default() {
            known(kind, entry, newest, report);
            let external = entry.get("external").filter(|external| !external.is_null() && external.as_bool() != Some(false));
            let given = |name: &str| matches!(name, "host" | "bridge" | "none") && kind == "network";
            if let Some(external) = external
                && kind != "service"
                && !entry.get("name").and_then(Node::as_str).is_some_and(given)
            {
                let message = format!("nothing makes the {kind} `{}` on a new machine", shown(name.as_str().unwrap_or_default()));
                report.error(external.span, "external-resource", message).help("take `external` out: the stack then makes its own");
            }
            for (part, kind) in PARTS.iter().filter(|_| kind == "service") {
                entry.get(part).into_iter().for_each(|node| known(kind, node, newest, report));
            }
        }
    }
    if let Some((key, _)) = document.entry("include").filter(|(_, value)| !value.is_null()) {
        report
            .error(key.span, "include", "nothing puts the included files on the machine, and Compose starts nothing without them")
            .help("write their services here, or name by `compose: FILE` what `docker compose config --no-interpolate --no-path-resolution` prints");
    }
    for service in &resolved.services {
        let Some(extends) = service.node.get("extends").filter(|extends| !extends.is_null()) else { continue };
        let base = extends.as_str().map_or_else(|| extends.get("service"), |_| Some(extends));
        let name = base.and_then(Node::as_str).unwrap_or_default();
        let other = resolved.services.iter().find(|other| other.name == name);
        if let Some(file) = extends.get("file").filter(|file| !file.is_null()) {
            let relative = file.as_str().is_some_and(is_relative);
            let message = if relative {
                "nothing puts this file on the machine, and Compose starts nothing without it"
            } else {
                "what stands in another file is not looked at: it may publish ports"
            };
            report.error(file.span, "extends", message).help("write here what the service takes from there");
        } else if let Some(other) = other {
            let message = format!("what `{}` takes from `{name}` is not looked at", service.name);
            if other.is_blue_green() {
                report
                    .error(extends.span, "extends", format!("there are two of `{name}` on the machine, of other names"))
                    .help("write here what the service takes from there; a YAML anchor saves the repetition");
            } else {
                report.warning(extends.span, "extends", message).help("a YAML anchor, `<<: *name`, does the same, and is seen");
            }
        } else {
            let names = resolved.services.iter().map(|service| service.name.as_str());
            let finding = report.error(extends.span, "no-service", format!("there is no service `{}`", shown(name)));
            match nearest(name, names) {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding.help("name a service that stands here"),
            };
        }
    }
}

/// Finds the keys of a mapping that Compose would refuse.
fn known(kind: &str, node: &Node, newest: bool, report: &mut Report) {
    let (_, keys, later) = KEYS.iter().find(|(name, ..)| *name == kind).expect("every kind that is asked for has a row");
    for (key, _) in node.as_map().unwrap_or_default() {
        let name = key.as_str().unwrap_or_default();
        let own = name.starts_with("x-") || name == "<<";
        if own || keys.split(' ').any(|known| known == name) || (newest && later.split(' ').any(|known| known == name)) {
            continue;
        }
        if later.split(' ').any(|known| known == name) {
            report
                .error(key.span, "unknown-field", format!("`{name}` is newer than the Compose of this distribution"))
                .help("leave it out, or write `docker: {source: docker}`");
            continue;
        }
        let finding = report.error(key.span, "unknown-field", format!("Compose knows no `{}` here", shown(name)));
        match nearest(name, keys.split(' ')) {
            Some(near) => finding.help(format!("did you mean `{near}`?")),
            None => finding.help("take it out; what begins with `x-` Compose passes over"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    /// The schema stands as text in the program of Compose, which `make tools` fetches from Debian.
    #[test]
    fn the_keys_are_those_of_debians_compose() {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"))).expect("a home");
        let program = cache.join("julia-bootstrap/lab/tools/docker-compose");
        let Ok(bytes) = std::fs::read(&program) else {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{} is missing: run `make tools`", program.display());
            eprintln!("SKIPPED: {} is missing: run `make tools`", program.display());
            return;
        };
        let mark = b"\"compose_spec.json\"";
        let starts = bytes.windows(mark.len()).enumerate().filter(|(_, window)| window == mark).map(|(at, _)| at);
        let mut schema = starts.filter_map(|at| {
            let open = bytes[..at].iter().rposition(|byte| *byte == b'{')?;
            serde_json::Deserializer::from_slice(&bytes[open..]).into_iter::<serde_json::Value>().next()?.ok()
        });
        let schema = schema.next_back().expect("Compose's program holds its schema");
        for (kind, keys, _) in KEYS {
            let place = if kind.is_empty() { &schema } else { &schema["definitions"][kind] };
            let place = if kind == "build" { &schema["definitions"]["service"]["properties"]["build"]["oneOf"][1] } else { place };
            let theirs: BTreeSet<&str> = place["properties"].as_object().expect("a mapping").keys().map(String::as_str).collect();
            assert_eq!(keys.split_whitespace().collect::<BTreeSet<_>>(), theirs, "{kind}");
        }
    }
}
