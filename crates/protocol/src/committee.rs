//! How many members may be faulty, and how many must answer, for a committee of a given size.

use serde::{Deserialize, Serialize};

use crate::Error;

/// With fewer no sum may be opened at all (`N_min` is at least three), so no round can be useful.
pub const MIN_COMMITTEE: usize = 3;
/// Above this a committee has to be sampled, which version 0 does not do; the contract holds the same limit.
pub const MAX_COMMITTEE: usize = 64;

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
