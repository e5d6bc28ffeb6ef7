//! CAR version 1: a header, then sections of (length, CID, block).
//!
//! The reader takes nothing from an archive but candidate blocks for a [`Walk`]: the header's
//! roots are skipped unread, and a section's CID is only compared with the one expected.

mod receive;
mod send;

use bytes::{Buf, Bytes, BytesMut};
use cid::Cid;
use futures::{Stream, StreamExt, stream::BoxStream};

use crate::{
    MAX_BLOCK, Refusal,
    pb::{put_varint, varint},
};

pub(crate) use receive::receive;
pub(crate) use send::{Dups, send};

/// Header bytes skipped at most; a header with one root has 59.
const MAX_HEADER: u64 = 64 << 10;
/// A binary CID of the accepted kinds has 34 or 36 bytes.
const MAX_SECTION: u64 = MAX_BLOCK as u64 + 64;

/// The header naming one root: a DAG-CBOR map `{roots: [cid], version: 1}`.
pub(crate) fn header(root: &Cid) -> Bytes {
    let cid = root.to_bytes();
    let mut cbor = vec![0xa2, 0x65];
    cbor.extend_from_slice(b"roots");
    // One link: tag 42 over a byte string of a zero byte and the CID (34 or 36 bytes).
    cbor.extend_from_slice(&[0x81, 0xd8, 0x2a, 0x58, cid.len() as u8 + 1, 0]);
    cbor.extend_from_slice(&cid);
    cbor.push(0x67);
    cbor.extend_from_slice(b"version");
    cbor.push(0x01);
    let mut out = Vec::with_capacity(cbor.len() + 1);
    put_varint(&mut out, cbor.len() as u64);
    out.extend_from_slice(&cbor);
    out.into()
}

/// What precedes a block in its section.
pub(crate) fn prefix(cid: &Cid, block_len: usize) -> Bytes {
    let cid = cid.to_bytes();
    let mut out = Vec::with_capacity(cid.len() + 5);
    put_varint(&mut out, (cid.len() + block_len) as u64);
    out.extend_from_slice(&cid);
    out.into()
}

/// Why an archive could not be read further.
#[derive(Debug)]
pub(crate) enum CarError {
    /// The bytes are not an archive within our limits.
    Bad(Refusal),
    /// The stream ended or broke inside the archive.
    Cut(String),
}

/// Splits a byte stream into sections, at most one section in memory.
pub(crate) struct CarReader {
    input: BoxStream<'static, Result<Bytes, String>>,
    buffer: BytesMut,
    in_header: bool,
}

impl CarReader {
    pub(crate) fn new(input: impl Stream<Item = Result<Bytes, String>> + Send + 'static) -> Self {
        Self { input: input.boxed(), buffer: BytesMut::new(), in_header: true }
    }

    /// The next section (CID and block together), `None` at a clean end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, CarError> {
        if self.in_header {
            let header = self.frame(MAX_HEADER).await?;
            header.ok_or_else(|| CarError::Cut("the archive is empty".into()))?;
            self.in_header = false;
        }
        self.frame(MAX_SECTION).await
    }

    async fn frame(&mut self, max: u64) -> Result<Option<Bytes>, CarError> {
        let (len, used) = loop {
            if let Some(found) = varint(&self.buffer) {
                break found;
            }
            // Ten bytes hold any length: more without an end is no length.
            if self.buffer.len() >= 10 {
                return Err(CarError::Bad(Refusal::BadFraming));
            }
            if !self.fill().await? {
                let clean = self.buffer.is_empty();
                return if clean { Ok(None) } else { Err(cut()) };
            }
        };
        if len == 0 {
            return Err(CarError::Bad(Refusal::BadFraming));
        }
        if len > max {
            return Err(CarError::Bad(Refusal::Oversize));
        }
        self.buffer.advance(used);
        // At most MAX_SECTION, which fits.
        let len = len as usize;
        while self.buffer.len() < len {
            if !self.fill().await? {
                return Err(cut());
            }
        }
        Ok(Some(self.buffer.split_to(len).freeze()))
    }

    /// Reads more; false at the end of the stream.
    async fn fill(&mut self) -> Result<bool, CarError> {
        match self.input.next().await {
            None => Ok(false),
            Some(Ok(bytes)) => {
                self.buffer.extend_from_slice(&bytes);
                Ok(true)
            }
            Some(Err(detail)) => Err(CarError::Cut(detail)),
        }
    }
}

fn cut() -> CarError {
    CarError::Cut("the archive ended early".into())
}

#[cfg(test)]
mod tests;
