//! A profile written in a test, and what is found in it.

use julia_bootstrap::load::{Input, PathOrName, load};
use julia_bootstrap::profile::model::Profile;
use julia_bootstrap::report::{Finding, Report};
use std::path::PathBuf;
use std::process::Command;

/// A key that a test profile may carry.
pub const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEF75iVgjWgDe6WyZ2s7mKUKdMisr0er1yihkWm1IFjg me@laptop";

/// Builds a profile in a folder of its own.
pub struct Test {
    folder: tempfile::TempDir,
    input: Input,
    env: Vec<(String, String)>,
}

/// What loading gave.
pub struct Loaded {
    pub profile: Option<Profile>,
    pub report: Report,
}

impl Test {
    /// A profile of exactly this text.
    pub fn raw(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("p.yaml");
        std::fs::write(&path, text).expect("writing the profile");
        let input = Input::new(PathOrName::Path(path));
        Self { folder, input, env: vec![] }
    }

    /// A good profile without a stack, and more lines after it.
    pub fn new(more: &str) -> Self {
        Self::raw(&format!("version: 1\nname: t\ndistribution: debian-13\nadmin: {{ssh_keys: [\"{KEY}\"]}}\n{more}"))
    }

    /// A good profile with one good service `a`, and more lines in that service.
    pub fn service(more: &str) -> Self {
        let service =
            "domain: t.dev\nservices:\n  a:\n    image: x:1\n    restart: always\n    healthcheck: {test: \"true\"}\n";
        let more: String = more.lines().map(|line| format!("    {line}\n")).collect();
        // The domain leads somewhere: to a service that no test is about.
        let other = "  z: {image: \"x:1\", restart: always, healthcheck: {test: x}, x-bootstrap: {route: {path: /z/, port: 9}}}\n";
        let more = if more.is_empty() || more.ends_with('\n') { more } else { more + "\n" };
        Self::new(&format!("{service}{more}{other}"))
    }

    /// Adds a file beside the profile.
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.folder.path().join(name), content).expect("writing a file");
        self
    }

    /// Lays a file over the profile.
    pub fn overlay(self, text: &str) -> Self {
        let name = format!("overlay{}.yaml", self.input.overlays.len());
        let mut test = self.file(&name, text);
        let path = test.path(&name);
        test.input.overlays.push(path);
        test
    }

    /// Adds `--set`.
    pub fn set(mut self, set: &str) -> Self {
        self.input.sets.push(set.to_owned());
        self
    }

    /// Sets a variable of the environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Gives an env file.
    pub fn env_file(self, text: &str) -> Self {
        let mut test = self.file("test.env", text);
        test.input.env_file = Some(test.path("test.env"));
        test
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Loads it.
    pub fn load(&self) -> Loaded {
        let mut report = Report::new();
        let env = |name: &str| self.env.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let profile = load(&self.input, &env, &mut report);
        Loaded { profile, report }
    }

    /// The profile, which must be without any finding.
    pub fn clean(&self) -> Profile {
        let loaded = self.load();
        assert!(loaded.report.findings().is_empty(), "{}", loaded.report.render_human(false, 100));
        loaded.profile.expect("no findings, so there is a profile")
    }

    /// All findings, one a line: `line:column severity[code] message | help`.
    pub fn findings(&self) -> String {
        let loaded = self.load();
        assert_eq!(
            loaded.profile.is_none(),
            loaded.report.has_errors(),
            "a profile comes without errors, and only then"
        );
        loaded.report.findings().iter().map(|finding| line(finding, &loaded.report)).collect::<Vec<_>>().join("\n")
    }
}

/// One finding in one line.
pub fn line(finding: &Finding, report: &Report) -> String {
    let place = finding.span.and_then(|span| report.sources.position(span));
    let place = place.map_or("-".to_owned(), |(_, line, column)| format!("{line}:{column}"));
    let help = finding.help.as_ref().map(|help| format!(" | {help}")).unwrap_or_default();
    format!("{place} {}[{}] {}{help}", finding.severity.name(), finding.code, finding.message)
}

/// The real Compose client, where there is one: the program that `COMPOSE` names, that of the lab, or `docker compose`.
pub fn compose_client() -> Option<Command> {
    let cache = std::env::var("XDG_CACHE_HOME").map_or_else(|_| PathBuf::from(std::env::var("HOME").unwrap_or_default()).join(".cache"), PathBuf::from);
    let ours = cache.join("julia-bootstrap/lab/tools/docker-compose");
    let usual = if ours.is_file() { ours.to_string_lossy().into_owned() } else { "docker compose".into() };
    let program = std::env::var("COMPOSE").unwrap_or(usual);
    let client = || {
        let mut words = program.split(' ');
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        command
    };
    let there = client().arg("version").output().is_ok_and(|output| output.status.success());
    if !there {
        assert!(std::env::var_os("CI").is_none(), "there is no Compose client: run `make tools`");
        eprintln!("skipped: there is no Compose client here (`make tools` fetches one)");
    }
    there.then(client)
}

/// The program as users run it: in a folder, which is their home as well, and without an environment.
pub fn tool(folder: &std::path::Path) -> assert_cmd::Command {
    let mut command = assert_cmd::Command::cargo_bin("julia-bootstrap").expect("the binary");
    command.env_clear().env("HOME", folder).current_dir(folder);
    command
}

/// Each of the lines was said.
#[track_caller]
pub fn tells(said: &str, lines: &[&str]) {
    for line in lines {
        assert!(said.contains(line), "{line}:\n{said}");
    }
}
