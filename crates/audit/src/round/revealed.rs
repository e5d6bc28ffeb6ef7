//! Stage 3: the directions, which were promised before the uploads and are shown after them.

use std::sync::Arc;

use almoner_chain::{PromiseRecord, RevealRecord, StageRecord};
use almoner_protocol::types::{DirectionItem, Promise, commitment};
use almoner_protocol::{check_direction, list_root, unpack_direction};

use super::RoundAudit;
use crate::Kind;
use crate::artefacts::{check_root, direction_length};
use crate::tally::{Checked, Place, Wrong, ensure};

impl RoundAudit<'_> {
    pub(super) async fn revealed(&mut self, posted: &StageRecord) {
        let record = self.record;
        for reveal in &record.reveals {
            let opens = check_reveal(reveal, &record.promises, |promise| self.commitment(promise));
            self.tally.check(Kind::Reveal, Place::none().of(reveal.validator), opens);
        }
        let (place, d) = (Place::cid(&posted.cid), &record.descriptor);
        let (most, longest) = (usize::from(d.validators), direction_length(d.scale.parameters));
        let read = self.artefacts().items_within::<DirectionItem>(&posted.cid, most, longest).await;
        let outcome = read.and_then(|items| check_root(&items, posted.root).map(|()| items));
        let Some(items) = self.tally.check(Kind::Direction, place, outcome) else { return };
        let mut entries = Vec::new();
        for item in &items {
            let outcome = check_item(item, &record.reveals, d.scale.parameters, d.scale.directionNorm);
            entries.extend(self.tally.check(Kind::Direction, place.of(item.validator), outcome));
        }
        for reveal in &record.reveals {
            if !items.iter().any(|item| item.validator == reveal.validator) {
                // Entries travel outside the chain, so this alone proves nothing against the coordinator.
                self.tally.note(format!("{} revealed on chain, but its direction is not listed", reveal.validator));
            }
        }
        self.seen.directions = (entries.len() == items.len()).then(|| (items, Arc::new(entries)));
    }

    /// What the commitment behind a reveal must have been.
    fn commitment(&self, reveal: &RevealRecord) -> alloy_primitives::B256 {
        let at = &self.facts.deployment;
        commitment(&Promise {
            chain_id: at.chain_id,
            rounds: at.rounds,
            federation: self.facts.federation.number,
            round: self.record.number,
            validator: reveal.validator,
            ctx: self.record.ctx,
            direction_root: reveal.direction_root,
            salt: reveal.salt,
        })
    }
}

fn check_reveal(
    reveal: &RevealRecord,
    promises: &[PromiseRecord],
    commitment: impl FnOnce(&RevealRecord) -> alloy_primitives::B256,
) -> Checked<()> {
    let promise = promises.iter().find(|promise| promise.validator == reveal.validator);
    let promise = promise.ok_or_else(|| Wrong::new("nothing was promised"))?;
    let found = commitment(reveal);
    ensure(found == promise.commitment, || Wrong::new(format!("it opens {found}, promised was {}", promise.commitment)))
}

/// The direction is the one that was revealed, and one that members may answer. Returns its entries.
fn check_item(item: &DirectionItem, reveals: &[RevealRecord], parameters: u32, norm: u32) -> Checked<Vec<i8>> {
    let reveal = reveals.iter().find(|reveal| reveal.validator == item.validator);
    let reveal = reveal.ok_or_else(|| Wrong::new("it was not revealed on chain"))?;
    let found = list_root(std::slice::from_ref(item));
    ensure(found == reveal.direction_root, || {
        Wrong::new(format!("its root is {found}, revealed was {}", reveal.direction_root))
    })?;
    let entries = unpack_direction(&item.entries, parameters)?;
    let squared = check_direction(&entries, parameters)?;
    ensure(squared <= u64::from(norm).pow(2), || Wrong::new("its norm is above the round's bound"))?;
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use almoner_protocol::{Address, B256, pack_direction};

    use super::*;

    const VALIDATOR: Address = Address::repeat_byte(3);

    fn item(entries: &[i8]) -> DirectionItem {
        DirectionItem { validator: VALIDATOR, entries: pack_direction(entries) }
    }

    fn reveal(item: &DirectionItem) -> RevealRecord {
        let direction_root = list_root(std::slice::from_ref(item));
        RevealRecord { validator: VALIDATOR, direction_root, salt: B256::ZERO, time: 0 }
    }

    #[test]
    fn a_direction_is_the_revealed_one_spread_and_small() {
        let entries = [1, -1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let good = item(&entries);
        let revealed = [reveal(&good)];
        assert_eq!(check_item(&good, &revealed, 14, 4), Ok(entries.to_vec()));
        let mut longer = item(&entries[..13]);
        assert!(check_item(&longer, &[reveal(&longer)], 13, 4).is_ok());
        let behind = [&longer.entries[..6], &[0x10]].concat();
        longer.entries = behind.into();
        assert!(check_item(&longer, &[reveal(&longer)], 13, 4).is_err());
        assert!(check_item(&good, &[], 14, 4).is_err());
        assert!(check_item(&good, &revealed, 14, 1).is_err());
        let other = item(&[1, 1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(check_item(&other, &revealed, 14, 4).is_err());
        let narrow = item(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(check_item(&narrow, &[reveal(&narrow)], 14, 4).is_err());
    }

    #[test]
    fn a_reveal_opens_its_own_promise() {
        let direction = item(&[1]);
        let promise = PromiseRecord { validator: VALIDATOR, commitment: B256::repeat_byte(8), time: 0 };
        let opens =
            |to: u8| check_reveal(&reveal(&direction), std::slice::from_ref(&promise), |_| B256::repeat_byte(to));
        assert_eq!(opens(8), Ok(()));
        assert!(opens(9).is_err());
        assert!(check_reveal(&reveal(&direction), &[], |_| B256::ZERO).is_err());
    }
}
