//! Announced and promised: validators commit to their directions before anybody uploads.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};

use super::timing::{deadline, last_call};
use super::{Fault, Finality, Posted, Rejection, Round, Signed, State};
use crate::list::{encode_list, list_root};
use crate::types::{DirectionPromise, PromiseItem, Stage, transcript};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Promises {
    by_validator: BTreeMap<Address, Signed<DirectionPromise>>,
}

impl Promises {
    pub(super) fn len(&self) -> usize {
        self.by_validator.len()
    }

    pub(super) fn get(&self, validator: Address) -> Option<&DirectionPromise> {
        self.by_validator.get(&validator).map(|signed| &signed.message)
    }

    pub(super) fn validators(&self) -> impl Iterator<Item = Address> {
        self.by_validator.keys().copied()
    }

    pub(super) fn signed(&self) -> Vec<Signed<DirectionPromise>> {
        self.by_validator.values().cloned().collect()
    }

    pub(super) fn items(&self) -> Vec<PromiseItem> {
        let promises = self.by_validator.values().map(|signed| &signed.message);
        promises.map(|promise| PromiseItem { validator: promise.validator, commitment: promise.commitment }).collect()
    }

    pub(super) fn artefact(&self) -> Vec<u8> {
        encode_list(&self.items())
    }
}

impl Round {
    pub(super) fn on_opened(&mut self, ctx: B256, at: u64) -> Result<(), Rejection> {
        let transcript = transcript(B256::ZERO, Stage::Ctx, ctx);
        let finality = Finality::Included;
        self.posts.confirm(Stage::Ctx, Posted { root: ctx, cid: Bytes::new(), transcript, at, finality })
    }

    pub(super) fn on_promise(&mut self, promise: DirectionPromise, signature: Bytes) -> Result<(), Rejection> {
        let (account, field) = (promise.validator, "promise");
        self.terms.validator(account)?;
        self.terms.check_signed(account, field, promise.ctx, &promise, &signature)?;
        if let Some(known) = self.promises.get(account) {
            return if *known == promise { Ok(()) } else { Err(Rejection::Equivocation { account, field }) };
        }
        if self.state > State::Announced {
            return Err(Rejection::TooLate { account, field, state: self.state });
        }
        if self.posts.posted(Stage::Ctx).is_none() {
            return Err(Rejection::TooEarly { account, field, state: self.state });
        }
        self.promises.by_validator.insert(account, Signed { message: promise, signature });
        Ok(())
    }

    /// Closes the list once everybody promised, or with those there are.
    pub(super) fn advance_announced(&mut self) -> Result<(), Rejection> {
        let Some(opened) = self.posts.posted(Stage::Ctx) else { return Ok(()) };
        let close = last_call(opened.at, deadline(&self.terms.descriptor, Stage::Promise));
        if self.promises.len() == self.terms.validators.len() || self.clock >= close {
            self.posts.fix(Stage::Promise, list_root(&self.promises.items()))?;
            self.state = State::Promised;
        }
        Ok(())
    }

    pub(super) fn missing_promises(&self) -> Vec<Fault> {
        let validators = self.terms.validators.iter().map(|validator| validator.account);
        let silent = validators.filter(|validator| self.promises.get(*validator).is_none());
        silent.map(|validator| Fault::NoPromise { validator }).collect()
    }
}
