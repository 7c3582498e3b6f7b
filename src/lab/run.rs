//! A run: boot, power cuts, checks, report.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::json;

use super::background::Watch;
use super::check::{self, Context};
use super::console::{self, Event, Follower};
use super::engine::{Engine, Pulse};
use super::expect::Expect;
use super::facility::Facility;
use super::injector::{Injector, Word};
use super::outside::{Neighbour, Role};
use super::report::{Cut, RunReport};
use super::ssh::Ssh;
use super::timeline::Timeline;
use super::view::{Tracker, View};
use super::{Seed, interrupt, random};

/// How long the lab's name server gives a wrong answer for the machine's names.
const DNS_WRONG: Duration = Duration::from_secs(60);
/// How long a machine that said `failed` may take it back.
const GRACE: Duration = Duration::from_secs(20);
/// A stage that is to be cut is cut so many seconds after its start at most: longer than any but the longest takes.
const WITHIN_STAGE: f64 = 20.0;

/// So much of the console is kept with the report: a first boot writes about 1,500 lines.
const CONSOLE_LINES: usize = 5000;

/// What is said for the moment before the first stage, in which the payload is unpacked.
const UNPACK: &str = "unpack";
/// How long its writing takes, about; python3 has taken its seconds over the reading by then.
const WITHIN_UNPACKING: f64 = 0.15;
/// Its first file while it is written, and the mark that all of them are there.
const FIRST_FILE: &str = "/usr/local/lib/julia-bootstrap/jb.py.new";
const LAST_FILE: &str = "/var/lib/julia-bootstrap/bundle";

/// When the power goes off.
#[derive(Debug, Clone)]
enum Moment {
    /// So many seconds after power-on (and after the stages' first line).
    After(f64),
    /// So many seconds after a stage was first seen running.
    Within(String, f64),
    /// So many seconds after the first file of the payload was on the disk.
    Unpacking(f64),
    /// When the injector says so, as often as it does.
    Asked,
}

/// What a run is asked to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long each boot may take.
    pub timeout: Duration,
    /// The stages that must be done; empty: the whole machine must be ready.
    pub until: Vec<String>,
    /// Beginnings of the identifiers of the checks to run; empty: all.
    pub checks: Vec<String>,
    /// How many power cuts.
    pub power_cuts: usize,
    /// Stages that are cut short besides, one cut for each.
    pub power_cuts_in: Vec<String>,
    /// A program that makes faults while the machine boots and after it.
    pub inject: Option<PathBuf>,
    /// Seed of their moments.
    pub seed: u64,
    /// Show nothing but the result.
    pub quiet: bool,
    /// Leave the machine running at the end.
    pub keep: bool,
}

/// A run's ingredients.
pub struct Run<'a> {
    /// The machine.
    pub engine: &'a mut dyn Engine,
    /// The lab, if there is one.
    pub lab: Option<&'a Facility>,
    /// What the machine is held to.
    pub expect: &'a Expect,
    /// What it boots from.
    pub seed: &'a Seed,
    /// The administrator's way in.
    pub ssh: Ssh,
    /// SHA-256 of the bundle.
    pub bundle: String,
    /// What is asked.
    pub options: Options,
    /// The program that makes faults, while it runs.
    pub injector: Option<Injector>,
    /// What the stages did so far, boot by boot.
    pub boots: Vec<Timeline>,
}

/// How a boot went.
#[derive(Debug, Clone, Default)]
struct Boot {
    /// Seconds from power-on to the first line of the stages.
    first: Option<f64>,
    /// Seconds from power-on to ready.
    ready: Option<f64>,
    /// Whether the injector asked for the power to go off.
    cut: bool,
}

/// The lab's answer for the machine's names: wrong at first, as it is on the day someone moves a domain.
struct Names<'a> {
    lab: Option<&'a Facility>,
    names: &'a [String],
    since: Instant,
    wrong: bool,
}

impl Names<'_> {
    fn tick(&mut self, view: &View) -> Result<()> {
        let Some(lab) = self.lab else {
            return Ok(());
        };
        if self.wrong && self.since.elapsed() >= DNS_WRONG {
            lab.point(self.names, lab.guest_address, lab.guest_address6)?;
            self.wrong = false;
            view.say("the lab's DNS now points at the machine");
        }
        Ok(())
    }
}

impl Drop for Names<'_> {
    fn drop(&mut self) {
        if let Some(lab) = self.lab {
            let _ = lab.forget(self.names);
        }
    }
}

