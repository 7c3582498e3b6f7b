//! The budget: the table of figures, what is added up, and what is said where it does not fit.

use crate::support::Test;
use assert_cmd::Command;
use julia_bootstrap::budget::figures::{Figure, Of, Share, TABLE, kept, repository, row, told};
use julia_bootstrap::budget::{Budget, budget, fewer_backups, less_monitoring, words};
use julia_bootstrap::profile::{embedded, embedded_names};
use julia_bootstrap::{template, yaml};

/// Every figure with its place in the table.
fn figures() -> Vec<(String, u32, &'static str)> {
    let table = &*TABLE;
    let mut all = Vec::new();
    let rows = table.images.iter().flat_map(|images| &images.0).map(|(name, row)| (name.as_str(), row));
    for (name, row) in rows.chain(table.unknown.iter().map(|row| ("unknown", row))) {
        let parts = [("memory", &row.memory), ("image", &row.image), ("data", &row.data)];
        all.extend(parts.into_iter().filter_map(|(part, figure)| Some((format!("{name} {part}"), figure.as_ref()?))));
    }
    for part in &table.host {
        let name = &part.name.as_ref().expect("a name").0;
        assert!(part.memory.is_some() || part.disk.is_some(), "{name} takes nothing");
        let parts = [("memory", &part.memory), ("disk", &part.disk)];
        all.extend(parts.into_iter().filter_map(|(part, figure)| Some((format!("{name} {part}"), figure.as_ref()?))));
    }
    let reserve = table.reserve.as_ref().expect("reserves");
    let rest = [&table.log, &reserve.kernel, &reserve.kernel_each_gib].into_iter().flatten();
    all.extend(rest.map(|figure: &Figure| ("rest".to_owned(), figure)));
    let figure = |(name, figure): (String, &'static Figure)| {
        let (mib, source) = told(Some(figure));
        (name, mib, source)
    };
    let shares = [&reserve.memory, &reserve.filesystem, &reserve.disk, &table.version, &table.copy, &table.dump].into_iter().flatten();
    let share = |share: &'static Share| ("share".to_owned(), share.percent.as_ref().map_or(0, |percent| percent.0), share.source.as_ref().map_or("", |source| &source.0));
    all.into_iter().map(figure).chain(shares.map(share)).collect()
}

#[test]
fn every_figure_has_a_source_and_is_sane() {
    let figures = figures();
    assert!(figures.len() > 60, "{}", figures.len());
    for (name, number, source) in figures {
        let told = ["measured: ", "configured: ", "assumed: "].iter().any(|word| source.starts_with(word));
        assert!(told || source.contains("https://") || source.starts_with("Alpine's package"), "{name}: `{source}` says neither what was done nor where it stands");
        assert!(source.len() > 20, "{name}: `{source}` says next to nothing");
        let most = if name.ends_with("memory") { 2048 } else { 16_384 };
        assert!((1..=most).contains(&number), "{name}: {number}");
    }
}

#[test]
fn every_image_of_ours_has_a_row() {
    let texts = embedded_names().filter_map(embedded).chain(template::text("monitoring/compose.yaml").ok());
    let images: Vec<_> = texts.flat_map(str::lines).filter_map(|line| line.trim().strip_prefix("image: ")).collect();
    assert!(images.len() > 15, "{images:?}");
    for image in &images {
        assert!(row(image).is_some(), "{image} is not in profiles/budget/figures.yaml");
    }
    for (name, _) in &TABLE.images.as_ref().expect("images").0 {
        assert!(images.iter().any(|image| repository(image) == name), "nobody runs {name}");
    }
}

#[test]
fn what_is_configured_is_what_the_table_says() {
    let table = &*TABLE;
    let file = |name: &str| template::text(name).expect("a file of ours");
    let journal = table.host.iter().find(|part| part.name.as_ref().is_some_and(|name| name.0 == "journal")).expect("a journal");
    let journal = told(journal.disk.as_ref()).0;
    assert!(file("etc/journald.conf.j2").contains(&format!("SystemMaxUse={journal}M\n")));
    let data = |image: &str| told(row(image).expect("a row").data.as_ref()).0;
    assert!(file("monitoring/compose.yaml").contains(&format!("retention.size={}GB\n", data("prom/prometheus") / 1024)));
    // Chunks of logs are cut at two GiB; the index comes on top.
    assert!(file("monitoring/collect").contains("(2 << 30)") && (2049..3072).contains(&data("grafana/loki")));
    for (alert, free) in [("MemoryHigh", kept().memory), ("DiskHigh", kept().disk)] {
        let line = file("stages/monitoring").lines().find(|line| line.starts_with(&format!("{alert}|"))).expect("an alert");
        assert!(line.contains(&format!("> {}|", 100 - free)), "{line}");
    }
}

