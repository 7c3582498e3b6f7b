//! What a profile means: defaults, presets, secrets, ports, the Compose document.

use crate::support::{KEY, Test};
use julia_bootstrap::profile::model::*;
use julia_bootstrap::{profile, yaml};
use proptest::prelude::*;

fn compose(profile: &Profile) -> String {
    yaml::emit(&profile.stack.as_ref().expect("a stack").compose)
}

#[test]
fn every_default_is_filled_in() {
    let profile = Test::new("").clean();
    assert_eq!((profile.host.hostname.as_str(), profile.host.timezone.as_str()), ("t", "UTC"));
    assert_eq!((profile.host.locale.as_str(), profile.host.swap_mib), ("C.UTF-8", 2048));
    assert_eq!(
        (profile.admin.user.as_str(), profile.admin.ssh_keys.as_slice()),
        ("deploy", [KEY.to_owned()].as_slice())
    );
    assert_eq!((profile.ssh.port, profile.ssh.max_auth_tries, profile.ssh.idle_timeout_seconds), (22, 3, 600));
    let bans = &profile.fail2ban;
    assert_eq!((bans.max_retry, bans.find_time_seconds, bans.ban_time_seconds), (3, 600, 3600));
    assert_eq!((profile.updates.security, profile.updates.reboot.as_deref()), (true, Some("04:30")));
    assert_eq!(profile.docker.source, DockerSource::Distribution);
    assert_eq!(profile.tls.directory, "https://acme-v02.api.letsencrypt.org/directory");
    assert!(profile.tls.acme && profile.tls.staging_directory.is_some());
    assert!(profile.domain.is_none() && profile.stack.is_none());
}

#[test]
fn what_depends_on_other_fields() {
    let profile = Test::new("tls: {directory: \"https://ca.dev/dir\"}\nupdates: {reboot: never}\nhost: {swap: none}\n")
        .set("distribution=debian-12")
        .clean();
    assert_eq!(profile.tls.staging_directory, None);
    assert_eq!(profile.updates.reboot, None);
    assert_eq!(profile.host.swap_mib, 0);
    assert_eq!(profile.docker.source, DockerSource::Upstream);
}

#[test]
fn presets_and_ranges_of_proxies() {
    let profile = Test::new("domain: t.dev\ntrusted_proxies: [cloudflare, 10.1.2.3, 2001:db8::/32]\n").clean();
    let ranges: Vec<_> = profile.trusted_proxies.iter().map(ToString::to_string).collect();
    assert!(ranges.contains(&"173.245.48.0/20".into()) && ranges.contains(&"2400:cb00::/32".into()));
    assert!(ranges.ends_with(&["10.1.2.3/32".into(), "2001:db8::/32".into()]));
}

#[test]
fn an_international_domain_becomes_ascii() {
    assert_eq!(Test::new("domain: bücher.dev").clean().domain.as_deref(), Some("xn--bcher-kva.dev"));
}

#[test]
fn secrets_come_from_everywhere() {
    let test = Test::service("environment: {A: $A, B: $B, C: $C, D: $D}")
        .set("secrets={A: generate, B: {generate: 64}, C: {env: CV}, D: {env: DV}, k.json: {file: k.json, as: credential}}")
        .set("tls.acme=false");
    let loaded = test.env("CV", "from the environment").env("DV", "shadowed").env_file("DV='from $the file'\n").load();
    assert!(loaded.report.render_human(false, 80).contains("k.json cannot be read"));
    let test = Test::service("environment: {C: $C, D: $D}")
        .overlay("secrets: {C: {env: CV}, D: {env: DV}, k.json: {file: k.json, as: credential}}\n")
        .file("k.json", "{}\n")
        .env("CV", "from the environment")
        .env("DV", "shadowed")
        .env_file("DV='from $the file'\n");
    let profile = test.load().profile.expect("only warnings");
    let given: Vec<_> = profile
        .secrets
        .iter()
        .map(|secret| match &secret.value {
            SecretValue::Given(value) => (secret.place.clone(), value.expose().to_owned()),
            other => panic!("{other:?} is not given"),
        })
        .collect();
    assert_eq!(
        given,
        [
            (SecretPlace::Env, "from the environment".into()),
            (SecretPlace::Env, "from $the file".into()),
            (SecretPlace::Credential("k.json".into()), "{}\n".into()),
        ]
    );
    let json = serde_json::to_string(&profile).expect("it serialises");
    assert!(!json.contains("from the environment") && json.contains("[redacted]"));
}

