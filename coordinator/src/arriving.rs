//! One upload as it arrives. Every word is held against its bound, and the roots and CIDs of the three files are worked out,
//! while the bytes pass; they lie in the store's folder then, under no name yet. In memory is the piece in hand.
//!
//! The audit of the round asks it all again: what came by the chain was not seen here.

use almoner_crypto::encrypt::{CHECK_BYTES, DATA_BLOCK_BYTES, DATA_WORD, check_data_block};
use almoner_crypto::sum::validate_check_file;
use almoner_crypto::tree::{TreeHasher, kind, vector_root};
use almoner_proto::UploadHeader;
use almoner_protocol::B256;
use almoner_protocol::types::Contribution;
use almoner_store::{Incoming, Store, Whole};

use crate::CoordinatorError;

/// Bytes of a check word.
const CHECK_WORD: usize = 8;

/// What there is of an upload.
#[derive(Debug)]
pub(crate) struct Arriving {
    files: [File; 3],
    taken: u64,
}

#[derive(Debug)]
struct File {
    name: &'static str,
    length: u64,
    left: u64,
    looked: Looked,
    incoming: Incoming,
}

/// What can be told from the bytes alone.
#[derive(Debug)]
enum Looked {
    /// Block after block.
    Ciphertext { tree: TreeHasher, block: Vec<u8> },
    /// It is short, and looked at whole.
    Check(Vec<u8>),
    /// Sealed shares are for their members to open.
    Shares,
}

impl Arriving {
    /// Nothing yet, of files of these lengths, for which there is room.
    pub(crate) async fn new(lengths: Lengths, store: &dyn Store) -> Result<Self, CoordinatorError> {
        let file = async |name, length, looked| {
            let incoming = store.expect(length).await?;
            Ok::<_, CoordinatorError>(File { name, length, left: length, looked, incoming })
        };
        let ciphertext = Looked::Ciphertext { tree: TreeHasher::new(kind::CIPHERTEXT), block: Vec::new() };
        let files = [
            file("ciphertext", lengths.0[0], ciphertext).await?,
            file("check", lengths.0[1], Looked::Check(Vec::new())).await?,
            file("shares", lengths.0[2], Looked::Shares).await?,
        ];
        Ok(Self { files, taken: 0 })
    }

    pub(crate) fn lengths(&self) -> Lengths {
        Lengths(self.files.each_ref().map(|file| file.length))
    }

    /// Bytes so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// Takes the next bytes; waits for the disk. After an error the upload is lost.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) -> Result<(), CoordinatorError> {
        while !bytes.is_empty() {
            let Some(file) = self.files.iter_mut().find(|file| file.left > 0) else {
                return Err(CoordinatorError::Invalid("upload: longer than announced".into()));
            };
            let here = usize::try_from(file.left).unwrap_or(usize::MAX).min(bytes.len());
            let (piece, rest) = bytes.split_at(here);
            file.take(piece)?;
            self.taken += here as u64;
            bytes = rest;
        }
        Ok(())
    }

    /// The three files, if they are those of the manifest.
    pub(crate) fn finish(self, manifest: &Contribution) -> Result<Vec<Whole>, CoordinatorError> {
        let stated: [(Option<B256>, &[u8]); 3] = [
            (Some(manifest.ciphertextRoot), &manifest.ciphertextCid),
            (Some(manifest.checkRoot), &manifest.checkCid),
            (None, &manifest.sharesCid),
        ];
        self.files.into_iter().zip(stated).map(|(file, (root, cid))| file.finish(root, cid)).collect()
    }
}

/// Bytes of ciphertext, check words and sealed shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lengths([u64; 3]);

impl From<&UploadHeader> for Lengths {
    fn from(header: &UploadHeader) -> Self {
        Self([header.ciphertext_bytes, header.check_bytes, header.shares_bytes])
    }
}

impl File {
    fn take(&mut self, piece: &[u8]) -> Result<(), CoordinatorError> {
        match &mut self.looked {
            Looked::Ciphertext { tree, block } => look_at_blocks(tree, block, piece)?,
            // Its length was compared with what the round takes; a longer one is cut off here.
            Looked::Check(check) => check.extend_from_slice(&piece[..piece.len().min(CHECK_BYTES - check.len())]),
            Looked::Shares => {}
        }
        self.incoming.write(piece)?;
        self.left -= piece.len() as u64;
        Ok(())
    }

    fn finish(self, stated: Option<B256>, cid: &[u8]) -> Result<Whole, CoordinatorError> {
        let Self { name, looked, incoming, .. } = self;
        let found = match looked {
            Looked::Ciphertext { tree, block } if block.is_empty() => Some(tree.finish()),
            Looked::Ciphertext { .. } => return Err(bad_word(name)),
            Looked::Check(check) => {
                validate_check_file(&check).map_err(|_| bad_word(name))?;
                Some(vector_root(kind::CHECK, CHECK_WORD, &check))
            }
            Looked::Shares => None,
        };
        let found = found.map(B256::from);
        if let (Some(found), true) = (found, found != stated) {
            return Err(CoordinatorError::Invalid(format!(
                "contribution.{name}Root: the bytes received have root {found}"
            )));
        }
        let whole = incoming.finish()?;
        if whole.cid().to_bytes() != cid {
            let found = whole.cid();
            return Err(CoordinatorError::Invalid(format!(
                "contribution.{name}Cid: the bytes received have CID {found}"
            )));
        }
        Ok(whole)
    }
}

/// `block` is what came of a block that is not whole yet.
fn look_at_blocks(tree: &mut TreeHasher, block: &mut Vec<u8>, mut piece: &[u8]) -> Result<(), CoordinatorError> {
    if !block.is_empty() {
        let (head, rest) = piece.split_at(piece.len().min(DATA_BLOCK_BYTES - block.len()));
        block.extend_from_slice(head);
        piece = rest;
        if block.len() == DATA_BLOCK_BYTES {
            look_at_block(tree, block)?;
            block.clear();
        }
    }
    let (whole, rest) = piece.as_chunks::<DATA_BLOCK_BYTES>();
    for block in whole {
        look_at_block(tree, block)?;
    }
    block.extend_from_slice(rest);
    Ok(())
}

fn look_at_block(tree: &mut TreeHasher, block: &[u8]) -> Result<(), CoordinatorError> {
    check_data_block(block).map_err(|_| bad_word("ciphertext"))?;
    tree.extend(DATA_WORD, block);
    Ok(())
}

fn bad_word(name: &str) -> CoordinatorError {
    CoordinatorError::Invalid(format!("upload: a {name} word is not below its bound"))
}
