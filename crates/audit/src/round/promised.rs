//! Stage 1: what validators committed to, before anybody uploaded.

use almoner_chain::{PromiseRecord, StageRecord};
use almoner_protocol::types::PromiseItem;

use super::RoundAudit;
use super::announced::same_accounts;
use crate::Kind;
use crate::tally::{Checked, Wrong, ensure};

impl RoundAudit<'_> {
    pub(super) async fn promised(&mut self, posted: &StageRecord) {
        let (on_chain, most) = (&self.record.promises, usize::from(self.record.descriptor.validators));
        self.seen.promises =
            self.list(Kind::Promise, &posted.cid, posted.root, most, |items| check_promises(items, on_chain)).await;
    }
}

/// The list is the promises on chain, no more and no fewer.
fn check_promises(items: &[PromiseItem], on_chain: &[PromiseRecord]) -> Checked<()> {
    let promised = on_chain.iter().map(|promise| promise.validator).collect();
    same_accounts(items.iter().map(|item| item.validator), promised)?;
    for item in items {
        let promise = on_chain.iter().find(|promise| promise.validator == item.validator);
        let same = promise.is_some_and(|promise| promise.commitment == item.commitment);
        ensure(same, || Wrong::of(item.validator, "another commitment than the one on chain"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use almoner_protocol::{Address, B256};

    use super::*;

    #[test]
    fn promises_are_those_on_chain() {
        let validator = Address::repeat_byte;
        let on_chain =
            [2, 1].map(|n| PromiseRecord { validator: validator(n), commitment: B256::repeat_byte(n), time: 0 });
        let mut items = [1, 2].map(|n| PromiseItem { validator: validator(n), commitment: B256::repeat_byte(n) });
        assert_eq!(check_promises(&items, &on_chain), Ok(()));
        assert_eq!(check_promises(&items[..1], &on_chain).unwrap_err().account, Some(validator(2)));
        items[1].commitment = B256::ZERO;
        assert_eq!(check_promises(&items, &on_chain).unwrap_err().account, Some(validator(2)));
        assert!(check_promises(&items, &on_chain[..1]).is_err());
    }
}
