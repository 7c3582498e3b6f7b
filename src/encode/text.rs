//! Digits to base 89, in characters that nothing on the way takes for its own.

/// What no digit is, beside the space: what shells and Python read into a text, and what a template begins with.
pub const AVOIDED: &[u8] = b"$'\\`{";
/// The base: every other character that ASCII prints.
pub const BASE: u64 = 89;

/// `digits` as text: in ASCII's order.
pub fn text(digits: impl IntoIterator<Item = u8>) -> String {
    let alphabet: Vec<char> = (b'!'..=b'~').filter(|character| !AVOIDED.contains(character)).map(char::from).collect();
    digits.into_iter().map(|digit| alphabet[usize::from(digit)]).collect()
}

/// The number that `data` is, its first byte the highest, in digits.
pub fn number(data: &[u8]) -> String {
    // Four digits to a limb, the lowest first.
    const LIMB: u64 = BASE.pow(4);
    let mut limbs: Vec<u64> = Vec::new();
    let (first, rest) = data.split_at(data.len() % 4);
    for bytes in std::iter::once(first).chain(rest.chunks(4)) {
        let mut carry = bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        for limb in &mut limbs {
            carry += *limb << 32;
            *limb = carry % LIMB;
            carry /= LIMB;
        }
        while carry != 0 {
            limbs.push(carry % LIMB);
            carry /= LIMB;
        }
    }
    let digits = limbs.iter().rev().flat_map(|limb| (0..4).rev().map(move |place| (limb / BASE.pow(place) % BASE) as u8));
    text(digits.skip_while(|digit| *digit == 0))
}

/// The other way: the bytes of [`number`], without those in front that are nought; nothing where a character is no digit.
pub fn bytes(digits: &str) -> Option<Vec<u8>> {
    let alphabet = text(0..BASE as u8);
    // Four bytes to a limb, the lowest first.
    let mut limbs: Vec<u64> = Vec::new();
    for digit in digits.chars() {
        let mut carry = alphabet.find(digit)? as u64;
        for limb in &mut limbs {
            carry += *limb * BASE;
            *limb = carry & 0xffff_ffff;
            carry >>= 32;
        }
        if carry != 0 {
            limbs.push(carry);
        }
    }
    Some(limbs.iter().rev().flat_map(|limb| (*limb as u32).to_be_bytes()).skip_while(|byte| *byte == 0).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_in_the_digits_that_nothing_reads_anything_into() {
        assert_eq!(text(0..89).len(), BASE as usize);
        assert!(text(0..89).bytes().all(|digit| digit.is_ascii_graphic() && !AVOIDED.contains(&digit)));
        assert_eq!(number(b""), "");
        assert_eq!(number(&[0, 0, 88]), "~");
        assert_eq!(number(&[89]), "\"!");
        for data in [&b""[..], &[88], &[1, 0, 0, 0, 0], b"any text that is longer than a limb"] {
            assert_eq!(bytes(&number(data)).as_deref(), Some(data));
        }
        assert_eq!(bytes("a b"), None);
        assert_eq!(number(&(u32::MAX).to_be_bytes()), text([68, 40, 37, 34, 44]));
    }
}
