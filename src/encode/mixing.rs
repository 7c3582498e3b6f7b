//! The model behind the packed form: how likely the next bit is a one, by all that the text has shown so far.
//!
//! Context mixing. Each of [`CONTEXTS`] looks up what it has seen at this point before: so many zeros, so many ones, the older
//! ones of the rarer kind forgotten. How often a one followed such a record is learnt for each context. All opinions are
//! summed up, with weights that are learnt from every bit, into one probability.
//!
//! The unpacker (`cloud-init/user-data/mixing.py.j2`) does the same in Python, and travels with the payload. Both count in whole
//! numbers only, so that every machine comes to the same text. What is changed here is changed there; the tests run one against
//! the other. A context more takes a twentieth more of the unpacker's time.

mod context;

pub use context::SIDES;

use context::Context;
use std::collections::HashMap;

/// The contexts: what of the text so far each looks at, in the letters of [`SIDES`]; the last looks at nothing. Found by search,
/// on the largest of the embedded profiles.
pub const CONTEXTS: &str = "abc w xB a 4xB awlQ xjmC wp aJ abp abx 2mPQ wq4 wBPQ 4C w6 2BQ 4lQ BQ aq6C wQ ";
/// Probabilities are parts of so many.
pub const ONE: u64 = 1 << 16;
/// The power of two that is the number of places for records, of all contexts together, a byte each. With fewer, contexts
/// disturb each other.
pub const PLACES: u32 = 26;

const MODULUS: u128 = (1 << 61) - 1;
const MULTIPLIER: u128 = 7u128.pow(20);
/// The longest run that a record counts: with it, records have numbers of one byte.
pub const RUN: usize = 41;
/// Weights are parts of so many.
const WEIGHT: i64 = 1 << 16;
const SCALE: f64 = 256.0;
const LIMIT: i64 = 2303;

/// Mixes `value` into `seed`.
fn hash(seed: u64, value: u64) -> u64 {
    ((u128::from(seed) + u128::from(value)) * MULTIPLIER % MODULUS) as u64
}

/// ln(p / (1 - p)) for a probability of `step` and a half parts of 4,096.
fn stretch(step: usize) -> f64 {
    SCALE * ((step as f64 + 0.5) / (4095.5 - step as f64)).ln()
}

/// The inverse, in parts of [`ONE`].
fn squash(value: i64) -> f64 {
    ONE as f64 / (1.0 + (-value as f64 / SCALE).exp())
}

/// [`CONTEXTS`] as the unpacker reads them: the sides numbered from `a` on.
pub fn numbered() -> String {
    let number = |letter| SIDES.find(letter).map_or(letter, |place| char::from(b'a' + place as u8));
    CONTEXTS.chars().map(number).collect()
}

/// What every opinion weighs at first: all together a little more than one.
pub fn first_weight() -> i64 {
    WEIGHT * 4 / 3 / CONTEXTS.split(' ').count() as i64
}

/// The model, and where it stands in the text.
pub struct Model {
    context: Context,
    sets: Vec<Vec<usize>>,
    stretch: Vec<i64>,
    squash: Vec<u64>,
    next: [Vec<u8>; 2],
    places: Vec<u8>,
    /// For each context and record: how likely a one is, in parts of 2^22.
    odds: Vec<Vec<i64>>,
    /// Weights by the bits of this byte, and by the last two tokens.
    by_bits: Vec<Vec<i64>>,
    by_tokens: Vec<Vec<i64>>,
    tokens: HashMap<u64, usize>,
    /// Of the present byte: the contexts' first places, the bits that are known with a one before them, its tokens' weights.
    bases: Vec<usize>,
    bits: usize,
    width: u32,
    weights: usize,
    length: i64,
    /// Of the present bit.
    records: Vec<usize>,
    inputs: Vec<i64>,
    likely: u64,
}

