//! A machine that somebody runs, as the checks see it: it is looked at, and never switched.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;

use super::check::{self, Context};
use super::engine::{Engine, Pulse, Reach};
use super::expect::{Expect, PublicPath, PublicRoute};
use super::report::{Findings, Row, Verdict};
use super::ssh::Ssh;
use super::view::View;
use super::Seed;

/// Where the names lead.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// Each name and the resolver's answer, sorted; empty where nobody was asked.
    pub resolved: Vec<(String, Result<Vec<IpAddr>, String>)>,
    /// Addresses of a network that is not here.
    pub out_of_reach: Vec<IpAddr>,
}

/// The machine behind its addresses.
#[derive(Debug)]
struct Machine {
    reach: Reach,
}

impl Engine for Machine {
    fn name(&self) -> &'static str {
        "live"
    }

    fn accel(&self) -> String {
        String::new()
    }

    fn image(&self) -> String {
        String::new()
    }

    fn reach(&self) -> &Reach {
        &self.reach
    }

    fn console(&self) -> &Path {
        Path::new("/dev/null")
    }

    fn fresh(&mut self) -> Result<()> {
        bail!("a machine that somebody runs gets no new disk")
    }

    fn start(&mut self) -> Result<()> {
        bail!("a machine that somebody runs is not started")
    }

    fn pulse(&mut self) -> Result<Pulse> {
        Ok(Pulse::Running)
    }

    fn power_off(&mut self, _limit: Duration) -> Result<()> {
        bail!("a machine that somebody runs is not switched off")
    }

    fn power_cut(&mut self) -> Result<()> {
        bail!("a machine that somebody runs keeps its power")
    }

    fn keep(&mut self) -> String {
        String::new()
    }
}

/// What is asked of a live machine.
#[derive(Debug)]
pub struct Question {
    /// What it is held to.
    pub expect: Expect,
    /// Its own addresses, in place of what its names lead to.
    pub addresses: Vec<IpAddr>,
    /// Whom to believe besides the system: roots in PEM.
    pub roots: Option<Vec<u8>>,
    /// The way in, or [`Ssh::nowhere`].
    pub ssh: Ssh,
    /// Beginnings of the identifiers of the checks to run; empty: all.
    pub only: Vec<String>,
}

/// Whether packets for this address have a way out of here; none is sent.
fn is_reachable(address: IpAddr) -> bool {
    let local = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    UdpSocket::bind(local).and_then(|socket| socket.connect((address, 443))).is_ok()
}

fn resolve(name: &str) -> Result<Vec<IpAddr>, String> {
    let found = (name, 443).to_socket_addrs().map_err(|error| error.to_string())?;
    let mut addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    addresses.sort();
    addresses.dedup();
    Ok(addresses)
}

/// Runs every check that takes nothing from a machine that is in use.
pub fn verify(question: &Question, view: &View) -> Result<Findings> {
    let began = Instant::now();
    let expect = &question.expect;
    let mut names = Names::default();
    let mut addresses = question.addresses.clone();
    if addresses.is_empty() {
        names.resolved = expect.names.iter().map(|name| (name.clone(), resolve(name))).collect();
        addresses = names.resolved.iter().find_map(|(_, answer)| answer.clone().ok()).unwrap_or_default();
    }
    (addresses, names.out_of_reach) = addresses.into_iter().partition(|address| is_reachable(*address));
    let of = expect.names.first().cloned().unwrap_or_default();
    let Some(first) = addresses.first().copied() else {
        // Nothing else can be looked at.
        let detail = match names.resolved.first() {
            Some((name, Err(why))) => format!("{name} leads nowhere ({why}): set its DNS records, or say where the machine is by --address"),
            _ => "none of the machine's addresses can be reached from here: there is no such network".to_string(),
        };
        let title = "Every name leads to the machine".to_string();
        let row = Row { id: "dns-names".to_string(), title, result: Verdict::Fail, detail, seconds: began.elapsed().as_secs_f64().round() };
        return Ok(Findings { of, seconds: began.elapsed().as_secs_f64().round(), checks: vec![row] });
    };
    let at = |port| SocketAddr::new(first, port);
    let reach = Reach { ssh: at(expect.ssh_port), http: at(80), https: at(443), addresses };
    let mut machine = Machine { reach };
    let seed = Seed { user_data: Vec::new(), meta_data: String::new(), network_config: None };
    let mut context = Context {
        engine: &mut machine,
        lab: None,
        neighbour: None,
        watch: None,
        expect,
        ssh: question.ssh.clone(),
        seed: &seed,
        ready: None,
        until: &[],
        only: &question.only,
        timeout: Duration::ZERO,
        view,
        root: question.roots.clone(),
        faults: Default::default(),
        metadata: None,
        live: Some(&names),
    };
    let checks = check::run_all(&mut context)?;
    Ok(Findings { of, seconds: began.elapsed().as_secs_f64().round(), checks })
}

