//! Base 85 in an alphabet that no shell, template language or markup reads anything into.
//!
//! Python's `base64.b85decode` does the work on the machine; its characters `$ { } % & <` and the
//! back quote are written as others, which one `translate` undoes.

/// Python's alphabet (RFC 1924's order).
const PYTHON: &[u8; 85] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";
const AVOIDED: &[u8] = b"${}%&`<";
const INSTEAD: &[u8] = b".,/:[]\"";

/// The argument of Python's `str.translate` that restores Python's alphabet, by numbers: as text it
/// would hold the very characters that are avoided.
pub fn python_table() -> String {
    let pairs: Vec<_> = INSTEAD.iter().zip(AVOIDED).map(|(from, to)| format!("{from}:{to}")).collect();
    format!("{{{}}}", pairs.join(","))
}

/// Encodes `data`, five characters for four bytes.
pub fn encode(data: &[u8]) -> String {
    let mut out = Vec::with_capacity(data.len().div_ceil(4) * 5);
    for chunk in data.chunks(4) {
        let mut word = [0u8; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        let mut value = u32::from_be_bytes(word);
        let mut digits = [0u8; 5];
        for digit in digits.iter_mut().rev() {
            *digit = PYTHON[(value % 85) as usize];
            value /= 85;
        }
        // A short last group leaves out as many characters as it lacks bytes.
        out.extend_from_slice(&digits[..chunk.len() + 1]);
    }
    for byte in &mut out {
        if let Some(place) = AVOIDED.iter().position(|avoided| avoided == byte) {
            *byte = INSTEAD[place];
        }
    }
    out.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_python_s() {
        // python3 -c 'import base64; print(base64.b85encode(b"hello world"))', with the seven characters exchanged
        assert_eq!(encode(b"hello world"), "Xk~0,Zy\"MXa:^M");
        assert_eq!(encode(b""), "");
        assert_eq!(encode(&(40..60).collect::<Vec<u8>>()), "C@Cr,EG;fCFflSSG[MFiI5|2y");
        assert_eq!(encode(&[0xff]), ",,");
        assert!(encode(&(0..=255).collect::<Vec<u8>>()).bytes().all(|byte| !AVOIDED.contains(&byte)));
    }
}
