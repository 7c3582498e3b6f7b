//! The few things a lab needs to be different, all of them through the profile's own options.

use std::fmt;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::facility::Facility;

/// One changed option.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    path: &'static str,
    append: bool,
    value: Value,
}

impl Override {
    /// As `--set` takes it.
    pub fn set(&self) -> String {
        format!("{}{}={}", self.path, if self.append { "+" } else { "" }, self.value)
    }
}

impl fmt::Display for Override {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.value.to_string();
        let short: String = text.chars().take(90).collect();
        let dots = if short.len() < text.len() { "…" } else { "" };
        write!(formatter, "{}{} {short}{dots}", self.path, if self.append { " gets" } else { " =" })
    }
}

/// What a lab needs; without one, certificates are left out.
pub fn of(lab: Option<&Facility>, public_key: &str, watched: bool) -> Result<Vec<Override>> {
    let set = |path, value| Override { path, append: false, value };
    let mut all = vec![Override { path: "admin.ssh_keys", append: true, value: json!([public_key]) }];
    let Some(lab) = lab else {
        all.push(set("tls.acme", json!(false)));
        return Ok(all);
    };
    let texts = [("apt.mirror", &lab.apt_mirror), ("apt.security_mirror", &lab.apt_security_mirror)];
    for (path, value) in texts {
        if let Some(value) = value {
            all.push(set(path, json!(value)));
        }
    }
    if let Some(mirror) = &lab.registry_mirror {
        all.push(set("docker.registry_mirrors", json!([mirror])));
    }
    if watched {
        let told = [("alerts.slack", "LAB_SLACK", &lab.slack_url), ("alerts.heartbeat", "LAB_HEARTBEAT", &lab.heartbeat_url)];
        for (path, name, url) in told {
            if let Some(url) = url {
                // A secret comes from a file, never from the command line.
                let file = lab.state_dir.join(name.to_lowercase());
                std::fs::write(&file, url).with_context(|| format!("writing {}", file.display()))?;
                all.push(set(path, json!(name)));
                let secret = if name == "LAB_SLACK" { "secrets.LAB_SLACK" } else { "secrets.LAB_HEARTBEAT" };
                all.push(set(secret, json!({"file": file})));
            }
        }
    }
    match &lab.acme_directory {
        Some(directory) => {
            all.push(set("tls.directory", json!(directory)));
            all.push(set("tls.staging_directory", json!(directory)));
        }
        None => all.push(set("tls.acme", json!(false))),
    }
    if let Some(path) = &lab.acme_ca_file {
        let pem = std::fs::read_to_string(path).with_context(|| format!("reading the lab's CA, {}", path.display()))?;
        if !lab.registries.is_empty() {
            let rows: Vec<Value> = lab.registries.iter().map(|name| json!({"registry": name, "ca": pem})).collect();
            all.push(set("docker.authorities", json!(rows)));
        }
        all.push(set("tls.ca", json!(pem)));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_lab_there_is_a_key_and_no_acme() {
        let all = of(None, "ssh-ed25519 AAAA x", false).expect("no files are read");
        let sets: Vec<String> = all.iter().map(Override::set).collect();
        assert_eq!(sets, [r#"admin.ssh_keys+=["ssh-ed25519 AAAA x"]"#, "tls.acme=false"]);
        assert_eq!(all[1].to_string(), "tls.acme = false");
    }

    #[test]
    fn a_lab_changes_its_own_options_only() {
        let mut lab = Facility::parse(crate::lab::facility::tests::EXAMPLE).expect("parses");
        lab.acme_ca_file = None;
        let sets: Vec<String> = of(Some(&lab), "k", false).expect("no files").iter().map(Override::set).collect();
        assert!(sets.contains(&r#"docker.registry_mirrors=["http://10.77.3.1:5000"]"#.to_string()));
        assert!(sets.contains(&r#"apt.mirror="http://m/""#.to_string()));
        assert!(!sets.iter().any(|set| set.contains("security_mirror")));
    }
}
