//! A range coder whose output is digits of text: with the model's probabilities, each digit is used to the full.

use super::mixing::{Model, ONE};
use super::text::{BASE, text};
use sha2::{Digest, Sha256};

/// The range has at least so many steps; a probability never rounds to nothing.
const LEAST: u64 = 1 << 32;
/// `low` is told in so many digits: the range never has more.
const WINDOW: u32 = 6;

/// The interval that the text so far has narrowed the whole to: it begins with `digits`, goes on with `low`, and is `range` wide.
struct Interval {
    digits: Vec<u8>,
    low: u64,
    range: u64,
}

impl Interval {
    /// One digit more.
    fn shift(&mut self) {
        let top = BASE.pow(WINDOW - 1);
        self.digits.push((self.low / top) as u8);
        self.low = self.low % top * BASE;
        self.range *= BASE;
    }

    fn add(&mut self, steps: u64) {
        self.low += steps;
        let whole = BASE.pow(WINDOW);
        if self.low >= whole {
            self.low -= whole;
            // One more, as in school: nines become noughts.
            for digit in self.digits.iter_mut().rev() {
                *digit += 1;
                if u64::from(*digit) < BASE {
                    break;
                }
                *digit = 0;
            }
        }
    }

    fn narrow(&mut self, likely: u64, bit: bool) {
        let one = (self.range >> 16) * likely;
        if bit {
            self.range = one;
        } else {
            self.add(one);
            self.range -= one;
        }
        while self.range < LEAST {
            self.shift();
        }
    }

    /// The digits of the shortest number within; what is missing at its end is noughts.
    fn finish(mut self) -> Vec<u8> {
        let step = (0..WINDOW).map(|power| BASE.pow(power)).take_while(|step| *step <= self.range).last().unwrap_or(1);
        self.add((step - self.low % step) % step);
        self.range = 0;
        for _ in 0..WINDOW {
            self.shift();
        }
        let end = self.digits.iter().rposition(|digit| *digit != 0).map_or(0, |last| last + 1);
        self.digits.truncate(end);
        self.digits
    }
}

/// Bits of a byte that are told: the highest is always zero in ASCII.
pub fn width(data: &[u8]) -> u32 {
    if data.is_ascii() { 7 } else { 8 }
}

fn bits(byte: u8, width: u32) -> impl Iterator<Item = bool> {
    (0..width).rev().map(move |place| byte >> place & 1 == 1)
}

/// `data` as text.
pub fn encode(data: &[u8]) -> String {
    let width = width(data);
    let mut model = Model::new(width);
    // The number is less than one: its first digit, before the point, is a nought.
    let mut interval = Interval { digits: Vec::new(), low: 0, range: BASE.pow(WINDOW - 1) };
    for bit in data.iter().flat_map(|byte| bits(*byte, width)) {
        interval.narrow(model.predict(), bit);
        model.update(bit);
    }
    text(interval.finish().into_iter().skip(1))
}

/// The other way, for at most `most` bytes: `whole` says of the sum so far, after each NUL, whether that is all.
pub fn decode(digits: &str, most: usize, whole: impl Fn(Sha256) -> bool) -> Option<Vec<u8>> {
    [7, 8].into_iter().find_map(|width| {
        let mut decoder = Decoder::new(digits, width);
        let (mut out, mut sum) = (Vec::new(), Sha256::new());
        while out.len() < most && decoder.is_within() {
            let byte = decoder.byte()?;
            out.push(byte);
            sum.update([byte]);
            if byte == 0 && whole(sum.clone()) {
                return Some(out);
            }
        }
        None
    })
}

/// What the unpacker does, in Rust.
struct Decoder<'a> {
    digits: std::str::Chars<'a>,
    alphabet: String,
    model: Model,
    width: u32,
    number: u64,
    range: u64,
    /// Noughts that were read behind the end.
    behind: u32,
}

impl<'a> Decoder<'a> {
    fn new(digits: &'a str, width: u32) -> Self {
        Self { digits: digits.chars(), alphabet: text(0..BASE as u8), model: Model::new(width), width, number: 0, range: 1, behind: 0 }
    }

    /// The last digits are told by what follows: noughts, as many as the range has digits.
    fn is_within(&self) -> bool {
        self.behind <= 2 * WINDOW
    }

    /// `None`: there is something that is no digit.
    fn bit(&mut self) -> Option<u8> {
        while self.range < LEAST {
            self.range *= BASE;
            let digit = match self.digits.next() {
                Some(character) => self.alphabet.find(character)? as u64,
                None => {
                    self.behind += 1;
                    0
                }
            };
            self.number = self.number * BASE + digit;
        }
        let one = (self.range >> 16) * self.model.predict();
        let bit = self.number < one;
        if bit {
            self.range = one;
        } else {
            self.number -= one;
            self.range -= one;
        }
        self.model.update(bit);
        Some(u8::from(bit))
    }

    fn byte(&mut self) -> Option<u8> {
        let mut byte = 0;
        for _ in 0..self.width {
            byte = byte << 1 | self.bit()?;
        }
        Some(byte)
    }
}

/// How many digits each byte of `data` takes, in its place.
pub fn costs(data: &[u8]) -> Vec<f64> {
    let width = width(data);
    let mut model = Model::new(width);
    let mut cost = |bit: bool| {
        let one = model.predict();
        model.update(bit);
        -((if bit { one } else { ONE - one }) as f64 / ONE as f64).log(BASE as f64)
    };
    data.iter().map(|byte| bits(*byte, width).map(&mut cost).sum()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(digits: &str, size: usize, width: u32) -> Vec<u8> {
        let mut decoder = Decoder::new(digits, width);
        (0..size).map(|_| decoder.byte().expect("digits alone")).collect()
    }

    fn round(data: &[u8]) -> String {
        let digits = encode(data);
        assert!(decode(&digits, data.len(), width(data)) == data, "{data:?} comes back as another");
        digits
    }

    #[test]
    fn what_is_written_is_read_and_the_same_every_time() {
        assert_eq!(encode(b""), "");
        let words = b"the same words, and the same words again, and again the same words\n".repeat(20);
        let digits = round(&words);
        assert!(digits.len() < 90, "{}", digits.len());
        assert_eq!(digits, encode(&words));
        // On every machine.
        assert_eq!(encode(b"for name in names:\n    print(name)\n"), "4Mo>PHNxGud.)1bR;w1hrNm+InY^o");
        round(&[0; 3000]);
        round(&[255; 3000]);
        round(&(0..=255).collect::<Vec<u8>>());
        round("Ünïcödé \u{2028} 日本語 🦀\r\n".repeat(9).as_bytes());
    }

    #[test]
    fn costs_add_up_to_the_whole() {
        let data = include_bytes!("digits.rs");
        let (digits, costs) = (encode(data).len() as f64, costs(data).iter().sum::<f64>());
        assert!((digits - costs).abs() < 3.0, "{digits} digits, {costs} told");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        #[test]
        fn bytes_come_back(data in proptest::collection::vec(any::<u8>(), 0..600)) {
            round(&data);
        }

        #[test]
        fn text_comes_back(data in "[ -~\n\t]{0,300}(\\(\\{\"[a-z]{1,9}\": '\\w+'\\}\\)\n){0,30}") {
            round(data.as_bytes());
        }
    }
}