#[test]
fn overlays_then_sets() {
    let profile = Test::new("ssh: {port: 1}\nfirewall: {allow: [1/udp]}\n")
        .overlay("ssh: {port: 2, max_auth_tries: 5}\nfirewall: {allow+: [2/udp]}\n")
        .overlay("ssh: {max_auth_tries: null}\n")
        .set("ssh.port=3")
        .set("firewall.allow+=[3/udp]")
        .clean();
    assert_eq!((profile.ssh.port, profile.ssh.max_auth_tries), (3, 3));
    assert_eq!(profile.firewall.allow.iter().map(|rule| rule.port).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn what_a_lab_overrides_goes_through_the_profile_s_own_options() {
    let pem = "-----BEGIN CERTIFICATE-----\n".to_owned() + &"MIIB".repeat(40) + "\n-----END CERTIFICATE-----\n";
    let profile = Test::new("")
        .set(&format!(
            "admin.ssh_keys+=[{}]",
            serde_json::json!(KEY.replace("me@laptop", "lab").replace("IEF75", "IEF76"))
        ))
        .set("apt.mirror=http://10.77.0.1:3142/debian")
        .set("docker.registry_mirrors=[\"http://10.77.0.1:5000\"]")
        .set("tls.directory=https://acme.lab:14000/dir")
        .set(&format!("tls.ca={}", serde_json::json!(pem)))
        .clean();
    assert_eq!(profile.admin.ssh_keys.len(), 2);
    assert_eq!(profile.tls.ca, Some(pem));
    assert_eq!(profile.docker.registry_mirrors, ["http://10.77.0.1:5000"]);
    assert_eq!(profile.tls.staging_directory, None);
}

#[test]
fn compose_text_is_passed_on_as_written() {
    let profile = Test::service(
        "x-words: [no, \"no\", 012, 1:30, 0o14, ~, 1_000, 2024-01-01, 'a: b', \"x\\ty\"]\n\
         environment: {A: \"$$x ${B:-yes}\", C: 1.10}\n\
         x-bootstrap: {}\n",
    )
    .load();
    // The spelling is Compose's to change, and that is told.
    assert_eq!(profile.report.findings().iter().map(|finding| finding.code).collect::<Vec<_>>(), ["rewritten-value"]);
    let text = compose(&profile.profile.expect("a warning is no error"));
    let items = "- no\n        - \"no\"\n        - 012\n        - 1:30\n        - 0o14\n        - ~\n        - 1_000\n        - 2024-01-01\n        - \"a: b\"\n        - \"x\\ty\"\n";
    for wanted in [&items.replace("        ", "      ")[..], "A: \"$$x ${B:-yes}\"", "C: 1.10\n", "name: \"t\"\n"] {
        assert!(text.contains(wanted), "{wanted} is missing in\n{text}");
    }
    assert!(!text.contains("x-bootstrap"));
}

#[test]
fn routes_get_loopback_ports() {
    let one = "image: \"x:1\", restart: always, healthcheck: {test: x}";
    let profile = Test::new(&format!(
        "domain: t.dev\nservices:\n\
         \x20 a: {{{one}, x-bootstrap: {{routes: [{{port: 3000}}, {{path: /x/, port: 3000}}, {{path: /y/, port: 81}}]}}}}\n\
         \x20 b: {{{one}, x-bootstrap: {{route: {{path: /b/, port: 3000}}}}}}\n\
         \x20 c: {{{one}, ports: [\"127.0.0.1:9000:80\"], x-bootstrap: {{route: {{path: /c/, port: 80, host: T.dev}}}}}}\n"
    ))
    .clean();
    let stack = profile.stack.as_ref().expect("a stack");
    let ports: Vec<Vec<u16>> =
        stack.services.iter().map(|service| service.routes.iter().map(|route| route.loopback_port).collect()).collect();
    assert_eq!(ports, [vec![3000, 3000, 20000], vec![20001], vec![9000]]);
    assert_eq!(stack.services[2].routes[0].host, None);
    let text = compose(&profile);
    assert_eq!(text.matches("127.0.0.1:3000:3000").count(), 1);
    assert_eq!(text.matches("127.0.0.1:").count(), 4);
}

#[test]
fn names_of_volumes_and_networks_are_fixed() {
    let more = "volumes: {a: , b: {}, c: {name: own}, d: {external: false}, e: {driver: local}}\nnetworks: {n: }\n";
    let profile = Test::service("").overlay(more).clean();
    let compose = &profile.stack.as_ref().expect("a stack").compose;
    let name = |kind: &str, key: &str| {
        let entry = compose.get(kind).and_then(|all| all.get(key));
        entry.and_then(|entry| entry.get("name")).and_then(yaml::Node::as_str).map(str::to_owned)
    };
    assert_eq!(
        ["a", "b", "c", "d", "e"].map(|key| name("volumes", key)),
        [Some("t-a".into()), Some("t-b".into()), Some("own".into()), Some("t-d".into()), Some("t-e".into())]
    );
    assert_eq!(name("networks", "n"), Some("t-n".into()));
}

#[test]
fn a_source_becomes_a_build() {
    let profile = Test::service(
        "build: {context: ./app, target: prod}\n\
         x-bootstrap: {source: {git: \"git@g.dev:me/a.git\", tag: v1, deploy_key: KEY}}\n",
    )
    .set("services.a.image=")
    .set("secrets={KEY: {env: K, as: credential}}")
    .env("K", "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n")
    .load();
    assert_eq!(profile.report.findings().iter().map(|finding| finding.code).collect::<Vec<_>>(), ["embedded-secret"]);
    let profile = profile.profile.expect("a profile");
    let stack = profile.stack.as_ref().expect("a stack");
    assert_eq!(stack.services[0].image.as_deref(), Some("t-a:built"));
    let source = stack.services[0].source.as_ref().expect("a source");
    assert_eq!((&source.reference, source.deploy_key.as_deref()), (&GitRef::Tag("v1".into()), Some("KEY")));
    let text = compose(&profile);
    assert!(text.contains("context: \"/opt/t/src/a/app\"\n      target: prod"), "{text}");
    assert!(text.contains("image: \"t-a:built\""));
}

#[test]
fn a_compose_file_stands_beside_the_profile() {
    let file = "version: \"3.8\"\nname: t\nservices:\n  web: {image: \"x:1\", restart: always, healthcheck: {test: x}, secrets: [s]}\n\
                secrets: {s: {environment: X}}\n";
    let profile = Test::new("compose: c.yaml\nsecrets: {X: generate}\n").file("c.yaml", file).clean();
    let text = compose(&profile);
    assert!(text.starts_with("name: \"t\"\nversion: \"3.8\"\nservices:\n  web:\n"), "{text}");
    assert!(text.contains("secrets:\n  s:\n"));
}

#[test]
fn public_ports_are_collected() {
    let profile = Test::service(
        "ports: [\"8883:8883\", \"5000-5001:5000-5001/udp\"]\n\
        x-bootstrap: {public_ports: [8883/tcp, 5000/udp, 5001/udp]}",
    )
    .clean();
    let ports: Vec<_> =
        profile.stack.expect("a stack").public_ports.iter().map(|r| (r.port, r.protocol.name())).collect();
    assert_eq!(ports, [(5000, "udp"), (5001, "udp"), (8883, "tcp")]);
}

#[test]
fn every_documented_default_reads_as_its_type() {
    assert!(profile::docs().len() > 60);
    for field in profile::docs() {
        assert!(field.doc.ends_with('.') && !field.example.is_empty(), "{}", field.path);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_value_of_any_field_makes_loading_panic(at in 0usize..200, value in ".{0,30}|[{}\\[\\],:a-z0-9 /.\"-]{0,30}") {
        let docs = profile::docs();
        let path = docs[at % docs.len()].path.replace("[]", "[0]").replace("<NAME>", "N").replace("<service>", "a");
        let _ = Test::service("").set(&format!("{path}={value}")).load();
        let quoted = serde_json::json!(value.replace('\0', ""));
        let loaded = Test::service("").set(&format!("{path}={quoted}")).load();
        let _ = loaded.report.render_human(true, 80);
    }

    #[test]
    fn text_arrives_byte_for_byte_or_is_refused(value in "[ -~\u{a0}-\u{2ff}\n\t]{1,20}") {
        let loaded = Test::new("secrets: {P: generate}\n")
            .set(&format!("docker.logins=[{{registry: r.dev, username: {}, password: P}}]", serde_json::json!(value)))
            .load();
        match loaded.profile {
            Some(profile) => prop_assert_eq!(&profile.docker.logins[0].username, &value),
            None => prop_assert!(loaded.report.findings()[0].span.is_some()),
        }
    }
}
