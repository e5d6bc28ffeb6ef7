//! Streams of bytes with a header: cutting them up, and reading them back under a bound.

use bytes::{Bytes, BytesMut};
use tokio_stream::{Stream, StreamExt};
use tonic::Status;

use crate::wire::{ResultChunk, UploadChunk, result_chunk, upload_chunk};
use crate::{FieldError, MAX_CHUNK, UploadHeader, WireError};

/// Largest result of one job: 65,535 participants with 9 inner products each.
const MAX_RESULT: usize = 8 << 20;

fn pieces(mut bytes: Bytes) -> impl Iterator<Item = Bytes> + Send {
    std::iter::from_fn(move || (!bytes.is_empty()).then(|| bytes.split_to(bytes.len().min(MAX_CHUNK))))
}

/// The messages of an upload: its header, then the bytes of ciphertext, check words and sealed shares that are not
/// there yet.
pub fn upload_messages(header: UploadHeader, files: [Bytes; 3]) -> impl Iterator<Item = UploadChunk> + Send {
    let mut there = usize::try_from(header.offset).unwrap_or(usize::MAX);
    let first = upload_chunk::Part::Header(header.into());
    let missing = files.map(|mut file| {
        let cut = there.min(file.len());
        there -= cut;
        file.split_off(cut)
    });
    let data = missing.into_iter().flat_map(pieces).map(upload_chunk::Part::Data);
    std::iter::once(first).chain(data).map(|part| UploadChunk { part: Some(part) })
}

/// The messages of a job's result.
pub fn result_messages(lease: u64, result: Bytes) -> impl Iterator<Item = ResultChunk> + Send {
    let first = result_chunk::Part::Lease(lease);
    let data = pieces(result).map(result_chunk::Part::Data);
    std::iter::once(first).chain(data).map(|part| ResultChunk { part: Some(part) })
}

/// Reads an upload, message by message. Nothing beyond the header's lengths is ever handed on.
#[derive(Debug)]
pub struct UploadReader<S> {
    stream: S,
    left: u64,
}

impl<S: Stream<Item = Result<UploadChunk, Status>> + Unpin> UploadReader<S> {
    pub async fn open(mut stream: S) -> Result<(UploadHeader, Self), WireError> {
        let Some(first) = stream.next().await.transpose()? else {
            return Err(refused("upload", "ended before its header"));
        };
        let Some(upload_chunk::Part::Header(header)) = first.part else {
            return Err(refused("upload", "does not begin with its header"));
        };
        let header = UploadHeader::try_from(header)?;
        // The conversion has compared them.
        let left = header.total().saturating_sub(header.offset);
        Ok((header, Self { stream, left }))
    }

    /// The next bytes; `None` once all announced bytes have been read and the stream has ended.
    pub async fn next(&mut self) -> Result<Option<Bytes>, WireError> {
        match self.stream.next().await.transpose()? {
            None if self.left == 0 => Ok(None),
            None => Err(refused("upload", "ended early")),
            Some(chunk) => self.accept(chunk).map(Some),
        }
    }

    fn accept(&mut self, chunk: UploadChunk) -> Result<Bytes, WireError> {
        let Some(upload_chunk::Part::Data(data)) = chunk.part else {
            return Err(refused("upload", "has a second header, or an empty message"));
        };
        let data = bounded("UploadChunk", data)?;
        let length = data.len() as u64;
        self.left = self.left.checked_sub(length).ok_or(refused("upload", "is longer than announced"))?;
        Ok(data)
    }
}

/// Reads a job's result.
#[derive(Debug)]
pub struct ResultReader<S> {
    stream: S,
}

impl<S: Stream<Item = Result<ResultChunk, Status>> + Unpin> ResultReader<S> {
    /// The lease this is the result of, which says how long the result must be.
    pub async fn open(mut stream: S) -> Result<(u64, Self), WireError> {
        match stream.next().await.transpose()?.and_then(|first| first.part) {
            Some(result_chunk::Part::Lease(lease)) => Ok((lease, Self { stream })),
            Some(result_chunk::Part::Data(_)) | None => Err(refused("result", "does not begin with its lease")),
        }
    }

    /// All of it, which must be exactly `length` bytes.
    pub async fn read(mut self, length: usize) -> Result<Bytes, WireError> {
        if length > MAX_RESULT {
            return Err(refused("result", "no job has so long a result"));
        }
        let mut result = BytesMut::with_capacity(length);
        while let Some(chunk) = self.stream.next().await.transpose()? {
            let Some(result_chunk::Part::Data(data)) = chunk.part else {
                return Err(refused("result", "has a second lease, or an empty message"));
            };
            let data = bounded("ResultChunk", data)?;
            if result.len() + data.len() > length {
                return Err(refused("result", "is longer than the job's result"));
            }
            result.extend_from_slice(&data);
        }
        if result.len() < length {
            return Err(refused("result", "ended early"));
        }
        Ok(result.freeze())
    }
}

fn bounded(message: &'static str, data: Bytes) -> Result<Bytes, FieldError> {
    match data.len() {
        0 => Err(FieldError::new(message, "data", "empty")),
        1..=MAX_CHUNK => Ok(data),
        length => Err(FieldError::new(message, "data", format!("length {length} is above the limit of {MAX_CHUNK}"))),
    }
}

fn refused(stream: &'static str, reason: &'static str) -> WireError {
    WireError::Stream { stream, reason }
}

#[cfg(test)]
mod tests;
