//! From inner products and answers to scores.

use std::collections::BTreeSet;

use crate::error::{CryptoError, Result, expect_len};
use crate::ring::{Q, add, centre, mul, sub};
use crate::share::{Code, Differences, check_order, lagrange_at_zero};
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
/// leave out no more than `(n − t)/2`, so the search ends there: that many liars are outvoted whatever they say, and
/// decoding finds that subset without a search.
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
    let row = Row { inner, norm2s, delta, responders, answers };
    let code = Code::new(responders, t);
    let of_a_direction = |at: usize| answers.iter().skip(at).step_by(directions).copied();
    if let Some(off) = code.off_in_any((0..directions).map(of_a_direction)) {
        if let Some(opening) = row.open_without(&off, t)? {
            return Ok(opening);
        }
        if off.is_empty() {
            // They agree with each other: every subset gives the same value.
            return Err(CryptoError::NoSubset { tried: 1 });
        }
    }
    row.search(t, code.outvoted())
}

/// What there is about one participant.
struct Row<'a> {
    inner: &'a [u64],
    norm2s: &'a [u64],
    delta: u64,
    responders: &'a [u16],
    answers: &'a [u64],
}

impl Row<'_> {
    /// What the first t of the others open to, if their residuals hold.
    fn open_without(&self, off: &BTreeSet<usize>, t: usize) -> Result<Option<ScoreOpening>> {
        let subset: Vec<usize> = (0..self.responders.len()).filter(|k| !off.contains(k)).take(t).collect();
        let weights = lagrange_at_zero(&self.named(&subset))?;
        let scores = self.scores(&self.masks(&subset, weights));
        let off = off.iter().map(|&k| self.responders[k]).collect();
        Ok(scores.map(|scores| ScoreOpening { scores, subset: self.named(&subset), off }))
    }

    /// The subsets one after another.
    fn search(&self, t: usize, outvoted: usize) -> Result<ScoreOpening> {
        let differences = Differences::new(self.responders);
        let masks = |subset: &[usize]| self.masks(subset, differences.weights(subset));
        // One that lies on the subset's polynomials may take a member's place without changing the value at zero, and
        // only such a one may: its weight is not zero.
        let consistent = |k: usize, subset: &[usize], found: &[u64]| {
            let mut exchanged = subset.to_vec();
            exchanged[0] = k;
            subset.contains(&k) || masks(&exchanged) == found
        };
        let (mut tried, mut best) = (0, None::<ScoreOpening>);
        for subset in Subsets::new(self.responders.len(), t).take(SUBSETS_MAX as usize) {
            tried += 1;
            let found = masks(&subset);
            let Some(scores) = self.scores(&found) else { continue };
            let off: Vec<usize> = (0..self.responders.len()).filter(|&k| !consistent(k, &subset, &found)).collect();
            let deviate = off.len();
            if best.as_ref().is_none_or(|best| deviate < best.off.len()) {
                best = Some(ScoreOpening { scores, subset: self.named(&subset), off: self.named(&off) });
            }
            if deviate <= outvoted {
                break;
            }
        }
        best.ok_or(CryptoError::NoSubset { tried })
    }

    /// What a subset says the mask of each inner product is: `Σ λ_k y_k`.
    fn masks(&self, subset: &[usize], weights: Vec<u64>) -> Vec<u64> {
        let directions = self.inner.len();
        let mut masks = vec![0; directions];
        for (weight, &k) in weights.into_iter().zip(subset) {
            let row = &self.answers[k * directions..(k + 1) * directions];
            masks.iter_mut().zip(row).for_each(|(m, &y)| *m = add(*m, mul(weight, y)));
        }
        masks
    }

    fn scores(&self, masks: &[u64]) -> Option<Vec<i64>> {
        let words = self.inner.iter().zip(masks).zip(self.norm2s);
        words.map(|((&c, &mask), &norm2)| open_word(sub(c, mask), self.delta, norm2)).collect()
    }

    fn named(&self, positions: &[usize]) -> Vec<u16> {
        positions.iter().map(|&k| self.responders[k]).collect()
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
