//! SSH keys and certificates, checked as what they are. Private keys are refused loudly, and never shown.

use super::reader::{Reader, Value, shown};
use crate::yaml::Node;
use base64::Engine;
use ssh_key::{Algorithm, PublicKey};

/// One line of `authorized_keys`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshKey(pub String);

const KEY_HELP: &str = "paste the one line of a `.pub` file, as `ssh-ed25519 AAAA… me@laptop`";

/// True, with a finding, when a text holds a private key. Its source is not shown again.
pub fn refuse_private(text: &str, node: &Node, reader: &mut Reader<'_>) -> bool {
    let private = text.contains("PRIVATE KEY");
    if private {
        reader.report.sources.make_confidential(node.span.source);
        reader
            .report
            .error(
                node.span,
                "private-key",
                "this is a PRIVATE key, and user-data can be read by anyone on the machine",
            )
            .help("remove it, treat it as known to others and replace it; only the public part belongs here");
    }
    private
}

fn check_key(text: &str) -> Result<(), String> {
    if text.trim() != text || text.chars().any(char::is_control) {
        return Err("an SSH key is one line without line breaks or spaces around it".into());
    }
    let key = PublicKey::from_openssh(text)
        .map_err(|_| format!("`{}` is not an OpenSSH public key", shown(&shortened(text))))?;
    match key.algorithm() {
        Algorithm::Dsa => return Err("this is a DSA key, which OpenSSH no longer accepts".into()),
        Algorithm::Rsa { .. } => {
            let bits = key.key_data().rsa().and_then(|rsa| rsa.n.as_positive_bytes()).map_or(0, |n| n.len() * 8);
            if bits < 2048 {
                return Err(format!("this RSA key has {bits} bits, fewer than 2048"));
            }
        }
        _ => {}
    }
    Ok(())
}

fn shortened(text: &str) -> String {
    let mut head: String = text.chars().take(24).collect();
    if text.chars().count() > 24 {
        head.push('…');
    }
    head
}

impl Value for SshKey {
    fn type_name() -> String {
        "SSH public key".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node, "an SSH public key")?;
        if refuse_private(text, node, reader) {
            return None;
        }
        match check_key(text) {
            Ok(()) => Some(Self(text.to_owned())),
            Err(message) => {
                reader.report.error(node.span, "ssh-key", message).help(KEY_HELP);
                None
            }
        }
    }
}

/// One or more PEM certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificates(pub String);

/// Checks that a text is nothing but PEM certificates.
pub fn check_certificates(text: &str) -> Result<(), &'static str> {
    let mut block: Option<String> = None;
    let mut found = 0;
    for line in text.lines() {
        let line = line.trim_end();
        match (&mut block, line) {
            (None, "") => {}
            (None, "-----BEGIN CERTIFICATE-----") => block = Some(String::new()),
            (Some(body), "-----END CERTIFICATE-----") => {
                let der = base64::engine::general_purpose::STANDARD.decode(body.as_bytes());
                if !der.is_ok_and(|der| der.len() > 100 && der[0] == 0x30) {
                    return Err("the base64 text between BEGIN and END is not a certificate");
                }
                found += 1;
                block = None;
            }
            (Some(body), line) if line.len() <= 200 => body.push_str(line),
            _ => return Err("there is text outside `-----BEGIN CERTIFICATE-----` and `-----END CERTIFICATE-----`"),
        }
    }
    match (block, found) {
        (Some(_), _) => Err("`-----END CERTIFICATE-----` is missing"),
        (None, 0) => Err("there is no certificate in it"),
        (None, _) => Ok(()),
    }
}

impl Certificates {
    /// Checks certificates written at a node or in the file that the node names.
    pub fn check(text: &str, node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        if refuse_private(text, node, reader) {
            return None;
        }
        match check_certificates(text) {
            Ok(()) => Some(Self(text.to_owned())),
            Err(why) => {
                reader
                    .report
                    .error(node.span, "certificate", format!("these are not PEM certificates: {why}"))
                    .help("in YAML, write them as a block: `ca: |` and the lines indented below");
                None
            }
        }
    }
}

impl Value for Certificates {
    fn type_name() -> String {
        "PEM certificates".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node, "PEM certificates")?;
        Self::check(text, node, reader)
    }
}
