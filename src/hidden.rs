//! What looks like a secret: by the name of its variable, by standing in an address, or as a token.

use crate::interpolation;

/// Ends of the names of variables that hold what nobody else may know.
const SECRET: [&str; 27] = [
    "PASSWORD", "PASSWD", "PASSPHRASE", "PASS", "PWD", "SECRET", "SECRETS", "TOKEN", "API_KEY", "APIKEY", "PRIVATE_KEY", "ENCRYPTION_KEY", "SECRET_KEY_BASE", "SECRET_KEY",
    "ACCESS_KEY", "VAULT_KEY", "AUTH_KEY", "JWT_KEY", "FERNET_KEY", "CRYPTO_KEY", "ENC_KEY", "MASTER_KEY", "APP_KEY", "SALT", "CREDENTIALS", "WEBHOOK", "WEBHOOK_URL",
];

/// A variable's name as the lists here have it: `app.api-key` is `APP_API_KEY`.
fn in_capitals(name: &str) -> String {
    name.to_uppercase().replace(['.', '-'], "_")
}

/// Whether the name of a variable says that its value is nobody's business.
pub fn is_hidden(name: &str) -> bool {
    let name = in_capitals(name);
    name != "PWD" && SECRET.iter().any(|end| name == *end || name.ends_with(&format!("_{end}")) || (name.ends_with(end) && ["PASSWORD", "PASSPHRASE", "SECRET", "TOKEN"].contains(end)))
}

/// True for words by which settings that hold secrets are called: where these stand, no value is taken.
pub fn is_secret_word(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    ["password", "secret", "token", "credentials", "api_key", "routing_key", "service_key", "user_key", "api_url"]
        .iter()
        .any(|part| word.contains(part))
        && !word.ends_with("_file")
}

/// The widest of the three: where a name alone is known, a key of any kind is kept back as well.
pub fn may_hide(name: &str) -> bool {
    let upper = name.to_uppercase();
    is_hidden(name) || is_secret_word(name) || upper.ends_with("KEY") || ["PASS", "SECRET", "TOKEN", "PRIVATE"].iter().any(|part| upper.contains(part))
}

/// Whether what a variable is called and what stands in it say together that it is a key.
pub fn is_key(name: &str, value: &str) -> bool {
    let name = in_capitals(name);
    (name == "KEY" || name.ends_with("_KEY")) && !is_public(&name) && !value.starts_with("pk_") && !is_plain(value) && looks_random(value)
}

/// Whether the name of a key says that everybody has it, as what a page in a browser sends.
pub fn is_public(name: &str) -> bool {
    let name = name.to_uppercase();
    ["PUBLIC", "PUBLISHABLE", "SITE_KEY", "PREFIX", "ANON"].iter().any(|word| name.contains(word))
}

/// Whether a text is what a machine makes up: long, of base64's letters, with a digit, and no words, numbers and versions alone.
fn looks_random(text: &str) -> bool {
    // As `createdAt2024Field`: what is made up changes between letters and digits all the time, or has many of these.
    let word = |part: &str| {
        let digits = part.bytes().filter(u8::is_ascii_digit).count();
        let changes = part.as_bytes().windows(2).filter(|two| two[0].is_ascii_digit() != two[1].is_ascii_digit()).count();
        digits <= 4 && changes <= 2
    };
    let all = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-+/=".contains(&byte));
    text.len() >= 16 && all && text.bytes().any(|byte| byte.is_ascii_digit()) && !text.split(['_', '-', '/']).all(word)
}

/// Whether a text, as Compose reads it, is an address with a password in it, or a list of settings that has one.
pub fn holds_password(text: &str) -> bool {
    let address = text.split_once("://").is_some_and(|(_, rest)| {
        let Some((login, _)) = rest.rsplit_once('@') else { return false };
        login.split_once(':').is_some_and(|(name, password)| !name.contains('/') && !password.is_empty() && !interpolation::has_variable(password))
    });
    let setting = text.to_lowercase();
    let setting = setting.split_once("password=").is_some_and(|(before, after)| {
        let variable = after.starts_with('$') && !after.starts_with("$$");
        !before.is_empty() && !after.is_empty() && !variable && !after.starts_with(['&', ';'])
    });
    address || setting
}

/// Whether a value, as Compose reads it, is a secret by its look, whatever it is called: an address with a password in it, or a token.
pub fn looks_secret(value: &str) -> bool {
    holds_password(value) || holds_token(value)
}

/// Whether a JSON Web Token stands in a text: three parts in base64url, of which the first is a JSON object.
pub fn holds_token(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    parts.windows(3).any(|three| ends_in_object(three[0]) && !three[1].is_empty() && three[1].chars().all(is_base64url) && three[2].starts_with(is_base64url))
}

