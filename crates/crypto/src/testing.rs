//! A small federation in memory, for the tests of this crate.

use chacha20::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::encrypt::{Ciphertext, DATA_BLOCK_BYTES, Params, Secret, encrypt_update, noise_rng, update_digest};
use crate::matrix::EpochSeed;
use crate::ring::{Q, add};
use crate::score::{Direction, answer, finish_inner, inner_partial, linear_form};
use crate::share::{AnswerVec, ShareVec, deal, weighted_sum};
use crate::sum::{CheckSum, SumBlock, SumRule};

pub(crate) const UPDATE_MAX: u32 = 32_767;

pub(crate) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

pub(crate) fn secret(seed: u8) -> Secret {
    Secret::draw(&[seed; 32], &[1; 32], &[2; 32])
}

/// What the values of the updates look like.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Values {
    Random,
    AllMax,
    AllMin,
    Alternating,
}

pub(crate) const ALL_VALUES: [Values; 4] = [Values::Random, Values::AllMax, Values::AllMin, Values::Alternating];

impl Values {
    pub(crate) fn update(self, d: usize, max: u32, rng: &mut impl Rng) -> Vec<i32> {
        let max = max as i32;
        let mut one = |i: usize| match self {
            Values::Random => (rng.next_u32() % (2 * max as u32 + 1)) as i32 - max,
            Values::AllMax => max,
            Values::AllMin => -max,
            Values::Alternating if i.is_multiple_of(2) => max,
            Values::Alternating => -max,
        };
        (0..d).map(&mut one).collect()
    }
}

pub(crate) struct Participant {
    pub(crate) update: Vec<i32>,
    pub(crate) ciphertext: Ciphertext,
    pub(crate) shares: Vec<ShareVec>,
    pub(crate) weight: u16,
}

pub(crate) struct Federation {
    pub(crate) seed: EpochSeed,
    pub(crate) d: usize,
    pub(crate) t: usize,
    pub(crate) delta: u64,
    pub(crate) update_max: u32,
    pub(crate) participants: Vec<Participant>,
}

impl Federation {
    pub(crate) fn new(n: usize, d: usize, (m, t): (usize, usize), values: Values) -> Self {
        let seed = EpochSeed([9; 32]);
        let mut rng = rng(n as u64 * 1000 + d as u64);
        let weights: Vec<u16> = (0..n).map(|i| 1 + (i * 37 % 64) as u16).collect();
        let (w1, w2) = norms(&weights);
        // The rule of the design for small models, with σ_b = sqrt(16 + 16/12) < 4.17.
        let needed = 16.0 * 4.17 * (w2 as f64).sqrt().max(460.0);
        let delta = (needed as u64 + 1).next_power_of_two().max(1 << 17);
        let update_max = UPDATE_MAX.min(((Q - delta) / (2 * w1 * delta)) as u32);
        let params = Params::new(delta, update_max).unwrap();
        let participants = weights.into_iter().map(|weight| {
            let update = values.update(d, update_max, &mut rng);
            let mut os = [0; 32];
            rng.fill_bytes(&mut os);
            let digest = update_digest(&update);
            let secret = Secret::draw(&os, &[0; 32], &digest);
            let shares = deal(&secret, m, t, &mut rng).unwrap();
            let mut noise = noise_rng(&os, &[0; 32], &digest);
            let ciphertext = encrypt_update(&seed, secret, &update, &params, &mut noise).unwrap();
            Participant { update, ciphertext, shares, weight }
        });
        let participants = participants.collect();
        Self { seed, d, t, delta, update_max, participants }
    }

    pub(crate) fn rule(&self) -> SumRule {
        let weights: Vec<u16> = self.participants.iter().map(|p| p.weight).collect();
        let (weight, weight_norm2) = norms(&weights);
        SumRule { weight, weight_norm2, delta: self.delta, update_max: self.update_max }
    }

    pub(crate) fn data_sums(&self) -> Vec<SumBlock> {
        let blocks = self.d.div_ceil(2048);
        let mut sums = vec![SumBlock::new(); blocks];
        for p in &self.participants {
            for (sum, block) in sums.iter_mut().zip(p.ciphertext.data.chunks(DATA_BLOCK_BYTES)) {
                sum.add(block, p.weight).unwrap();
            }
        }
        sums
    }

    pub(crate) fn check_sum(&self) -> CheckSum {
        let mut sum = CheckSum::new();
        for p in &self.participants {
            sum.add(&p.ciphertext.check, p.weight).unwrap();
        }
        sum
    }

    /// `T_k` of a member.
    pub(crate) fn answer(&self, member: u16) -> AnswerVec {
        let held: Vec<_> = (self.participants.iter()).map(|p| (p.weight, &p.shares[usize::from(member)])).collect();
        weighted_sum(&held)
    }

    pub(crate) fn expected_sum(&self) -> Vec<i64> {
        let mut sum = vec![0; self.d];
        for p in &self.participants {
            for (s, &u) in sum.iter_mut().zip(&p.update) {
                *s += i64::from(u) * i64::from(p.weight);
            }
        }
        sum
    }

    /// Finished inner products of one participant.
    pub(crate) fn inner(&self, i: usize, directions: &[Direction]) -> Vec<u64> {
        let data = &self.participants[i].ciphertext.data;
        let one = |g: &Direction| {
            let partials = data.chunks(DATA_BLOCK_BYTES).enumerate();
            let raw = partials.fold(0, |s, (j, b)| add(s, inner_partial(b, g.block(j)).unwrap()));
            finish_inner(raw, g)
        };
        directions.iter().map(one).collect()
    }

    /// Rows of answers of the first `responders` members about one participant.
    pub(crate) fn score_answers(&self, i: usize, responders: usize, directions: &[Direction]) -> Vec<u64> {
        let forms: Vec<_> = directions.iter().map(|g| linear_form(&self.seed, g)).collect();
        let shares = &self.participants[i].shares[..responders];
        shares.iter().flat_map(|s| forms.iter().map(|l| answer(s, l))).collect()
    }

    pub(crate) fn expected_scores(&self, i: usize, directions: &[Direction]) -> Vec<i64> {
        let product = |g: &Direction| {
            let terms = self.participants[i].update.iter().zip(g.0);
            terms.map(|(&u, &g)| i64::from(u) * i64::from(g)).sum()
        };
        directions.iter().map(product).collect()
    }
}

fn norms(weights: &[u16]) -> (u64, u64) {
    let w1 = weights.iter().map(|&w| u64::from(w)).sum();
    let w2 = weights.iter().map(|&w| u64::from(w).pow(2)).sum();
    (w1, w2)
}
