//! Just enough DER to read a certificate's serial number and validity.

/// What the checks want to know of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The serial number in hexadecimal.
    pub serial: String,
    /// True when issuer and subject are the same.
    pub self_signed: bool,
}

/// Reads one element: its tag, its content and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 || rest.len() < count {
            return None;
        }
        let (digits, rest) = rest.split_at(count);
        (digits.iter().fold(0usize, |sum, digit| (sum << 8) | usize::from(*digit)), rest)
    };
    (rest.len() >= length).then(|| (tag, &rest[..length], &rest[length..]))
}

/// Reads a certificate.
pub fn facts(certificate: &[u8]) -> Option<Facts> {
    let (_, certificate, _) = element(certificate)?;
    let (_, body, _) = element(certificate)?;
    let (tag, content, rest) = element(body)?;
    let (serial, rest) = if tag == 0xa0 {
        let (_, serial, rest) = element(rest)?;
        (serial, rest)
    } else {
        (content, rest)
    };
    let (_, _algorithm, rest) = element(rest)?;
    let (_, issuer, rest) = element(rest)?;
    let (_, _validity, rest) = element(rest)?;
    let (_, subject, _) = element(rest)?;
    Some(Facts {
        serial: serial.iter().map(|byte| format!("{byte:02x}")).collect(),
        self_signed: issuer == subject,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_read_and_noise_is_not() {
        // SEQUENCE { SEQUENCE { [0] {INTEGER 2}, INTEGER 0x01ff, SEQ, SEQ (issuer), SEQ (validity), SEQ (subject) } }
        let body = [
            0xa0, 0x03, 0x02, 0x01, 0x02, 0x02, 0x02, 0x01, 0xff, 0x30, 0x00, 0x30, 0x01, 0x41, 0x30, 0x00, 0x30, 0x01, 0x41,
        ];
        let mut bytes = vec![0x30, body.len() as u8 + 2, 0x30, body.len() as u8];
        bytes.extend(body);
        assert_eq!(facts(&bytes), Some(Facts { serial: "01ff".into(), self_signed: true }));
        assert_eq!(facts(b""), None);
        assert_eq!(facts(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