fn is_base64url(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}

/// Whether the end of a text is base64url in which a JSON object begins: `{"` is `eyJ`.
fn ends_in_object(text: &str) -> bool {
    let end = text.rsplit(|c: char| !is_base64url(c)).next().unwrap_or_default();
    end.match_indices("eyJ").any(|(at, _)| !end[..at].ends_with(|c: char| c.is_ascii_alphanumeric()))
}

/// What is only switched by a word or a path is no secret, whatever it is called.
pub fn is_plain(value: &str) -> bool {
    let path = value.starts_with(['/', '.'])
        && value.split('/').count() > 2
        && value.split('/').all(|part| part.len() <= 24 && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)));
    value.is_empty() || path || ["true", "false", "yes", "no", "on", "off"].contains(&value.to_lowercase().as_str())
}

/// Whether a line of a file holds a secret that is written out: behind a name that says so, or known by its look.
pub fn line_holds_secret(line: &str) -> bool {
    named_values(line).any(|(name, value)| is_hidden(name) && is_written_out(name, value))
        || line.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')).any(looks_secret)
        || line.split_once("requirepass").is_some_and(|(_, rest)| is_written_out("", rest.trim_start_matches(['"', '\'', ',', ' '])))
}

/// Whether a line begins a text of several lines that a name says is a secret: `NAME: |`.
pub fn begins_secret(line: &str) -> bool {
    let begins = |value: &str| value.starts_with(['|', '>']);
    named_values(line).last().is_some_and(|(name, value)| is_hidden(name) && begins(value))
}

/// Whether a line is the name alone of a variable that is a secret, its value below.
pub fn names_secret(line: &str) -> bool {
    named_values(line).last().is_some_and(|(name, value)| value.is_empty() && is_hidden(name) && !name.contains(|c: char| c.is_ascii_lowercase()))
}

/// Each `NAME: value` and `NAME=value` of a line, the value with all that follows.
fn named_values(line: &str) -> impl Iterator<Item = (&str, &str)> {
    line.match_indices([':', '=']).filter_map(|(at, mark)| {
        let rest = &line[at + 1..];
        let before = line[..at].trim_end();
        let key = before.strip_suffix(['"', '\'']).unwrap_or(before);
        // In YAML a blank stands behind the colon, where the name has no quotes.
        let ends = mark == "=" || key.len() < before.len() || rest.is_empty() || rest.starts_with(char::is_whitespace);
        let begins = key.rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).map_or(0, |at| at + key[at..].chars().next().map_or(1, char::len_utf8));
        (ends && begins < key.len()).then(|| (&key[begins..], rest.trim_start()))
    })
}

