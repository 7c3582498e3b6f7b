//! Numbers, durations, sizes, ports, times of day and address ranges.

use super::model::{PortRule, Protocol};
use super::reader::{Reader, Value, shown};
use crate::distribution::Distribution;
use crate::yaml::{Kind, Node};
use ipnet::IpNet;

/// Reads an unquoted whole number within bounds.
fn whole(node: &Node, reader: &mut Reader<'_>, least: u32, most: u32) -> Option<u32> {
    let text = reader.text(node, "a number")?;
    let digits = !text.is_empty() && text.len() <= 10 && text.bytes().all(|b| b.is_ascii_digit());
    let plain = matches!(node.kind, Kind::Scalar { plain: true, .. });
    match text.parse::<u32>() {
        Ok(number) if digits && plain && (text == "0" || !text.starts_with('0')) => {
            if (least..=most).contains(&number) {
                return Some(number);
            }
            let message = format!("{number} is not between {least} and {most}");
            reader.invalid(node.span, message).help(format!("write a number between {least} and {most}"));
        }
        Ok(_) if !plain => {
            reader.invalid(node.span, "a number is expected here, and this is quoted text").help("remove the quotes");
        }
        _ => {
            let message = format!("`{}` is not a whole number", shown(text));
            reader.invalid(node.span, message).help(format!("write a number between {least} and {most}"));
        }
    }
    None
}

macro_rules! numbers {
    ($( $(#[doc = $doc:literal])+ $name:ident($inner:ty) = $least:literal ..= $most:literal; )*) => { $(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(pub $inner);

        impl Value for $name {
            fn type_name() -> String {
                format!("number {}–{}", $least, $most)
            }

            fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
                let number = whole(node, reader, $least, $most)?;
                <$inner>::try_from(number).ok().map(Self)
            }
        }
    )* };
}

numbers! {
    /// A port.
    Port(u16) = 1..=65535;
    /// How many tries a login has.
    Tries(u8) = 1..=10;
    /// How many failures lead to a ban.
    Failures(u32) = 1..=100;
    /// How many versions are kept.
    Kept(u32) = 2..=50;
    /// Requests per second.
    PerSecond(u32) = 1..=10000;
    /// How many copies are kept.
    Copies(u32) = 0..=1000;
    /// Requests at once.
    Burst(u32) = 0..=10000;
    /// Length of a generated secret.
    SecretLength(u32) = 32..=1024;
    /// Processors.
    Cpus(u32) = 1..=512;
    /// A figure in MiB.
    Mib(u32) = 1..=1048576;
    /// A part of a hundred.
    Percent(u32) = 1..=50;
}

/// Version of the profile's language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version;

impl Value for Version {
    fn type_name() -> String {
        "1".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node, "the version of the profile's language")?;
        if text == "1" {
            return Some(Self);
        }
        if text.starts_with(['2', '3']) {
            reader
                .invalid(node.span, format!("`version: {}` is Compose's, and this is a profile", shown(text)))
                .help("begin a profile with `version: 1`, and let it name your Compose file: `compose: compose.yaml`");
        } else {
            let message = format!("the profile's version `{}` is not known", shown(text));
            reader.invalid(node.span, message).help("write `version: 1`");
        }
        None
    }
}

/// A length of time in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duration(pub u32);

/// Longest duration: a year.
const YEAR: u64 = 366 * 86_400;

fn duration(text: &str) -> Option<u64> {
    let (mut seconds, mut rest) = (0u64, text);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        // A leading zero may mean an octal number to whoever wrote it.
        if !(1..=9).contains(&digits) || (digits > 1 && rest.starts_with('0')) {
            return None;
        }
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = match rest[digits..].chars().next()? {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return None,
        };
        seconds += number * unit;
        rest = &rest[digits + 1..];
    }
    (!text.is_empty() && seconds <= YEAR).then_some(seconds)
}

impl Value for Duration {
    fn type_name() -> String {
        "duration".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node, "a duration")?;
        let seconds = duration(text).and_then(|seconds| u32::try_from(seconds).ok());
        if seconds.is_none() {
            let finding = reader.invalid(node.span, format!("`{}` is not a duration", shown(text)));
            if text.bytes().all(|b| b.is_ascii_digit()) {
                finding.help(format!("add a unit: `{text}s`, `{text}m`, `{text}h` or `{text}d`"));
            } else {
                finding.help("write it as `90s`, `10m`, `1h30m` or `7d`, at most a year");
            }
        }
        seconds.map(Self)
    }
}

