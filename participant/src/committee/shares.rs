//! The shares dealt to this member.

use std::collections::BTreeMap;

use almoner_crypto::seal::{MemberKey, SEALED_BYTES, ShareAad, open_share};
use almoner_crypto::share::ShareVec;
use almoner_crypto::tree;
use almoner_protocol::Address;
use almoner_protocol::types::{Contribution, LockItem};
use zeroize::Zeroizing;

use crate::fetch::Terms;

/// Shares that opened and match their leaf. Who dealt none to us is left out.
#[derive(Debug, Default)]
pub struct HeldShares(BTreeMap<Address, ShareVec>);

impl HeldShares {
    pub fn of(&self, participant: Address) -> Option<&ShareVec> {
        self.0.get(&participant)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Opens what was dealt to member `index`. A share that does not open, or is not the leaf of `shareRoot` that it
/// should be, counts as not dealt: the member answers without it, and others' answers suffice.
pub fn open_shares(
    terms: &Terms,
    key: &MemberKey,
    index: u16,
    lock: &[LockItem],
    sealed: &BTreeMap<Address, bytes::Bytes>,
) -> HeldShares {
    let open = |item: &LockItem| {
        let participant = item.manifest.participant;
        let share = open_one(terms, key, index, &item.manifest, sealed.get(&participant)?)?;
        Some((participant, share))
    };
    HeldShares(lock.iter().filter_map(open).collect())
}

fn open_one(terms: &Terms, key: &MemberKey, index: u16, manifest: &Contribution, item: &[u8]) -> Option<ShareVec> {
    let (blob, siblings) = item.split_at_checked(SEALED_BYTES)?;
    let aad = ShareAad {
        round: terms.descriptor.round,
        participant: manifest.participant.into_array(),
        member: index,
        ciphertext_root: manifest.ciphertextRoot.0,
        check_root: manifest.checkRoot.0,
        share_root: manifest.shareRoot.0,
    };
    let (salt, share) = open_share(key, &terms.ctx.0, &aad, blob).ok()?;
    let (siblings, rest) = siblings.as_chunks::<32>();
    let mut leaf = Zeroizing::new(salt.to_vec());
    leaf.extend_from_slice(&share.to_bytes());
    let members = terms.committee.len() as u64;
    let root = &manifest.shareRoot.0;
    let held = rest.is_empty() && tree::verify(root, tree::kind::SHARES, members, index.into(), &leaf, siblings);
    held.then_some(share)
}
