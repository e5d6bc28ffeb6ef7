//! Sending a contribution, and what the coordinator signs for it.

use almoner_proto::wire::sites_client::SitesClient;
use almoner_proto::{Signed, UploadHeader, UploadOffsetReply, UploadReceipt, timely, upload_messages, wire};
use almoner_protocol::types::{Contribution, Receipt};
use almoner_protocol::{Address, B256, SolStruct};
use tonic::transport::Channel;

use super::Contributed;
use crate::{Identity, SiteError};

/// Whether this upload was tried before: what arrived of it then need not be sent again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attempt {
    #[default]
    First,
    Again,
}

/// Uploads and returns the hash of the manifest that the coordinator countersigned.
pub async fn upload(
    client: &mut SitesClient<Channel>,
    identity: &Identity,
    coordinator: Address,
    contributed: Contributed,
    attempt: Attempt,
) -> Result<B256, SiteError> {
    let Contributed { manifest, ciphertext, check, shares } = contributed;
    let mut header = UploadHeader {
        contribution: identity.sign(manifest.clone())?,
        ciphertext_bytes: ciphertext.len() as u64,
        check_bytes: check.len() as u64,
        shares_bytes: shares.len() as u64,
        offset: 0,
    };
    if attempt == Attempt::Again {
        let reply = client.upload_offset(timely::<wire::UploadHeader>(header.clone())).await?.into_inner();
        // More than there is would be a mistake of theirs, which the reply to the upload would tell.
        header.offset = UploadOffsetReply::from(reply).offset.min(header.total());
    }
    let messages = tokio_stream::iter(upload_messages(header, [ciphertext, check, shares]));
    let UploadReceipt(receipt) = client.upload(messages).await?.into_inner().try_into()?;
    check_receipt(identity, coordinator, &manifest, &receipt)
}

/// A receipt is for this manifest and from this coordinator; it is what proves a refusal later.
pub fn check_receipt(
    identity: &Identity,
    coordinator: Address,
    manifest: &Contribution,
    receipt: &Signed<Receipt>,
) -> Result<B256, SiteError> {
    let hash = manifest.eip712_hash_struct();
    let Signed { message, signature } = receipt;
    if (message.ctx, message.participant) != (manifest.ctx, manifest.participant) {
        return Err(SiteError::Receipt("it is of another round or participant"));
    }
    if message.manifestHash != hash {
        return Err(SiteError::Receipt("it is of another manifest"));
    }
    if identity.signer(message, signature)? != coordinator {
        return Err(SiteError::Receipt("it is not signed by the federation's coordinator"));
    }
    Ok(hash)
}
