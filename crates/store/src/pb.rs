//! The two protobuf messages of a UnixFS file, written and read by hand: `PBNode` of dag-pb
//! and UnixFS `Data`. Reading is strict, because these bytes come from strangers: unknown
//! fields, wrong wire types, repeated singular fields and lengths past the end are errors.

use cid::Cid;

use crate::{Malformed, ids};

const VARINT: u64 = 0;
const LEN: u64 = 2;
const UNIXFS_RAW: u64 = 0;
const UNIXFS_FILE: u64 = 2;

/// A child of an inner node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) cid: Cid,
    /// Bytes of the file below this link.
    pub(crate) size: u64,
    /// Bytes of all blocks below this link, repeats counted (`Tsize`): a hint, never trusted.
    pub(crate) total: u64,
}

/// A dag-pb block read as part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// Older layouts wrap leaf data in dag-pb: the data's place inside the block.
    Leaf(std::ops::Range<usize>),
    Inner(Vec<Child>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Child {
    pub(crate) cid: Cid,
    pub(crate) size: u64,
}

/// The inner node over `links`, byte for byte as Kubo and the JS importer write it: links
/// first, empty names present, block sizes unpacked.
pub(crate) fn encode_inner(links: &[Link]) -> Vec<u8> {
    let mut data = vec![0x08, 0x02, 0x18];
    put_varint(&mut data, links.iter().map(|l| l.size).sum());
    for link in links {
        data.push(0x20);
        put_varint(&mut data, link.size);
    }
    let mut node = Vec::with_capacity(links.len() * 56 + data.len());
    let mut entry = Vec::with_capacity(64);
    for link in links {
        entry.clear();
        put_bytes(&mut entry, 0x0a, &link.cid.to_bytes());
        put_bytes(&mut entry, 0x12, &[]);
        entry.push(0x18);
        put_varint(&mut entry, link.total);
        put_bytes(&mut node, 0x12, &entry);
    }
    put_bytes(&mut node, 0x0a, &data);
    node
}

/// Reads a dag-pb block as part of a file and checks its own sizes: one block size per link,
/// their sum the file size, no empty child.
pub(crate) fn decode(block: &[u8]) -> Result<Node, Malformed> {
    let mut links = Vec::new();
    let mut data = None;
    let mut fields = Fields::new(block, Malformed::NotDagPb);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Value::Bytes(range)) if data.is_none() => data = Some(range),
            (2, Value::Bytes(range)) => links.push(decode_link(&block[range])?),
            _ => return Err(Malformed::NotDagPb),
        }
    }
    let data = data.ok_or(Malformed::NotUnixFs)?;
    let file = decode_unixfs(&block[data.clone()])?;
    if links.is_empty() {
        let inline = file.data.unwrap_or(0..0);
        if !file.sizes.is_empty() || file.size.is_some_and(|size| size != inline.len() as u64) {
            return Err(Malformed::Sizes);
        }
        return Ok(Node::Leaf(data.start + inline.start..data.start + inline.end));
    }
    inner(links, file)
}

fn inner(links: Vec<Cid>, file: UnixFs) -> Result<Node, Malformed> {
    if file.data.is_some_and(|d| !d.is_empty()) {
        return Err(Malformed::Shape);
    }
    if links.len() != file.sizes.len() {
        return Err(Malformed::Sizes);
    }
    // An empty child would let a tiny file cost an endless walk.
    if file.sizes.contains(&0) {
        return Err(Malformed::Shape);
    }
    let sum = file.sizes.iter().try_fold(0u64, |sum, size| sum.checked_add(*size));
    if sum.is_none() || sum != file.size {
        return Err(Malformed::Sizes);
    }
    let children = links.into_iter().zip(file.sizes).map(|(cid, size)| Child { cid, size });
    Ok(Node::Inner(children.collect()))
}

