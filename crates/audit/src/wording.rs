//! How things are named in findings.

use almoner_store::cid_from_bytes;

/// A CID as people write it; bytes that are none in hexadecimal, not more than a line of them.
pub(crate) fn cid_text(bytes: &[u8]) -> String {
    const SHOWN: usize = 40;
    match cid_from_bytes(bytes) {
        Ok(cid) => cid.to_string(),
        Err(_) => bytes.iter().take(SHOWN).fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}")),
    }
}