#[test]
fn what_watches_stays_below_its_own_limits() {
    let mut report = julia_bootstrap::report::Report::new();
    let source = report.sources.add("compose", template::text("monitoring/compose.yaml").expect("compose"));
    let root = yaml::parse(&mut report, source).expect("YAML");
    for (name, service) in root.get("services").and_then(yaml::Node::as_map).expect("services") {
        let image = service.get("image").and_then(yaml::Node::as_str).expect("an image");
        let (_, limit) = julia_bootstrap::budget::limit(service).expect("a limit");
        let expected = told(row(image).expect("a row").memory.as_ref()).0;
        assert!(expected <= limit, "{:?} takes {expected} MiB of {limit}", name.as_str());
    }
}

fn account(test: &Test) -> Budget {
    let loaded = test.load();
    budget(&loaded.profile.unwrap_or_else(|| panic!("{}", loaded.report.render_human(false, 100))))
}

fn item(budget: &Budget, name: &str) -> Option<u32> {
    budget.memory.items.iter().chain(&budget.disk.items).find(|item| item.name == name).map(|item| item.mib)
}

/// A service that takes so much memory.
fn taking(mib: u32) -> Test {
    Test::service(&format!("mem_reservation: {mib}m"))
}

/// What is said of the budget.
fn said(test: &Test) -> Vec<String> {
    test.findings().lines().filter(|line| line.contains("[budget-")).map(str::to_owned).collect()
}

/// How much more a machine could take.
fn spare(test: &Test) -> u32 {
    let memory = account(test).memory;
    memory.usable_mib - memory.expected_mib
}

#[test]
fn memory_fits_to_the_last_mib_and_no_further() {
    let most = 100 + spare(&taking(100));
    taking(most).clean();
    let budget = account(&taking(most + 1));
    let said = taking(most + 1).findings();
    assert!(said.starts_with("1:1 warning[budget-memory] memory is short: "), "{said}");
    for part in [
        format!("of 4 GiB there are {} MiB to use", words::thousands(budget.memory.usable_mib)),
        format!("the most take a ({})", words::thousands(most + 1)),
        "| choose a plan of 4 vCPU, 8 GiB and 80 GB, and write `host: {size: recommended}`".to_owned(),
    ] {
        assert!(said.contains(&part), "{part} is missing in: {said}");
    }
    assert_eq!(said.lines().count(), 1, "{said}");
    taking(most + 1).set("host.size=recommended").clean();
    // The place is where the size is written.
    assert!(taking(most + 1).set("host.size=minimum").findings().starts_with("1:11 warning[budget-memory]"));
}

#[test]
fn what_is_larger_than_every_plan_with_a_word_is_told_in_numbers() {
    let test = || taking(20_000);
    let said = said(&test());
    let (_, help) = said[0].split_once(" | choose a plan with at least ").expect("numbers");
    let gib: u32 = help.split(' ').next().and_then(|word| word.parse().ok()).expect("a number");
    let size = |gib: u32| format!("host.size={{cpus: 8, memory: {gib}GiB, disk: 40GB}}");
    test().set(&size(gib)).clean();
    assert!(test().set(&size(gib - 1)).findings().contains("[budget-memory]"), "{help}");
}

#[test]
fn the_disk_fits_or_not() {
    let swap = |mib: u32| Test::service("").set(&format!("host.swap={mib}MiB"));
    let disk = account(&swap(1024)).disk;
    let most = 1024 + disk.usable_mib - disk.expected_mib;
    swap(most).clean();
    let said = said(&swap(most + 1));
    assert!(said[0].contains("warning[budget-disk] the disk is small: "), "{said:?}");
    assert!(said[0].contains("and of 40 GB there are") && said[0].contains("the most take swap ("), "{said:?}");
    assert!(said[0].ends_with("write `host: {size: recommended}`"), "{said:?}");
    swap(most + 1).set("host.size={cpus: 2, memory: 4GiB, disk: 50GB}").clean();
}

