//! The profiles in `profiles/`: they pass, say what is still to do, and Compose takes their stacks.

use crate::support::{KEY, Test, compose_client, line};
use julia_bootstrap::profile::model::Profile;
use julia_bootstrap::load::{self, Input, PathOrName};
use julia_bootstrap::profile::{self, embedded, embedded_names};
use julia_bootstrap::report::Report;
use julia_bootstrap::yaml;

fn load(name: &str, sets: &[&str]) -> (Profile, Report) {
    let sets = sets.iter().map(|set| (*set).to_owned()).collect();
    let input = Input { sets, ..Input::new(PathOrName::parse(name)) };
    let mut report = Report::new();
    let profile = load::load(&input, &|_| None, &mut report);
    (profile.unwrap_or_else(|| panic!("{name}:\n{}", report.render_human(false, 100))), report)
}

fn codes(report: &Report) -> Vec<&str> {
    report.findings().iter().map(|finding| finding.code).collect()
}

#[test]
fn there_are_three_profiles_at_least() {
    let names: Vec<_> = embedded_names().collect();
    for name in ["julia", "minimal", "reference"] {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
}

#[test]
fn every_profile_loads() {
    for name in embedded_names() {
        load(name, &[]);
    }
}

#[test]
fn what_is_left_to_do_is_all_that_is_found() {
    let (_, report) = load("minimal", &[]);
    assert_eq!(codes(&report), ["placeholder"]);
    let key = format!("admin.ssh_keys=[\"{KEY}\"]");
    let (_, report) = load("minimal", &[&key]);
    assert_eq!(codes(&report), [""; 0]);
    let (_, report) = load("julia", &[]);
    let left = |code: &&str| matches!(*code, "placeholder" | "no-alerts" | "budget-memory" | "budget-disk");
    assert!(codes(&report).iter().all(left), "{}", report.render_human(false, 100));
    // What a person does with a copy: another domain, another image, a key.
    let text = embedded("julia").expect("embedded").replace("example.com", "team.dev").replace("example/agent", "me/agent");
    let said = Test::raw(&text).set(&key).set("host.size=recommended").findings();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("[no-alerts]"), "{said}");
}

#[test]
fn the_stack_has_fixed_names_loopback_ports_and_no_root() {
    let (profile, _) = load("julia", &[]);
    let stack = profile.stack.expect("a stack");
    let routes: Vec<_> =
        stack.services[0].routes.iter().map(|r| (r.path.as_str(), r.loopback_port, r.rate_limit)).collect();
    assert_eq!(routes[0].0, "/");
    assert_eq!(routes[0].2.map(|limit| (limit.per_second, limit.burst)), Some((10, 20)));
    assert_eq!((routes[1].0, routes[1].2), ("/webhook/", None));
    assert_eq!(routes[0].1, routes[1].1);
    let text = yaml::emit(&stack.compose);
    for part in [
        "name: \"julia-redis-data\"",
        "name: \"julia-postgres-data\"",
        "name: \"julia-network\"",
        "\"127.0.0.1:8000:8000\"",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    assert!(!text.contains("x-bootstrap"));
    for (name, service) in stack.compose.get("services").and_then(yaml::Node::as_map).expect("services") {
        let name = name.as_str().unwrap_or_default();
        // Two of a service that takes turns.
        let name = name.strip_suffix("-blue").or(name.strip_suffix("-green")).unwrap_or(name);
        let known = stack.services.iter().find(|known| known.name == name).expect("a service");
        let user = service.get("user").and_then(yaml::Node::as_str).unwrap_or("0");
        assert!(!user.starts_with('0') || known.root_reason.is_some() || known.is_job, "{} is root", known.name);
        for key in ["restart", "logging", "mem_limit", "cap_drop", "security_opt"] {
            assert!(service.get(key).is_some(), "{key} of {} is missing", known.name);
        }
        assert!(known.has_healthcheck || known.is_job, "{} has no health check", known.name);
    }
}

#[test]
fn the_reference_mentions_every_option() {
    let text = embedded("reference").expect("embedded");
    for field in profile::docs() {
        let key = field.path.rsplit('.').next().unwrap_or_default();
        assert!(text.contains(&format!("{key}:")), "{} is not in reference.yaml", field.path);
    }
    let markdown = profile::markdown();
    assert!(profile::docs().iter().all(|field| markdown.contains(&field.path)));
    // A default in one word is a value that may be written.
    for field in profile::docs().iter().filter(|field| ["none", "never"].contains(&field.default)) {
        assert!(field.type_name.contains(&format!("`{}`", field.default)), "{}: {}", field.path, field.default);
    }
}

#[test]
fn a_name_that_is_not_embedded_is_answered_with_the_near_one() {
    let input = Input::new(PathOrName::parse("minimla"));
    let mut report = Report::new();
    assert!(load::load(&input, &|_| None, &mut report).is_none());
    assert_eq!(
        line(&report.findings()[0], &report),
        "- error[no-profile] there is no embedded profile `minimla` | did you mean `minimal`?"
    );
}

#[test]
fn compose_takes_every_stack() {
    for name in embedded_names() {
        let (profile, _) = load(name, &[]);
        let Some(stack) = profile.stack else { continue };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let names = profile.secrets.iter().map(|secret| secret.name.replace('-', "_"));
        let env: String = names.chain(profile.variables.iter().map(|(name, _)| name.clone())).map(|name| format!("{name}=x\n")).collect();
        std::fs::write(folder.path().join("compose.yaml"), yaml::emit(&stack.compose)).expect("writing");
        std::fs::write(folder.path().join(".env"), env).expect("writing");
        let Some(mut client) = compose_client() else { return };
        let output = client.args(["config", "--quiet"]).current_dir(folder.path()).output().expect("running Compose");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{name}: {said}");
    }
}
