//! Lagrange weights at zero over the members' points.

use super::point;
use crate::error::{CryptoError, Result};
use crate::ring::{invert, mul, sub};

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
    let everyone: Vec<usize> = (0..members.len()).collect();
    Ok(Differences::new(members).weights(&everyone))
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
        let quotient = |k: u16, l: u16| match k == l {
            true => 1,
            false => mul(point(l), invert(sub(point(l), point(k)))),
        };
        let pairs = members.iter().flat_map(|&k| members.iter().map(move |&l| quotient(k, l)));
        Self { size: members.len(), quotients: pairs.collect() }
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
