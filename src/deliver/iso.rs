//! NoCloud seed as an ISO 9660 image with Joliet names: label CIDATA, the same bytes every time.
//!
//! ECMA-119 is the source of every offset here; Joliet's specification that of the second descriptor.

use anyhow::{Result, bail};
use std::path::Path;

const SECTOR: usize = 2048;
/// System area, the two descriptors and their terminator come before everything else.
const PRIMARY: usize = 16;
const JOLIET: usize = 17;
const TERMINATOR: usize = 18;
/// Path tables (little and big endian, primary and Joliet), then the two root directories, then the files.
const TABLES: usize = 19;
const ROOT: usize = 23;
const JOLIET_ROOT: usize = 24;
const FILES: usize = 25;
/// The label that cloud-init looks for.
const LABEL: &str = "CIDATA";

/// Builds the image. `files` are names (as cloud-init reads them) and contents.
pub fn image(files: &[(&str, &[u8])]) -> Result<Vec<u8>> {
    let mut names: Vec<_> = files.to_vec();
    names.sort_by_key(|(name, _)| name.to_ascii_uppercase());
    let mut sector = FILES;
    let mut entries = Vec::new();
    for (name, bytes) in &names {
        if name.len() > 27 || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') {
            bail!("a seed cannot hold a file called {name}");
        }
        entries.push((*name, sector, bytes.len()));
        sector += bytes.len().div_ceil(SECTOR).max(1);
    }
    let mut out = vec![0u8; sector * SECTOR];
    descriptor(&mut out[PRIMARY * SECTOR..][..SECTOR], sector, false);
    descriptor(&mut out[JOLIET * SECTOR..][..SECTOR], sector, true);
    out[TERMINATOR * SECTOR..][..7].copy_from_slice(b"\xffCD001\x01");
    for (number, root) in [ROOT, JOLIET_ROOT].into_iter().enumerate() {
        path_table(&mut out[(TABLES + 2 * number) * SECTOR..], (root as u32).to_le_bytes(), 1u16.to_le_bytes());
        path_table(&mut out[(TABLES + 2 * number + 1) * SECTOR..], (root as u32).to_be_bytes(), 1u16.to_be_bytes());
        let mut records = record(&[0], root, SECTOR, true);
        records.extend(record(&[1], root, SECTOR, true));
        for (name, start, length) in &entries {
            let id = if number == 0 { format!("{};1", name.to_ascii_uppercase()).into_bytes() } else { ucs2(name) };
            records.extend(record(&id, *start, *length, false));
        }
        if records.len() > SECTOR {
            bail!("a seed cannot hold so many files");
        }
        out[root * SECTOR..][..records.len()].copy_from_slice(&records);
    }
    for ((_, start, _), (_, bytes)) in entries.iter().zip(&names) {
        out[start * SECTOR..][..bytes.len()].copy_from_slice(bytes);
    }
    Ok(out)
}

/// Writes the seed to `path` or, for `-`, to standard output, readable by the owner alone, for user-data may hold secrets.
pub fn iso(path: &Path, files: &[(&str, &[u8])]) -> Result<()> {
    super::output(path, &image(files)?, 0o600)
}

fn ucs2(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// A number in both byte orders, as most fields want it.
fn both32(value: usize) -> Vec<u8> {
    [(value as u32).to_le_bytes(), (value as u32).to_be_bytes()].concat()
}

fn both16(value: u16) -> Vec<u8> {
    [value.to_le_bytes(), value.to_be_bytes()].concat()
}

/// A directory record (ECMA-119, 9.1). The date is 1 January 1980: an image has no clock.
fn record(id: &[u8], start: usize, length: usize, folder: bool) -> Vec<u8> {
    let mut record = vec![0, 0];
    record.extend(both32(start));
    record.extend(both32(length));
    record.extend([80, 1, 1, 0, 0, 0, 0]);
    record.extend([if folder { 2 } else { 0 }, 0, 0]);
    record.extend(both16(1));
    record.push(id.len() as u8);
    record.extend(id);
    if record.len() % 2 == 1 {
        record.push(0);
    }
    record[0] = record.len() as u8;
    record
}

/// A path table with the root alone (ECMA-119, 9.4).
fn path_table(out: &mut [u8], root: [u8; 4], parent: [u8; 2]) {
    out[..2].copy_from_slice(&[1, 0]);
    out[2..6].copy_from_slice(&root);
    out[6..8].copy_from_slice(&parent);
}

/// A volume descriptor (ECMA-119, 8.4 and 8.5).
fn descriptor(out: &mut [u8], sectors: usize, joliet: bool) {
    let text = |text: &str, bytes: usize| -> Vec<u8> {
        let mut field = if joliet { ucs2(text) } else { text.as_bytes().to_vec() };
        let blank: &[u8] = if joliet { &[0, b' '] } else { b" " };
        while field.len() + blank.len() <= bytes {
            field.extend(blank);
        }
        field.resize(bytes, 0);
        field
    };
    let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &[if joliet { 2 } else { 1 }]);
    put(1, b"CD001\x01");
    put(8, &text("", 32));
    put(40, &text(LABEL, 32));
    put(80, &both32(sectors));
    if joliet {
        // UCS-2 level 3.
        put(88, b"%/E");
    }
    put(120, &both16(1));
    put(124, &both16(1));
    put(128, &both16(SECTOR as u16));
    put(132, &both32(10));
    let tables = TABLES + if joliet { 2 } else { 0 };
    put(140, &(tables as u32).to_le_bytes());
    put(148, &((tables + 1) as u32).to_be_bytes());
    put(156, &record(&[0], if joliet { JOLIET_ROOT } else { ROOT }, SECTOR, true));
    for (at, bytes) in [(190, 128), (318, 128), (446, 128), (574, 128), (702, 37), (739, 37), (776, 37)] {
        put(at, &text("", bytes));
    }
    for at in [813, 830, 847, 864] {
        put(at, b"0000000000000000\0");
    }
    put(881, &[1]);
}
