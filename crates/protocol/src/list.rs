//! Artefact lists: the framing and the root of PROTOCOL.md §1.
//!
//! Lists come from strangers, so reading one is bounded before it allocates, accepts one encoding only, and refuses
//! a list whose order or duplicates would let the same facts have two roots.

use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::SolValue;

use crate::Error;
use crate::types::{
    AdmitItem, CommitteeMember, DirectionItem, LockItem, Member, OpenItem, PayoutItem, PromiseItem, ScoreItem,
    SettleItem, Validator, VerdictItem,
};

const MAGIC: &[u8; 4] = b"ALMN";
const VERSION: u8 = 0;
const HEADER: usize = 10;

/// Largest model: bounds a direction, which is the only item that grows with it.
pub const MAX_PARAMETERS: u32 = 1 << 26;

/// An item that can stand in a list.
pub trait ListItem: Sized {
    /// What the order of a list is taken over; equal keys are duplicates.
    type Key: Ord;

    const KIND: u8;
    const LIST: &'static str;
    /// Longest encoding accepted.
    const MAX_LENGTH: usize;

    fn key(&self) -> Self::Key;
    fn encode(&self) -> Vec<u8>;
    /// `None` unless `bytes` is the one encoding of an item.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

macro_rules! list_item {
    ($type:ty, $kind:expr, $name:expr, $max:expr, $key:ty, |$item:ident| $key_of:expr) => {
        impl ListItem for $type {
            type Key = $key;

            const KIND: u8 = $kind;
            const LIST: &'static str = $name;
            const MAX_LENGTH: usize = $max;

            fn key(&self) -> $key {
                let $item = self;
                $key_of
            }

            fn encode(&self) -> Vec<u8> {
                self.abi_encode()
            }

            fn decode(bytes: &[u8]) -> Option<Self> {
                let item = <$type>::abi_decode(bytes).ok()?;
                // One value, one encoding: else one list would have several roots.
                (item.abi_encode() == bytes).then_some(item)
            }
        }
    };
}

list_item!(Member, 1, "member", 96, Address, |item| item.account);
list_item!(CommitteeMember, 2, "committee", 2048, Address, |item| item.account);
list_item!(Validator, 3, "validator", 96, Address, |item| item.account);
list_item!(PromiseItem, 4, "promise", 64, Address, |item| item.validator);
list_item!(LockItem, 5, "lock", 4096, Address, |item| item.manifest.participant);
list_item!(DirectionItem, 6, "direction", MAX_PARAMETERS as usize / 2 + 160, Address, |item| item.validator);
list_item!(VerdictItem, 7, "audit", 64, Address, |item| item.participant);
list_item!(ScoreItem, 8, "score", 1 << 20, Address, |item| item.participant);
list_item!(AdmitItem, 9, "admit", 128, Address, |item| item.participant);
list_item!(OpenItem, 10, "open", 1 << 15, u16, |item| item.member);
// Hospitals, then validators, each in address order.
list_item!(SettleItem, 11, "settle", 256, (u8, Address), |item| (item.role, item.account));
list_item!(PayoutItem, 12, "payout", 64, Address, |item| item.account);

/// One committee member's sealed shares; its place in the list is its committee index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedShares(pub Bytes);

impl ListItem for SealedShares {
    // Blobs have no order of their own; freshness of the encapsulated key makes equal ones impossible.
    type Key = ();

    const KIND: u8 = 13;
    const LIST: &'static str = "sealed shares";
    const MAX_LENGTH: usize = 1 << 15;

    fn key(&self) {}

    fn encode(&self) -> Vec<u8> {
        self.0.to_vec()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(Self(Bytes::copy_from_slice(bytes)))
    }
}

/// Bytes of a list artefact. The items must already be in order.
pub fn encode_list<T: ListItem>(items: &[T]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + items.len() * 64);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[VERSION, T::KIND]);
    // Lists are bounded by the federation's size; a count beyond u32 cannot be held in memory.
    out.extend_from_slice(&(items.len() as u32).to_be_bytes());
    for item in items {
        let bytes = item.encode();
        out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
        out.extend_from_slice(&bytes);
    }
    out
}

/// Reads a list of at most `max_count` items.
pub fn decode_list<T: ListItem>(bytes: &[u8], max_count: usize) -> Result<Vec<T>, Error> {
    let refused = |reason| Error::List { list: T::LIST, reason };
    let (header, mut rest) = bytes.split_at_checked(HEADER).ok_or(refused("shorter than its header"))?;
    if !header.starts_with(MAGIC) || header[4] != VERSION {
        return Err(refused("not a list of protocol version 0"));
    }
    if header[5] != T::KIND {
        return Err(refused("a list of another kind"));
    }
    let count = u32::from_be_bytes([header[6], header[7], header[8], header[9]]) as usize;
    if count > max_count {
        return Err(refused("more items than this round can have"));
    }
    // Every item takes at least its length word, so the claim of a count allocates no more than was sent.
    let mut items = Vec::with_capacity(count.min(rest.len() / 4));
    for item in 0..count {
        items.push(take_item(&mut rest, item)?);
    }
    if !rest.is_empty() {
        return Err(refused("bytes after the last item"));
    }
    check_order(&items)?;
    Ok(items)
}

fn take_item<T: ListItem>(rest: &mut &[u8], item: usize) -> Result<T, Error> {
    let refused = |reason| Error::ListItem { list: T::LIST, item, reason };
    let (length, after) = rest.split_first_chunk::<4>().ok_or(refused("missing"))?;
    let length = u32::from_be_bytes(*length) as usize;
    if length > T::MAX_LENGTH {
        return Err(refused("too long"));
    }
    let (body, after) = after.split_at_checked(length).ok_or(refused("cut short"))?;
    *rest = after;
    T::decode(body).ok_or(refused("not the encoding of an item"))
}

/// Ascending keys, each once.
pub fn check_order<T: ListItem>(items: &[T]) -> Result<(), Error> {
    if size_of::<T::Key>() == 0 {
        return Ok(());
    }
    match items.windows(2).position(|pair| pair[0].key() >= pair[1].key()) {
        Some(at) => Err(Error::ListItem { list: T::LIST, item: at + 1, reason: "out of order, or there twice" }),
        None => Ok(()),
    }
}

/// Root of a list: the tree of its items under its kind.
pub fn list_root<T: ListItem>(items: &[T]) -> B256 {
    B256::from(almoner_crypto::tree::root(T::KIND, items.iter().map(ListItem::encode)))
}

#[cfg(test)]
mod tests;