/// Hours of a day, on one or several days of the week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window(pub Vec<(u32, u32)>);

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Minutes of the week at which a window opens and closes, for each of its days.
fn window(text: &str) -> Option<Vec<(u32, u32)>> {
    let (days, hours) = text.split_once(' ').unwrap_or(("Mon-Sun", text));
    let day = |name: &str| DAYS.iter().position(|day| *day == name);
    let (first, last) = days.split_once('-').unwrap_or((days, days));
    let (first, last) = (day(first)?, day(last)?);
    let minute = |text: &str| {
        let (hour, minute) = text.split_once(':').filter(|(h, m)| h.len() == 2 && m.len() == 2)?;
        let number = |text: &str, most: u32| text.parse::<u32>().ok().filter(|n| *n <= most && !text.starts_with('+'));
        Some(number(hour, 24)? * 60 + number(minute, 59)?).filter(|minute| *minute <= 1440)
    };
    let (from, to) = hours.split_once('-')?;
    let (from, to) = (minute(from)?, minute(to)?);
    if from == to || from == 1440 {
        return None;
    }
    // What ends before it begins goes on past midnight.
    let length = if to > from { to - from } else { to + 1440 - from };
    let count = (last + 7 - first) % 7 + 1;
    Some((0..count).map(|n| ((first + n) % 7) as u32 * 1440 + from).map(|start| (start, start + length)).collect())
}

impl Value for Window {
    fn type_name() -> String {
        "\"DAYS HH:MM-HH:MM\"".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node, "a window of time")?;
        let read = window(text);
        if read.is_none() {
            let message = format!("`{}` is not a window of time", shown(text));
            reader.invalid(node.span, message).help("write it as `\"Mon-Fri 09:00-17:00\"`, `\"Sun 22:00-02:00\"` or `\"09:00-17:00\"`");
        }
        read.map(Self)
    }
}

/// A length of time of at least a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period(pub u32);

impl Value for Period {
    fn type_name() -> String {
        "duration, at least 1s".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let seconds = Duration::read(node, reader)?.0;
        if seconds == 0 {
            reader.invalid(node.span, "nothing can happen within no time").help("write at least `1s`");
        }
        (seconds > 0).then_some(Self(seconds))
    }
}

/// A size in MiB, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u32);

fn size(text: &str) -> Option<u32> {
    let (number, factor) = match (text.strip_suffix("MiB"), text.strip_suffix("GiB")) {
        (Some(number), _) => (number, 1),
        (_, Some(number)) => (number, 1024),
        _ => return None,
    };
    if number.is_empty() || number.len() > 7 || number.starts_with('0') || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    number.parse::<u32>().ok()?.checked_mul(factor).filter(|mib| *mib <= 1 << 20)
}

impl Value for Size {
    fn type_name() -> String {
        "size".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node, "a size")?;
        let mib = size(text);
        if mib.is_none() {
            let message = format!("`{}` is not a size", shown(text));
            reader.invalid(node.span, message).help("write it as `512MiB` or `2GiB`, at most 1024GiB");
        }
        mib.map(Self)
    }
}

/// A capacity in MiB, as providers tell it: 10⁹ bytes to the GB, or 2³⁰ to the GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity(pub u32);

fn capacity(text: &str) -> Option<u32> {
    if let Some(mib) = size(text) {
        return Some(mib);
    }
    let (number, unit) = text.split_at_checked(text.len().checked_sub(2)?)?;
    let bytes: u64 = match unit {
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return None,
    };
    if number.is_empty() || number.len() > 7 || number.starts_with('0') || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mib = number.parse::<u64>().ok()?.checked_mul(bytes)? >> 20;
    u32::try_from(mib).ok().filter(|mib| (1..=1 << 20).contains(mib))
}

impl Value for Capacity {
    fn type_name() -> String {
        "capacity".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node, "a capacity")?;
        let mib = capacity(text);
        if mib.is_none() {
            let message = format!("`{}` is not a capacity", shown(text));
            reader.invalid(node.span, message).help("write it as `4GiB` or `40GB`, at most 1024GiB");
        }
        mib.map(Self)
    }
}

/// Something that may be switched off by a word: `none` for a size, `never` for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swap(pub u32);

impl Value for Swap {
    fn type_name() -> String {
        "size or `none`".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        if node.as_str() == Some("none") {
            return Some(Self(0));
        }
        Size::read(node, reader).map(|size| Self(size.0))
    }
}

/// True for `HH:MM`.
fn is_time(text: &str) -> bool {
    text.split_once(':').is_some_and(|(h, m)| {
        let two = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        two(h) && two(m) && h < "24" && m < "60"
    })
}

/// A time of day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeOfDay(pub String);

impl Value for TimeOfDay {
    fn type_name() -> String {
        "\"HH:MM\"".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node, "a time of day")?;
        if !is_time(text) {
            let message = format!("`{}` is not a time of day", shown(text));
            reader.invalid(node.span, message).help("write it as `\"03:00\"`");
            return None;
        }
        Some(Self(text.to_owned()))
    }
}