/// What can be expected of a machine of which only the domain is known; `plan` is its own `plan.json`, if it could be read.
pub fn expected(domain: &str, ssh_port: u16, plan: Option<&Value>) -> Expect {
    let texts = |value: &Value| -> Vec<String> { value.as_array().into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned)).collect() };
    let rows = |key: &str| -> Vec<Vec<String>> { plan.into_iter().flat_map(|plan| plan[key].as_array().into_iter().flatten()).map(texts).collect() };
    let mut names = vec![domain.to_owned()];
    names.extend(plan.map(|plan| texts(&plan["hosts"])).unwrap_or_default().into_iter().filter(|name| name != domain));
    let ports = plan.map(|plan| texts(&plan["ports"])).unwrap_or_default();
    let tcp = ports.iter().filter_map(|port| port.strip_suffix("/tcp")?.parse().ok());
    let mut expect = Expect {
        name: plan.and_then(|plan| plan["name"].as_str()).unwrap_or_default().to_owned(),
        ssh_port,
        tcp_ports: tcp.collect(),
        domain: Some(domain.to_owned()),
        acme: true,
        names,
        health: rows("health").into_iter().filter_map(|row| Some(PublicPath { host: row.first()?.clone(), path: row.get(1)?.clone() })).collect(),
        closed: rows("closed").into_iter().filter_map(|row| Some((row.first()?.clone(), row.get(1)?.clone(), row.get(2)?.clone()))).collect(),
        routes: vec![PublicRoute { host: domain.to_owned(), path: "/".to_owned(), websocket: false }],
        ..Expect::default()
    };
    if expect.health.iter().any(|place| place.path.starts_with("/grafana/")) {
        expect.routes.push(PublicRoute { host: domain.to_owned(), path: "/grafana/".to_owned(), websocket: false });
    }
    if expect.tcp_ports.is_empty() {
        expect.tcp_ports = [ssh_port, 80, 443].into();
    }
    expect
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_machines_own_plan_says_what_is_expected() {
        let plan = json!({"name": "shop", "hosts": ["example.com", "chat.example.com"], "ports": ["2222/tcp", "80/tcp", "443/tcp", "51820/udp"],
            "health": [["example.com", "/grafana/api/health", "grafana"]], "closed": [["POST", "chat.example.com", "/signup", "chat"]]});
        let expect = expected("example.com", 2222, Some(&plan));
        assert_eq!(expect.names, ["example.com", "chat.example.com"]);
        assert_eq!(expect.tcp_ports.into_iter().collect::<Vec<_>>(), [80, 443, 2222]);
        assert_eq!(expect.routes.iter().map(|route| route.path.as_str()).collect::<Vec<_>>(), ["/", "/grafana/"]);
        assert_eq!(expect.closed, [("POST".to_owned(), "chat.example.com".to_owned(), "/signup".to_owned())]);
        let alone = expected("example.com", 22, None);
        assert_eq!(alone.tcp_ports.into_iter().collect::<Vec<_>>(), [22, 80, 443]);
        assert!(alone.health.is_empty() && alone.closed.is_empty());
    }

    #[test]
    fn this_machine_is_within_reach() {
        assert!(is_reachable(IpAddr::from([127, 0, 0, 1])));
    }
}
