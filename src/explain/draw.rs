//! The page of a machine: its architecture and its stages as pictures, everything else as tables.

use super::{Explanation, Service, layers};
use crate::budget::words;
use crate::template;
use anyhow::Result;
use serde::Serialize;
use serde_json::json;

/// Height of a box, and of a box with the gap below it.
const BOX: f64 = 28.0;
const STEP: f64 = 38.0;

/// A box with a text.
#[derive(Clone, Debug, Serialize)]
struct Box {
    x: f64,
    y: f64,
    width: f64,
    kind: &'static str,
    text: String,
    title: String,
}

/// A picture: boxes, and curves between them.
#[derive(Clone, Debug, Default, Serialize)]
struct Picture {
    width: f64,
    height: f64,
    boxes: Vec<Box>,
    curves: Vec<String>,
}

impl Picture {
    fn put(&mut self, x: f64, row: usize, width: f64, kind: &'static str, text: impl Into<String>, title: impl Into<String>) -> usize {
        let text: String = text.into();
        // About seven units a letter in this size.
        let most = ((width - 12.0) / 6.6) as usize;
        let short = if text.chars().count() > most { text.chars().take(most - 1).chain(['…']).collect() } else { text.clone() };
        let title: String = title.into();
        let y = row as f64 * STEP + 4.0;
        self.boxes.push(Box { x, y, width, kind, text: short, title: if title.is_empty() { text } else { title } });
        self.width = self.width.max(x + width + 4.0);
        self.height = self.height.max(y + BOX + 8.0);
        self.boxes.len() - 1
    }

    /// From the right side of one to the left side of the other; around it where both stand in one column.
    fn join(&mut self, from: usize, to: usize) {
        let (a, b) = (&self.boxes[from], &self.boxes[to]);
        let (ax, ay, by) = (a.x + a.width, a.y + BOX / 2.0, b.y + BOX / 2.0);
        if b.x > a.x {
            let middle = (ax + b.x) / 2.0;
            self.curves.push(format!("M{ax} {ay}C{middle} {ay} {middle} {by} {} {by}", b.x));
        } else {
            let bx = b.x + b.width;
            let out = ax.max(bx) + 34.0;
            self.curves.push(format!("M{ax} {ay}C{out} {ay} {out} {by} {bx} {by}"));
            self.width = self.width.max(out + 4.0);
        }
    }
}

fn kind(service: &Service) -> &'static str {
    if service.volumes.is_empty() { "service" } else { "kept" }
}

fn kept(service: &Service) -> String {
    let keeps = if service.volumes.is_empty() { String::new() } else { format!(", keeps {}", service.volumes.join(", ")) };
    format!("{}: {}{keeps}", service.name, service.image)
}

/// From the internet to the databases.
fn architecture(machine: &Explanation) -> Picture {
    let mut picture = Picture::default();
    let internet = picture.put(4.0, 0, 80.0, "outside", "Internet", "");
    let mut doors: Vec<(String, String, usize)> = Vec::new();
    for port in &machine.ports {
        let number = if port.protocol == "tcp" { port.port.to_string() } else { format!("{}/{}", port.port, port.protocol) };
        match doors.iter_mut().find(|(who, _, _)| *who == port.who && who == "nginx") {
            Some((_, numbers, _)) => *numbers = format!("{numbers}, {number}"),
            None => doors.push((port.who.clone(), number, 0)),
        }
    }
    for (row, (who, numbers, place)) in doors.iter_mut().enumerate() {
        let short = if who.contains(' ') { numbers.clone() } else { format!("{who} {numbers}") };
        *place = picture.put(130.0, row, 150.0, "door", short, format!("{numbers}: {who}"));
        picture.join(internet, *place);
    }
    let nginx = doors.iter().find(|(who, _, _)| who == "nginx").map(|(_, _, place)| *place);
    let mut places: Vec<(&str, usize)> = Vec::new();
    let mut row = 0;
    for service in &machine.services {
        let routes: Vec<_> = machine.routes.iter().filter(|route| route.service == service.name).collect();
        if routes.is_empty() {
            continue;
        }
        let place = picture.put(590.0, row, 170.0, kind(service), &service.name, kept(service));
        places.push((&service.name, place));
        for route in routes {
            let path = picture.put(326.0, row, 220.0, "path", format!("{}{}", route.host, route.path), route.remarks.join(", "));
            nginx.into_iter().for_each(|nginx| picture.join(nginx, path));
            picture.join(path, place);
            row += 1;
        }
    }
    let mut inner = 0;
    for service in machine.services.iter().filter(|service| !service.monitoring) {
        if places.iter().any(|(name, _)| *name == service.name) {
            continue;
        }
        places.push((&service.name, picture.put(830.0, inner, 170.0, kind(service), &service.name, kept(service))));
        inner += 1;
    }
    for service in &machine.services {
        for other in &service.after {
            let place = |name: &str| places.iter().find(|(known, _)| *known == name).map(|(_, place)| *place);
            if let (Some(from), Some(to)) = (place(&service.name), place(other)) {
                picture.join(from, to);
            }
        }
    }
    let below = row.max(inner).max(doors.len());
    let hidden = machine.services.iter().filter(|service| service.monitoring && !places.iter().any(|(name, _)| *name == service.name));
    for (number, service) in hidden.enumerate() {
        picture.put(130.0 + (number % 5) as f64 * 175.0, below + number / 5, 160.0, "watch", &service.name, format!("monitoring: {}", service.image));
    }
    picture
}

/// The stages from left to right.
fn order(machine: &Explanation) -> Picture {
    let mut picture = Picture::default();
    let mut places: Vec<(&str, usize)> = Vec::new();
    for (column, stages) in layers(&machine.stages).into_iter().enumerate() {
        for (row, stage) in stages.into_iter().enumerate() {
            let place = picture.put(4.0 + column as f64 * 168.0, row, 120.0, "service", stage.name, stage.title);
            for name in &stage.after {
                let before = places.iter().find(|(known, _)| known == name).map(|(_, place)| *place);
                before.into_iter().for_each(|before| picture.join(before, place));
            }
            places.push((stage.name, place));
        }
    }
    picture
}

/// One self-contained page.
pub fn page(machine: &Explanation) -> Result<String> {
    let account = |account: &crate::budget::Account| {
        json!({
            "expected": words::thousands(account.expected_mib), "usable": words::thousands(account.usable_mib), "fits": account.fits(),
            "part": (f64::from(account.expected_mib) / f64::from(account.usable_mib.max(1)) * 100.0).min(100.0).round(),
            "items": account.items.iter().map(|item| json!([item.name, words::thousands(item.mib), item.source])).collect::<Vec<_>>(),
        })
    };
    let context = json!({
        "machine": machine,
        "architecture": architecture(machine),
        "order": order(machine),
        "memory": account(&machine.budget.memory),
        "disk": account(&machine.budget.disk),
    });
    template::render("reports/machine.html.j2", context)
}
