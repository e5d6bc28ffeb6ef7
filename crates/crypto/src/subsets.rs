//! Which t of the answers to open with.
//!
//! Purpose: find honest answers among wrong ones where m − t leaves no room for decoding.
//! Steps: the t-subsets of the responders in lexicographic order, so that everybody who repeats the search ends at the
//! same one.
//! Attack answered: a search made endless by liars. At most [`SUBSETS_MAX`] subsets are tried, which covers every
//! subset of every committee of up to 20 members with t as the protocol sets it; beyond, nothing opens. Liars that are
//! few enough to be outvoted are found without it (`share::codeword`).
//! Not protected: in larger committees more liars than that can use up the search.

/// Subsets tried before an opening is given up.
pub const SUBSETS_MAX: u32 = 65_536;

/// Positions `0 … n−1` taken `t` at a time, in lexicographic order.
#[derive(Debug)]
pub(crate) struct Subsets {
    n: usize,
    next: Option<Vec<usize>>,
}

impl Subsets {
    pub(crate) fn new(n: usize, t: usize) -> Self {
        let next = (t <= n).then(|| (0..t).collect());
        Self { n, next }
    }
}

impl Iterator for Subsets {
    type Item = Vec<usize>;

    fn next(&mut self) -> Option<Vec<usize>> {
        let current = self.next.take()?;
        let t = current.len();
        // The last position that can still move; those behind it follow it closely.
        if let Some(i) = (0..t).rev().find(|&i| current[i] < self.n - t + i) {
            let mut following = current.clone();
            let start = current[i] + 1;
            following[i..].iter_mut().zip(start..).for_each(|(p, v)| *p = v);
            self.next = Some(following);
        }
        Some(current)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lexicographic_and_complete() {
        let all: Vec<_> = Subsets::new(4, 3).collect();
        assert_eq!(all, [[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]]);
        assert_eq!(Subsets::new(10, 7).count(), 120);
        assert_eq!(Subsets::new(3, 3).count(), 1);
        assert_eq!(Subsets::new(2, 3).count(), 0);
    }

    #[test]
    fn every_committee_up_to_twenty_is_searched_in_full() {
        for m in 1usize..=20 {
            let f = (m - 1) / 3;
            let t = (m + f) / 2 + 1;
            assert!(Subsets::new(m, t).count() as u32 <= SUBSETS_MAX, "{m}");
        }
    }
}
