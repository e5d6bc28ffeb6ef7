//! Locked: no update can be bent toward them any more, so the validators show their directions.

use std::collections::BTreeMap;

use alloy_primitives::{Address, Bytes};
use serde::{Deserialize, Serialize};

use super::timing::{deadline, last_call};
use super::{Fault, Rejection, Round, Signed, State};
use crate::direction::{packed_direction_length, unpack_direction};
use crate::leak::check_direction;
use crate::list::{encode_list, list_root};
use crate::types::{DirectionItem, Promise, Reveal, Stage, commitment};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Direction {
    reveal: Signed<Reveal>,
    /// Empty once U is decided, the last thing that depends on them; the store has the list.
    entries: Bytes,
    norm_squared: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reveals {
    by_validator: BTreeMap<Address, Direction>,
}

impl Reveals {
    pub(super) fn len(&self) -> usize {
        self.by_validator.len()
    }

    /// `‖g_v‖²`, in direction-list order.
    pub(super) fn norms_squared(&self) -> Vec<u64> {
        self.by_validator.values().map(|direction| direction.norm_squared).collect()
    }

    pub(super) fn signed(&self) -> Vec<Signed<Reveal>> {
        self.by_validator.values().map(|direction| direction.reveal.clone()).collect()
    }

    pub(super) fn items(&self) -> Vec<DirectionItem> {
        let directions = self.by_validator.iter();
        directions.map(|(validator, direction)| item(*validator, &direction.entries)).collect()
    }

    pub(super) fn artefact(&self) -> Vec<u8> {
        encode_list(&self.items())
    }

    /// What grows with the model leaves the state.
    pub(super) fn drop_entries(&mut self) {
        self.by_validator.values_mut().for_each(|direction| direction.entries = Bytes::new());
    }
}

fn item(validator: Address, entries: &Bytes) -> DirectionItem {
    DirectionItem { validator, entries: entries.clone() }
}

impl Round {
    pub(super) fn on_reveal(&mut self, reveal: Reveal, entries: Bytes, signature: Bytes) -> Result<(), Rejection> {
        let (account, field) = (reveal.validator, "reveal");
        self.terms.validator(account)?;
        self.terms.check_signed(account, field, reveal.ctx, &reveal, &signature)?;
        if let Some(known) = self.reveals.by_validator.get(&account) {
            let same = known.reveal.message == reveal;
            return if same { Ok(()) } else { Err(Rejection::Equivocation { account, field }) };
        }
        match self.state.cmp(&State::Locked) {
            std::cmp::Ordering::Less => return Err(Rejection::TooEarly { account, field, state: self.state }),
            std::cmp::Ordering::Equal if self.posts.root(Stage::Direction).is_none() => {}
            std::cmp::Ordering::Equal | std::cmp::Ordering::Greater => {
                return Err(Rejection::TooLate { account, field, state: self.state });
            }
        }
        let norm_squared = self.check_reveal(&reveal, &entries)?;
        let reveal = Signed { message: reveal, signature };
        self.reveals.by_validator.insert(account, Direction { reveal, entries, norm_squared });
        Ok(())
    }

    /// It opens the promise, its entries are those of its root, and members may answer it. Returns `‖g‖²`.
    fn check_reveal(&self, reveal: &Reveal, entries: &Bytes) -> Result<u64, Rejection> {
        let account = reveal.validator;
        let refused = |field, reason: &str| Rejection::malformed(account, field, reason);
        let descriptor = &self.terms.descriptor;
        let promise = self.promises.get(account).ok_or_else(|| refused("reveal", "nothing was promised"))?;
        // Before anything is hashed: entries come from a peer.
        let parameters = descriptor.scale.parameters;
        if entries.len() != packed_direction_length(parameters) {
            return Err(refused("reveal.entries", "not as many as the model has parameters"));
        }
        let opened = commitment(&Promise {
            chain_id: self.terms.chain_id,
            rounds: self.terms.rounds,
            federation: descriptor.federation,
            round: descriptor.round,
            validator: account,
            ctx: self.terms.ctx,
            direction_root: reveal.directionRoot,
            salt: reveal.salt,
        });
        if opened != promise.commitment {
            return Err(refused("reveal", "it does not open the promise"));
        }
        if list_root(&[item(account, entries)]) != reveal.directionRoot {
            return Err(refused("reveal.entries", "they have another root"));
        }
        let norm_squared = unpack_direction(entries, parameters)
            .and_then(|entries| check_direction(&entries, parameters))
            .map_err(|error| refused("reveal.entries", &error.to_string()))?;
        if norm_squared > u64::from(descriptor.scale.directionNorm).pow(2) {
            return Err(refused("reveal.entries", "the norm is above the round's bound"));
        }
        Ok(norm_squared)
    }

    /// Closes the list once every promise is opened, or with those there are.
    pub(super) fn advance_locked(&mut self) -> Result<(), Rejection> {
        let Some(locked) = self.posts.posted(Stage::Lock) else { return Ok(()) };
        let close = last_call(locked.at, deadline(&self.terms.descriptor, Stage::Direction));
        let complete = self.reveals.len() == self.promises.len() || self.clock >= close;
        if complete && self.posts.root(Stage::Direction).is_none() {
            self.posts.fix(Stage::Direction, list_root(&self.reveals.items()))?;
        }
        Ok(())
    }

    /// Promised, and not shown: no fee.
    pub(super) fn missing_reveals(&self) -> Vec<Fault> {
        let promised = self.promises.validators();
        let silent = promised.filter(|validator| !self.reveals.by_validator.contains_key(validator));
        silent.map(|validator| Fault::NoReveal { validator }).collect()
    }
}
