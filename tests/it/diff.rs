//! `diff`: what a change means for the machine.

use crate::support::{KEY, tool};
use std::path::Path;

fn profile(more: &str) -> String {
    format!("version: 1\nname: t\ndistribution: debian-13\nadmin: {{ssh_keys: [\"{KEY}\"]}}\ndomain: t.dev\n{more}")
}

fn diff(folder: &Path, old: &str, new: &str) -> (Option<i32>, String) {
    let output = tool(folder).env("TOKEN", "geheim-1").args(["-q", "diff", old, new]).output().expect("runs");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

const OLD: &str = "secrets: {DB: generate, TOKEN: {env: TOKEN}}
backup: {}
services:
  api: {image: \"x:1\", restart: always, environment: {T: \"${TOKEN}\"}, healthcheck: {test: x}, x-bootstrap: {route: {path: /, port: 1}, deploy: blue-green}}
  db: {image: \"postgres:16\", restart: always, environment: {P: \"${DB}\"}, volumes: [\"pg:/var/lib/postgresql/data\"], healthcheck: {test: x}, x-bootstrap: {backup: postgres}}
  old: {image: \"x:1\", restart: always, healthcheck: {test: x}, volumes: [\"o:/o\"]}
volumes: {pg: , o: {x-bootstrap: {backup: pause}}}
";

#[test]
fn it_tells_what_opens_what_restarts_and_what_could_be_lost() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let here = folder.path();
    let write = |name: &str, text: &str| std::fs::write(here.join(name), profile(text)).expect("writes");
    write("old.yaml", OLD);
    let gone = OLD.lines().filter(|line| !line.starts_with("  old:")).map(|line| line.replace(", o: {x-bootstrap: {backup: pause}}", "")).collect::<Vec<_>>().join("\n");
    write("new.yaml", &(gone.replace("api: {image: \"x:1\"", "api: {image: \"x:2\"").replace("postgres:16", "postgres:17") + "\nfirewall: {allow: [\"99/udp\"]}\n"));
    let (code, said) = diff(here, "old.yaml", "new.yaml");
    assert_eq!(code, Some(1), "{said}");
    for line in [
        "the volume t-o belongs to nothing any more",
        "db goes from postgres 16 to 17",
        "99/udp opens to everybody",
        "api is replaced, no request is lost (image: x:1 becomes x:2)",
        "db is made anew, and is away meanwhile (image: postgres:16 becomes postgres:17)",
        "old ends",
    ] {
        assert!(said.contains(line), "{line}:\n{said}");
    }
    assert!(said.find("Careful") < said.find("Noticed"), "{said}");
    assert!(!said.contains("geheim"), "{said}");
    assert_eq!(diff(here, "old.yaml", "old.yaml"), (Some(0), "the same machine\n".to_owned()));
    let (code, said) = diff(here, "old.yaml", "nowhere.yaml");
    assert_eq!(code, Some(2), "{said}");
}

#[test]
fn a_bundle_is_a_machine_like_its_profile() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let here = folder.path();
    std::fs::write(here.join("old.yaml"), profile(OLD)).expect("writes");
    tool(here).env("TOKEN", "geheim-1").args(["-q", "render", "old.yaml", "--format", "bundle", "-o", "out"]).assert().success();
    assert_eq!(diff(here, "out", "old.yaml"), (Some(0), "the same machine\n".to_owned()));
    std::fs::write(here.join("new.yaml"), profile(&OLD.replace("backup: {}", "backup: {keep: 9d}"))).expect("writes");
    let (code, said) = diff(here, "out", "new.yaml");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("backup.keep changes from 7d to 9d"), "{said}");
    std::fs::create_dir(here.join("empty")).expect("makes a folder");
    assert_eq!(diff(here, "empty", "old.yaml").0, Some(2));
}

#[test]
fn user_data_is_a_machine_like_its_profile() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let here = folder.path();
    std::fs::write(here.join("old.yaml"), profile(OLD)).expect("writes");
    std::fs::write(here.join("new.yaml"), profile(&OLD.replace("backup: {}", "backup: {keep: 9d}"))).expect("writes");
    for format in ["packed", "lzma", "cloud-config", "sh", "gzip", "base64"] {
        tool(here).env("TOKEN", "geheim-1").args(["-q", "render", "old.yaml", "--format", format, "-o", format]).assert().success();
        assert_eq!(diff(here, format, "old.yaml"), (Some(0), "the same machine\n".to_owned()), "{format}");
        let (code, said) = diff(here, format, "new.yaml");
        assert!(code == Some(1) && !said.contains("geheim"), "{format}: {said}");
    }
    assert_eq!(diff(here, "packed", "cloud-config"), (Some(0), "the same machine\n".to_owned()));
    std::fs::write(here.join("foreign"), "#cloud-config\npackages: [nginx]\n").expect("writes");
    let (code, said) = diff(here, "foreign", "old.yaml");
    assert!(code == Some(2) && said.contains("foreign: there is no payload of ours in it"), "{said}");
}

