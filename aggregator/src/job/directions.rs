//! The range's entries of every direction, read without holding the whole list: a list item of one direction is as
//! long as the model.
//!
//! The list is framed as in PROTOCOL.md §1, and a `DirectionItem` is encoded as four words (offset of the struct,
//! validator, offset of the entries, their bytes) and the entries, two a byte.

use almoner_crypto::ring::N;
use almoner_proto::{Job, MAX_DIRECTIONS};
use almoner_protocol::types::DirectionItem;
use almoner_protocol::{ListItem, packed_direction_length, unpack_direction};
use almoner_store::{Cid, Store};

use crate::AggregatorError;

const LIST_HEADER: u64 = 10;
const ITEM_HEADER: u64 = 4 + 128;

/// Entries of the job's blocks, per direction; positions behind the last parameter are zero.
pub(super) async fn entries(job: &Job, store: &dyn Store, cid: &Cid) -> Result<Vec<Vec<i8>>, AggregatorError> {
    let count = count(&store.range(cid, 0, LIST_HEADER).await?)?;
    let first = u64::from(job.first_block) * N as u64;
    let length = job.blocks as usize * N;
    // At most the parameters.
    let here = (u64::from(job.parameters) - first).min(length as u64) as u32;
    let mut at = LIST_HEADER;
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let header = store.range(cid, at, ITEM_HEADER).await?;
        let item_length = item_length(&header, job.parameters)?;
        // Ranges begin with a byte: blocks have an even number of entries.
        let bytes = packed_direction_length(here) as u64;
        let packed = store.range(cid, at + ITEM_HEADER + first / 2, bytes).await?;
        let entries = unpack_direction(&packed, here);
        let mut entries = entries.map_err(|_| AggregatorError::Directions("not packed as it should be"))?;
        entries.resize(length, 0);
        all.push(entries);
        at += 4 + item_length;
    }
    Ok(all)
}

fn count(header: &[u8]) -> Result<usize, AggregatorError> {
    let Some((head, count)) = header.split_last_chunk::<4>() else {
        return Err(AggregatorError::Directions("shorter than its header"));
    };
    if head != [b'A', b'L', b'M', b'N', 0, DirectionItem::KIND] {
        return Err(AggregatorError::Directions("not a direction list of protocol version 0"));
    }
    match u32::from_be_bytes(*count) as usize {
        count @ 1..=MAX_DIRECTIONS => Ok(count),
        _ => Err(AggregatorError::Directions("no directions, or more than a round can have")),
    }
}

/// Checks that the item is as long as one entry per parameter makes it, and returns its length.
fn item_length(header: &[u8], parameters: u32) -> Result<u64, AggregatorError> {
    let refused = AggregatorError::Directions("an item is not one direction of this model");
    let Some((length, words)) = header.split_first_chunk::<4>() else { return Err(refused) };
    let word = |value: u64| {
        let mut word = [0; 32];
        word[24..].copy_from_slice(&value.to_be_bytes());
        word
    };
    let packed = packed_direction_length(parameters) as u64;
    let padded = packed.next_multiple_of(32);
    let expected = 128 + padded;
    let well_formed = u64::from(u32::from_be_bytes(*length)) == expected
        && words.len() == 128
        && words[..32] == word(32)
        && words[64..96] == word(64)
        && words[96..] == word(packed);
    if well_formed { Ok(expected) } else { Err(refused) }
}