impl Run<'_> {
    /// Does everything; an error means that the run itself could not be made.
    pub fn run(mut self) -> Result<RunReport> {
        let began = Instant::now();
        let view = View::new(self.options.quiet);
        let lab = self.lab;
        let neighbour = lab.map(Neighbour::new).transpose()?;
        let watch = neighbour.as_ref().map(|neighbour| self.watch(neighbour));
        let names = &self.expect.names;
        let web = lab.filter(|_| !names.is_empty());
        let mut dns = Names { lab: web, names, since: Instant::now(), wrong: web.is_some() };
        if let Some(lab) = web {
            // The gateway is no place where the nonce of a certificate could be found.
            lab.point(names, lab.host_address, lab.host_address6)?;
            view.say(&format!("the lab's DNS answers wrongly for {} s", DNS_WRONG.as_secs()));
        }
        self.fresh(watch.as_ref())?;
        let mut cuts = Vec::new();
        let first = match self.options.inject.clone() {
            Some(program) => self.injected(&program, &mut cuts, &view, &mut dns, watch.as_ref())?,
            None => self.boot(&view, &mut dns, watch.as_ref())?,
        };
        view.say(&match first.ready {
            Some(seconds) => format!("ready {seconds:.0} s after power-on, by {}", self.engine.accel()),
            None => "it did not get ready".to_string(),
        });
        let mut last = first.clone();
        if let (Some(ready), true) = (first.ready, self.cuts_wanted()) {
            let window = (first.first.unwrap_or(0.0), ready);
            (cuts, last) = self.power_cuts(window, &view, &mut dns, watch.as_ref())?;
        }
        if last.ready.is_none() {
            self.complain(&view);
        }
        let mut context = Context {
            engine: &mut *self.engine,
            lab,
            neighbour: neighbour.as_ref(),
            watch: watch.as_ref(),
            expect: self.expect,
            ssh: self.ssh.clone(),
            seed: self.seed,
            ready: last.ready,
            until: &self.options.until,
            only: &self.options.checks,
            timeout: self.options.timeout,
            view: &view,
            root: None,
            faults: Default::default(),
            metadata: None,
            live: None,
        };
        let checks = check::run_all(&mut context)?;
        let versions = self.versions();
        if self.options.keep {
            view.say(&format!("kept: {}; {}", self.ssh.invitation(), self.engine.keep()));
        } else {
            view.now("shutting down");
            self.engine.power_off(Duration::from_secs(30))?;
        }
        Ok(RunReport {
            engine: self.engine.name().to_string(),
            accel: self.engine.accel(),
            image: self.engine.image(),
            profile: self.expect.name.clone(),
            bundle: self.bundle.clone(),
            ready_seconds: first.ready,
            seconds: began.elapsed().as_secs_f64().round(),
            seed: self.cuts_wanted().then_some(self.options.seed),
            power_cuts: cuts,
            checks,
            versions,
            console: console::tail(self.engine.console(), CONSOLE_LINES),
            boots: self.boots,
        })
    }

    /// What runs on the machine, and what looked at it.
    fn versions(&self) -> Vec<(String, String)> {
        let mut rows = vec![("julia-bootstrap".to_owned(), env!("CARGO_PKG_VERSION").to_owned())];
        // A machine that cannot be asked is told of by the checks.
        if let Ok(value) = self.ssh.script(&check::VERSIONS, &[]) {
            let told = value.as_object().into_iter().flatten();
            rows.extend(told.filter_map(|(name, text)| Some((name.clone(), text.as_str()?.to_owned()))));
        }
        rows
    }

    fn cuts_wanted(&self) -> bool {
        self.options.power_cuts > 0 || !self.options.power_cuts_in.is_empty()
    }

    fn watch(&self, neighbour: &Neighbour) -> Watch {
        let mut more = self.expect.loopback_ports.clone();
        if let Some(canary) = self.lab.and_then(|lab| lab.canary.as_ref()) {
            more.extend([canary.process_port, canary.container_port]);
        }
        more.push(self.expect.ssh_port);
        Watch::start(neighbour.origin(Role::Scans), self.engine.reach().addresses.clone(), &more)
    }

    /// A new disk, on which nothing of ours has run yet.
    fn fresh(&mut self, watch: Option<&Watch>) -> Result<()> {
        if let Some(watch) = watch {
            watch.handed_over(false);
        }
        self.engine.fresh()
    }

    /// Powers the machine on and follows it until it is ready, has failed, or time is up.
    fn boot(&mut self, view: &View, dns: &mut Names, watch: Option<&Watch>) -> Result<Boot> {
        self.follow(view, dns, watch, None).map(|(boot, _)| boot)
    }

    /// Boots with a program beside it that makes faults, until that has ended and the machine is ready.
    fn injected(
        &mut self,
        program: &Path,
        cuts: &mut Vec<Cut>,
        view: &View,
        dns: &mut Names,
        watch: Option<&Watch>,
    ) -> Result<Boot> {
        self.injector = Some(Injector::start(program)?);
        loop {
            let began = Instant::now();
            let (boot, tracker) = self.follow(view, dns, watch, Some(&Moment::Asked))?;
            if let Some(last) = cuts.last_mut() {
                (last.ready, last.ready_seconds) = (boot.ready.is_some(), boot.ready);
            }
            if !boot.cut {
                return Ok(boot);
            }
            let at_seconds = began.elapsed().as_secs_f64();
            self.engine.power_cut()?;
            view.say(&format!("the power goes off at {at_seconds:.1} s, during {}", tracker.phrase()));
            cuts.push(Cut { at_seconds, during: tracker.phrase(), ready: false, ready_seconds: None });
        }
    }

    /// The same; with `cut`, it returns at that moment.
    fn follow(
        &mut self,
        view: &View,
        dns: &mut Names,
        watch: Option<&Watch>,
        cut: Option<&Moment>,
    ) -> Result<(Boot, Tracker)> {
        let began = Instant::now();
        let (boot, tracker) = self.follow_until(view, dns, watch, cut)?;
        let taken = cut.is_some_and(|moment| boot.cut || !matches!(moment, Moment::Asked));
        if let Some(line) = self.boots.last_mut() {
            line.ended(began.elapsed().as_secs_f64(), boot.ready, taken);
        }
        Ok((boot, tracker))
    }

    fn follow_until(
        &mut self,
        view: &View,
        dns: &mut Names,
        watch: Option<&Watch>,
        cut: Option<&Moment>,
    ) -> Result<(Boot, Tracker)> {
        let mut follower = Follower::at_end(self.engine.console());
        let began = Instant::now();
        self.engine.start()?;
        if let Some(injector) = &mut self.injector {
            injector.tell(0.0, json!({"event": "power-on", "engine": self.engine.name(), "ssh": self.ssh.invitation()}));
        }
        // An injector takes its time: what counts is how long nothing was heard of it.
        let mut heard = began;
        if let Some(watch) = watch {
            watch.emulated(self.engine.accel() == "tcg");
        }
        let mut tracker = Tracker::default();
        self.boots.push(Timeline::new(self.boots.len() + 1));
        let mut boot = Boot::default();
        let mut failed: Option<Instant> = None;
        let mut seen: Option<f64> = None;
        loop {
            dns.tick(view)?;
            let pulse = self.engine.pulse()?;
            if pulse == Pulse::Off {
                bail!("the machine went off by itself; its last words:\n{}", console::tail(self.engine.console(), 15));
            }
            for event in follower.lines().iter().filter_map(|line| console::parse(line)) {
                boot.first.get_or_insert(began.elapsed().as_secs_f64());
                if let Some(watch) = watch {
                    watch.handed_over(true);
                }
                tracker.take(&event);
                view.event(&event, &tracker);
                if let (Some(line), Event::Stage { name, state, .. }) = (self.boots.last_mut(), &event) {
                    line.stage(name, state, began.elapsed().as_secs_f64());
                }
                if let Some(injector) = &mut self.injector {
                    injector.event(began.elapsed().as_secs_f64(), &event);
                }
            }
            let elapsed = began.elapsed().as_secs_f64();
            let mut injecting = false;
            if let Some(injector) = &mut self.injector {
                if pulse == Pulse::Rebooted {
                    injector.tell(elapsed, json!({"event": "reboot"}));
                }
                while let Some(word) = injector.word() {
                    heard = Instant::now();
                    match word {
                        Word::Cut => boot.cut = true,
                        Word::Say(line) => view.say(&line),
                    }
                }
                injecting = !injector.ended()?;
            }
            let until = &self.options.until;
            let done = tracker.stages_in(&["done"]);
            let early = !until.is_empty() && until.iter().all(|stage| done.contains(&stage.as_str()));
            if boot.ready.is_none() && (early || tracker.state.as_deref() == Some("ready")) {
                boot.ready = Some(elapsed);
            }
            let over = match cut {
                Some(Moment::After(moment)) => boot.first.is_some() && elapsed >= *moment,
                Some(Moment::Within(stage, delay)) => {
                    if tracker.stages_in(&["running", "done"]).contains(&stage.as_str()) {
                        seen.get_or_insert(elapsed);
                    }
                    seen.is_some_and(|began| elapsed >= began + delay)
                }
                Some(Moment::Unpacking(delay)) => {
                    let [first, last] = [FIRST_FILE, LAST_FILE].map(|path| self.engine.has(path));
                    let Some(first) = first else { bail!("what is on the disk of this kind of machine cannot be seen: leave `{UNPACK}` out") };
                    if first || last == Some(true) {
                        seen.get_or_insert(elapsed);
                    }
                    seen.is_some_and(|began| elapsed >= began + delay)
                }
                Some(Moment::Asked) => boot.cut || !injecting && boot.ready.is_some(),
                None => boot.ready.is_some(),
            };
            if over {
                return Ok((boot, tracker));
            }
            match tracker.state.as_deref() {
                // What fails while a fault is there may come right after it.
                Some("failed") if !injecting => {
                    if failed.get_or_insert_with(Instant::now).elapsed() > GRACE {
                        return Ok((boot, tracker));
                    }
                }
                _ => failed = None,
            }
            if heard.elapsed() > self.options.timeout {
                return Ok((boot, tracker));
            }
            interrupt::sleep(Duration::from_millis(match cut {
                Some(Moment::Unpacking(_)) => 2,
                Some(_) => 20,
                None => 200,
            }))?;
        }
    }

    /// The moments asked for: some spread at random over the window, some within the stages named.
    fn moments(&self, (from, to): (f64, f64)) -> Vec<Moment> {
        let Options { seed, power_cuts, power_cuts_in, .. } = &self.options;
        let spread = random::moments(*seed, *power_cuts).into_iter().map(|part| Moment::After(from + part * (to - from)));
        let parts = random::moments(*seed, power_cuts_in.len());
        let aimed = power_cuts_in.iter().zip(parts).map(|(stage, part)| match stage.as_str() {
            UNPACK => Moment::Unpacking(part * WITHIN_UNPACKING),
            _ => Moment::Within(stage.clone(), part * WITHIN_STAGE),
        });
        spread.chain(aimed).collect()
    }

    /// Each cut on a fresh machine, at a moment of its own; then a boot from what survived.
    fn power_cuts(
        &mut self,
        window: (f64, f64),
        view: &View,
        dns: &mut Names,
        watch: Option<&Watch>,
    ) -> Result<(Vec<Cut>, Boot)> {
        let moments = self.moments(window);
        let (from, to) = window;
        view.say(&format!(
            "{} power cuts between {from:.1} s and {to:.1} s after power-on, seed {}",
            moments.len(),
            self.options.seed
        ));
        let mut cuts = Vec::new();
        let mut last = Boot::default();
        for (index, moment) in moments.iter().enumerate() {
            self.engine.power_off(Duration::from_secs(5))?;
            self.fresh(watch)?;
            let began = Instant::now();
            let (_, tracker) = self.follow(view, dns, watch, Some(moment))?;
            let at_seconds = began.elapsed().as_secs_f64();
            self.engine.power_cut()?;
            let during = tracker.phrase();
            view.say(&format!("power cut {} at {at_seconds:.1} s, during {during}", index + 1));
            last = self.boot(view, dns, watch)?;
            let well = last.ready.is_some() && (!self.options.until.is_empty() || self.own_check());
            if !well {
                self.complain(view);
            }
            cuts.push(Cut { at_seconds, during, ready: well, ready_seconds: last.ready });
        }
        Ok((cuts, last))
    }

    /// The machine's own acceptance test, with patience for what still settles.
    fn own_check(&self) -> bool {
        interrupt::wait_until(Duration::from_secs(60), Duration::from_secs(3), || {
            Ok(self.ssh.sudo(&["bootstrapctl", "check", "--json"]).is_ok_and(|ended| ended.ok()))
        })
        .unwrap_or(false)
    }

    /// Says what can be known about a machine that did not get ready.
    fn complain(&self, view: &View) {
        view.say(&format!("last lines of the console:\n{}", console::tail(self.engine.console(), 12)));
        for words in [
            &["bootstrapctl", "status"][..],
            &["bootstrapctl", "check"][..],
            &["systemctl", "--failed", "--no-legend", "--plain"][..],
            &["journalctl", "--no-pager", "-q", "-p", "warning", "-n", "25", "-o", "cat"][..],
            &["journalctl", "--no-pager", "-q", "-u", "julia-bootstrap-stage@*", "-n", "40"][..],
        ] {
            if let Ok(ended) = self.ssh.sudo(words) {
                view.say(&format!("`{}`:\n{}", words.join(" "), ended.stdout.trim_end()));
            }
        }
    }
}
