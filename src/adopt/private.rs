//! Files that are for few eyes: by their name, or by what stands in them, in the words of the languages that settings are written in.

use crate::hidden::{is_hidden, is_key, is_plain, looks_secret};
use std::path::Path;

/// Words of Redis after which a password stands.
const BEFORE_PASSWORD: [&str; 2] = ["requirepass", "masterauth"];
/// How hashes of passwords begin, wherever they stand.
const HASHES: [&str; 7] = ["$apr1$", "$2a$", "$2b$", "$2y$", "$argon2", "$scrypt$", "$pbkdf2"];
/// How they begin behind a name of a `htpasswd` file.
const AFTER_NAME: [&str; 5] = ["$1$", "$5$", "$6$", "{SHA}", "{SSHA}"];

/// Whether a file's name or text says that it is for few eyes.
pub(super) fn is_private(path: &Path, text: &str) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    name.starts_with(".env") || name.ends_with(".env") || text.lines().any(is_secret) || text.contains("PRIVATE KEY-----")
}

fn is_secret(line: &str) -> bool {
    let hashed = HASHES.iter().any(|hash| line.contains(hash));
    let said = || line.split([',', '{', '}', '[', ']']).any(sets) || says(line);
    hashed || sets(line) || looks_secret(line) || is_login(line) || (!is_comment(line) && said())
}

fn is_comment(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with(['#', ';']) || line.starts_with("//") || line.starts_with("-- ")
}

fn bare(text: &str) -> &str {
    text.trim().trim_matches(['"', '\'', ',', ';'])
}

/// `name = value`, `name: value`, an item of a list or a part of a JSON object that is one.
fn sets(line: &str) -> bool {
    let Some((name, value)) = line.split_once(['=', ':']) else { return false };
    let name = name.trim();
    let name = name.strip_prefix("- ").unwrap_or(name).trim_start();
    let (name, value) = (bare(name.trim_start_matches("export ")), bare(value));
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    is_name && !value.is_empty() && !value.contains('$') && (is_hidden(name) && !is_plain(value) || is_key(name, value))
}

/// A line of a `htpasswd` file, or of one with the users of a machine.
fn is_login(line: &str) -> bool {
    let line = bare(line);
    line.split_once(':').is_some_and(|(name, hash)| !name.is_empty() && !name.contains(char::is_whitespace) && AFTER_NAME.iter().any(|begin| hash.starts_with(begin)))
}

/// Words before a password: `requirepass X`, and SQL's `PASSWORD 'X'` and `IDENTIFIED BY 'X'`.
fn says(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().filter(|word| *word != "=").collect();
    let literal = |word: &str| !bare(word).is_empty() && !word.contains('$');
    let redis = words.first().is_some_and(|first| BEFORE_PASSWORD.contains(&first.to_lowercase().as_str())) && words.get(1).is_some_and(|word| literal(word));
    let identified = words.iter().any(|word| word.eq_ignore_ascii_case("identified"));
    let before = |word: &str| word.eq_ignore_ascii_case("password") || identified && ["by", "as"].iter().any(|by| word.eq_ignore_ascii_case(by));
    redis || words.windows(2).any(|pair| before(pair[0]) && pair[1].starts_with(['\'', '"']) && literal(pair[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_seen_in_each_language() {
        for line in [
            "requirepass hunter2", "  masterauth \"hunter2\"", "  - password: hunter2", "- api_key: 'hunter2'", "{\"db\": {\"user\":\"u\",\"password\":\"hunter2\"}}", "db: {user: u, password: hunter2}",
            "CREATE USER shop WITH LOGIN PASSWORD 'hunter2';", "alter user shop password 'hunter2'", "CREATE LOGIN shop WITH PASSWORD = 'hunter2'", "CREATE USER 'u'@'%' IDENTIFIED BY 'hunter2';",
            "anna:$apr1$x$y", "anna:$2y$05$x", "anna:{SHA}x=", "anna:$6$x$y", "      - \"anna:$2y$05$x\"", "  anna $2a$14$x", "export API_TOKEN=hunter2", "\"password\": \"hunter2\",", "stripe_key = sk_live_0123456789ab",
        ] {
            assert!(is_secret(line), "{line}");
        }
        for line in [
            "# requirepass hunter2", "requirepass", "requirepass \"\"", "requirepass $PASSWORD", "- password: ${PASSWORD}", "{\"password\":\"\",\"user\":\"u\"}", "password_encryption = scram-sha-256", "{\"token\":\"$http_x_token\"}",
            "ALTER USER shop PASSWORD NULL;", "WITH PASSWORD :'password'", "ORDER BY 'name'", "rewrite ^(.*)$ http://$1$2 last;", "listen 80;", "log_format main '$remote_addr - $remote_user [$time_local] \"$request\"';", "anna:x:1000:1000", "// e.g. {password: x}", "",
        ] {
            assert!(!is_secret(line), "{line}");
        }
        assert!(is_private(Path::new("x/.env.local"), "") && is_private(Path::new("app.env"), "") && !is_private(Path::new("env.conf"), "listen = 80\n"));
    }
}
