//! Of every profile that is accepted: it renders, in each form that is quick; what it holds arrives byte for byte; and loading it
//! again gives the same. `PROPERTY_PROFILES=FOLDER` keeps the accepted ones, for `scripts/lint` to render and lint.

use crate::support::KEY;
use julia_bootstrap::encode::{Format, read};
use julia_bootstrap::load::{Input, PathOrName, load};
use julia_bootstrap::plan::{Plan, plan};
use julia_bootstrap::profile::model::Profile;
use julia_bootstrap::report::Report;
use julia_bootstrap::yaml;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many were kept.
static KEPT: AtomicU32 = AtomicU32::new(0);

/// A value, or the field is left out.
fn maybe(name: &'static str, value: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Option<(&'static str, Value)>> {
    prop_oneof![2 => Just(None), 3 => value.prop_map(move |value| Some((name, value)))].boxed()
}

fn one_of(values: Vec<Value>) -> BoxedStrategy<Value> {
    proptest::sample::select(values).boxed()
}

fn object(fields: Vec<BoxedStrategy<Option<(&'static str, Value)>>>) -> BoxedStrategy<Value> {
    fields.prop_map(|fields| Value::Object(fields.into_iter().flatten().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())).boxed()
}

/// What shells, YAML, systemd, nginx and Compose read something into.
fn text() -> BoxedStrategy<Value> {
    prop_oneof![
        "[a-z0-9 ]{1,12}",
        "[ -~]{1,24}",
        Just("%h $$HOME `id` \\ \"q\" 'q' {{x}} #c".to_owned()),
        Just("ünï 日本 🦀\ttab".to_owned()),
        Just("on".to_owned()),
        Just("line\nline\n".to_owned()),
    ]
    .prop_map(Value::from)
    .boxed()
}

fn number(from: u32, to: u32) -> BoxedStrategy<Value> {
    (from..to).prop_map(Value::from).boxed()
}

fn service() -> BoxedStrategy<Value> {
    let environment = proptest::collection::vec(("[A-Z][A-Z0-9_]{0,8}", text()), 0..3)
        .prop_map(|rows| Value::Object(rows.into_iter().map(|(name, value)| (name, Value::from(value.as_str().unwrap_or_default().replace('$', "$$")))).collect()));
    let route = object(vec![
        maybe("path", one_of(vec![json!("/"), json!("/a/"), json!("/a/b/"), json!("/ü/")])),
        maybe("port", number(1, 65_536)),
        maybe("rate_limit", (1..100u32, 1..100u32).prop_map(|(rate, burst)| json!({"per_second": rate, "burst": burst}))),
        maybe("body_size", one_of(vec![json!("1MiB"), json!("2GiB")])),
        maybe("timeout", one_of(vec![json!("1s"), json!("10m")])),
        maybe("strip_prefix", any::<bool>().prop_map(Value::from)),
        maybe("websocket", any::<bool>().prop_map(Value::from)),
        maybe("host", one_of(vec![json!("chat.t.dev"), json!("münchen.t.dev")])),
    ]);
    let ours = object(vec![
        maybe("route", route),
        maybe("health", one_of(vec![json!("/"), json!("/up?x=1")])),
        maybe("deploy", one_of(vec![json!("blue-green")])),
        maybe("runs_as_root", text()),
        maybe("closed", one_of(vec![json!(["POST /signup"])])),
        maybe("single", any::<bool>().prop_map(Value::from)),
        maybe("backup", one_of(vec![json!("redis"), json!("postgres")])),
    ]);
    object(vec![
        Just(Some(("image", json!("docker.io/library/redis:7.4")))).boxed(),
        Just(Some(("restart", json!("unless-stopped")))).boxed(),
        Just(Some(("healthcheck", json!({"test": ["CMD", "redis-cli", "ping"]})))).boxed(),
        maybe("environment", environment),
        maybe("command", proptest::collection::vec(text(), 1..3).prop_map(|words| Value::Array(words.iter().map(|word| Value::from(word.as_str().unwrap_or_default().replace('$', "$$"))).collect()))),
        maybe("volumes", one_of(vec![json!(["data:/data"]), json!([{"type": "tmpfs", "target": "/tmp"}])])),
        maybe("mem_limit", one_of(vec![json!("64m"), json!("1g")])),
        maybe("user", one_of(vec![json!("999:1000"), json!("1000")])),
        maybe("read_only", any::<bool>().prop_map(Value::from)),
        maybe("labels", text().prop_map(|text| json!({"note": text.as_str().unwrap_or_default().replace('$', "$$")}))),
        maybe("x-bootstrap", ours),
    ])
}

fn profile() -> BoxedStrategy<Value> {
    let host = object(vec![
        maybe("hostname", one_of(vec![json!("t"), json!("web-1"), json!("on")])),
        maybe("timezone", one_of(vec![json!("UTC"), json!("America/Sao_Paulo"), json!("Nowhere/None")])),
        maybe("locale", one_of(vec![json!("C.UTF-8"), json!("pt_BR.UTF-8")])),
        maybe("swap", one_of(vec![json!("0"), json!("1GiB")])),
        maybe("size", one_of(vec![json!("minimum"), json!("recommended")])),
    ]);
    let fail2ban = object(vec![
        maybe("max_retry", number(1, 20)),
        maybe("ban_time", one_of(vec![json!("1h"), json!("1d")])),
        maybe("ignore", one_of(vec![json!(["203.0.113.7"]), json!(["2001:db8::/32"])])),
    ]);
    let services = proptest::collection::btree_map("[a-z][a-z0-9-]{0,6}[a-z0-9]", service(), 1..4).prop_map(|services| json!(services));
    object(vec![
        Just(Some(("version", json!(1)))).boxed(),
        Just(Some(("name", json!("t")))).boxed(),
        maybe("distribution", one_of(["debian-12", "debian-13", "ubuntu-22.04", "ubuntu-24.04"].map(Value::from).to_vec())),
        Just(Some(("admin", json!({"ssh_keys": [KEY]})))).boxed(),
        maybe("host", host),
        maybe("ssh", object(vec![maybe("port", number(1, 65_536)), maybe("max_auth_tries", number(1, 10)), maybe("allow_users", one_of(vec![json!(["anna"])]))])),
        maybe("firewall", one_of(vec![json!({"allow": ["51820/udp"]}), json!({"allow": ["8000-8010/tcp"]})])),
        maybe("fail2ban", fail2ban),
        maybe("updates", one_of(vec![json!({"reboot": "04:30"}), json!({"security": false})])),
        Just(Some(("domain", json!("t.dev")))).boxed(),
        maybe("aliases", one_of(vec![json!(["www.t.dev"])])),
        maybe("trusted_proxies", one_of(vec![json!(["cloudflare"]), json!(["198.51.100.0/24"])])),
        maybe("tls", one_of(vec![json!({"email": "ops@t.dev"}), json!({"acme": false})])),
        maybe("backup", one_of(vec![json!({}), json!({"at": "23:59", "keep": "1d"})])),
        maybe("monitoring", one_of(vec![json!("none"), json!("lite"), json!("full")])),
        maybe("language", one_of(vec![json!("en"), json!("pt-BR")])),
        maybe("runbook", text()),
        maybe("secrets", one_of(vec![json!({"A": "generate"}), json!({"B": {"generate": 64, "as": "credential"}})])),
        Just(()).prop_flat_map(move |()| services.clone().prop_map(|services| Some(("services", services)))).boxed(),
        Just(Some(("volumes", json!({"data": null})))).boxed(),
    ])
}

fn loaded(path: &Path) -> Option<Profile> {
    load(&Input::new(PathOrName::Path(path.to_owned())), &|_| None, &mut Report::default())
}

/// Everything that follows from a profile, as text.
fn told(profile: &Profile, plan: &Plan) -> String {
    let files: Vec<_> = plan.files.iter().map(|file| (&file.path, file.mode, &file.content)).collect();
    let compose = profile.stack.as_ref().map(|stack| yaml::emit(&stack.compose));
    format!("{}\n{}\n{files:?}\n{compose:?}", json!(profile), json!(plan))
}

/// What the machine reads is what was written: each text of a service is found again in its Compose file.
fn arrives(written: &Value, compose: &Value) {
    for (name, service) in written["services"].as_object().into_iter().flatten() {
        for key in ["environment", "command", "labels"] {
            let Some(wanted) = service.get(key) else { continue };
            let twins = [name.clone(), format!("{name}-blue")];
            let found = twins.iter().find_map(|name| compose["services"].get(name)).and_then(|service| service.get(key));
            let contains = match (wanted, found) {
                (Value::Object(wanted), Some(Value::Object(found))) => wanted.iter().all(|(key, value)| found.get(key) == Some(value)),
                (wanted, found) => found == Some(wanted),
            };
            assert!(contains, "{name}.{key}: {wanted} became {found:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_accepted_renders_and_arrives(written in profile()) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("t.yaml");
        std::fs::write(&path, written.to_string()).expect("writes");
        let first = loaded(&path);
        let Some(first) = first else { return Ok(()) };
        let planned = plan(&first).expect("an accepted profile is planned");
        let second = loaded(&path).expect("it was accepted before");
        prop_assert_eq!(told(&first, &planned), told(&second, &plan(&second).expect("it was planned before")));
        for format in [Format::Lzma, Format::CloudConfig] {
            let encoded = format.encode(&planned).expect("an accepted profile is encoded");
            let files = read::files(&encoded.user_data).expect("it is read back");
            prop_assert_eq!(files.len(), planned.files.len());
            let text = files.get("/opt/t/compose.yaml").map(|(_, text)| text.as_str()).unwrap_or_default();
            let mut report = Report::new();
            let source = report.sources.add("compose.yaml", text);
            let compose = yaml::parse(&mut report, source).and_then(|node| yaml::to_json(&node)).expect("Compose's file is YAML");
            arrives(&written, &compose);
        }
        if let Ok(folder) = std::env::var("PROPERTY_PROFILES") {
            let number = KEPT.fetch_add(1, Ordering::Relaxed);
            std::fs::write(Path::new(&folder).join(format!("p{number}.yaml")), written.to_string()).expect("keeps it");
        }
    }
}

#[test]
fn enough_of_them_are_accepted() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("t.yaml");
    let accepted = (0..120).filter(|_| {
        let written = profile().new_tree(&mut runner).expect("a profile").current();
        std::fs::write(&path, written.to_string()).expect("writes");
        loaded(&path).is_some()
    });
    let accepted = accepted.count();
    assert!(accepted >= 12, "of 120 profiles {accepted} are accepted: the property is one of too few");
}
