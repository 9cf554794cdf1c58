//! Random numbers by index: draw n depends on the seed and on n alone, so that any thread and any machine can take any
//! of them in any order (SplitMix64).

/// Mixed with the seed for each kind of draw, so that no kind repeats the numbers of another.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// An endless sequence of random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Draws {
    key: u64,
}

impl Draws {
    /// The draws of a seed for one purpose; other purposes get other numbers.
    pub(crate) const fn new(seed: u64, purpose: u64) -> Self {
        Self { key: mix(mix(seed.wrapping_add(STEP)) ^ purpose.wrapping_mul(STEP)) }
    }

    /// The number at a place, all 64 bits random.
    #[inline]
    pub(crate) const fn bits(self, place: u64) -> u64 {
        mix(self.key.wrapping_add(place.wrapping_mul(STEP)))
    }

    /// A number below `bound`, all equally likely up to the rounding of 64 bits; 0 where `bound` is 0.
    #[inline]
    pub(crate) const fn below(self, place: u64, bound: u64) -> u64 {
        ((self.bits(place) as u128 * bound as u128) >> 64) as u64
    }

    /// A number between 0 and 1, both exclusive.
    #[inline]
    pub(crate) fn uniform(self, place: u64) -> f64 {
        // 53 bits are what an f64 holds; the half keeps it off the ends.
        ((self.bits(place) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// An exponential number with mean 1.
    #[inline]
    pub(crate) fn exponential(self, place: u64) -> f64 {
        -self.uniform(place).ln()
    }

    /// The sum of `shape` exponential numbers, drawn at once: a gamma number, by the method of Marsaglia and Tsang
    /// (2000), which is exact for a shape of 1 and more.
    pub(crate) fn gamma(self, place: u64, shape: f64) -> f64 {
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        // Each attempt takes three numbers of a sequence of this draw; nearly every first attempt is accepted.
        let tries = Self::new(self.bits(place), 1);
        let mut at = 0;
        loop {
            let radius = (-2.0 * tries.uniform(at).ln()).sqrt();
            let normal = radius * (std::f64::consts::TAU * tries.uniform(at + 1)).cos();
            let v = (1.0 + c * normal).powi(3);
            if v > 0.0 && tries.uniform(at + 2).ln() < 0.5 * normal * normal + d * (1.0 - v + v.ln()) {
                return d * v;
            }
            at += 3;
        }
    }
}

const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean and variance.
    fn moments(values: &[f64]) -> (f64, f64) {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        (mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64)
    }

    #[test]
    fn exponential_numbers_have_mean_and_variance_one() {
        let values: Vec<f64> = (0..200_000).map(|place| Draws::new(42, 0).exponential(place)).collect();
        let (mean, variance) = moments(&values);
        assert!((mean - 1.0).abs() < 0.01 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        // A share of e⁻² lies above 2.
        let above = values.iter().filter(|value| **value > 2.0).count() as f64 / values.len() as f64;
        assert!((above - (-2.0f64).exp()).abs() < 0.005, "{above}");
    }

    #[test]
    fn gamma_numbers_have_their_shape_as_mean_and_variance() {
        for shape in [1.0, 4096.0] {
            let values: Vec<f64> = (0..50_000).map(|place| Draws::new(7, 3).gamma(place, shape)).collect();
            let (mean, variance) = moments(&values);
            assert!((mean / shape - 1.0).abs() < 0.02 && (variance / shape - 1.0).abs() < 0.05, "{mean} {variance}");
        }
    }

    #[test]
    fn numbers_below_a_bound_are_all_equally_likely() {
        let mut counts = [0u32; 10];
        (0..10_000).for_each(|place| counts[Draws::new(7, 3).below(place, 10) as usize] += 1);
        // 1,000 each; 150 is five standard deviations.
        assert!(counts.iter().all(|count| (850..1_150).contains(count)), "{counts:?}");
        assert_eq!(Draws::new(7, 3).below(1, 0), 0);
    }

    #[test]
    fn seeds_and_purposes_are_apart() {
        let row = |seed, purpose| (0..50).map(|place| Draws::new(seed, purpose).bits(place)).collect::<Vec<_>>();
        assert_eq!(row(1, 0), row(1, 0));
        let rows = [row(1, 0), row(2, 0), row(1, 1), row(1 + STEP, 0)];
        for (index, one) in rows.iter().enumerate() {
            assert!(rows[index + 1..].iter().all(|other| !one.iter().any(|number| other.contains(number))));
        }
    }
}
