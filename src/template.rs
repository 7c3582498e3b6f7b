//! The templates of `cloud-init/`, compiled in, and the one environment that renders them.
//!
//! Values are injected whole, each through the escape of the language it lands in. An undefined
//! variable is an error.

use anyhow::{Context, Result};
use minijinja::value::{Serde, Value, ValueKind};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior};
use serde::Serialize;
use std::sync::LazyLock;

macro_rules! embed {
    ($($name:literal),* $(,)?) => {
        /// Every file under `cloud-init/`: its name there and its text.
        pub static FILES: &[(&str, &str)] = &[
            $(($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/cloud-init/", $name)))),*
        ];
    };
}

embed![
    "etc/apt.conf.j2",
    "etc/apt.sources.j2",
    "etc/certbot.conf.j2",
    "etc/docker.sources.j2",
    "etc/fail2ban.conf.j2",
    "etc/firewall.nft.j2",
    "etc/idle.sh.j2",
    "etc/journald.conf.j2",
    "etc/modprobe.conf.j2",
    "etc/motd.j2",
    "etc/needrestart-nginx",
    "etc/needrestart.conf.j2",
    "etc/sshd.conf.j2",
    "etc/sudoers.j2",
    "etc/sysctl.conf.j2",
    "lib/bootstrapctl",
    "lib/ctl_backup.py",
    "lib/ctl_deploy.py",
    "lib/ctl_follow.py",
    "lib/ctl_stack.py",
    "lib/firewall",
    "lib/follow_back.py",
    "lib/jb.py",
    "lib/late.py",
    "lib/lib.sh",
    "lib/offsite.py",
    "lib/pitr.py",
    "lib/renewed",
    "lib/stage",
    "lib/start",
    "lib/zeros",
    "monitoring/collect",
    "monitoring/compose.yaml",
    "nginx/nginx.conf.j2",
    "page.html",
    "profile/init.yaml.j2",
    "reports/junit.xml.j2",
    "reports/machine.html.j2",
    "reports/page.html.j2",
    "runbook/en.md.j2",
    "runbook/pt-BR.md.j2",
    "stages/access",
    "stages/docker",
    "stages/edge",
    "stages/fetch",
    "stages/harden",
    "stages/host",
    "stages/monitoring",
    "stages/pull",
    "stages/ready",
    "stages/revive",
    "stages/secrets",
    "stages/stack",
    "stages/tls",
    "units/backup-log.service.j2",
    "units/backup.service.j2",
    "units/backup.timer.j2",
    "units/bootstrap.target.j2",
    "units/check.service.j2",
    "units/check.timer.j2",
    "units/collect.service.j2",
    "units/collect.timer.j2",
    "units/deploy.service.j2",
    "units/deploy.timer.j2",
    "units/docker.conf.j2",
    "units/firewall.service.j2",
    "units/follow-recover.service.j2",
    "units/follow.service.j2",
    "units/follow.timer.j2",
    "units/nginx.conf.j2",
    "units/stage.service.j2",
    "units/swapfile.swap.j2",
    "user-data/code.py.j2",
    "user-data/fetch.py.j2",
    "user-data/fetch.yaml.j2",
    "user-data/lzma.py.j2",
    "user-data/mixing.py.j2",
    "user-data/packed.yaml.j2",
    "user-data/readable.yaml.j2",
    "user-data/run.py.j2",
    "user-data/script.sh.j2",
    "user-data/unpack.py.j2",
    "user-data/vendor.yaml.j2",
    "user-data/write.py",
];

/// The text of a file under `cloud-init/`.
pub fn text(name: &str) -> Result<&'static str> {
    FILES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, text)| *text)
        .with_context(|| format!("no template is called {name}"))
}

/// Escapes a value for a systemd unit: `%` starts a specifier there, and a setting is one line.
fn systemd(value: String) -> Result<String, Error> {
    if value.chars().any(char::is_control) {
        return Err(refused("a systemd unit", &value));
    }
    Ok(value.replace('\\', "\\\\").replace('%', "%%"))
}

/// Escapes a value for HTML and XML; of control characters only those are kept that XML can carry.
fn html(value: String) -> String {
    let carried = |letter: &char| !letter.is_control() || matches!(letter, '\n' | '\t' | '\r');
    minijinja::HtmlEscape(&value.chars().filter(carried).collect::<String>()).to_string()
}

/// Quotes a value for nginx. nginx has no way to write a literal `$` there, so that is refused.
fn nginx(value: String) -> Result<String, Error> {
    if value.contains('$') || value.chars().any(char::is_control) {
        return Err(refused("nginx", &value));
    }
    Ok(format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")))
}

fn refused(target: &str, value: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("{target} cannot carry the text {value:?}"))
}

/// Booleans and nothing have no place in a file as themselves: a template must say what it means.
fn plain(out: &mut Output, _: &mut State, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::String | ValueKind::Number => write!(out, "{value}").map_err(Error::from),
        kind => Err(Error::new(ErrorKind::InvalidOperation, format!("a {kind} was about to be printed"))),
    }
}

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_formatter(plain);
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true);
    environment.set_syntax(syntax.build().expect("the standard delimiters do not clash"));
    environment.add_filter("systemd", systemd);
    environment.add_filter("nginx", nginx);
    environment.add_filter("html", html);
    environment.set_loader(|name| {
        Ok(FILES.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned()))
    });
    environment
});

/// Renders the template `name` with `context`.
pub fn render(name: &str, context: impl Serialize) -> Result<String> {
    ENVIRONMENT
        .get_template(name)
        .and_then(|template| template.render(Serde(context)))
        .with_context(|| format!("rendering {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_embedded() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/cloud-init");
        let mut found = Vec::new();
        let mut folders = vec![std::path::PathBuf::from(root)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
                if path.is_dir() {
                    if !name.contains("__pycache__") {
                        folders.push(path);
                    }
                } else if !name.starts_with('.') {
                    found.push(name);
                }
            }
        }
        found.sort();
        let embedded: Vec<_> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(found, embedded);
    }

    #[test]
    fn escapes_are_those_of_the_target() {
        assert_eq!(systemd("50% of \\".into()).unwrap(), "50%% of \\\\");
        assert_eq!(nginx("/a \"b\"/".into()).unwrap(), "\"/a \\\"b\\\"/\"");
        assert!(nginx("/$x/".into()).is_err());
        assert!(systemd("a\nb".into()).is_err());
    }
}
