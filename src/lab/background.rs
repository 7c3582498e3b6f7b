//! A scanner that watches the machine from outside from the moment it is switched on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::net::scan;
use super::net::socket::Origin;

/// Ports that a half-built machine is most likely to open: Docker, databases, name services, the canaries.
const LIKELY: [u16; 22] = [
    21, 22, 23, 25, 53, 80, 111, 443, 2019, 2375, 2376, 3000, 3306, 5000, 5355, 5432, 6379, 8000, 8080, 9000, 9090, 9100,
];
/// How long a port may take; its host is next door.
const PATIENCE: Duration = Duration::from_millis(250);

/// How hard the scanner knocks.
struct Pace {
    /// Ports of the rotation in one round, beside the likely ones.
    slice: usize,
    /// Between two rounds.
    pause: Duration,
}

impl Pace {
    /// For a machine that runs at the host's own speed.
    const NATIVE: Pace = Pace { slice: 400, pause: Duration::from_millis(500) };
    /// For one whose processor is emulated: there each packet takes about half a millisecond of it, and the native
    /// pace, 1,300 packets a second, left the first boot next to nothing.
    const EMULATED: Pace = Pace { slice: 20, pause: Duration::from_secs(2) };
}

/// What the scanner saw.
#[derive(Debug, Clone, Default)]
pub struct Sightings {
    /// Open ports by family (4 or 6), with the second at which each was first seen, from the moment on at which the
    /// machine had its user-data.
    pub open: BTreeMap<(u8, u16), f64>,
    /// What was open before that: the image's own doing, on which no user-data can have a say.
    pub before: BTreeMap<(u8, u16), f64>,
    /// Rounds made.
    pub rounds: u64,
    /// Connections tried.
    pub tried: u64,
}

/// The running scanner.
pub struct Watch {
    stop: Arc<AtomicBool>,
    handed_over: Arc<AtomicBool>,
    emulated: Arc<AtomicBool>,
    seen: Arc<Mutex<Sightings>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts watching `addresses`; `more` are ports to ask in every round beside the likely ones.
    pub fn start(origin: Origin, addresses: Vec<IpAddr>, more: &[u16]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let handed_over = Arc::new(AtomicBool::new(true));
        let emulated = Arc::new(AtomicBool::new(false));
        let seen = Arc::new(Mutex::new(Sightings::default()));
        let every: BTreeSet<u16> = LIKELY.iter().chain(more).copied().collect();
        let flags = [&stop, &handed_over, &emulated].map(Arc::clone);
        let log = Arc::clone(&seen);
        let thread = std::thread::spawn(move || watch(&origin, &addresses, &every, flags.each_ref(), &log));
        Watch { stop, handed_over, emulated, seen, thread: Some(thread) }
    }

    /// Says whether the machine has its user-data by now: not between a fresh disk's first start and the first word of
    /// its stages.
    pub fn handed_over(&self, by_now: bool) {
        self.handed_over.store(by_now, Ordering::Relaxed);
    }

    /// Says whether the machine's processor is emulated; the scanner then spares it.
    pub fn emulated(&self, is: bool) {
        self.emulated.store(is, Ordering::Relaxed);
    }

    /// What was seen so far.
    pub fn seen(&self) -> Sightings {
        self.seen.lock().map(|seen| seen.clone()).unwrap_or_default()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn watch(
    origin: &Origin,
    addresses: &[IpAddr],
    every: &BTreeSet<u16>,
    [stop, handed_over, emulated]: [&Arc<AtomicBool>; 3],
    log: &Mutex<Sightings>,
) {
    let began = Instant::now();
    let mut next: usize = 0;
    while !stop.load(Ordering::Relaxed) {
        let pace = if emulated.load(Ordering::Relaxed) { Pace::EMULATED } else { Pace::NATIVE };
        let rotation = (next..next + pace.slice).map(|port| (port % 65535 + 1) as u16);
        let ports: Vec<u16> = every.iter().copied().chain(rotation.filter(|port| !every.contains(port))).collect();
        next = (next + pace.slice) % 65535;
        for address in addresses {
            let judged = handed_over.load(Ordering::Relaxed);
            let family = if address.is_ipv4() { 4 } else { 6 };
            // What is known to be open is let be: each connection has sshd begin a process, at which an emulated one labours.
            let asked: Vec<u16> = match log.lock() {
                Ok(seen) => ports.iter().copied().filter(|port| !seen.open.contains_key(&(family, *port))).collect(),
                Err(_) => return,
            };
            let Ok(found) = scan::scan(origin, *address, &asked, None, PATIENCE) else {
                continue;
            };
            let Ok(mut seen) = log.lock() else {
                return;
            };
            for port in found.open {
                let seconds = began.elapsed().as_secs_f64();
                let open = if judged { &mut seen.open } else { &mut seen.before };
                open.entry((family, port)).or_insert(seconds);
            }
            seen.tried += asked.len() as u64;
            seen.rounds += 1;
        }
        std::thread::sleep(pace.pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener};

    #[test]
    fn a_listener_is_seen_while_it_is_there() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        let watch = Watch::start(Origin::default(), vec![IpAddr::V4(Ipv4Addr::LOCALHOST)], &[port]);
        let end = Instant::now() + Duration::from_secs(10);
        while !watch.seen().open.contains_key(&(4, port)) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(watch.seen().open.contains_key(&(4, port)));
    }
}
