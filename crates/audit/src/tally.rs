//! Counting checks, and remembering the first that failed and the first that could not be made.

use std::collections::BTreeMap;

use almoner_crypto::CryptoError;
use almoner_protocol::{Address, Error};

use crate::wording::cid_text;
use crate::{Count, Finding, Kind};

/// Why a check did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) account: Option<Address>,
    pub(crate) text: String,
    shows: Shows,
}

/// What it says about the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shows {
    /// Something contradicts.
    Contradiction,
    /// Nothing, right or wrong: what was to be looked at is not to be had.
    Gap,
    /// Nothing, and no source answers: there is no use in going on.
    Silence,
}

pub(crate) type Checked<T> = Result<T, Wrong>;

impl Wrong {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { account: None, text: text.into(), shows: Shows::Contradiction }
    }

    pub(crate) fn of(account: Address, text: impl Into<String>) -> Self {
        Self { account: Some(account), ..Self::new(text) }
    }

    /// What is not to be had.
    pub(crate) fn missing(text: impl Into<String>) -> Self {
        Self { shows: Shows::Gap, ..Self::new(text) }
    }

    /// A source that does not answer.
    pub(crate) fn away(text: impl Into<String>) -> Self {
        Self { shows: Shows::Silence, ..Self::new(text) }
    }

    /// The same about somebody.
    pub(crate) fn about(self, account: Address) -> Self {
        Self { account: Some(account), ..self }
    }
}

impl From<Error> for Wrong {
    fn from(error: Error) -> Self {
        Self::new(error.to_string())
    }
}

impl From<CryptoError> for Wrong {
    fn from(error: CryptoError) -> Self {
        Self::new(error.to_string())
    }
}

/// `Ok` if a condition holds.
pub(crate) fn ensure(holds: bool, wrong: impl FnOnce() -> Wrong) -> Checked<()> {
    if holds { Ok(()) } else { Err(wrong()) }
}

/// What a finding would point at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place<'a> {
    pub(crate) cid: Option<&'a [u8]>,
    pub(crate) account: Option<Address>,
}

impl<'a> Place<'a> {
    pub(crate) fn none() -> Self {
        Self::default()
    }

    pub(crate) fn cid(cid: &'a [u8]) -> Self {
        Self { cid: Some(cid), account: None }
    }

    pub(crate) fn of(self, account: Address) -> Self {
        Self { account: Some(account), ..self }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Tally {
    round: Option<u64>,
    pub(crate) by_kind: BTreeMap<Kind, Count>,
    pub(crate) first_wrong: Option<Finding>,
    pub(crate) first_missing: Option<Finding>,
    /// What a source said that is away; then there is no verdict.
    pub(crate) away: Option<String>,
    pub(crate) notes: Vec<String>,
}

impl Tally {
    /// From here on findings are of this round; `None`: of the federation.
    pub(crate) fn enter(&mut self, round: Option<u64>) {
        self.round = round;
    }

    /// Counts one check and passes on what it yielded.
    pub(crate) fn check<T>(&mut self, kind: Kind, place: Place<'_>, outcome: Checked<T>) -> Option<T> {
        let count = self.by_kind.entry(kind).or_default();
        count.checks += 1;
        match outcome {
            Ok(value) => {
                count.held += 1;
                Some(value)
            }
            Err(wrong) => {
                self.remember(kind, place, wrong);
                None
            }
        }
    }

    fn remember(&mut self, kind: Kind, place: Place<'_>, wrong: Wrong) {
        let first = match wrong.shows {
            Shows::Contradiction => &mut self.first_wrong,
            Shows::Gap => &mut self.first_missing,
            Shows::Silence => {
                self.away.get_or_insert(wrong.text);
                return;
            }
        };
        first.get_or_insert_with(|| Finding {
            kind,
            round: self.round,
            cid: place.cid.map(cid_text),
            account: wrong.account.or(place.account),
            text: wrong.text,
        });
    }

    pub(crate) fn note(&mut self, text: impl std::fmt::Display) {
        self.notes.push(match self.round {
            Some(round) => format!("round {round}: {text}"),
            None => text.to_string(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_wrong_thing_stays_and_counting_goes_on() {
        let mut tally = Tally::default();
        tally.enter(Some(3));
        assert_eq!(tally.check(Kind::Sum, Place::none(), Ok(7)), Some(7));
        let account = Address::repeat_byte(4);
        let failed: Checked<()> = Err(Wrong::new("word 5"));
        assert_eq!(tally.check(Kind::Sum, Place::cid(&[1]).of(account), failed.clone()), None);
        tally.enter(None);
        assert_eq!(tally.check(Kind::Claim, Place::none(), failed), None);
        let first = tally.first_wrong.unwrap();
        assert_eq!((first.kind, first.round, first.account), (Kind::Sum, Some(3), Some(account)));
        assert_eq!(tally.by_kind[&Kind::Sum], Count { checks: 2, held: 1 });
        assert_eq!(tally.by_kind[&Kind::Claim], Count { checks: 1, held: 0 });
    }

    #[test]
    fn what_is_missing_is_not_what_is_wrong() {
        let mut tally = Tally::default();
        tally.enter(Some(1));
        tally.check::<()>(Kind::Lock, Place::cid(&[1]), Err(Wrong::missing("gone")));
        tally.check::<()>(Kind::Score, Place::cid(&[2]), Err(Wrong::missing("gone, too")));
        assert_eq!(tally.first_wrong, None);
        tally.enter(Some(2));
        tally.check::<()>(Kind::Sum, Place::cid(&[3]), Err(Wrong::new("word 5")));
        let kinds = [tally.first_missing, tally.first_wrong].map(|first| first.map(|found| (found.kind, found.round)));
        assert_eq!(kinds, [Some((Kind::Lock, Some(1))), Some((Kind::Sum, Some(2)))]);
        assert_eq!(tally.by_kind[&Kind::Lock], Count { checks: 1, held: 0 });
    }
}
