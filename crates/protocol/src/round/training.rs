//! Training: uploads, one per participant, each with a receipt; then the list is locked.

use std::collections::BTreeMap;

use alloy_primitives::{Address, Bytes};
use alloy_sol_types::SolStruct;
use serde::{Deserialize, Serialize};

use super::timing::{deadline, last_call};
use super::{Bodies, Effect, Fault, Rejection, Round, State, VoidReason};
use crate::fixed::NORM_CLASSES;
use crate::list::{encode_list, list_root};
use crate::types::{Contribution, LockItem, Receipt, Stage};

/// Coefficients of a block.
const BLOCK: u32 = 2048;
/// A binary CID is 36 bytes with the hashes we use; this leaves room for a longer one.
const CID_MAX: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Receipted {
    /// Came by the chain: the block is its receipt.
    Direct,
    Unsigned,
    Signed(Bytes),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Upload {
    manifest: Contribution,
    signature: Bytes,
    received_at: u64,
    receipt: Receipted,
}

impl Upload {
    fn item(&self) -> LockItem {
        LockItem {
            manifest: self.manifest.clone(),
            signature: self.signature.clone(),
            receipt: match &self.receipt {
                Receipted::Signed(signature) => signature.clone(),
                Receipted::Direct | Receipted::Unsigned => Bytes::new(),
            },
            receivedAt: self.received_at,
        }
    }

    fn receipt(&self) -> Receipt {
        Receipt {
            ctx: self.manifest.ctx,
            participant: self.manifest.participant,
            manifestHash: self.manifest.eip712_hash_struct(),
            receivedAt: self.received_at,
        }
    }

    /// What to do so that the participant gets its receipt.
    fn answer(&self) -> Vec<Effect> {
        match &self.receipt {
            Receipted::Direct => Vec::new(),
            Receipted::Unsigned => vec![Effect::SignReceipt { receipt: self.receipt() }],
            Receipted::Signed(signature) => {
                vec![Effect::SendReceipt { receipt: self.receipt(), signature: signature.clone() }]
            }
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Uploads {
    by_participant: BTreeMap<Address, Upload>,
    closed: bool,
}

impl Uploads {
    pub(super) fn len(&self) -> usize {
        self.by_participant.len()
    }

    /// In lock-list order.
    pub(super) fn participants(&self) -> impl Iterator<Item = Address> {
        self.by_participant.keys().copied()
    }

    pub(super) fn items(&self) -> Vec<LockItem> {
        self.by_participant.values().map(Upload::item).collect()
    }

    pub(super) fn artefact(&self) -> Vec<u8> {
        encode_list(&self.items())
    }

    /// Receipts still to be signed, which the lock list waits for.
    pub(super) fn unsigned(&self) -> impl Iterator<Item = Receipt> {
        let unsigned = self.by_participant.values().filter(|upload| upload.receipt == Receipted::Unsigned);
        unsigned.map(Upload::receipt)
    }
}

impl Round {
    /// Whether a contribution would be accepted now, before its files are received.
    pub fn expects_upload(&self, manifest: &Contribution, signature: &[u8]) -> Result<(), Rejection> {
        self.check_manifest(manifest, signature)?;
        match self.known_upload(manifest)? {
            Some(_) => Ok(()),
            None => self.accepts_uploads(manifest.participant),
        }
    }

    pub(super) fn on_contribution(
        &mut self,
        manifest: Contribution,
        signature: Bytes,
        bodies: Bodies,
    ) -> Result<Vec<Effect>, Rejection> {
        let (account, field) = (manifest.participant, "contribution");
        self.check_manifest(&manifest, &signature)?;
        if let Some(known) = self.known_upload(&manifest)? {
            return Ok(known.answer());
        }
        self.accepts_uploads(account)?;
        if bodies == Bodies::Missing {
            return Err(Rejection::NotStored { account, field });
        }
        let upload = Upload { manifest, signature, received_at: self.clock, receipt: Receipted::Unsigned };
        self.uploads.by_participant.insert(account, upload);
        // The order to sign the receipt is outstanding from now on.
        Ok(Vec::new())
    }

    pub(super) fn on_committed(&mut self, manifest: Contribution, signature: Bytes, at: u64) -> Result<(), Rejection> {
        let account = manifest.participant;
        self.check_manifest(&manifest, &signature)?;
        if self.known_upload(&manifest)?.is_some() {
            return Ok(());
        }
        self.accepts_uploads(account)?;
        let upload = Upload { manifest, signature, received_at: at, receipt: Receipted::Direct };
        self.uploads.by_participant.insert(account, upload);
        Ok(())
    }

    pub(super) fn on_receipt_signed(&mut self, account: Address, signature: Bytes) -> Result<Vec<Effect>, Rejection> {
        let Some(upload) = self.uploads.by_participant.get_mut(&account) else {
            return Err(Rejection::result("receipt", format!("{account} has not uploaded")));
        };
        let receipt = upload.receipt();
        self.terms.check_signed(self.terms.coordinator, "receipt", receipt.ctx, &receipt, &signature)?;
        if upload.receipt == Receipted::Unsigned {
            upload.receipt = Receipted::Signed(signature);
        }
        Ok(upload.answer())
    }

    fn check_manifest(&self, manifest: &Contribution, signature: &[u8]) -> Result<(), Rejection> {
        let (account, field) = (manifest.participant, "contribution");
        self.terms.member(account)?;
        self.terms.check_signed(account, field, manifest.ctx, manifest, signature)?;
        if manifest.blocks != self.terms.descriptor.scale.parameters.div_ceil(BLOCK) {
            return Err(Rejection::malformed(account, "contribution.blocks", "not the model's number of blocks"));
        }
        if manifest.normClass >= NORM_CLASSES {
            return Err(Rejection::malformed(account, "contribution.normClass", "above 63"));
        }
        let cids = [
            ("contribution.ciphertextCid", &manifest.ciphertextCid),
            ("contribution.checkCid", &manifest.checkCid),
            ("contribution.sharesCid", &manifest.sharesCid),
        ];
        match cids.into_iter().find(|(_, cid)| cid.is_empty() || cid.len() > CID_MAX) {
            Some((field, _)) => Err(Rejection::malformed(account, field, "not the length of a CID")),
            None => Ok(()),
        }
    }

    /// An upload seen before; another manifest by the same participant is proof against it.
    fn known_upload(&self, manifest: &Contribution) -> Result<Option<&Upload>, Rejection> {
        match self.uploads.by_participant.get(&manifest.participant) {
            Some(known) if known.manifest == *manifest => Ok(Some(known)),
            Some(_) => Err(Rejection::Equivocation { account: manifest.participant, field: "contribution" }),
            None => Ok(None),
        }
    }

    fn accepts_uploads(&self, account: Address) -> Result<(), Rejection> {
        let field = "contribution";
        match self.state.cmp(&State::Training) {
            std::cmp::Ordering::Less => Err(Rejection::TooEarly { account, field, state: self.state }),
            std::cmp::Ordering::Equal if !self.uploads.closed => Ok(()),
            std::cmp::Ordering::Equal | std::cmp::Ordering::Greater => {
                Err(Rejection::TooLate { account, field, state: self.state })
            }
        }
    }

    /// Closes the list when all have uploaded or time is up, and fixes its root when every receipt is signed.
    pub(super) fn advance_training(&mut self) -> Result<(), Rejection> {
        let Some(promised) = self.posts.posted(Stage::Promise) else { return Ok(()) };
        let close = last_call(promised.at, deadline(&self.terms.descriptor, Stage::Lock));
        if self.uploads.len() == self.terms.members.len() || self.clock >= close {
            self.uploads.closed = true;
        }
        if !self.uploads.closed {
            return Ok(());
        }
        let (have, need) = (self.uploads.len(), usize::from(self.terms.descriptor.minAdmitted));
        if have < need {
            let faults = self.missing_uploads();
            self.give_up(VoidReason::TooFewUploads { have, need }, faults);
        } else if self.uploads.unsigned().next().is_none() {
            self.posts.fix(Stage::Lock, list_root(&self.uploads.items()))?;
        }
        Ok(())
    }

    pub(super) fn missing_uploads(&self) -> Vec<Fault> {
        let members = self.terms.members.iter().map(|member| member.account);
        let silent = members.filter(|account| !self.uploads.by_participant.contains_key(account));
        silent.map(|participant| Fault::NoUpload { participant }).collect()
    }
}
