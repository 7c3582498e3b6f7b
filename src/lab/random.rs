//! A small seeded generator: the moments of power cuts must be repeatable from the seed that was printed.

/// SplitMix64.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A generator that gives the same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// A seed that differs from run to run.
    pub fn fresh_seed() -> u64 {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Random(now.as_nanos() as u64 ^ u64::from(std::process::id())).next_u64() % 1_000_000
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in [0, 1).
    pub fn fraction(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// `count` moments between 0 and 1, one at random in each equal slice, in random order:
/// the whole window is covered however small the count.
pub fn moments(seed: u64, count: usize) -> Vec<f64> {
    let mut random = Random::new(seed);
    let mut moments: Vec<f64> = (0..count).map(|slice| (slice as f64 + random.fraction()) / count as f64).collect();
    for index in (1..moments.len()).rev() {
        let other = (random.next_u64() % (index as u64 + 1)) as usize;
        moments.swap(index, other);
    }
    moments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_repeat_and_cover_the_window() {
        assert_eq!(moments(7, 10), moments(7, 10));
        assert_ne!(moments(7, 10), moments(8, 10));
        let mut sorted = moments(3, 4);
        sorted.sort_by(f64::total_cmp);
        for (slice, moment) in sorted.iter().enumerate() {
            assert!((slice as f64 / 4.0..(slice as f64 + 1.0) / 4.0).contains(moment));
        }
    }
}