fn decode_link(bytes: &[u8]) -> Result<Cid, Malformed> {
    let mut cid = None;
    let mut fields = Fields::new(bytes, Malformed::NotDagPb);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Value::Bytes(range)) if cid.is_none() => {
                cid = Some(ids::cid_from_bytes(&bytes[range]).map_err(|_| Malformed::LinkKind)?);
            }
            (2, Value::Bytes(_)) | (3, Value::Int(_)) => {}
            _ => return Err(Malformed::NotDagPb),
        }
    }
    cid.ok_or(Malformed::NotDagPb)
}

struct UnixFs {
    data: Option<std::ops::Range<usize>>,
    size: Option<u64>,
    sizes: Vec<u64>,
}

fn decode_unixfs(bytes: &[u8]) -> Result<UnixFs, Malformed> {
    let mut kind = None;
    let mut file = UnixFs { data: None, size: None, sizes: Vec::new() };
    let mut fields = Fields::new(bytes, Malformed::NotUnixFs);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Value::Int(n)) if kind.is_none() => kind = Some(n),
            (2, Value::Bytes(range)) if file.data.is_none() => file.data = Some(range),
            (3, Value::Int(n)) if file.size.is_none() => file.size = Some(n),
            (4, Value::Int(n)) => file.sizes.push(n),
            (4, Value::Bytes(range)) => packed(&bytes[range], &mut file.sizes)?,
            // hash type and fan-out of shards, mode and mtime: not ours, no effect on content.
            (5..=7, Value::Int(_)) | (8, Value::Bytes(_)) => {}
            _ => return Err(Malformed::NotUnixFs),
        }
    }
    match kind {
        Some(UNIXFS_FILE | UNIXFS_RAW) => Ok(file),
        Some(_) => Err(Malformed::NotAFile),
        None => Err(Malformed::NotUnixFs),
    }
}

fn packed(mut bytes: &[u8], out: &mut Vec<u64>) -> Result<(), Malformed> {
    while !bytes.is_empty() {
        let (value, used) = varint(bytes).ok_or(Malformed::NotUnixFs)?;
        out.push(value);
        bytes = &bytes[used..];
    }
    Ok(())
}

enum Value {
    Int(u64),
    Bytes(std::ops::Range<usize>),
}

/// Walks the fields of one message; memory is bounded by the block, itself at most `MAX_BLOCK`.
struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
    error: Malformed,
}

impl<'a> Fields<'a> {
    fn new(bytes: &'a [u8], error: Malformed) -> Self {
        Self { bytes, at: 0, error }
    }

    fn next(&mut self) -> Result<Option<(u64, Value)>, Malformed> {
        if self.at == self.bytes.len() {
            return Ok(None);
        }
        let key = self.varint()?;
        let value = self.varint()?;
        match key & 7 {
            VARINT => Ok(Some((key >> 3, Value::Int(value)))),
            LEN => {
                let len = usize::try_from(value).map_err(|_| self.error)?;
                let end = self.at.checked_add(len).ok_or(self.error)?;
                if end > self.bytes.len() {
                    return Err(self.error);
                }
                let range = self.at..end;
                self.at = end;
                Ok(Some((key >> 3, Value::Bytes(range))))
            }
            _ => Err(self.error),
        }
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let (value, used) = varint(&self.bytes[self.at..]).ok_or(self.error)?;
        self.at += used;
        Ok(value)
    }
}

/// An unsigned LEB128 of at most 64 bits in its shortest form, and its length.
pub(crate) fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0u64;
    for (i, byte) in bytes.iter().take(10).enumerate() {
        let low = u64::from(byte & 0x7f);
        if i == 9 && low > 1 {
            return None;
        }
        value |= low << (7 * i);
        if byte & 0x80 == 0 {
            return (i == 0 || low != 0).then_some((value, i + 1));
        }
    }
    None
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        // The low seven bits: the cast keeps exactly those after the mask.
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_bytes(out: &mut Vec<u8>, key: u8, bytes: &[u8]) {
    out.push(key);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests;
