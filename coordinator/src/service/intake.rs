//! An upload on its way in. Before the first byte is taken its manifest must be one that the round would accept now;
//! before there is a receipt its files are in the store, under the manifest's CIDs.

use std::sync::Arc;

use almoner_proto::{UploadHeader, UploadReader, UploadReceipt, wire};
use almoner_store::Store;
use tonic::{Status, Streaming};

use super::{Mailbox, refuse};
use crate::CoordinatorError;
use crate::access::Speaker;
use crate::arriving::Lengths;
use crate::ingress::{Ingress, Told, UploadSizes};
use crate::partials::{Line, Partials};

/// Takes a whole upload and answers with its receipt.
pub(super) async fn receive(
    mailbox: &Mailbox,
    partials: &Arc<Partials>,
    store: &dyn Store,
    stream: Streaming<wire::UploadChunk>,
    caller: Speaker,
) -> Result<wire::UploadReceipt, Status> {
    let (header, reader) = UploadReader::open(stream).await.map_err(|e| refuse(e.into()))?;
    let lengths = Lengths::from(&header);
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
    let line = partials.receive(&manifest, lengths, offset, store).await.map_err(refuse)?;
    let line = line.ok_or_else(|| refuse(CoordinatorError::NotNow("upload header: ask again for the offset")))?;
    take_all(&line, reader).await.map_err(refuse)?;
    let files = line.finish(&manifest).await.map_err(refuse)?;
    store.keep(files).await.map_err(|e| refuse(e.into()))?;
    let receipt = mailbox.ask(|reply| Ingress::Told(Told::Contribution { manifest: contribution, reply })).await?;
    Ok(UploadReceipt(receipt).into())
}

async fn take_all(line: &Line, mut reader: UploadReader<Streaming<wire::UploadChunk>>) -> Result<(), CoordinatorError> {
    loop {
        match reader.next().await {
            Ok(Some(bytes)) => line.take(bytes).await?,
            Ok(None) => return Ok(()),
            Err(error) => {
                line.broke().await;
                return Err(error.into());
            }
        }
    }
}
