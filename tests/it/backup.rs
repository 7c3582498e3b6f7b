//! Backups: what is refused, what is told, and what the machine is told.

use crate::support::Test;
use julia_bootstrap::plan;
use serde_json::{Value, json};

/// A profile with a service that uses the volume `v`; `service` and `volume` stand in their extensions, the rest at the top.
fn profile(service: &str, volume: &str, more: &str) -> Test {
    Test::new(&format!(
        "services:\n  s: {{image: \"x:1\", restart: always, healthcheck: {{test: x}}, volumes: [\"v:/v\"], x-bootstrap: {{{service}}}}}\n\
         volumes:\n  v: {{x-bootstrap: {{{volume}}}}}\n{more}\n"
    ))
}

/// A database with these mounts of the volumes `pg` and `keys`, and its data at /srv/data as well.
fn database(kind: &str, mounts: &str) -> Test {
    Test::new(&format!(
        "services:\n  s: {{image: \"x:1\", restart: always, healthcheck: {{test: x}}, environment: {{PGDATA: /srv/data}}, volumes: [{mounts}], x-bootstrap: {{backup: {kind}}}}}\n\
         backup: {{}}\nvolumes: {{pg: , keys: }}\n"
    ))
}

/// The same with an off-site copy; the secret `P` is given.
fn offsite(rest: &str) -> Test {
    profile("backup: postgres", "", &format!("secrets: {{P: {{env: P}}, M: generate}}\nbackup: {{offsite: {{{rest}}}}}")).env("P", "secret")
}

macro_rules! rejects {
    ($( $name:ident: $test:expr => $wanted:literal; )*) => { $(
        #[test]
        fn $name() {
            assert_eq!($test.findings(), $wanted);
        }
    )* };
}

rejects! {
    data_without_backups: profile("", "", "") =>
        "8:3 warning[no-backup] nothing is backed up, and `v` holds data | add `backup: {}`, and say at services and volumes what is saved; `x-bootstrap: {backup: none}` at a volume that is not";
    data_that_is_meant_to_be_lost: profile("", "backup: none", "") => "";
    data_that_was_forgotten: profile("", "", "backup: {}") =>
        "8:3 warning[no-backup] the volume `v` is not in the backup | write `x-bootstrap: {backup: pause}` (or `live`, `stop`, `none`) below it, or `x-bootstrap: {backup: postgres}` at its database's service\n\
         9:1 warning[no-backup] the backup would hold `.env` and certificates, and no data | write `x-bootstrap: {backup: postgres}` at a service, or `x-bootstrap: {backup: pause}` at a volume";
    a_database_covers_its_volume: profile("backup: postgres", "", "backup: {}") => "";
    what_no_dump_of_a_database_has: database("postgres", "\"pg:/var/lib/postgresql/data\", \"keys:/etc/pgsodium\"") =>
        "8:17 warning[no-backup] the volume `keys` is not in the backup, which has of `s` what is below its data directory alone | write `x-bootstrap: {backup: pause}` (or `live`, `stop`, `none`) below it";
    what_no_snapshot_of_a_redis_has: database("redis", "{type: volume, source: pg, target: /data}, {type: volume, source: keys, target: /etc/acl}") =>
        "8:17 warning[no-backup] the volume `keys` is not in the backup, which has of `s` what is below its data directory alone | write `x-bootstrap: {backup: pause}` (or `live`, `stop`, `none`) below it";
    a_database_whose_data_is_in_a_folder: database("postgres", "\"/srv/pg:/var/lib/postgresql/data\", \"keys:/etc/pgsodium\"") =>
        "8:17 warning[no-backup] the volume `keys` is not in the backup, which has of `s` what is below its data directory alone | write `x-bootstrap: {backup: pause}` (or `live`, `stop`, `none`) below it";
    data_above_and_beside_its_usual_place: database("postgres", "\"pg:/var/lib\", \"keys:/srv/data/base\"") => "";
    data_where_a_variable_says: database("postgres", "\"pg:${AT:-/x}\", \"keys:/var/lib/postgresql/18:rw\"") => "";
    no_such_way: profile("", "backup: hold", "backup: {}") =>
        "8:29 error[invalid-value] `hold` is not a way to copy a volume | write one of `live`, `pause`, `stop`, `none`\n\
         9:1 warning[no-backup] the backup would hold `.env` and certificates, and no data | write `x-bootstrap: {backup: postgres}` at a service, or `x-bootstrap: {backup: pause}` at a volume";
    times: profile("backup: redis", "", "backup: {at: \"3\", keep: 12h}") =>
        "9:14 error[invalid-value] `3` is not a time of day | write it as `\"03:00\"`\n\
         9:25 error[invalid-value] less than a day would keep nothing until the next one | write at least `1d`";
}

