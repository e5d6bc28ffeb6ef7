//! Stage 7: the sum, added again from the ciphertexts and compared word by word. A sum moved by a multiple of the message
//! scale passes every residual; only the addition itself shows it.

use almoner_chain::StageRecord;
use almoner_crypto::encrypt::{CHECK_BYTES, WIDE_BLOCK_BYTES};
use almoner_crypto::tree::{TreeHasher, kind};
use almoner_store::{Bytes, Store, cid_from_bytes};

use super::RoundAudit;
use crate::artefacts::unavailable;
use crate::tally::{Checked, Place, Wrong, ensure};
use crate::uploads::{Range, ranges, sum_checks, sum_range};
use crate::{AuditError, Kind};

/// Bytes of a word of a sum.
const WORD: usize = 8;

impl RoundAudit<'_> {
    pub(super) async fn summed(&mut self, posted: &StageRecord) -> Result<(), AuditError> {
        let place = Place::cid(&posted.cid);
        let uploads = self.weighted();
        let mut hasher = TreeHasher::new(kind::SUM);
        let mut hash = |bytes: &[u8]| hasher.extend(WORD, bytes);
        for range in ranges(self.blocks()) {
            let read = read_range(self.store, &posted.cid, range).await;
            let Some(words) = self.read_words(place, read) else { return Ok(()) };
            hash(&words);
            if let Some(uploads) = &uploads {
                let found = sum_range(self.store, uploads, range).await?;
                let first = range.first as usize * WIDE_BLOCK_BYTES / WORD;
                self.tally.check(Kind::Sum, place, found.and_then(|found| compare("word", first, &words, &found)));
            }
        }
        let read = read_checks(self.store, &posted.cid, self.blocks()).await;
        let Some(words) = self.read_words(place, read) else { return Ok(()) };
        hash(&words);
        if let Some(uploads) = &uploads {
            let found = sum_checks(self.store, uploads).await;
            self.tally.check(Kind::Sum, place, found.and_then(|found| compare("check word", 0, &words, &found)));
        }
        let root = hasher.finish();
        let same = ensure(root == posted.root.0, || Wrong::new("its words do not have the posted root"));
        self.tally.check(Kind::Sum, place, same);
        Ok(())
    }

    /// A sum that cannot be read is one failed check.
    fn read_words(&mut self, place: Place<'_>, read: Checked<Bytes>) -> Option<Bytes> {
        match read {
            Ok(bytes) => Some(bytes),
            Err(wrong) => self.tally.check(Kind::Sum, place, Err(wrong)),
        }
    }
}

/// Data words of a range of a posted sum.
pub(super) async fn read_range(store: &dyn Store, cid: &[u8], range: Range) -> Checked<Bytes> {
    let block = WIDE_BLOCK_BYTES as u64;
    read(store, cid, range.first * block, range.blocks * block).await
}

/// Check words of a posted sum, which stand behind the data words.
pub(super) async fn read_checks(store: &dyn Store, cid: &[u8], blocks: u64) -> Checked<Bytes> {
    read(store, cid, blocks * WIDE_BLOCK_BYTES as u64, CHECK_BYTES as u64).await
}

async fn read(store: &dyn Store, cid: &[u8], offset: u64, length: u64) -> Checked<Bytes> {
    let cid = cid_from_bytes(cid).map_err(|error| Wrong::new(error.to_string()))?;
    store.range(&cid, offset, length).await.map_err(|error| unavailable(&error))
}

/// Big-endian words.
pub(super) fn words(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.as_chunks::<WORD>().0.iter().map(|word| u64::from_be_bytes(*word))
}

fn compare(what: &str, first: usize, posted: &[u8], found: &[u64]) -> Checked<()> {
    ensure(posted.len() == found.len() * WORD, || Wrong::new("not as long as the sum"))?;
    match words(posted).zip(found).enumerate().find(|(_, (posted, found))| posted != *found) {
        Some((at, (posted, found))) => {
            Err(Wrong::new(format!("{what} {} is {posted}, the uploads add up to {found}", first + at)))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word_is_enough() {
        let sums = [7u64, 1 << 40, 9];
        let mut posted: Vec<u8> = sums.iter().flat_map(|word| word.to_be_bytes()).collect();
        assert_eq!(compare("word", 0, &posted, &sums), Ok(()));
        assert!(compare("word", 0, &posted[8..], &sums).is_err());
        // A shift by exactly the message scale.
        posted[8..16].copy_from_slice(&((1u64 << 40) + (1 << 17)).to_be_bytes());
        assert!(compare("word", 2048, &posted, &sums).unwrap_err().text.starts_with("word 2049 is"));
    }
}
