//! Stage 2: the uploads, each signed by its participant and receipted by the coordinator or by the chain.

use almoner_chain::{ContributionRecord, StageRecord};
use almoner_protocol::types::{Contribution, LockItem, Member, Receipt, recover, signing_hash};
use almoner_protocol::{Address, B256, Eip712Domain, NORM_CLASSES, SolStruct};

use super::RoundAudit;
use crate::Kind;
use crate::tally::{Checked, Place, Wrong, ensure};

impl RoundAudit<'_> {
    pub(super) async fn locked(&mut self, posted: &StageRecord) {
        let (record, most) = (self.record, self.facts.federation.members.len());
        let members = self.seen.members.take();
        let items = self
            .list(Kind::Lock, &posted.cid, posted.root, most, |items| {
                check_lock(items, record.locked, members.as_deref(), &record.direct)
            })
            .await;
        self.seen.members = members;
        let (domain, blocks) = (self.domain(), self.blocks());
        let coordinator = self.facts.federation.params.coordinator;
        for item in items.iter().flatten() {
            let place = Place::cid(&posted.cid).of(item.manifest.participant);
            let signed = check_manifest(item, record.ctx, blocks, &domain);
            self.tally.check(Kind::ManifestSignature, place, signed);
            let receipted = check_receipt(item, coordinator, &record.direct, &domain);
            self.tally.check(Kind::Receipt, place, receipted);
        }
        self.seen.lock = items;
    }
}

/// As long as the chain says, members only, and nobody left out who committed on chain.
fn check_lock(
    items: &[LockItem],
    count: Option<u32>,
    members: Option<&[Member]>,
    direct: &[ContributionRecord],
) -> Checked<()> {
    ensure(count == u32::try_from(items.len()).ok(), || {
        Wrong::new(format!("{} uploads are listed, the chain has {}", items.len(), count.unwrap_or(0)))
    })?;
    for item in items {
        let participant = item.manifest.participant;
        // Where the member list is wrong, that has been said.
        let known = members.is_none_or(|members| members.iter().any(|member| member.account == participant));
        ensure(known, || Wrong::of(participant, "it is not a member"))?;
    }
    for committed in direct {
        let participant = committed.manifest.participant;
        let listed = items.iter().any(|item| item.manifest.participant == participant);
        ensure(listed, || Wrong::of(participant, "it committed on chain and is not in the list"))?;
    }
    Ok(())
}

/// The manifest is of this round and of this model, and its participant signed it.
fn check_manifest(item: &LockItem, ctx: B256, blocks: u64, domain: &Eip712Domain) -> Checked<()> {
    let Contribution { ctx: named, blocks: stated, normClass, participant, .. } = &item.manifest;
    ensure(*named == ctx, || Wrong::new("the manifest is of another round"))?;
    ensure(u64::from(*stated) == blocks, || Wrong::new(format!("{stated} blocks, the model has {blocks}")))?;
    ensure(*normClass < NORM_CLASSES, || Wrong::new(format!("norm class {normClass} does not exist")))?;
    check_signer(signing_hash(&item.manifest, domain), &item.signature, *participant)
}

/// The coordinator signed for it; or the chain has it, and then the block is its receipt.
fn check_receipt(
    item: &LockItem,
    coordinator: Address,
    direct: &[ContributionRecord],
    domain: &Eip712Domain,
) -> Checked<()> {
    let manifest = &item.manifest;
    if item.receipt.is_empty() {
        let committed = direct.iter().find(|committed| committed.manifest == *manifest);
        let same = committed.is_some_and(|committed| committed.time == item.receivedAt);
        return ensure(same, || Wrong::new("neither a receipt nor on chain at this time"));
    }
    let receipt = Receipt {
        ctx: manifest.ctx,
        participant: manifest.participant,
        manifestHash: manifest.eip712_hash_struct(),
        receivedAt: item.receivedAt,
    };
    check_signer(signing_hash(&receipt, domain), &item.receipt, coordinator)
}

