//! Just enough DER to read a certificate's serial number and validity.

/// What the checks want to know of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The serial number in hexadecimal.
    pub serial: String,
    /// True when issuer and subject are the same.
    pub self_signed: bool,
    /// The last second of its validity, in seconds since 1970, where it can be read.
    pub not_after: Option<i64>,
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
    let (_, validity, rest) = element(rest)?;
    let (_, subject, _) = element(rest)?;
    Some(Facts {
        serial: serial.iter().map(|byte| format!("{byte:02x}")).collect(),
        self_signed: issuer == subject,
        not_after: element(validity).and_then(|(_, _, rest)| element(rest)).and_then(|(tag, text, _)| moment(tag, text)),
    })
}

/// UTCTime (two digits for the year: 1950 to 2049) or GeneralizedTime, both to the second and in UTC (RFC 5280, 4.1.2.5).
fn moment(tag: u8, text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        0x17 => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i64 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        0x18 => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    if rest.len() != 10 || !rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |at: usize| rest[at..at + 2].parse::<i64>().ok();
    let (month, day, hour, minute, second) = (part(0)?, part(2)?, part(4)?, part(6)?, part(8)?);
    // Days since 1970, with years that begin in March, so that a leap day is the last one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (month * 153 + 2) / 5 + day - 719_469;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
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
        assert_eq!(facts(&bytes), Some(Facts { serial: "01ff".into(), self_signed: true, not_after: None }));
        assert_eq!(facts(b""), None);
        assert_eq!(facts(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }

    #[test]
    fn the_end_of_validity_is_read_in_both_forms() {
        assert_eq!(moment(0x17, b"700101000000Z"), Some(0));
        assert_eq!(moment(0x17, b"261127091500Z"), Some(1_795_770_900));
        assert_eq!(moment(0x18, b"20500301000000Z"), Some(2_529_705_600));
        assert_eq!(moment(0x17, b"240229235959Z"), Some(1_709_251_199));
        for bad in [&b""[..], b"Z", b"261127091500", b"2611270915Z", b"26112709150xZ"] {
            assert_eq!(moment(0x17, bad), None);
        }
    }
}