#[test]
fn less_monitoring_is_advised_where_it_helps() {
    let watched = |mib: u32, level: &str| taking(mib).set(&format!("monitoring={level}"));
    let trims = |level: &str| less_monitoring(&watched(100, level).load().profile.expect("a profile"));
    let spare = |budget: &Budget| 100 + budget.memory.usable_mib - budget.memory.expected_mib;
    let now = account(&watched(100, "full"));
    let [lite, none] = &trims("full")[..] else { panic!("two levels are less than full") };
    assert_eq!(lite.budget.memory.expected_mib, account(&watched(100, "lite")).memory.expected_mib);
    assert_eq!(none.budget.disk.expected_mib, account(&watched(100, "none")).disk.expected_mib);
    let saved = |budget: &Budget| words::thousands(now.memory.expected_mib - budget.memory.expected_mib);
    let help = |mib: u32, level: &str| said(&watched(mib, level)).pop().and_then(|line| Some(line.split_once(" | ")?.1.to_owned()));

    assert_eq!(help(spare(&now), "full"), None);
    let text = help(spare(&lite.budget), "full").expect("help");
    assert!(text.starts_with(&format!("write `monitoring: lite`, which takes {} MiB less; or choose", saved(&lite.budget))), "{text}");
    assert_eq!(help(spare(&lite.budget), "lite"), None);

    let text = help(spare(&lite.budget) + 1, "full").expect("help");
    let wanted =
        format!("write `monitoring: none`, which takes {} MiB less; `monitoring: lite` takes only {} MiB less; or choose", saved(&none.budget), saved(&lite.budget));
    assert!(text.starts_with(&wanted), "{text}");
    let text = help(spare(&lite.budget) + 1, "lite").expect("help");
    assert!(text.starts_with("write `monitoring: none`, which") && !text.contains("lite"), "{text}");

    let text = help(spare(&none.budget) + 1, "full").expect("help");
    let wanted = format!("`monitoring: none` takes {} MiB less, which is not enough; or choose", saved(&none.budget));
    assert!(text.starts_with(&wanted), "{text}");
}

#[test]
fn lite_leaves_out_what_keeps_logs() {
    let watched = |level: &str| account(&Test::service("").set(&format!("monitoring={level}")));
    let (full, lite, none) = (watched("full"), watched("lite"), watched("none"));
    for name in ["loki", "alloy", "cadvisor", "data of loki"] {
        assert!(item(&full, name).is_some() && item(&lite, name).is_none(), "{name}");
    }
    assert!(item(&lite, "prometheus").is_some() && item(&none, "prometheus").is_none());
    assert!(full.disk.expected_mib > lite.disk.expected_mib && lite.disk.expected_mib > none.disk.expected_mib);
}

#[test]
fn what_compose_says_goes_before_the_table_and_that_before_limits() {
    let one = |image: &str, lines: &str| {
        item(&account(&Test::new(&format!("services: {{b: {{image: \"{image}\", restart: always, healthcheck: {{test: x}}{lines}}}}}"))), "b")
    };
    let redis = told(row("redis").expect("a row").memory.as_ref()).0;
    assert_eq!(one("redis:7", ""), Some(redis));
    assert_eq!(one("docker.io/library/redis:7@sha256:0000000000000000000000000000000000000000000000000000000000000000", ", mem_limit: 2g"), Some(redis));
    assert_eq!(one("redis:7", ", mem_reservation: 100m, mem_limit: 2g"), Some(100));
    assert_eq!(one("redis:7", ", deploy: {resources: {reservations: {memory: 90M}}}"), Some(90));
    assert_eq!(one("me/app:1", ", mem_limit: 2g"), Some(2048));
    assert_eq!(one("me/app:1", ", deploy: {resources: {limits: {memory: 1.5gb}}}"), Some(1536));
    let unknown = told(TABLE.unknown.as_ref().and_then(|row| row.memory.as_ref())).0;
    assert_eq!(one("me/app:1", ""), Some(unknown));
    assert_eq!(one("me/app:1", ", mem_limit: \"${LIMIT:-1g}\""), Some(unknown));
    assert_eq!(one("me/app:1", ", mem_limit: 100m, deploy: {replicas: 3}"), Some(300));
    assert_eq!(one("me/app:1", ", mem_limit: 100m, scale: 0"), None);
}