fn check_signer(hash: B256, signature: &[u8], expected: Address) -> Checked<()> {
    let signer = recover(hash, signature)?;
    ensure(signer == expected, || Wrong::new(format!("the signature is that of {signer}, not of {expected}")))
}

#[cfg(test)]
mod tests {
    use almoner_chain::SigningKey;
    use almoner_protocol::types::domain;

    use super::*;

    const CTX: B256 = B256::repeat_byte(5);

    fn key(n: u8) -> SigningKey {
        SigningKey::from_bytes(&[n; 32]).unwrap()
    }

    fn rounds() -> Eip712Domain {
        domain(1, Address::repeat_byte(9))
    }

    fn item() -> LockItem {
        let manifest = Contribution { ctx: CTX, participant: key(1).address(), blocks: 2, ..Contribution::default() };
        let receipt = Receipt {
            ctx: CTX,
            participant: manifest.participant,
            manifestHash: manifest.eip712_hash_struct(),
            receivedAt: 77,
        };
        LockItem {
            signature: key(1).sign_hash(signing_hash(&manifest, &rounds())).unwrap().to_vec().into(),
            receipt: key(2).sign_hash(signing_hash(&receipt, &rounds())).unwrap().to_vec().into(),
            receivedAt: 77,
            manifest,
        }
    }

    #[test]
    fn a_manifest_is_signed_by_its_participant_for_this_round() {
        let manifest = |item: &LockItem| check_manifest(item, CTX, 2, &rounds());
        assert_eq!(manifest(&item()), Ok(()));
        let mut other = item();
        other.manifest.normClass = 1;
        assert!(manifest(&other).unwrap_err().text.contains("signature"));
        assert!(check_manifest(&item(), B256::ZERO, 2, &rounds()).is_err());
        assert!(check_manifest(&item(), CTX, 3, &rounds()).is_err());
        assert!(check_manifest(&item(), CTX, 2, &domain(2, Address::repeat_byte(9))).is_err());
    }

    #[test]
    fn a_receipt_is_the_coordinators_or_the_chains() {
        let receipt = |item: &LockItem, direct: &[_]| check_receipt(item, key(2).address(), direct, &rounds());
        assert_eq!(receipt(&item(), &[]), Ok(()));
        assert!(check_receipt(&item(), key(3).address(), &[], &rounds()).is_err());
        let mut later = item();
        later.receivedAt += 1;
        assert!(receipt(&later, &[]).is_err());
        let mut direct = item();
        direct.receipt = Default::default();
        assert!(receipt(&direct, &[]).is_err());
        let (manifest, signature) = (direct.manifest.clone(), direct.signature.clone());
        let mut on_chain = ContributionRecord { manifest, signature, time: 77 };
        assert_eq!(receipt(&direct, std::slice::from_ref(&on_chain)), Ok(()));
        on_chain.time = 78;
        assert!(receipt(&direct, &[on_chain]).is_err());
    }

    #[test]
    fn the_lock_list_leaves_nobody_out_and_lets_nobody_in() {
        let items = [item()];
        let member = |n| Member { account: key(n).address(), ..Member::default() };
        assert_eq!(check_lock(&items, Some(1), Some(&[member(1)]), &[]), Ok(()));
        assert!(check_lock(&items, Some(2), Some(&[member(1)]), &[]).is_err());
        assert!(check_lock(&items, None, Some(&[member(1)]), &[]).is_err());
        let stranger = check_lock(&items, Some(1), Some(&[member(2)]), &[]).unwrap_err();
        assert_eq!(stranger.account, Some(key(1).address()));
        let manifest = Contribution { participant: key(3).address(), ..Contribution::default() };
        let refused = ContributionRecord { manifest, signature: Default::default(), time: 1 };
        let left_out = check_lock(&items, Some(1), Some(&[member(1)]), &[refused]).unwrap_err();
        assert_eq!(left_out.account, Some(key(3).address()));
    }
}
