//! Counting checks, and remembering the first that failed.

use std::collections::BTreeMap;

use almoner_crypto::CryptoError;
use almoner_protocol::{Address, Error};

use crate::wording::cid_text;
use crate::{Count, Finding, Kind};

/// Why a check failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) account: Option<Address>,
    pub(crate) text: String,
    /// Nothing was looked at: whoever should have delivered it is away.
    away: bool,
}

pub(crate) type Checked<T> = Result<T, Wrong>;

impl Wrong {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { account: None, text: text.into(), away: false }
    }

    pub(crate) fn of(account: Address, text: impl Into<String>) -> Self {
        Self { account: Some(account), ..Self::new(text) }
    }

    /// A source that does not answer: that says nothing about the run.
    pub(crate) fn away(text: impl Into<String>) -> Self {
        Self { away: true, ..Self::new(text) }
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
            Err(wrong) if wrong.away => {
                self.away.get_or_insert(wrong.text);
                None
            }
            Err(wrong) => {
                self.first_wrong.get_or_insert_with(|| Finding {
                    kind,
                    round: self.round,
                    cid: place.cid.map(cid_text),
                    account: wrong.account.or(place.account),
                    text: wrong.text,
                });
                None
            }
        }
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
}
