//! Who may serve on a committee; how many of it may be faulty, and how many must answer.

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::SolValue;
use serde::{Deserialize, Serialize};

use crate::Error;

/// With fewer no sum may be opened at all (`N_min` is at least three), so no round can be useful.
pub const MIN_COMMITTEE: usize = 3;
/// Of more members than this a [`Sample`] serves; the contract holds the same limit.
pub const MAX_COMMITTEE: usize = 64;
/// How many a sample has on average. Three quarters, so that it is rare that more are drawn than there is room for.
const DRAWN: u64 = 48;

/// Who may serve in one round of a federation that has more members than a committee holds. Every member has a lot that
/// nobody chose, and those below a limit may serve: known of one member alone, as the contract has to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    beacon: B256,
    federation: u64,
    round: u64,
    limit: U256,
}

impl Sample {
    /// `None` where everybody may serve. The beacon is that of the round's epoch.
    pub fn of(members: usize, beacon: B256, federation: u64, round: u64) -> Option<Self> {
        let limit = || (U256::MAX / U256::from(members)) * U256::from(DRAWN);
        (members > MAX_COMMITTEE).then(|| Self { beacon, federation, round, limit: limit() })
    }

    /// `keccak256(abi.encode(beacon, federation, round, member))`
    pub fn lot(&self, member: Address) -> U256 {
        keccak256((self.beacon, self.federation, self.round, member).abi_encode()).into()
    }

    pub fn drawn(&self, member: Address) -> bool {
        self.lot(member) < self.limit
    }
}

/// Sizes that follow from the number of members alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committee {
    /// m
    pub members: u16,
    /// f: how many may collude without learning anything but the sum.
    pub faults: u16,
    /// t: how many open a form, and how many acknowledge a stage.
    pub threshold: u16,
}

impl Committee {
    /// `f = floor((m−1)/3)`, `t = floor((m+f)/2)+1`: two sets of t members share at least one honest member.
    pub fn of(members: usize) -> Result<Self, Error> {
        if !(MIN_COMMITTEE..=MAX_COMMITTEE).contains(&members) {
            return Err(Error::descriptor(
                "members",
                format!("a committee has {MIN_COMMITTEE} to {MAX_COMMITTEE} members, not {members}"),
            ));
        }
        // At most MAX_COMMITTEE, so it fits.
        Ok(Self::sizes(members as u16))
    }

    fn sizes(members: u16) -> Self {
        let faults = (members - 1) / 3;
        Self { members, faults, threshold: (members + faults) / 2 + 1 }
    }

    /// The least `N_min`: besides f colluding participants there must be two honest ones in every sum.
    pub fn least_admitted(self) -> u16 {
        (self.faults + 2).max(3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_of_every_round_anew() {
        assert_eq!(Sample::of(MAX_COMMITTEE, B256::ZERO, 1, 1), None, "everybody serves");
        let all: Vec<Address> = (0..500u16).map(|n| Address::left_padding_from(&n.to_be_bytes())).collect();
        let drawn = |round| -> Vec<Address> {
            let sample = Sample::of(all.len(), B256::ZERO, 1, round).unwrap();
            all.iter().copied().filter(|member| sample.drawn(*member)).collect()
        };
        assert_ne!(drawn(1), drawn(2));
        let sizes: Vec<usize> = (1..=200).map(|round| drawn(round).len()).collect();
        // The mean of 200 has a deviation of half a member.
        let sum = sizes.iter().sum::<usize>();
        assert!((46 * 200..=50 * 200).contains(&sum), "{}", sum as f64 / 200.0);
        assert!(sizes.iter().filter(|size| **size > MAX_COMMITTEE).count() <= 8, "{sizes:?}");
    }

    #[test]
    fn sizes_of_the_design() {
        for (m, t) in [(4, 3), (5, 4), (7, 5), (10, 7), (40, 27), (100, 67)] {
            let committee = Committee::sizes(m);
            assert_eq!(committee.threshold, t, "m = {m}");
            // Any two quorums meet in an honest member, and the honest alone are a quorum.
            assert!(2 * committee.threshold > committee.members + committee.faults);
            assert!(committee.members - committee.faults >= committee.threshold);
        }
        assert_eq!(Committee::of(4).unwrap().least_admitted(), 3);
        assert_eq!(Committee::of(10).unwrap().least_admitted(), 5);
        assert!(Committee::of(2).is_err());
        assert!(Committee::of(MAX_COMMITTEE + 1).is_err());
    }
}
