//! Answers about one secret are the values of one polynomial of degree below t: a Reed–Solomon codeword. Up to half of
//! what there is beyond t may be lies, and are found whoever tells them, without trying subsets.

use std::collections::BTreeSet;

use super::point;
use crate::ring::{add, invert, invert_all, mul, sub};

/// The code of a set of responders: words `P(x_k)` with `Σ v_k·x_k^j·P(x_k) = 0` for every `j < n − t`,
/// `v_k = 1 / Π_{l≠k} (x_k − x_l)`.
#[derive(Debug)]
pub(crate) struct Code {
    points: Vec<u64>,
    weights: Vec<u64>,
    redundancy: usize,
}

impl Code {
    /// For at least `t` members already checked to differ.
    pub(crate) fn new(members: &[u16], t: usize) -> Self {
        let points: Vec<u64> = members.iter().map(|&k| point(k)).collect();
        let others = |&k: &u64| points.iter().filter(|&&l| l != k).fold(1, |product, &l| mul(product, sub(k, l)));
        let mut weights: Vec<u64> = points.iter().map(others).collect();
        invert_all(&mut weights);
        Self { redundancy: points.len() - t, points, weights }
    }

    /// How many liars are outvoted whatever they say.
    pub(crate) fn outvoted(&self) -> usize {
        self.redundancy / 2
    }

    /// Positions of those who are off in any of several words. `None`: there are more of them than can be told apart.
    pub(crate) fn off_in_any<W: Iterator<Item = u64>>(
        &self,
        all: impl IntoIterator<Item = W>,
    ) -> Option<BTreeSet<usize>> {
        let mut off = BTreeSet::new();
        for words in all {
            off.extend(self.off(words)?);
        }
        (off.len() <= self.outvoted()).then_some(off)
    }

    /// Positions, ascending, that no polynomial fits which fits all the others; `None` as above.
    fn off(&self, words: impl Iterator<Item = u64>) -> Option<Vec<usize>> {
        let syndromes = self.syndromes(words);
        if syndromes.iter().all(|&s| s == 0) {
            return Some(Vec::new());
        }
        let locator = shortest_recurrence(&syndromes);
        let liars = locator.len() - 1;
        let off: Vec<usize> = (0..self.points.len()).filter(|&k| vanishes(&locator, self.points[k])).collect();
        // A recurrence with as many roots among the points as it is long is made by errors at these points alone.
        (liars <= self.outvoted() && off.len() == liars).then_some(off)
    }

    fn syndromes(&self, words: impl Iterator<Item = u64>) -> Vec<u64> {
        let mut syndromes = vec![0; self.redundancy];
        for ((&x, &v), word) in self.points.iter().zip(&self.weights).zip(words) {
            let mut term = mul(v, word);
            for s in &mut syndromes {
                *s = add(*s, term);
                term = mul(term, x);
            }
        }
        syndromes
    }
}

/// Berlekamp and Massey: the shortest `c` with `c_0 = 1` and `Σ_i c_i·s_{j−i} = 0` wherever all terms are there. It has
/// one entry more than the recurrence is long, zeros at its end included.
fn shortest_recurrence(s: &[u64]) -> Vec<u64> {
    let (mut c, mut length) = (vec![1], 0);
    // The recurrence before the last change of length, by what it had failed, and how long ago.
    let (mut before, mut failed_by, mut ago) = (vec![1], 1, 1);
    for j in 0..s.len() {
        let wrong = c.iter().zip(s[..=j].iter().rev()).fold(0, |sum, (&c, &s)| add(sum, mul(c, s)));
        if wrong == 0 {
            ago += 1;
            continue;
        }
        let factor = mul(wrong, invert(failed_by));
        let mut next = c.clone();
        next.resize(next.len().max(before.len() + ago), 0);
        next[ago..].iter_mut().zip(&before).for_each(|(n, &b)| *n = sub(*n, mul(factor, b)));
        if 2 * length <= j {
            length = j + 1 - length;
            (before, failed_by, ago) = (c, wrong, 1);
        } else {
            ago += 1;
        }
        c = next;
    }
    c.resize(length + 1, 0);
    c
}

/// Whether `1/x` is a root: `Σ c_i·x^(L−i) = 0`.
fn vanishes(c: &[u64], x: u64) -> bool {
    c.iter().fold(0, |value, &c| add(mul(value, x), c)) == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::subsequence;

    use super::*;
    use crate::ring::Q;

    fn value(polynomial: &[u64], k: u16) -> u64 {
        polynomial.iter().rev().fold(0, |value, &c| add(mul(value, point(k)), c))
    }

    fn off(members: &[u16], t: usize, words: &[u64]) -> Option<Vec<usize>> {
        Code::new(members, t).off(words.iter().copied())
    }

    #[test]
    fn where_nothing_is_beyond_t_nobody_can_be_found() {
        assert_eq!(off(&[0, 1, 5], 3, &[7, 7, 9]), Some(vec![]));
        assert_eq!(off(&[0, 1, 5, 6], 3, &[7, 7, 9, 1]), None);
        assert_eq!(off(&[0, 1, 5], 1, &[7, 8, 7]), Some(vec![1]));
    }

    #[test]
    fn a_full_committee_has_ten_liars_found_at_its_beginning() {
        let members: Vec<u16> = (0..64).collect();
        let polynomial: Vec<u64> = (0..43).map(|i| Q - 1 - i * i).collect();
        let mut words: Vec<u64> = members.iter().map(|&k| value(&polynomial, k)).collect();
        words[..10].fill(1);
        assert_eq!(off(&members, 43, &words), Some((0..10).collect()));
        words[10] = 1;
        assert_eq!(off(&members, 43, &words), None);
    }

    proptest! {
        #[test]
        fn liars_are_found_as_long_as_they_are_few(
            members in subsequence((0u16..64).collect::<Vec<_>>(), 3..64),
            polynomial in prop::collection::vec(0..Q, 1..20),
            lies in prop::collection::btree_map(0usize..64, 1..Q, 0..12),
        ) {
            prop_assume!(polynomial.len() <= members.len());
            let lies: Vec<(usize, u64)> = lies.into_iter().filter(|(k, _)| *k < members.len()).collect();
            let mut words: Vec<u64> = members.iter().map(|&k| value(&polynomial, k)).collect();
            lies.iter().for_each(|&(k, lie)| words[k] = add(words[k], lie));
            let found = off(&members, polynomial.len(), &words);
            let outvoted = (members.len() - polynomial.len()) / 2;
            if lies.len() <= outvoted {
                prop_assert_eq!(found, Some(lies.into_iter().map(|(k, _)| k).collect()));
            } else if let Some(off) = found {
                // Another codeword is nearer than the one that was meant; never more than can be outvoted.
                prop_assert!(off.len() <= outvoted);
            }
        }
    }
}