impl Model {
    /// Before the first byte, of which `width` bits are told.
    pub fn new(width: u32) -> Self {
        let sets: Vec<Vec<usize>> = CONTEXTS
            .split(' ')
            .map(|letters| letters.chars().map(|letter| SIDES.find(letter).expect("a side")).collect())
            .collect();
        let count = sets.len();
        let records = (0..=RUN).flat_map(|zeros| (0..=RUN).map(move |ones| (zeros, ones)));
        let records: Vec<_> = records.filter(|(zeros, ones)| zeros.min(ones) < &3).collect();
        let number = |record| records.iter().position(|known| *known == record).expect("a record") as u8;
        let zero = records.iter().map(|(zeros, ones)| number(((zeros + 1).min(RUN), (*ones).min(2)))).collect();
        let one = records.iter().map(|(zeros, ones)| number(((*zeros).min(2), (ones + 1).min(RUN)))).collect();
        let odd = |(zeros, ones): &(usize, usize)| (((2 * ones + 1) << 21) / (zeros + ones + 1)) as i64;
        let odds: Vec<_> = records.iter().map(odd).collect();
        let mut model = Self {
            context: Context::new(),
            sets,
            stretch: (0..4096).map(|step| stretch(step) as i64).collect(),
            squash: (-LIMIT..=LIMIT).map(|value| squash(value) as u64).collect(),
            next: [zero, one],
            places: vec![0; (1 << PLACES) + 256],
            odds: vec![odds; count],
            by_bits: vec![vec![first_weight(); count]; 256],
            by_tokens: Vec::new(),
            tokens: HashMap::new(),
            bases: vec![0; count],
            bits: 1,
            width,
            weights: 0,
            length: 0,
            records: vec![0; count],
            inputs: vec![0; count],
            likely: 0,
        };
        model.start_byte();
        model
    }

    fn start_byte(&mut self) {
        let sides = self.context.sides();
        for (number, (base, set)) in self.bases.iter_mut().zip(&self.sets).enumerate() {
            let seed = (number as u64) << 9;
            *base = set.iter().fold(seed, |seed, side| hash(seed, sides[*side])) as usize & ((1 << PLACES) - 1);
        }
        self.bits = 1;
        let next = self.by_tokens.len();
        self.weights = *self.tokens.entry(self.context.selector()).or_insert(next);
        if self.weights == next {
            self.by_tokens.push(vec![first_weight(); self.sets.len()]);
        }
    }

    /// How likely the next bit is a one, in parts of [`ONE`].
    pub fn predict(&mut self) -> u64 {
        let (by_bits, by_tokens) = (&self.by_bits[self.bits], &self.by_tokens[self.weights]);
        let mut sum = 0;
        for (context, base) in self.bases.iter().enumerate() {
            let record = usize::from(self.places[base + self.bits]);
            // What was never seen has no opinion.
            let input = if record == 0 { 0 } else { self.stretch[(self.odds[context][record] >> 10) as usize] };
            self.records[context] = record;
            self.inputs[context] = input;
            sum += input * (by_bits[context] + by_tokens[context]);
        }
        self.likely = self.squash[((sum >> 16).clamp(-LIMIT, LIMIT) + LIMIT) as usize];
        self.likely
    }

    /// Learns what the bit was.
    pub fn update(&mut self, bit: bool) {
        let y = usize::from(bit);
        // The first bytes teach more.
        let error = (((y as i64) << 16) - self.likely as i64) * (16 + 120_000 / (self.length + 1000));
        let (by_bits, by_tokens) = (&mut self.by_bits[self.bits], &mut self.by_tokens[self.weights]);
        for (context, base) in self.bases.iter().enumerate() {
            let change = (error * self.inputs[context]) >> 21;
            by_bits[context] += change;
            by_tokens[context] += change;
            let record = self.records[context];
            let odds = &mut self.odds[context][record];
            *odds += (((y as i64) << 22) - *odds) >> 8;
            self.places[base + self.bits] = self.next[y][record];
        }
        self.bits = self.bits << 1 | y;
        if self.bits >> self.width == 1 {
            self.context.push((self.bits - (1 << self.width)) as u8);
            self.length += 1;
            self.start_byte();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_table_depends_on_the_last_bit_of_a_fraction() {
        // Logarithms and powers may differ from machine to machine by some 2^-40 at most: none is so near to a whole number.
        let fractions = (0..4096).map(stretch).chain((-LIMIT..=LIMIT).filter(|value| *value != 0).map(squash));
        for fraction in fractions {
            assert!((fraction - fraction.round()).abs() > 1e-7, "{fraction}");
        }
        // This one is whole on every machine: the power is exactly one.
        assert_eq!(squash(0), 32768.0);
    }

    #[test]
    fn every_letter_has_its_side_and_every_record_its_byte() {
        assert!(CONTEXTS.chars().all(|letter| letter == ' ' || SIDES.contains(letter)));
        assert_eq!(numbered().split(' ').count(), CONTEXTS.split(' ').count());
        assert_eq!(numbered().split(' ').next(), Some("abc"));
        let model = Model::new(7);
        assert_eq!(model.next[0].len(), 243);
        // One zero, then a one: the unpacker knows the record under the same number.
        let number = |record: usize, bit: usize| usize::from(model.next[bit][record]);
        assert_eq!(number(0, 1), 1);
        assert_eq!(number(0, 0), 42);
        assert_eq!(number(number(0, 0), 1), 43);
    }
}
