//! From inner products and answers to scores.

use crate::error::{CryptoError, Result, expect_len};
use crate::ring::{Q, add, centre, mul, sub};
use crate::share::{Differences, check_order};
use crate::subsets::{SUBSETS_MAX, Subsets};
use crate::sum::{residual_in_bounds, round};

/// The scores of one participant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoreOpening {
    /// One score per direction.
    pub scores: Vec<i64>,
    /// Committee indices whose answers opened them.
    pub subset: Vec<u16>,
    /// Responders whose answers do not lie on the polynomial of the subset: somebody, here or there, is wrong.
    pub off: Vec<u16>,
}

/// Opens the scores of one participant.
///
/// `inner` holds one finished inner product per direction, `norm2s` the directions' squared norms, `responders` the
/// committee indices that answered, ascending, and `answers` their rows, responders × directions.
///
/// Among the t-subsets, in lexicographic order, whose residuals hold for every direction, the one counts from whose
/// polynomials the fewest responders deviate, the first of equals. With `n` responders at most one subset's polynomials
/// leave out no more than `(n − t)/2`, so the search ends there: that many liars are outvoted whatever they say.
/// A residual alone would not do: a wrong subset passes it by chance too often when there are many to try.
pub fn open_score(
    inner: &[u64],
    responders: &[u16],
    answers: &[u64],
    t: usize,
    delta: u64,
    norm2s: &[u64],
) -> Result<ScoreOpening> {
    let directions = inner.len();
    expect_len("norms", norm2s.len(), directions)?;
    expect_len("score answers", answers.len(), responders.len() * directions)?;
    check_words("inner products", inner)?;
    check_words("score answers", answers)?;
    check_order(responders)?;
    crate::sum::check_scale(delta)?;
    if responders.len() < t || t == 0 {
        return Err(CryptoError::TooFewAnswers { needed: t.max(1), got: responders.len() });
    }
    let table = Table { responders, answers, directions, differences: Differences::new(responders) };
    let outvoted = (responders.len() - t) / 2;
    let (mut tried, mut best) = (0, None::<ScoreOpening>);
    for subset in Subsets::new(responders.len(), t).take(SUBSETS_MAX as usize) {
        tried += 1;
        let masks = table.masks(&subset);
        let words = inner.iter().zip(&masks).zip(norm2s);
        let open_one = |((&c, &mask), &norm2): ((&u64, &u64), &u64)| open_word(sub(c, mask), delta, norm2);
        let Some(scores) = words.map(open_one).collect() else {
            continue;
        };
        let off = table.off(&subset, &masks);
        let (found, fewest) = (off.len(), best.as_ref().map_or(usize::MAX, |b| b.off.len()));
        if found < fewest {
            best = Some(ScoreOpening { scores, subset: subset.into_iter().map(|k| responders[k]).collect(), off });
        }
        if found <= outvoted {
            break;
        }
    }
    best.ok_or(CryptoError::NoSubset { tried })
}

/// The answers about one participant.
struct Table<'a> {
    responders: &'a [u16],
    answers: &'a [u64],
    directions: usize,
    differences: Differences,
}

impl Table<'_> {
    /// What a subset says the mask of each inner product is: `Σ λ_k y_k`.
    fn masks(&self, subset: &[usize]) -> Vec<u64> {
        let mut masks = vec![0; self.directions];
        for (weight, &k) in self.differences.weights(subset).into_iter().zip(subset) {
            let row = &self.answers[k * self.directions..(k + 1) * self.directions];
            masks.iter_mut().zip(row).for_each(|(m, &y)| *m = add(*m, mul(weight, y)));
        }
        masks
    }

    /// Responders off the subset's polynomials. One that lies on them may take a member's place without changing the
    /// value at zero, and only such a one may: its weight is not zero.
    fn off(&self, subset: &[usize], masks: &[u64]) -> Vec<u16> {
        let consistent = |k: usize| {
            let mut exchanged = subset.to_vec();
            exchanged[0] = k;
            subset.contains(&k) || self.masks(&exchanged) == masks
        };
        let positions = 0..self.responders.len();
        positions.filter(|&k| !consistent(k)).map(|k| self.responders[k]).collect()
    }
}

/// The value under a masked word, if its residual and its size are within bounds.
fn open_word(word: u64, delta: u64, norm2: u64) -> Option<i64> {
    let (value, residual) = round(centre(word), delta);
    let largest = (Q - delta) / (2 * delta);
    (residual_in_bounds(residual, norm2.into()) && value.unsigned_abs() <= largest).then_some(value)
}

fn check_words(what: &'static str, words: &[u64]) -> Result<()> {
    match words.iter().position(|&w| w >= Q) {
        Some(position) => Err(CryptoError::WordOutOfRange { what, position }),
        None => Ok(()),
    }
}