#[test]
fn whatever_changes_is_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let here = folder.path();
    let base = OLD.replace("{T: \"${TOKEN}\"}", "{T: \"${TOKEN}\", L: \"${LOG_LEVEL}\"}") + "configs: {c: {content: one}}\nnetworks: {n: {}}\nvariables: {LOG_LEVEL: info}\n";
    std::fs::write(here.join("old.yaml"), profile(&base)).expect("writes");
    for (from, to, told) in [
        ("content: one", "content: two", "the config c has other contents"),
        ("networks: {n: {}}", "networks: {n: {internal: true}}", "the network n is made anew"),
        ("volumes: {pg: ,", "volumes: {pg: {driver_opts: {type: tmpfs, device: tmpfs}},", "the volume pg has other options"),
        ("LOG_LEVEL: info", "LOG_LEVEL: debug", "`variables` changes: LOG_LEVEL"),
        ("backup: {}", "backup: {}\nfail2ban: {ban_time: 2h}", "/etc/fail2ban/jail.local changes"),
        ("backup: {}", "backup: {}\nhost: {timezone: America/Sao_Paulo}", "host.timezone changes from UTC to America/Sao_Paulo"),
    ] {
        assert!(base.contains(from), "{from}");
        std::fs::write(here.join("new.yaml"), profile(&base.replace(from, to))).expect("writes");
        let (code, said) = diff(here, "old.yaml", "new.yaml");
        assert!(code == Some(1) && said.contains(told), "{to}:\n{said}");
    }
}

const ELSEWHERE: &str = "backup: {pitr: true, offsite: {repository: \"rest:https://h/\", password: TOKEN, keep: {daily: 7}}}";

#[test]
fn what_the_backup_loses_is_told_with_the_data_at_risk() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let here = folder.path();
    for (base, from, to, heading, told) in [
        ("backup: {}", ", x-bootstrap: {backup: postgres}", "", "Careful", "`db` is no longer in the backup"),
        ("backup: {}", "o: {x-bootstrap: {backup: pause}}", "o: ", "Careful", "the volume `o` is no longer in the backup"),
        ("backup: {}", "o: {x-bootstrap: {backup: pause}}", "o: {x-bootstrap: {backup: stop}}", "Besides", "the volume `o` is saved in another way"),
        ("backup: {}", "backup: {}", "backup: {keep: 3d}", "Careful", "backup.keep changes from 7d to 3d: what is beyond that is deleted"),
        ("backup: {}", "backup: {}", "backup: {keep: 36h}", "Careful", "backup.keep changes from 7d to 36h"),
        ("backup: {}", "backup: {}", "backup: {at: \"04:30\"}", "Besides", "backup.at changes from 03:00 to 04:30"),
        ("backup: {}", "backup: {}", "", "Careful", "no backup is made any more"),
        (ELSEWHERE, ELSEWHERE, "backup: {}", "Careful", "no backup leaves the machine any more"),
        (ELSEWHERE, "https://h/", "https://i/", "Careful", "backups go to another repository"),
        (ELSEWHERE, "daily: 7", "daily: 2", "Careful", "backup.offsite.keep.daily changes from 7 to 2: what is beyond that is deleted"),
        (ELSEWHERE, "pitr: true, ", "", "Careful", "PostgreSQL's log goes elsewhere no more"),
    ] {
        let base = OLD.replace("backup: {}", base);
        assert!(base.contains(from), "{from}");
        std::fs::write(here.join("old.yaml"), profile(&base)).expect("writes");
        std::fs::write(here.join("new.yaml"), profile(&base.replace(from, to))).expect("writes");
        let (code, said) = diff(here, "old.yaml", "new.yaml");
        assert_eq!(code, Some(1), "{said}");
        let below = said.lines().skip_while(|line| *line != heading).skip(1).take_while(|line| line.starts_with(' '));
        assert!(below.into_iter().any(|line| line.contains(told)), "{to}: {told}:\n{said}");
        assert!(!said.contains("geheim") && !said.contains("changes: keep"), "{said}");
    }
}

#[test]
fn another_distribution_is_a_new_machine() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let here = folder.path();
    std::fs::write(here.join("old.yaml"), profile(OLD)).expect("writes");
    std::fs::write(here.join("new.yaml"), profile(OLD).replace("debian-13", "debian-12")).expect("writes");
    tool(here).env("TOKEN", "geheim-1").args(["-q", "render", "old.yaml", "-o", "user-data"]).assert().success();
    for old in ["old.yaml", "user-data"] {
        let (code, said) = diff(here, old, "new.yaml");
        assert_eq!(code, Some(1), "{said}");
        assert!(said.starts_with("Careful\n  machine   the distribution changes from debian-13 to debian-12: that is a new machine, for no running machine changes its distribution\n"), "{said}");
    }
}