/// How long something is kept, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep(pub u32);

impl Value for Keep {
    fn type_name() -> String {
        "duration, at least 1d".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let seconds = Duration::read(node, reader)?.0;
        if seconds < 86_400 {
            reader.invalid(node.span, "less than a day would keep nothing until the next one").help("write at least `1d`");
            return None;
        }
        Some(Self(seconds))
    }
}

/// A time of day for reboots, or `never`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RebootTime(pub Option<String>);

impl Value for RebootTime {
    fn type_name() -> String {
        "\"HH:MM\" or `never`".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node, "a time of day")?;
        if text == "never" {
            return Some(Self(None));
        }
        if !is_time(text) {
            let message = format!("`{}` is not a time of day", shown(text));
            reader.invalid(node.span, message).help("write it as `\"04:30\"`, or `never`");
            return None;
        }
        Some(Self(Some(text.to_owned())))
    }
}

impl Value for PortRule {
    fn type_name() -> String {
        "PORT/tcp or PORT/udp".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node, "a port with its protocol")?;
        let rule = text.split_once('/').and_then(|(port, protocol)| {
            let number = port.parse::<u16>().ok().filter(|n| *n > 0 && n.to_string() == port)?;
            let protocol = match protocol {
                "tcp" => Protocol::Tcp,
                "udp" => Protocol::Udp,
                _ => return None,
            };
            Some(PortRule { port: number, protocol })
        });
        if rule.is_none() {
            let finding = reader.invalid(node.span, format!("`{}` is not a port with its protocol", shown(text)));
            match text.parse::<u16>() {
                Ok(port) if port > 0 => finding.help(format!("write `{port}/tcp` or `{port}/udp`")),
                _ => finding.help("write it as `8883/tcp` or `51820/udp`"),
            };
        }
        rule
    }
}

/// Reads an address or a range of addresses.
fn range(node: &Node, reader: &mut Reader<'_>, others: &str) -> Option<IpNet> {
    let text = reader.text(node, "an address range")?;
    let parsed: Option<IpNet> = text.parse().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from));
    match parsed {
        None => {
            let message = format!("`{}` is not an address range", shown(text));
            reader.invalid(node.span, message).help(format!("write it as `203.0.113.0/24` or `2001:db8::/32`{others}"));
            None
        }
        Some(net) if net.prefix_len() == 0 => {
            reader.invalid(node.span, format!("`{net}` is every address there is")).help("name the ranges you mean");
            None
        }
        Some(net) if net.trunc() != net => {
            let message = format!("`{net}` has bits set beyond its prefix");
            reader.invalid(node.span, message).help(format!("write `{}`", net.trunc()));
            None
        }
        net => net,
    }
}

/// An address or a range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range(pub IpNet);

impl Value for Range {
    fn type_name() -> String {
        "address range".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        range(node, reader, "").map(Self)
    }
}

/// Trusted proxies: a range, or the name of a preset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proxies {
    /// The ranges that a provider publishes.
    Preset(&'static str),
    /// One range.
    Range(IpNet),
}

/// Names of presets; their ranges stand in `resolve::proxies`.
pub const PROXY_PRESETS: &[&str] = &["cloudflare"];

impl Value for Proxies {
    fn type_name() -> String {
        format!("address range or {}", PROXY_PRESETS.map_code())
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        if let Some(preset) = PROXY_PRESETS.iter().find(|preset| node.as_str() == Some(preset)) {
            return Some(Self::Preset(preset));
        }
        range(node, reader, &format!(", or {}", PROXY_PRESETS.map_code())).map(Self::Range)
    }
}

trait CodeList {
    fn map_code(&self) -> String;
}

impl CodeList for &[&str] {
    fn map_code(&self) -> String {
        self.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
    }
}

/// Reads one word of a fixed list.
pub fn one_of(node: &Node, reader: &mut Reader<'_>, words: &[&str], what: &str) -> Option<usize> {
    let text = reader.text(node, what)?;
    let found = words.iter().position(|word| *word == text);
    if found.is_none() {
        let message = format!("`{}` is not {what}", shown(text));
        let near = super::reader::nearest(text, words.iter().copied());
        let finding = reader.invalid(node.span, message);
        match near {
            Some(word) => finding.help(format!("did you mean `{word}`?")),
            None => finding.help(format!("write one of {}", words.map_code())),
        };
    }
    found
}

impl Value for Distribution {
    fn type_name() -> String {
        Distribution::ALL.map(Distribution::id).as_slice().map_code()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let ids = Distribution::ALL.map(Distribution::id);
        one_of(node, reader, &ids, "a supported distribution").map(|at| Distribution::ALL[at])
    }
}
