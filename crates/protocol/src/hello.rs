//! Who is at the other end of a channel. A caller says hello once, before anything else: its account, signed for the
//! channel that it says it on. Neither time nor number is in it: a channel is new each time, and what names it is known
//! to its two ends only (`almoner-tls`).

use alloy_primitives::{Address, B256};
use alloy_sol_types::{Eip712Domain, eip712_domain, sol};

use crate::types::{recover, signing_hash};

sol! {
    /// What a caller signs. The chain is not in it: the coordinator is named by its certificate, and a caller that
    /// has not asked yet knows no contract.
    #[derive(Debug, PartialEq, Eq)]
    struct Hello {
        address account;
        /// SHA-256 of the certificate that the caller shows.
        bytes32 client;
        /// SHA-256 of the certificate that the coordinator shows.
        bytes32 server;
        /// The 32 bytes that the handshake of this channel gives, RFC 9266.
        bytes32 channel;
    }
}

/// Of nothing but greetings.
fn greetings() -> Eip712Domain {
    eip712_domain! { name: "Almoner", version: "0", }
}

impl Hello {
    /// What the account signs.
    pub fn hash(&self) -> B256 {
        signing_hash(self, &greetings())
    }

    /// Whether it is the account that has signed it.
    pub fn is_signed(&self, signature: &[u8]) -> bool {
        recover(self.hash(), signature).is_ok_and(|signer| signer == self.account)
    }
}

/// As it is sent: the account, then its signature. Both ends know the rest.
pub fn encode_hello(account: Address, signature: &[u8; 65]) -> [u8; 85] {
    let mut said = [0; 85];
    said[..20].copy_from_slice(account.as_slice());
    said[20..].copy_from_slice(signature);
    said
}

/// The account and the signature of a hello that was heard.
pub fn decode_hello(said: &[u8; 85]) -> (Address, &[u8]) {
    let (account, signature) = said.split_at(20);
    (Address::from_slice(account), signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said() -> Hello {
        let [client, server, channel] = [1, 2, 3].map(B256::repeat_byte);
        Hello { account: Address::repeat_byte(0x11), client, server, channel }
    }

    /// What a wallet would be shown and sign: `eth_signTypedData_v4` of this type has this digest.
    #[test]
    fn the_typed_data_is_as_documented() {
        let types = <Hello as alloy_sol_types::SolStruct>::eip712_root_type();
        assert_eq!(types, "Hello(address account,bytes32 client,bytes32 server,bytes32 channel)");
        let domain = greetings().encode_type();
        assert_eq!(domain, "EIP712Domain(string name,string version)");
    }

    #[test]
    fn every_word_of_it_is_signed() {
        let one = |byte| B256::repeat_byte(byte);
        let others = [
            Hello { account: Address::repeat_byte(0x12), ..said() },
            Hello { client: one(9), ..said() },
            Hello { server: one(9), ..said() },
            Hello { channel: one(9), ..said() },
        ];
        for other in others {
            assert_ne!(other.hash(), said().hash(), "{other:?}");
        }
    }
}
