//! `packed`, `lzma` and `sh`: one ASCII text with a program that unpacks, verifies and starts the bundle; and the stub that fetches
//! a bundle which lies elsewhere.

use super::{Encoded, digits, lzma, mixing, sha256, strip, text};
use crate::plan::{File, Plan};
use crate::template;
use anyhow::{Result, ensure};
use serde_json::json;

/// Characters of payload a line holds: below the 4,096 that a terminal in line mode takes.
const LINE: usize = 2000;
/// What ends the program: a character that is no digit.
const END: char = '{';

/// The files, like beside like, with what each is on the way: path, mode in octal and content, with a NUL, which none of them
/// can hold, after each.
fn parts(files: &[File]) -> Result<Vec<(usize, String)>> {
    let mut parts = Vec::new();
    for (place, file) in files.iter().enumerate() {
        let content = strip::strip(file);
        ensure!(!content.contains('\0'), "{} holds a NUL character", file.path);
        parts.push((kind(&file.path, &content), place, format!("{}\0{:o}\0{content}\0", file.path, file.mode)));
    }
    parts.sort_by_key(|(kind, ..)| *kind);
    Ok(parts.into_iter().map(|(_, place, text)| (place, text)).collect())
}

/// The bundle as one text, behind the program that writes it.
fn payload(files: &[File]) -> Result<String> {
    let writer = strip::python(template::text("user-data/write.py")?) + "\0";
    Ok(std::iter::once(writer).chain(parts(files)?.into_iter().map(|(_, text)| text)).collect())
}

/// How many characters each file takes in packed user-data.
pub fn costs(files: &[File]) -> Result<Vec<usize>> {
    let (payload, parts) = (payload(files)?, parts(files)?);
    let digits = digits::costs(payload.as_bytes());
    let writer = payload.len() - parts.iter().map(|(_, text)| text.len()).sum::<usize>();
    let mut rest = &digits[writer..];
    let mut costs = vec![0; files.len()];
    for (place, text) in parts {
        let (own, more) = rest.split_at(text.len());
        costs[place] = own.iter().sum::<f64>().round() as usize;
        rest = more;
    }
    Ok(costs)
}

fn kind(path: &str, content: &str) -> u8 {
    if strip::is_python(path, content) {
        0
    } else if content.starts_with("#!/bin/sh") || path.ends_with(".sh") {
        1
    } else if path.starts_with("/etc/systemd/system/") {
        2
    } else {
        3
    }
}

/// What carries the program to the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A cloud-config, whose `bootcmd` runs at every boot.
    CloudConfig,
    /// A shell script, which leaves a unit behind that does.
    Script,
}

/// Encodes `plan` as small as can be. Python takes its time over it: seconds for a whole stack.
pub fn encode(plan: &Plan, frame: Frame) -> Result<Encoded> {
    let payload = payload(&plan.files)?;
    let sides = json!({
        "contexts": mixing::numbered(), "places": mixing::PLACES, "weight": mixing::first_weight(),
        "size": payload.len(), "top": 1 << digits::width(payload.as_bytes()),
    });
    let code = lzma::compress((program("user-data/mixing.py.j2", sides)? + &program("user-data/run.py.j2", json!({}))?).as_bytes())?;
    let code = program("user-data/code.py.j2", json!({"code": text::number(&code), "size": code.len()}))?;
    framed(frame, &payload, &digits::encode(payload.as_bytes()), &code)
}

/// Encodes `plan` in a form that is unpacked at once, and a third larger.
pub fn encode_lzma(plan: &Plan) -> Result<Encoded> {
    let payload = payload(&plan.files)?;
    let data = lzma::compress(payload.as_bytes())?;
    let code = program("user-data/lzma.py.j2", json!({"size": data.len()}))? + &program("user-data/run.py.j2", json!({}))?;
    framed(Frame::CloudConfig, &payload, &text::number(&data), &code)
}

/// The stub that fetches what `url` will hold, and what must lie there, byte for byte.
pub fn remote(plan: &Plan, url: &url::Url, frame: Frame) -> Result<(Encoded, Vec<u8>)> {
    let payload = payload(&plan.files)?;
    let data = lzma::compress(payload.as_bytes())?;
    let identity = sha256(payload.as_bytes());
    // A URL is ASCII, without quotes and backslashes.
    let context = json!({"sha256": identity, "sum": sha256(&data), "size": data.len(), "url": url.as_str()});
    let program = program("user-data/fetch.py.j2", context)?;
    // The script's unit tries until the bundle is there, whether the network was up or not.
    let mut stub = carried(Frame::Script, &program)?;
    if frame == Frame::CloudConfig {
        let context = json!({"script": stub.lines().collect::<Vec<_>>()});
        stub = compact(&template::render("user-data/fetch.yaml.j2", context)?);
    }
    Ok((Encoded { user_data: stub.into_bytes(), sha256: identity }, data))
}

/// A piece of Python as it travels.
fn program(name: &str, context: serde_json::Value) -> Result<String> {
    Ok(strip::python(&template::render(name, context)?))
}

fn framed(frame: Frame, payload: &str, digits: &str, code: &str) -> Result<Encoded> {
    let sha256 = sha256(payload.as_bytes());
    // ASCII all of it.
    let lines: Vec<_> = digits.as_bytes().chunks(LINE).map(String::from_utf8_lossy).collect();
    let avoided: Vec<_> = text::AVOIDED.iter().map(u8::to_string).collect();
    let context = json!({"sha256": sha256, "payload": lines, "code": code.lines().collect::<Vec<_>>(), "avoided": avoided.join(",")});
    let program = template::render("user-data/unpack.py.j2", context)?;
    Ok(Encoded { user_data: carried(frame, &program)?.into_bytes(), sha256 })
}

/// The program in what carries it.
fn carried(frame: Frame, program: &str) -> Result<String> {
    let template = match frame {
        Frame::CloudConfig => "user-data/packed.yaml.j2",
        Frame::Script => "user-data/script.sh.j2",
    };
    let context = json!({"program": program.lines().collect::<Vec<_>>(), "end": END});
    Ok(compact(&template::render(template, context)?))
}

/// Leaves out the comments of the frame; the first line is one that decides everything.
fn compact(text: &str) -> String {
    let kept = text.lines().enumerate().filter(|(number, line)| *number == 0 || !line.starts_with("# "));
    kept.map(|(_, line)| format!("{line}\n")).collect()
}