#[test]
fn images_and_volumes_count_once_and_jobs_only_while_they_run() {
    let service = "restart: always, healthcheck: {test: x}";
    let jobs = |job: &str| Test::new(&format!(
        "services:\n\
         \x20 b: {{image: \"redis:7\", {service}, volumes: [\"one:/data\"], depends_on: {{j: {{condition: service_completed_successfully}}}}}}\n\
         \x20 c: {{image: \"redis:7\", {service}, volumes: [\"one:/data\", \"./credentials/x:/x:ro\"]}}\n\
         \x20 d: {{image: \"redis:7\", {service}, volumes: [{{type: volume, source: two, target: /data}}]}}\n\
         \x20 e: {{image: \"redis:8\", {service}, volumes: [\"/etc/x:/x:ro\"]}}\n\
         \x20 j: {{image: \"{job}}}\n\
         \x20 o: {{image: \"me/other:1\", profiles: [never]}}\n\
         volumes: {{one: {{}}, two: {{}}}}\n"
    ));
    let budget = account(&jobs("redis:7\", mem_limit: 32m"));
    let names = |start: &str| budget.disk.items.iter().filter(|item| item.name.starts_with(start)).map(|item| item.name.clone()).collect::<Vec<_>>();
    assert_eq!(names("image "), ["image redis:7", "image redis:8"]);
    assert_eq!(names("data of "), ["data of b", "data of d"]);
    assert_eq!((item(&budget, "j"), budget.peak_mib()), (None, budget.memory.expected_mib + 32));
    assert_eq!(item(&budget, "o"), None);
    let log = told(TABLE.log.as_ref()).0;
    assert_eq!(item(&budget, "logs of containers"), Some(5 * log));
    let shim = TABLE.host.iter().find(|part| part.of == Some(Of::Container)).expect("what each container costs");
    assert_eq!(item(&budget, &shim.name.as_ref().expect("a name").0), Some(4 * told(shim.memory.as_ref()).0));
    // A job that would take all that is kept free.
    let seen = budget.seen_mib - budget.memory.expected_mib;
    let last = |mib: u32| said(&jobs(&format!("me/job:1\", mem_limit: {mib}m")));
    assert_eq!(last(seen), [""; 0]);
    assert!(last(seen + 1)[0].contains(&format!("{} MiB while j runs are expected", words::thousands(budget.seen_mib + 1))));
}

#[test]
fn two_that_take_turns_are_one_but_while_they_do() {
    let app = |deploy: &str| {
        let web = format!("x-bootstrap: {{route: {{path: /, port: 1}}{deploy}}}");
        account(&Test::new(&format!(
            "domain: t.dev\nservices:\n\
             \x20 b: {{image: \"me/b:1\", restart: always, healthcheck: {{test: x}}, mem_reservation: 300m, {web}}}\n\
             \x20 c: {{image: \"me/b:1\", restart: always, healthcheck: {{test: x}}, mem_reservation: 200m}}\n"
        )))
    };
    let (plain, turns) = (app(""), app(", deploy: blue-green"));
    assert_eq!(turns.memory.expected_mib, plain.memory.expected_mib);
    assert_eq!((item(&turns, "b"), item(&turns, "c")), (Some(300), Some(200)));
    let passing = |budget: &Budget| budget.passing.as_ref().map(|item| (item.name.clone(), item.mib));
    assert_eq!((passing(&plain), passing(&turns)), (None, Some(("while b is replaced".into(), 300))));
    // Four older versions beside the one that runs, of which a part is their own.
    let image = told(TABLE.unknown.as_ref().and_then(|row| row.image.as_ref())).0;
    assert_eq!((item(&plain, "older versions of b"), item(&turns, "older versions of b")), (None, Some(image * kept().version * 4 / 100)));
}

