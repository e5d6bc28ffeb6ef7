//! An upload on its way in. Before the first byte is taken its manifest must be one that the round would accept now;
//! before there is a receipt every word must be below its bound, and the files those of the manifest's roots and CIDs.
//! The audit of the round asks it all again: what came by the chain was not seen here.

use std::sync::Arc;

use almoner_crypto::encrypt::{DATA_BLOCK_BYTES, DATA_WORD, check_data_block};
use almoner_crypto::sum::validate_check_file;
use almoner_crypto::tree::{kind, vector_root};
use almoner_proto::{UploadHeader, UploadReader, UploadReceipt, wire};
use almoner_protocol::B256;
use almoner_protocol::types::Contribution;
use almoner_store::Store;
use bytes::Bytes;
use tonic::{Status, Streaming};

use super::{Mailbox, refuse};
use crate::CoordinatorError;
use crate::access::Speaker;
use crate::ingress::{Ingress, UploadSizes};
use crate::partials::Partials;

/// Bytes of a check word.
const CHECK_WORD: usize = 8;

/// Takes a whole upload and answers with its receipt.
pub(super) async fn receive(
    mailbox: &Mailbox,
    partials: &Arc<Partials>,
    store: &dyn Store,
    stream: Streaming<wire::UploadChunk>,
    caller: Speaker,
) -> Result<wire::UploadReceipt, Status> {
    let (header, mut reader) = UploadReader::open(stream).await.map_err(|e| refuse(e.into()))?;
    let UploadHeader { contribution, ciphertext_bytes, check_bytes, shares_bytes, offset } = header;
    caller.speaks_for(contribution.message.participant)?;
    let manifest = contribution.message.clone();
    let asked = contribution.clone();
    let sizes = mailbox.ask(|reply| Ingress::UploadSizes { manifest: asked, reply }).await?;
    let claimed = UploadSizes { ciphertext: ciphertext_bytes, check: check_bytes, shares: shares_bytes };
    if claimed.ciphertext != sizes.ciphertext || claimed.check != sizes.check || claimed.shares > sizes.shares {
        return Err(refuse(CoordinatorError::Invalid(format!(
            "upload header: this round takes {} ciphertext, {} check and at most {} share bytes",
            sizes.ciphertext, sizes.check, sizes.shares
        ))));
    }
    let arriving = partials.receive(&manifest, offset);
    let mut arriving =
        arriving.ok_or_else(|| refuse(CoordinatorError::NotNow("upload header: ask again for the offset")))?;
    reader.rest_into(&mut arriving.bytes).await.map_err(|e| refuse(e.into()))?;
    reader.finish().await.map_err(|e| refuse(e.into()))?;
    let mut all = arriving.whole();
    for (length, file) in [
        (ciphertext_bytes, File::Ciphertext { root: manifest.ciphertextRoot }),
        (check_bytes, File::Check { root: manifest.checkRoot }),
        (shares_bytes, File::Shares),
    ] {
        // They are as long together as the header says, and that was compared with what the round takes.
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(all.len());
        keep(store, all.split_to(length), file, &manifest).await.map_err(refuse)?;
    }
    let receipt = mailbox.ask(|reply| Ingress::Contribution { manifest: contribution, reply }).await?;
    Ok(UploadReceipt(receipt).into())
}

/// One of the three files of an upload, in their order.
#[derive(Clone, Copy, Debug)]
enum File {
    Ciphertext { root: B256 },
    Check { root: B256 },
    Shares,
}

impl File {
    fn name(self) -> &'static str {
        match self {
            Self::Ciphertext { .. } => "ciphertext",
            Self::Check { .. } => "check",
            Self::Shares => "shares",
        }
    }

    fn cid(self, manifest: &Contribution) -> &[u8] {
        match self {
            Self::Ciphertext { .. } => &manifest.ciphertextCid,
            Self::Check { .. } => &manifest.checkCid,
            Self::Shares => &manifest.sharesCid,
        }
    }

    /// What can be told from the bytes alone. Sealed shares are for their members to open.
    fn check(self, bytes: &[u8]) -> Result<(), CoordinatorError> {
        let (found, stated, in_range) = match self {
            Self::Ciphertext { root } => {
                let in_range = bytes.chunks(DATA_BLOCK_BYTES).all(|block| check_data_block(block).is_ok());
                (vector_root(kind::CIPHERTEXT, DATA_WORD, bytes), root, in_range)
            }
            Self::Check { root } => {
                let in_range = validate_check_file(bytes).is_ok();
                (vector_root(kind::CHECK, CHECK_WORD, bytes), root, in_range)
            }
            Self::Shares => return Ok(()),
        };
        let name = self.name();
        if !in_range {
            return Err(CoordinatorError::Invalid(format!("upload: a {name} word is not below its bound")));
        }
        if stated != found {
            let found = B256::from(found);
            return Err(CoordinatorError::Invalid(format!(
                "contribution.{name}Root: the bytes received have root {found}"
            )));
        }
        Ok(())
    }
}

/// Puts a file into the store if it is what the manifest says; what it is called is what it hashes to.
async fn keep(store: &dyn Store, bytes: Bytes, file: File, manifest: &Contribution) -> Result<(), CoordinatorError> {
    let looked_at = bytes.clone();
    tokio::task::spawn_blocking(move || file.check(&looked_at))
        .await
        .map_err(|error| CoordinatorError::Bug(error.to_string()))??;
    let cid = store.put(bytes).await?;
    if cid.to_bytes() != file.cid(manifest) {
        let name = file.name();
        return Err(CoordinatorError::Invalid(format!("contribution.{name}Cid: the bytes received have CID {cid}")));
    }
    Ok(())
}
