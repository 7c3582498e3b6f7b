//! Paths in a file of another folder, as they are written from here.

use crate::yaml::{Kind, Node};
use std::path::{Component, Path};

/// Rewrites what a document of `folder` names beside itself.
pub fn rebase(document: &mut Node, folder: &Path) {
    if folder.as_os_str().is_empty() {
        return;
    }
    for (_, service) in document.get_mut("services").and_then(Node::as_map_mut).into_iter().flatten() {
        rebase_service(service, folder);
    }
    for section in ["configs", "secrets"] {
        for (_, entry) in document.get_mut(section).and_then(Node::as_map_mut).into_iter().flatten() {
            if let Some(file) = entry.get_mut("file") {
                moved(file, folder);
            }
        }
    }
    for (_, volume) in document.get_mut("volumes").and_then(Node::as_map_mut).into_iter().flatten() {
        if let Some(device) = volume.get_mut("driver_opts").and_then(|options| options.get_mut("device")).filter(|device| dotted(device)) {
            moved(device, folder);
        }
    }
}

/// Rewrites what a service of `folder` names beside its file.
pub fn rebase_service(service: &mut Node, folder: &Path) {
    if folder.as_os_str().is_empty() {
        return;
    }
    if let Some(build) = service.get_mut("build") {
        match &mut build.kind {
            Kind::Scalar { .. } => moved(build, folder),
            _ => {
                let span = build.span;
                match build.get_mut("context") {
                    Some(context) => moved(context, folder),
                    None => build.insert(Node::string(span, "context"), Node::string(span, joined(folder, "."))),
                }
            }
        }
    }
    for key in ["env_file", "label_file"] {
        match service.get_mut(key).map(|files| &mut files.kind) {
            Some(Kind::Seq(items)) => items.iter_mut().for_each(|item| match item.get_mut("path") {
                Some(path) => moved(path, folder),
                None => moved(item, folder),
            }),
            Some(Kind::Scalar { .. }) => service.get_mut(key).into_iter().for_each(|file| moved(file, folder)),
            _ => {}
        }
    }
    let Some(Kind::Seq(mounts)) = service.get_mut("volumes").map(|volumes| &mut volumes.kind) else { return };
    for mount in mounts {
        let bind = mount.get("type").and_then(Node::as_str) == Some("bind");
        if let Some(source) = mount.get_mut("source").filter(|_| bind) {
            moved(source, folder);
        } else if let Kind::Scalar { text, .. } = &mut mount.kind
            && text.starts_with('.')
        {
            let (source, rest) = text.split_once(':').map_or((text.as_str(), String::new()), |(source, rest)| (source, format!(":{rest}")));
            *text = format!("{}{rest}", joined(folder, source));
        }
    }
}

fn dotted(node: &Node) -> bool {
    node.as_str().is_some_and(|text| text.starts_with('.'))
}

fn moved(node: &mut Node, folder: &Path) {
    if let Kind::Scalar { text, .. } = &mut node.kind
        && !text.starts_with(['/', '~', '$'])
        && !text.is_empty()
        && !text.contains("://")
        && !text.starts_with("git@")
    {
        *text = joined(folder, text);
    }
}

/// Always as a path, with `./` or `../` before it.
pub fn joined(folder: &Path, text: &str) -> String {
    let mut parts: Vec<String> = Vec::new();
    let path = folder.join(text);
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if parts.last().is_some_and(|last| last != ".." && last != "/") => {
                parts.pop();
            }
            Component::RootDir => parts.push("/".to_owned()),
            part => parts.push(part.as_os_str().to_string_lossy().into_owned()),
        }
    }
    let whole = parts.join("/");
    let slash = if text.ends_with('/') && !whole.is_empty() { "/" } else { "" };
    match parts.first().map(String::as_str) {
        Some("/") => format!("/{}{slash}", parts[1..].join("/")),
        Some("..") => format!("{whole}{slash}"),
        _ => format!("./{whole}{slash}"),
    }
}