#[test]
fn off_site_copies_that_nobody_could_read() {
    let said = offsite("repository: \"s3:https://h/b\", password: P").findings();
    assert!(said.contains("warning[repository-login]") && said.contains("AWS_ACCESS_KEY_ID: S3_KEY"), "{said}");
    let none = "is no place that restic can write to from here | write it as restic does: `s3:https://s3.example.com/bucket`, `sftp:me@host:/path`, `rest:https://host/`";
    for (rest, more, wanted) in [
        ("repository: \"rest:https://h/\", password: M", "", "10:61 error[generated] `M` is made on the machine, and dies with it: nobody could reach or read the backups then | choose it yourself, keep it elsewhere too, and write the secret as `{env: …}` or `{file: …}`"),
        ("repository: \"rest:https://me:${M}@h/\", password: P", "", "10:32 error[generated] `M` is made on the machine, and dies with it: nobody could reach or read the backups then | choose it yourself, keep it elsewhere too, and write the secret as `{env: …}` or `{file: …}`"),
        ("repository: \"s3:https://h/b\", password: P, environment: {A: PP}", "", "10:80 error[no-secret] there is no secret `PP` | did you mean `P`?"),
        ("repository: /srv/backups, password: P", "", &format!("10:32 error[invalid-value] `/srv/backups` {none}")),
        ("repository: \"sftp:host\", password: P", "", &format!("10:32 error[invalid-value] `sftp:host` {none}")),
        ("repository: \"rest:https://me:geheim@h/\", password: P", "", "10:32 error[invalid-value] this carries a password | add it to `secrets`, and write `${NAME}` in its place"),
        ("repository: \"sftp:me@h:/b\", password: P", "", "10:32 error[ssh-key] `sftp:` wants a key, since nobody is there to type a password | add `ssh_key: BACKUP_KEY`, and the secret as `{file: backup_key, as: credential}`"),
        ("repository: \"sftp:me@h:/b\", password: P, ssh_key: P", "", "10:70 error[ssh-key] ssh reads keys from files, and this one would lie in `.env` | write `as: credential` beside the secret's `file`"),
        ("repository: \"rest:https://h/\", password: P", "restore_from=newest", "1:14 error[invalid-value] `newest` is neither `latest` nor the ID of a snapshot | write `latest`, or what `restic snapshots` shows"),
        ("repository: \"rest:https://${P}@h/\", password: P", "restore_from=latest", ""),
    ] {
        let test = if more.is_empty() { offsite(rest) } else { offsite(rest).set(more) };
        let found = test.findings();
        let errors: Vec<_> = found.lines().filter(|line| line.contains(" error[")).collect();
        assert_eq!(errors.join("\n"), wanted, "{rest}");
        // The one thing that no machine can do for its operator is said each time.
        assert!(found.contains("note[repository-password]"), "{found}");
        assert!(!found.contains("geheim"));
    }
    let found = profile("backup: postgres", "", "backup: {pitr: true}").findings();
    assert!(found.contains("9:10 error[no-offsite] there is no off-site repository that the log could go to | add `offsite: {repository: …, password: …}` beside it"), "{found}");
    let found = profile("backup: redis", "", "secrets: {P: {env: P}}\nbackup: {pitr: true, offsite: {repository: \"rest:https://h/\", password: P}}").env("P", "secret").findings();
    assert!(found.contains("10:10 error[no-postgres] no PostgreSQL of this machine is backed up, and only its log can be kept"), "{found}");
    let none = profile("backup: postgres", "", "backup: {}\nrestore_from: latest").findings();
    assert!(none.starts_with("10:1 error[no-offsite] there is no off-site backup that a machine could begin with"), "{none}");
}

