//! Artefacts by CID, bounded before they are read, and lists held against their root.

use almoner_protocol::{B256, ListItem, decode_list, list_root};
use almoner_store::{Store, cid_from_bytes};
use bytes::Bytes;

use crate::SiteError;

/// Header of a list artefact.
const HEADER: u64 = 10;

/// A whole file of at most `limit` bytes.
pub async fn bytes(store: &dyn Store, cid: &[u8], limit: u64) -> Result<Bytes, SiteError> {
    Ok(store.get(&cid_from_bytes(cid)?, limit).await?)
}

/// A list of at most `count` items of at most `item` bytes each, which must have the root that the chain states.
pub async fn list<T: ListItem>(
    store: &dyn Store,
    cid: &[u8],
    count: usize,
    item: usize,
    root: B256,
) -> Result<Vec<T>, SiteError> {
    let item = item.min(T::MAX_LENGTH) as u64;
    let limit = HEADER.saturating_add((count as u64).saturating_mul(4 + item));
    let items = decode_list(&bytes(store, cid, limit).await?, count)?;
    let found = list_root(&items);
    if found != root {
        return Err(SiteError::Root { what: T::LIST, stated: root, found });
    }
    Ok(items)
}
