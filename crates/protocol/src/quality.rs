//! Quality of the updates of a round, steps 1 to 5 of the payment rule (docs/PROTOCOL.md, section 6).
//!
//! Input is what was opened: one integer per participant and direction. `-w_iv` is the first-order decrease of
//! validator v's loss by update i. Integers only, floor division, 256-bit intermediates; `RewardRule.sol` repeats it.

use alloy_primitives::{B256, U256};
use serde::{Deserialize, Serialize};

use crate::Error;

/// All of a validator's vote; quality and floor are in units of 2^-32.
pub const FULL_QUALITY: u64 = 1 << 32;
/// Bits of the promised stake, so that pot times a prefix of the fee weights fits 256 bits.
pub const STAKE_BITS: usize = 96;

/// A participant of A whose scores were opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub entity: B256,
    /// `a_i`, from the membership list, never self-declared.
    pub class: u16,
    /// `B_i`, the declared norm bound of its update.
    pub norm: u64,
    /// `w_iv`, one per judge.
    pub scores: Vec<i64>,
}

/// A validator whose direction was revealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judge {
    pub entity: B256,
    pub stake: u128,
    /// `‖g_v‖²`
    pub norm_squared: u64,
}

/// Whether the scores of a round decide anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scores {
    Valid,
    /// Validators of half the promised stake or more revealed nothing, or saw no improvement: nobody is paid.
    Void,
}

/// What the rule says of one candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// Its scalar is larger than the norm it declared allows: it leaves A.
    Oversize,
    /// Stake-weighted consensus of its share of the improvement.
    Quality(u128),
}

/// What a validator's vote came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// `Σ_i q_iv`
    pub agreed: u128,
    /// `S_v·Σ_i q_iv`: its weight in the fee.
    pub fee_weight: U256,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quality {
    pub scores: Scores,
    /// In the order of the candidates.
    pub standings: Vec<Standing>,
    /// In the order of the judges.
    pub votes: Vec<Vote>,
}

/// Steps 1 to 5 over the candidates. `promised_stake` counts every validator that promised, revealed or not.
pub fn quality(
    parameters: u32,
    promised_stake: u128,
    judges: &[Judge],
    candidates: &[Candidate],
) -> Result<Quality, Error> {
    check(parameters, promised_stake, judges, candidates)?;
    let oversize: Vec<bool> = candidates.iter().map(|candidate| is_oversize(candidate, judges)).collect();
    let rest: Vec<&Candidate> = candidates.iter().zip(&oversize).filter(|(_, out)| !**out).map(|(c, _)| c).collect();

    let mut consensus = Consensus::new(judges, rest.len());
    if let Some(median) = lower_median(&rest) {
        for (v, judge) in judges.iter().enumerate() {
            consensus.shares.push(shares(parameters, median, &rest, v, judge));
        }
    }
    let scores = consensus.scores(promised_stake);
    let mut qualities = consensus.qualities(scores).into_iter();
    let standing = |out| match out {
        true => Standing::Oversize,
        // `qualities` has one entry per candidate of the rest.
        false => Standing::Quality(qualities.next().unwrap_or(0)),
    };
    Ok(Quality { scores, standings: oversize.into_iter().map(standing).collect(), votes: consensus.votes(scores) })
}

fn check(parameters: u32, promised_stake: u128, judges: &[Judge], candidates: &[Candidate]) -> Result<(), Error> {
    if parameters == 0 {
        return Err(Error::Overflow("number of parameters"));
    }
    let revealed = judges.iter().try_fold(0u128, |sum, judge| sum.checked_add(judge.stake));
    if promised_stake >> STAKE_BITS != 0 || revealed.is_none_or(|revealed| revealed > promised_stake) {
        return Err(Error::Overflow("stake"));
    }
    match candidates.iter().find(|candidate| candidate.scores.len() != judges.len()) {
        Some(odd) => Err(Error::Length { what: "scores", have: odd.scores.len(), want: judges.len() }),
        None => Ok(()),
    }
}

/// `w² > B²·‖g‖²` cannot be of an update with `‖u‖ ≤ B`. A direction of its own legal entity proves it as well.
fn is_oversize(candidate: &Candidate, judges: &[Judge]) -> bool {
    candidate.scores.iter().zip(judges).any(|(score, judge)| {
        let magnitude = U256::from(score.unsigned_abs());
        magnitude * magnitude > bound_squared(candidate, judge)
    })
}

/// `B_i²·‖g_v‖²`: three 64-bit factors.
fn bound_squared(candidate: &Candidate, judge: &Judge) -> U256 {
    let norm = U256::from(candidate.norm);
    norm * norm * U256::from(judge.norm_squared)
}