#[test]
fn backups_are_whole_each_day() {
    let test = |keep: u32| {
        Test::new(&format!(
            "backup: {{keep: {keep}d}}\nservices:\n\
             \x20 b: {{image: \"redis:7\", restart: always, healthcheck: {{test: x}}, volumes: [\"one:/data\"], x-bootstrap: {{backup: redis}}}}\n\
             \x20 c: {{image: \"me/c:1\", restart: always, healthcheck: {{test: x}}, volumes: [\"two:/data\", \"three:/x\"]}}\n\
             volumes: {{one: {{}}, two: {{x-bootstrap: {{backup: live}}}}, three: {{x-bootstrap: {{backup: live}}}}}}\n"
        ))
    };
    let redis = told(row("redis").and_then(|row| row.data.as_ref())).0 * kept().dump / 100;
    let files = told(TABLE.unknown.as_ref().and_then(|row| row.data.as_ref())).0 * kept().copy / 100;
    for days in [1, 7] {
        assert_eq!(item(&account(&test(days)), "backups"), Some((redis + files) * (days + 1)));
    }
    // Where they do not fit, the longest that does is advised.
    let disk = |keep: u32| account(&test(keep)).disk;
    let most = (disk(1).usable_mib - disk(1).expected_mib) / (redis + files) + 1;
    test(most).clean();
    let profile = test(most + 5).load().profile.expect("a profile");
    assert_eq!(fewer_backups(&profile).map(|trim| trim.switch), Some(format!("backup: {{keep: {}d}}", most.min(14))));
    let small = test(9).set("host.size={cpus: 2, memory: 4GiB, disk: 14GB}");
    let said = said(&small);
    assert!(said[0].contains("[budget-disk]") && said[0].contains("| write `backup: {keep: "), "{said:?}");
    let days = said[0].split("{keep: ").nth(1).and_then(|rest| rest.split('d').next()).expect("days");
    small.set(&format!("backup.keep={days}d")).clean();
}

#[test]
fn logs_come_to_what_their_options_allow() {
    let logs = |lines: &str| {
        let one = format!("services: {{b: {{image: \"redis:7\", restart: always, healthcheck: {{test: x}}{lines}}}}}");
        item(&account(&Test::new(&one)), "logs of containers")
    };
    let usual = told(TABLE.log.as_ref()).0;
    assert_eq!(logs(""), Some(usual));
    assert_eq!(logs(", logging: {driver: json-file, options: {max-size: 50m, max-file: \"4\"}}"), Some(200));
    assert_eq!(logs(", logging: {options: {max-size: 50m}}"), Some(50));
    assert_eq!(logs(", logging: {driver: journald}"), None);
}

#[test]
fn what_runs_elsewhere_is_not_counted() {
    let test = || Test::service("depends_on: [z]");
    assert!(item(&account(&test()), "z").is_some());
    let elsewhere = test().set("external={z: {host: db.example.net}}").set("services.a.x-bootstrap={route: {port: 1}}");
    assert_eq!(item(&account(&elsewhere), "z"), None);
}

#[test]
fn a_limit_below_what_is_expected_is_told() {
    let one = |lines: &str| Test::new(&format!("services:\n  b: {{image: \"redis:7\", restart: always, healthcheck: {{test: x}},\n    {lines}}}\n")).findings();
    let expected = told(row("redis").expect("a row").memory.as_ref()).0;
    assert_eq!(
        one("mem_limit: 32m"),
        format!("7:16 warning[memory-limit] `b` is expected to take {expected} MiB, and is killed at 32 | write `mem_limit: {expected}m` or more; or say what it takes by `mem_reservation`")
    );
    assert_eq!(one("mem_reservation: 16m, mem_limit: 32m"), "");
    assert_eq!(
        one("mem_reservation: 64m, mem_limit: 32m"),
        "7:22 error[memory-limit] Docker does not start `b`: it reserves more memory than its limit allows | raise `mem_limit`, or lower `mem_reservation`"
    );
}

