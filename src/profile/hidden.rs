//! What looks like a secret: by the name of its variable, or by standing in an address.

/// Ends of the names of variables that hold what nobody else may know.
const SECRET: [&str; 21] = [
    "PASSWORD", "PASSWD", "PASS", "PWD", "SECRET", "SECRETS", "TOKEN", "API_KEY", "APIKEY", "PRIVATE_KEY", "ENCRYPTION_KEY", "SECRET_KEY_BASE", "SECRET_KEY",
    "ACCESS_KEY", "VAULT_KEY", "AUTH_KEY", "JWT_KEY", "FERNET_KEY", "CRYPTO_KEY", "ENC_KEY", "MASTER_KEY",
];

/// Whether the name of a variable says that its value is nobody's business.
pub fn is_hidden(name: &str) -> bool {
    let name = name.to_uppercase();
    name != "PWD" && SECRET.iter().any(|end| name == *end || name.ends_with(&format!("_{end}")) || (name.ends_with(end) && ["PASSWORD", "SECRET", "TOKEN"].contains(end)))
}

/// Whether a text is an address with a password in it.
pub fn holds_password(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else { return false };
    let Some((login, _)) = rest.split(['/', '?']).next().unwrap_or_default().rsplit_once('@') else { return false };
    login.split_once(':').is_some_and(|(_, password)| !password.is_empty() && !password.contains('$'))
}

/// What is only switched by a word or a path is no secret, whatever it is called.
pub fn is_plain(value: &str) -> bool {
    value.is_empty() || value.starts_with(['/', '.']) || ["true", "false", "yes", "no", "on", "off"].contains(&value.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_names_and_places() {
        for name in ["POSTGRES_PASSWORD", "MYSQL_PWD", "api_token", "SECRET_KEY_BASE", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD"] {
            assert!(is_hidden(name), "{name}");
        }
        for name in ["PWD", "COMPASS", "PASSWORD_FILE", "MAX_TOKENS", "PUBLIC_KEY", "KEYBOARD"] {
            assert!(!is_hidden(name), "{name}");
        }
        for text in ["postgresql://u:pw@db:5432/x", "redis://:pw@redis", "amqp://u:p@ss@mq/?x=1"] {
            assert!(holds_password(text), "{text}");
        }
        for text in ["postgresql://u:${PW}@db", "https://t.dev/a:b@c", "https://user@t.dev", "http://u:@t.dev", "plain"] {
            assert!(!holds_password(text), "{text}");
        }
    }
}