fn lower_median(rest: &[&Candidate]) -> Option<u64> {
    let mut norms: Vec<u64> = rest.iter().map(|candidate| candidate.norm).collect();
    norms.sort_unstable();
    norms.get(norms.len().checked_sub(1)? / 2).copied()
}

/// Step 1: what is left of the improvement after one sigma of an update made without data, times the class, with a
/// norm above the median counted as the median.
fn gain(parameters: u32, median: u64, candidate: &Candidate, v: usize, judge: &Judge) -> U256 {
    if candidate.entity == judge.entity || candidate.norm == 0 {
        return U256::ZERO;
    }
    let sigma = (bound_squared(candidate, judge) / U256::from(parameters)).root(2);
    // The one cast that could lose a sign is taken apart: only a negative score is an improvement.
    let improvement = match candidate.scores[v] {
        score if score < 0 => U256::from(score.unsigned_abs()),
        _ => U256::ZERO,
    };
    let above = improvement.saturating_sub(sigma);
    // 64 + 16 + 64 bits.
    above * U256::from(candidate.class) * U256::from(candidate.norm.min(median)) / U256::from(candidate.norm)
}

/// Steps 1 to 3 for one validator: `p_iv`, or `None` if it abstains.
fn shares(parameters: u32, median: u64, rest: &[&Candidate], v: usize, judge: &Judge) -> Option<Vec<u64>> {
    let mut gains: Vec<U256> = rest.iter().map(|candidate| gain(parameters, median, candidate, v, judge)).collect();
    let mut sorted = gains.clone();
    sorted.sort_unstable();
    let middle = sorted[sorted.len() / 2];
    if middle.is_zero() {
        return None;
    }
    let cap = middle + middle;
    for gain in &mut gains {
        *gain = (*gain).min(cap);
    }
    let total: U256 = gains.iter().fold(U256::ZERO, |sum, gain| sum + gain);
    // A part of the total, so at most 2^32.
    Some(gains.into_iter().map(|gain| (gain * U256::from(FULL_QUALITY) / total).saturating_to()).collect())
}

/// Steps 4 and 5: what validators of more than half the active stake agree on.
struct Consensus<'a> {
    judges: &'a [Judge],
    candidates: usize,
    /// Per judge: `p_iv`, or `None`.
    shares: Vec<Option<Vec<u64>>>,
}

impl<'a> Consensus<'a> {
    fn new(judges: &'a [Judge], candidates: usize) -> Self {
        Self { judges, candidates, shares: Vec::with_capacity(judges.len()) }
    }

    fn active(&self) -> impl Iterator<Item = (u128, &Vec<u64>)> {
        self.judges.iter().zip(&self.shares).filter_map(|(judge, shares)| Some((judge.stake, shares.as_ref()?)))
    }

    fn active_stake(&self) -> u128 {
        self.active().map(|(stake, _)| stake).sum()
    }

    fn scores(&self, promised_stake: u128) -> Scores {
        // Below 2^97.
        if self.active_stake() * 2 <= promised_stake { Scores::Void } else { Scores::Valid }
    }

    /// `c_i`: the largest share that validators of more than half the active stake grant.
    fn agreed(&self, i: usize) -> u64 {
        let active_stake = self.active_stake();
        let granted = |p: u64| self.active().filter(|(_, shares)| shares[i] >= p).map(|(stake, _)| stake).sum::<u128>();
        let carried = |p: &u64| granted(*p) * 2 > active_stake;
        self.active().map(|(_, shares)| shares[i]).filter(carried).max().unwrap_or(0)
    }

    fn qualities(&self, scores: Scores) -> Vec<u128> {
        let quality = |i| {
            let agreed = self.agreed(i);
            let sum = self.active().map(|(stake, shares)| U256::from(stake) * U256::from(shares[i].min(agreed)));
            // A mean of values up to 2^32. Valid scores have active stake.
            (sum.fold(U256::ZERO, |a, b| a + b) / U256::from(self.active_stake())).saturating_to()
        };
        match scores {
            Scores::Valid => (0..self.candidates).map(quality).collect(),
            Scores::Void => vec![0; self.candidates],
        }
    }

    fn votes(&self, scores: Scores) -> Vec<Vote> {
        if scores == Scores::Void {
            return vec![Vote::default(); self.judges.len()];
        }
        let agreed: Vec<u64> = (0..self.candidates).map(|i| self.agreed(i)).collect();
        let vote = |(judge, shares): (&Judge, &Option<Vec<u64>>)| {
            let granted = shares.iter().flatten().zip(&agreed).map(|(p, c)| u128::from(*p.min(c))).sum();
            Vote { agreed: granted, fee_weight: U256::from(judge.stake) * U256::from(granted) }
        };
        self.judges.iter().zip(&self.shares).map(vote).collect()
    }
}

#[cfg(test)]
mod tests;
