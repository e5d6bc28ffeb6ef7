//! Reading artefacts. Whatever the source, their CID is computed again, and they are bounded before they are read.

use almoner_protocol::{B256, ListItem, MAX_PARAMETERS, decode_list, list_root, packed_direction_length};
use almoner_store::{Blame, Bytes, Layout, Store, StoreError, cid_from_bytes, cid_of};

use crate::tally::{Checked, Wrong, ensure};

/// `"ALMN"`, version, kind, count.
const LIST_HEADER: u64 = 10;

/// A source that did not deliver. Only what is there under its CID, and is no such artefact, says something about the
/// run; a source that does not have it, or has it otherwise, says nothing but where not to look.
pub(crate) fn unavailable(error: &StoreError) -> Wrong {
    match error {
        StoreError::BadCid { .. }
        | StoreError::Malformed { .. }
        | StoreError::TooLarge { .. }
        | StoreError::OutOfRange { .. } => Wrong::new(error.to_string()),
        error if error.blame() == Blame::Retry && !answered(error) => Wrong::away(error.to_string()),
        error => Wrong::missing(format!("unavailable: {error}")),
    }
}

/// Whether any source that was asked said that it does not have it.
fn answered(error: &StoreError) -> bool {
    match error {
        StoreError::Exhausted { attempts, .. } => attempts.iter().any(answered),
        other => other.is_missing(),
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Artefacts<'a> {
    store: &'a dyn Store,
}

impl<'a> Artefacts<'a> {
    pub(crate) fn new(store: &'a dyn Store) -> Self {
        Self { store }
    }

    /// A whole file of at most `most` bytes.
    pub(crate) async fn file(&self, cid: &[u8], most: u64) -> Checked<Bytes> {
        let cid = cid_from_bytes(cid).map_err(|error| Wrong::new(error.to_string()))?;
        let bytes = self.store.get(&cid, most).await.map_err(|error| unavailable(&error))?;
        let found = cid_of(&bytes, Layout::V1_2025);
        ensure(found == cid, || Wrong::new(format!("its bytes have the CID {found}")))?;
        Ok(bytes)
    }

    /// A list of at most `most` items: canonical, in order, nobody twice.
    pub(crate) async fn items<T: ListItem>(&self, cid: &[u8], most: usize) -> Checked<Vec<T>> {
        self.items_within(cid, most, T::MAX_LENGTH).await
    }

    /// As [`Self::items`], of items whose longest encoding is known better.
    pub(crate) async fn items_within<T: ListItem>(&self, cid: &[u8], most: usize, longest: usize) -> Checked<Vec<T>> {
        let most_bytes = LIST_HEADER + most as u64 * (4 + longest as u64);
        let bytes = self.file(cid, most_bytes).await?;
        Ok(decode_list(&bytes, most)?)
    }
}

/// The longest encoding of a direction: four words and the padded entries.
pub(crate) fn direction_length(parameters: u32) -> usize {
    128 + packed_direction_length(parameters.min(MAX_PARAMETERS)).next_multiple_of(32)
}

/// Whether a list has the root that was posted for it.
pub(crate) fn check_root<T: ListItem>(items: &[T], posted: B256) -> Checked<()> {
    let found = list_root(items);
    ensure(found == posted, || Wrong::new(format!("its root is {found}, posted is {posted}")))
}

#[cfg(test)]
mod tests {
    use almoner_protocol::types::VerdictItem;
    use almoner_protocol::{Address, encode_list};
    use almoner_store::MemoryStore;

    use super::*;

    fn verdicts(bytes: &[u8]) -> Vec<VerdictItem> {
        bytes.iter().map(|b| VerdictItem { participant: Address::repeat_byte(*b), verdict: 0 }).collect()
    }

    #[tokio::test]
    async fn a_list_is_read_whole_in_order_and_within_its_bound() {
        let store = MemoryStore::new();
        let put = |items: Vec<VerdictItem>| store.put(encode_list(&items).into());
        let good = put(verdicts(&[1, 2, 3])).await.unwrap().to_bytes();
        let artefacts = Artefacts::new(&store);
        let items = artefacts.items::<VerdictItem>(&good, 3).await.unwrap();
        assert_eq!(items, verdicts(&[1, 2, 3]));
        assert_eq!(check_root(&items, list_root(&items)), Ok(()));
        assert!(check_root(&items[1..], list_root(&items)).is_err());
        assert!(artefacts.items::<VerdictItem>(&good, 2).await.is_err());
        let twice = put(verdicts(&[1, 1])).await.unwrap().to_bytes();
        assert!(artefacts.items::<VerdictItem>(&twice, 3).await.is_err());
        let absent = MemoryStore::new().put(vec![1].into()).await.unwrap().to_bytes();
        let error = artefacts.items::<VerdictItem>(&absent, 3).await.unwrap_err();
        assert!(error.text.starts_with("unavailable"), "{error:?}");
        assert!(artefacts.items::<VerdictItem>(b"no cid", 3).await.is_err());
    }
}
