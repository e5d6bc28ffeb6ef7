//! Lagrange weights at zero over the members' points.

use super::point;
use crate::error::{CryptoError, Result};
use crate::ring::{invert_all, mul, sub};

/// Refuses members that are not ascending, each once.
pub(crate) fn check_order(members: &[u16]) -> Result<()> {
    match members.windows(2).find(|w| w[0] >= w[1]) {
        Some(w) => Err(CryptoError::MemberOrder { member: w[1] }),
        None => Ok(()),
    }
}

/// `λ_k = Π_{l≠k} x_l / (x_l − x_k)` for ascending members: `P(0) = Σ λ_k P(x_k)` for every P of lower degree.
pub fn lagrange_at_zero(members: &[u16]) -> Result<Vec<u64>> {
    check_order(members)?;
    let points: Vec<u64> = members.iter().map(|&k| point(k)).collect();
    let product = points.iter().fold(1, |product, &x| mul(product, x));
    // `x_k · Π_{l≠k} (x_l − x_k)`
    let below = |&k: &u64| points.iter().filter(|&&l| l != k).fold(k, |product, &l| mul(product, sub(l, k)));
    let mut weights: Vec<u64> = points.iter().map(below).collect();
    invert_all(&mut weights);
    weights.iter_mut().for_each(|w| *w = mul(*w, product));
    Ok(weights)
}

/// The quotients `x_l / (x_l − x_k)` of all pairs, so that trying many subsets takes no further inversion.
#[derive(Debug)]
pub(crate) struct Differences {
    size: usize,
    quotients: Vec<u64>,
}

impl Differences {
    /// For members already checked to differ.
    pub(crate) fn new(members: &[u16]) -> Self {
        let pairs = || members.iter().flat_map(|&k| members.iter().map(move |&l| (point(k), point(l))));
        let difference = |(k, l)| if k == l { l } else { sub(l, k) };
        let mut quotients: Vec<u64> = pairs().map(difference).collect();
        invert_all(&mut quotients);
        quotients.iter_mut().zip(pairs()).for_each(|(q, (_, l))| *q = mul(*q, l));
        Self { size: members.len(), quotients }
    }

    /// Weights of a subset, given by positions in the list of members.
    pub(crate) fn weights(&self, subset: &[usize]) -> Vec<u64> {
        let weight = |&k: &usize| {
            let row = &self.quotients[k * self.size..(k + 1) * self.size];
            subset.iter().fold(1, |w, &l| mul(w, row[l]))
        };
        subset.iter().map(weight).collect()
    }
}