#[test]
fn a_database_elsewhere_is_saved_with_a_password_that_was_given() {
    let elsewhere = "external: {s: {host: db.example.com, port: 5432}}\nbackup: {}";
    let found = profile("backup: postgres", "backup: none", elsewhere).findings();
    assert!(found.contains("error[no-secret] to back up `s`, which runs elsewhere, its password must be given | add `S_PASSWORD: {env: S_PASSWORD}` to `secrets`"), "{found}");
    let found = profile("backup: redis", "backup: none", elsewhere).findings();
    assert!(found.contains("warning[backup] `s` runs elsewhere, and a redis there is not backed up from here"), "{found}");
}

/// The plan of a profile that may have findings.
fn planned(test: &Test) -> plan::Plan {
    plan::plan(&test.load().profile.expect("a profile")).expect("a plan")
}

/// What the machine is told of its backups.
fn told(test: &Test) -> Value {
    let plan = planned(test);
    let file = plan.files.iter().find(|file| file.path.ends_with("/plan.json")).expect("plan.json");
    serde_json::from_str::<Value>(&file.content).expect("JSON")["backup"].clone()
}

#[test]
fn a_log_that_is_kept() {
    let test = profile("backup: postgres", "", "secrets: {P: {env: P}}\nbackup: {at: \"23:30\", pitr: true, offsite: {repository: \"rest:https://h/\", password: P}}").env("P", "secret");
    assert_eq!(told(&test)["pitr"], json!(true));
    let plan = planned(&test);
    let file = |name: &str| plan.files.iter().find(|file| file.path.ends_with(name)).map(|file| file.content.as_str());
    // Three quarters of an hour after the backup, here on the next day.
    assert!(file("-backup-base.timer").expect("a timer").contains("OnCalendar=00:15"));
    assert!(file("-backup-log.service").expect("a service").contains("pitr.py receive"));
    assert!(file("/pitr.py").is_some() && file("RUNBOOK.md").expect("a runbook").contains("restore --to"));
    let without = planned(&offsite("repository: \"rest:https://h/\", password: P"));
    assert!(!without.files.iter().any(|file| file.path.contains("pitr") || file.content.contains("restore --to MOMENT")));
}

#[test]
fn the_machine_is_told() {
    assert_eq!(told(&profile("backup: postgres", "backup: pause", "backup: {keep: 14d}")), json!({
        "keep": 14 * 86400,
        "parts": [{"kind": "postgres", "name": "s"}, {"kind": "volume", "name": "v", "hold": "pause"}],
    }));
    assert_eq!(told(&profile("", "backup: none", "")), Value::Null);
}

#[test]
fn the_backup_that_a_machine_begins_with_needs_no_seal() {
    let test = offsite("repository: \"rest:https://h/\", password: P").set("secrets.P.sealed=true");
    assert!(!test.findings().contains("error[sealed]"));
    let said = test.set("restore_from=latest").findings();
    assert!(said.contains("error[sealed] `P` is sealed, and the backup that this machine begins with is fetched before anything is unsealed"), "{said}");
}

#[test]
fn a_pasted_password_is_not_repeated() {
    let said = offsite("repository: \"rest:https://h/\", password: hunter2-pasted").findings();
    assert!(said.contains("error[no-secret]") && !said.contains("hunter2"), "{said}");
}
