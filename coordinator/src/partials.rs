//! Uploads whose line broke. What arrived is kept, so that a hospital on a slow line goes on where it was.
//!
//! Kept in memory and under a bound, for uploads that the running round would accept, and no longer than it takes any. A
//! coordinator that is started again has none, and the site sends everything again. Nothing is believed of what is
//! kept: the files are held against their CIDs when they are whole.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use almoner_proto::RoundNotice;
use almoner_protocol::round::State;
use almoner_protocol::types::Contribution;
use almoner_protocol::{Address, B256, SolStruct};
use bytes::{Bytes, BytesMut};
use tokio::sync::watch;

/// Bytes kept of all uploads together.
const MOST: usize = 256 << 20;

/// What arrived, by participant: a second upload of one takes the place of the first.
#[derive(Debug, Default)]
pub(crate) struct Partials(Mutex<BTreeMap<Address, (B256, BytesMut)>>);

impl Partials {
    /// How many bytes of this very upload are here.
    pub(crate) fn offset(&self, upload: &Contribution) -> u64 {
        let kept = self.lock();
        let of = kept.get(&upload.participant).filter(|(manifest, _)| *manifest == upload.eip712_hash_struct());
        of.map_or(0, |(_, bytes)| bytes.len() as u64)
    }

    /// Begins to receive an upload, or goes on with it: `None` if other than `offset` bytes of it are here.
    pub(crate) fn receive(self: &Arc<Self>, upload: &Contribution, offset: u64) -> Option<Arriving> {
        let manifest = upload.eip712_hash_struct();
        let bytes = match offset {
            0 => BytesMut::new(),
            offset if self.offset(upload) == offset => self.lock().remove(&upload.participant)?.1,
            _ => return None,
        };
        Some(Arriving { partials: Some(self.clone()), participant: upload.participant, manifest, bytes })
    }

    fn keep(&self, participant: Address, manifest: B256, bytes: BytesMut) {
        let mut kept = self.lock();
        kept.remove(&participant);
        let others: usize = kept.values().map(|(_, bytes)| bytes.len()).sum();
        if others.saturating_add(bytes.len()) <= MOST {
            tracing::info!(%participant, bytes = bytes.len(), "an upload broke off; what arrived is kept");
            kept.insert(participant, (manifest, bytes));
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Address, (B256, BytesMut)>> {
        // Values are replaced whole, so a panic elsewhere leaves a usable map.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An upload on its way. Where the line breaks its handler is dropped, and this with it.
#[derive(Debug)]
pub(crate) struct Arriving {
    partials: Option<Arc<Partials>>,
    participant: Address,
    manifest: B256,
    pub(crate) bytes: BytesMut,
}

impl Arriving {
    /// It is all here; nothing of it is kept any longer, whatever it turns out to be.
    pub(crate) fn whole(mut self) -> Bytes {
        self.partials = None;
        std::mem::take(&mut self.bytes).freeze()
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if let Some(partials) = self.partials.take().filter(|_| !self.bytes.is_empty()) {
            partials.keep(self.participant, self.manifest, std::mem::take(&mut self.bytes));
        }
    }
}

/// Forgets everything as soon as no uploads are taken.
pub(crate) async fn sweep(partials: Arc<Partials>, mut notice: watch::Receiver<RoundNotice>) {
    while notice.changed().await.is_ok() {
        if notice.borrow().state != State::Training.name() {
            partials.lock().clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(participant: u8, blocks: u32) -> Contribution {
        Contribution { participant: Address::repeat_byte(participant), blocks, ..Contribution::default() }
    }

    fn broken(partials: &Arc<Partials>, upload: &Contribution, bytes: &[u8]) {
        let mut arriving = partials.receive(upload, 0).unwrap();
        arriving.bytes.extend_from_slice(bytes);
    }

    #[test]
    fn what_arrived_of_this_very_upload_is_kept_until_it_is_whole() {
        let partials = Arc::new(Partials::default());
        let (own, other) = (upload(1, 1), upload(1, 2));
        broken(&partials, &own, b"abc");
        assert_eq!((partials.offset(&own), partials.offset(&other)), (3, 0));
        assert!(partials.receive(&own, 2).is_none());
        assert!(partials.receive(&other, 3).is_none());
        let mut again = partials.receive(&own, 3).unwrap();
        again.bytes.extend_from_slice(b"def");
        drop(again);
        assert_eq!(partials.offset(&own), 6);
        assert_eq!(partials.receive(&own, 6).unwrap().whole(), b"abcdef"[..]);
        assert_eq!(partials.offset(&own), 0);
    }

    #[test]
    fn nothing_is_kept_above_the_bound() {
        let partials = Arc::new(Partials::default());
        broken(&partials, &upload(1, 1), &vec![0; MOST]);
        broken(&partials, &upload(2, 1), b"a");
        assert_eq!((partials.offset(&upload(1, 1)), partials.offset(&upload(2, 1))), (MOST as u64, 0));
        // One participant has one place.
        broken(&partials, &upload(1, 2), b"a");
        assert_eq!((partials.offset(&upload(1, 1)), partials.offset(&upload(1, 2))), (0, 1));
    }

    #[tokio::test]
    async fn the_end_of_training_is_the_end_of_it() {
        let partials = Arc::new(Partials::default());
        let (notices, notice) = watch::channel(RoundNotice::default());
        let sweeping = tokio::spawn(sweep(partials.clone(), notice));
        broken(&partials, &upload(1, 1), b"abc");
        notices.send_modify(|notice| notice.state = State::Locked.name().into());
        drop(notices);
        sweeping.await.unwrap();
        assert_eq!(partials.offset(&upload(1, 1)), 0);
    }
}