/// Whether a value is the secret itself, and no variable, no name of a secret and no way to come by one.
fn is_written_out(name: &str, value: &str) -> bool {
    if value.starts_with(['{', '[', '*', '#', '|', '>']) {
        return false;
    }
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    let text = match quote {
        Some(quote) => value[1..].split(quote).next().unwrap_or_default(),
        None => value.split(|c: char| c.is_whitespace() || matches!(c, ',' | '}' | ']' | '"' | '\'')).next().unwrap_or_default(),
    };
    let variable = text.contains("${") || text.strip_prefix('$').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'));
    // The profile's own `password` takes the name of a secret.
    let named = name == "password" && text.starts_with(|c: char| c.is_ascii_uppercase()) && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    !(variable || named || is_plain(text) || matches!(text, "generate" | "null" | "~"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_names_and_places() {
        for name in ["POSTGRES_PASSWORD", "MYSQL_PWD", "api_token", "SECRET_KEY_BASE", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "STRIPE_WEBHOOK", "AUTH_SALT", "APP_KEY", "app.api-key", "my-token", "SSH_PASSPHRASE"] {
            assert!(is_hidden(name), "{name}");
        }
        for name in ["PWD", "COMPASS", "PASSWORD_FILE", "MAX_TOKENS", "PUBLIC_KEY", "KEYBOARD"] {
            assert!(!is_hidden(name), "{name}");
        }
        for text in ["postgresql://u:pw@db:5432/x", "redis://:pw@redis", "amqp://u:p@ss@mq/?x=1", "smtp://user:pw/x@mail", "jdbc:postgresql://db/x?user=u&password=pw", "redis://:p$$w@redis", "host=db password=$$x"] {
            assert!(holds_password(text), "{text}");
        }
        for text in ["postgresql://u:${PW}@db", "https://t.dev/a:b@c", "https://user@t.dev", "http://u:@t.dev", "plain", "host=db password=$PW"] {
            assert!(!holds_password(text), "{text}");
        }
        for value in ["/run/secrets/db", "./certs/key.pem", "true", ""] {
            assert!(is_plain(value), "{value}");
        }
        for value in ["/Zx9kQ2v==", "/abcdefghijklmnopqrstuvwxyz012345/x/y", "hunter2"] {
            assert!(!is_plain(value), "{value}");
        }
        for (name, value) in [("STRIPE_KEY", "sk_live_51HxYz0123456789"), ("MAILGUN_KEY", "key-3ax6xnjp29jd6fds4gc373sg"), ("key", "550e8400-e29b-41d4-a716-446655440000"), ("SIGN_KEY", "q83vEjRWeJq83v/+EjRWeA==")] {
            assert!(is_key(name, value), "{name}={value}");
        }
        for (name, value) in [
            ("PUBLIC_KEY", "q83vEjRWeJq83v/+EjRWeA=="), ("STRIPE_PUBLISHABLE_KEY", "pk_live_51HxYz0123456789"), ("STRIPE_KEY", "pk_live_51HxYz0123456789"), ("PARTITION_KEY", "customer-orders-v2"),
            ("SORT_KEY", "created_at_descending_2024"), ("SORT_KEY", "createdAt2024Field"), ("CACHE_KEY", "myApp_v2_users_list"), ("ANON_KEY", "q83vEjRWeJq83v/+EjRWeA=="), ("TLS_KEY", "/etc/ssl/private/server1.pem"), ("TLS_KEY", "certs/server1.example.key"), ("KEY", "warehouse"), ("MONKEY", "a1b2c3d4e5f6a7b8c9"), ("SSH_KEY", "https://acme.dev/k1"),
        ] {
            assert!(!is_key(name, value), "{name}={value}");
        }
        // What may not stand under `variables` is kept back wherever it is found.
        assert!(["SLACK_API_URL", "GCP_CREDENTIALS", "STRIPE_KEY"].iter().all(|name| may_hide(name)));
    }

    #[test]
    fn lines_are_known_that_hold_a_secret() {
        for line in [
            "environment: {SMTP_PASS: hunter2, URL: \"https://shop.example.com\"}", "- API_TOKEN=hunter2", "{\"PASSWORD\":\"hunter2\"}", "  DB_PASSWORD: 'hunter2'",
            "PASSWORD: $$hunter2", "url: https://a.dev, db: \"postgres://u:hunter2@db/x\"", "x: eyJhbGciOiJIUzI1NiJ9.e30.sig", "A_TOKEN: &t hunter2", "é_SECRET: é",
            "command: [redis-server, --requirepass, hunter2]", "command: redis-server --requirepass hunter2", "password: hunter2",
        ] {
            assert!(line_holds_secret(line), "{line}");
        }
        for line in [
            "environment: {SMTP_PASS: \"${SMTP_PASS}\", T: $T}", "secrets: {DB_PASSWORD: generate, A_TOKEN: {env: A}}", "secrets:", "ALLOW_EMPTY_PASSWORD: \"yes\"", "PASSWORD:",
            "logins: [{registry: r.dev, username: a, password: TOKN}]", "SECRET: |", "url: \"https://a.dev\", mail: \"me@a.dev\"", "command: redis-server --requirepass ${PW}", "çintervall: 3", "",
        ] {
            assert!(!line_holds_secret(line), "{line}");
        }
        assert!(begins_secret("  A_SECRET: |-") && begins_secret("A_TOKEN: >") && !begins_secret("A_TOKEN: x") && !begins_secret("NOTE: |"));
        assert!(names_secret("  X_TOKEN:") && !names_secret("secrets:") && !names_secret("X_TOKEN: y") && !names_secret("TITLE:"));
    }

    #[test]
    fn tokens_are_known_by_their_look() {
        for text in ["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln-_A", "Bearer eyJhbGciOiJIUzI1NiJ9.e30.sig", "https://x.dev/?token=eyJh.e30.c2ln&a=b"] {
            assert!(holds_token(text) && looks_secret(text), "{text}");
        }
        for text in ["${B:-eyJmYWtl.e30.fake}", "${C-eyJmYWtl.e30.fake}", "key-eyJmYWtl.e30.fake", "x.eyJmYWtl.e30.fake", "It is eyJmYWtl.e30.fake.", "eyJmYWtl.e30.fake.x"] {
            assert!(holds_token(text), "{text}");
        }
        for text in ["eyJhbGciOiJIUzI1NiJ9", "eyJh.e30", "eyJh.e30.", "eyJh..c2ln", "eyJh.e 30.c2ln", "keyJh.e30.c2ln", "a.b.c", "key.eyJ.dev", "www.acme.dev", ""] {
            assert!(!looks_secret(text), "{text}");
        }
    }
}