#[test]
fn sizes_that_are_none() {
    let said = |size: &str| Test::new(&format!("host: {{size: {size}}}")).findings();
    for (size, wanted) in [
        ("small", "5:14 error[invalid-value] `small` is not a size of a machine | write `minimum`, `recommended` or `{cpus: 2, memory: 4GiB, disk: 40GB}`"),
        ("minimun", "5:14 error[invalid-value] `minimun` is not a size of a machine | did you mean `minimum`?"),
        ("[4]", "5:14 error[wrong-type] a size of a machine is expected here, and this is a list | write it as in `size: {cpus: 2, memory: 4GiB, disk: 40GB}`"),
        ("{cpus: 2, memory: 4GiB}", "5:14 error[missing-field] the field `disk` is missing here | add `disk: 40GB`"),
        ("{cpus: 0, memory: 4GiB, disk: 40GB}", "5:21 error[invalid-value] 0 is not between 1 and 512 | write a number between 1 and 512"),
        ("{cpus: 2, memory: 4G, disk: 40GB}", "5:32 error[invalid-value] `4G` is not a capacity | write it as `4GiB` or `40GB`, at most 1024GiB"),
        ("{cpus: 2, memory: 4GiB, disk: 0GB}", "5:44 error[invalid-value] `0GB` is not a capacity | write it as `4GiB` or `40GB`, at most 1024GiB"),
        ("{cpus: 2, memory: 4GiB, disk: 40GB, ram: 1}", "5:50 error[unknown-field] unknown field `ram` | known fields: cpus, memory, disk"),
    ] {
        assert_eq!(said(size), wanted, "{size}");
    }
    for odd in ["GB", "é", "€", "4€", "éGB", "99999999GB", "1e3GB", "4 GB", "-4GB", "40gb", "\"\""] {
        let said = said(&format!("{{cpus: 2, memory: 4GiB, disk: {odd}}}"));
        assert!(said.starts_with("5:44 error[") && said.lines().count() == 1, "{odd}: {said}");
    }
    let size = |disk: &str| account(&Test::new(&format!("host: {{size: {{cpus: 2, memory: 512MiB, disk: {disk}}}}}"))).size.disk_mib;
    assert_eq!((size("40GB"), size("40GiB"), size("1TB"), size("512MiB")), (38_146, 40_960, 953_674, 512));
}

#[test]
fn the_page_tells_the_sums_as_they_are() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/limits.md")).expect("the page");
    let profile = Test::raw(embedded("julia").expect("embedded")).load().profile.expect("a profile");
    let all = budget(&profile);
    let (now, disk) = (&all.memory, [all.disk.usable_mib, all.disk.expected_mib, item(&all, "backups").expect("backups")]);
    let trimmed = less_monitoring(&profile).into_iter().map(|trim| trim.budget.memory.expected_mib);
    for mib in [now.usable_mib, now.expected_mib].into_iter().chain(trimmed).chain(disk) {
        assert!(page.contains(&words::thousands(mib)), "{mib} is not in docs/limits.md");
    }
}

#[test]
fn the_command_tells_the_budget() {
    let tool = |arguments: &[&str]| {
        let mut command = Command::cargo_bin("julia-bootstrap").expect("the binary");
        command.env_clear().args(arguments);
        command.output().expect("running the binary")
    };
    let output = tool(&["check", "julia", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let memory = &json["budget"]["memory"];
    let items = memory["items"].as_array().expect("items");
    let sum: u64 = items.iter().filter_map(|item| item["mib"].as_u64()).sum();
    assert_eq!(Some(sum), memory["expected_mib"].as_u64());
    assert!(items.iter().all(|item| item["source"].as_str().is_some_and(|source| source.len() > 10)), "{memory}");
    assert_eq!(json["budget"]["size"]["name"], "minimum");
    assert!(json["budget"]["disk"]["items"].as_array().is_some_and(|items| items.len() > 15));
    // Without a profile there is none.
    let bad = tool(&["check", "julia", "--json", "--set", "ssh.port=0"]);
    assert!(serde_json::from_slice::<serde_json::Value>(&bad.stdout).expect("JSON")["budget"].is_null());

    let told = String::from_utf8_lossy(&tool(&["check", "minimal", "-v"]).stderr).into_owned();
    for start in ["memory: ", "  most by ", "disk: "] {
        assert!(told.lines().any(|line| line.starts_with(start)), "{start} is missing:\n{told}");
    }
    // `render` warns like `check`, and does its work; --strict makes it an error.
    let size = ["--set", "host.size={cpus: 1, memory: 512MiB, disk: 4GB}"];
    let rendered = tool(&[&["render", "minimal"], &size[..]].concat());
    let told = String::from_utf8_lossy(&rendered.stderr).into_owned();
    assert!(rendered.status.success() && told.contains("warning[budget-memory]") && told.contains("warning[budget-disk]"), "{told}");
    assert_eq!(tool(&[&["check", "minimal", "--strict"], &size[..]].concat()).status.code(), Some(2));
}
