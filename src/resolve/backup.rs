//! Backups: what services and volumes say of themselves, gathered.

use super::service::Extended;
use crate::profile::model::{Backup, Elsewhere, Offsite, Part};
use crate::profile::reader::{Reader, Value};
use crate::profile::written::{Extension, External, OffsiteWritten, VolumeExtension, Written};
use crate::report::Report;
use crate::yaml::Node;

/// What is to be saved of services that run elsewhere, before they are left out of the stack.
pub fn elsewhere(document: &Node, external: &External, report: &mut Report) -> Vec<Part> {
    let service = |name: &str| document.get("services").and_then(|services| services.get(name));
    let mut parts = Vec::new();
    for (name, variables) in &external.0 {
        let Some(node) = service(&name.value) else { continue };
        let extension = node.get("x-bootstrap").filter(|extension| !extension.is_null());
        let Some(store) = extension.and_then(|node| Extension::read(node, &mut Reader { report })).and_then(|it| it.backup) else { continue };
        if store.value.0 != "postgres" {
            let message = format!("`{}` runs elsewhere, and a {} there is not backed up from here", name.value, store.value.0);
            report.warning(store.span, "backup", message).help("see to it that whoever runs it does");
            continue;
        }
        let prefix = name.value.replace(['-', '.'], "_").to_ascii_uppercase();
        let known = |word: &str| variables.iter().find(|(key, _)| *key == format!("{prefix}_{word}")).map(|(_, value)| value.clone());
        let mut env: std::collections::BTreeMap<_, _> = [("PGHOST", "HOST"), ("PGPORT", "PORT"), ("PGSSLMODE", "SSLMODE")]
            .into_iter()
            .filter_map(|(variable, word)| Some((variable, known(word)?)))
            .collect();
        env.insert("PGUSER", known("USER").unwrap_or_else(|| "postgres".to_owned()));
        let Some(image) = node.get("image").and_then(Node::as_str) else { continue };
        let elsewhere = Elsewhere { image: image.to_owned(), env, password: format!("{prefix}_PASSWORD") };
        parts.push(Part { kind: "postgres", name: name.value.clone(), hold: None, elsewhere: Some(elsewhere) });
    }
    parts
}

fn offsite(written: &OffsiteWritten) -> Option<Offsite> {
    let keep = &written.keep;
    Some(Offsite {
        repository: written.repository.as_ref()?.value.0.clone(),
        password: written.password.as_ref()?.value.0.clone(),
        environment: written.environment.0.iter().map(|(name, secret)| (name.clone(), secret.value.0.clone())).collect(),
        ssh_key: written.ssh_key.as_ref().map(|key| key.value.0.clone()),
        keep: [("daily", keep.daily.0), ("weekly", keep.weekly.0), ("monthly", keep.monthly.0)].into(),
    })
}

/// What a volume says of its backup; `None` when it says nothing.
pub fn volume(node: &Node, report: &mut Report) -> Option<Option<&'static str>> {
    let extension = node.get("x-bootstrap").filter(|extension| !extension.is_null())?;
    Some(VolumeExtension::read(extension, &mut Reader { report })?.backup?.0)
}

/// The backups of a machine, if the profile asks for them and there is a stack.
pub fn resolve(written: &Written, document: Option<&Node>, services: &[Extended], elsewhere: Vec<Part>, report: &mut Report) -> Option<Backup> {
    let mut parts = elsewhere;
    let document = document?;
    for service in services.iter().filter(|service| !service.is_optional()) {
        if let Some(store) = &service.backup {
            parts.push(Part { kind: store.value.0, name: service.name.clone(), hold: None, elsewhere: None });
        }
    }
    for (key, node) in document.get("volumes").and_then(Node::as_map).unwrap_or_default() {
        if let (Some(key), Some(Some(hold))) = (key.as_str(), volume(node, report)) {
            parts.push(Part { kind: "volume", name: key.to_owned(), hold: Some(hold), elsewhere: None });
        }
    }
    let backup = written.backup.as_ref()?;
    Some(Backup {
        at: backup.at.0.clone(),
        keep_seconds: backup.keep.0,
        parts,
        offsite: backup.offsite.as_ref().and_then(offsite),
        pitr: backup.pitr,
        restore_from: written.restore_from.as_ref().map(|snapshot| snapshot.value.0.clone()),
        single: services.iter().filter(|service| service.single && !service.is_optional()).map(|service| service.name.clone()).collect(),
    })
}
