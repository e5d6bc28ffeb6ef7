//! Who the site is: one key, one federation, and the two EIP-712 domains it signs under.

use std::sync::Arc;

use almoner_chain::{Deployment, SigningKey};
use almoner_proto::Signed;
use almoner_protocol::types::{Join, domain, recover, signing_hash};
use almoner_protocol::{Address, B256, Eip712Domain, FederationId, SolStruct};

use crate::SiteError;

/// A site's key in a federation.
#[derive(Clone, Debug)]
pub struct Identity {
    key: Arc<SigningKey>,
    federation: FederationId,
    rounds: Address,
}

impl Identity {
    pub fn new(key: SigningKey, deployment: &Deployment, federation: u64) -> Self {
        let federation =
            FederationId { chain_id: deployment.chain_id, federations: deployment.federations, number: federation };
        Self { key: Arc::new(key), federation, rounds: deployment.rounds }
    }

    pub fn account(&self) -> Address {
        self.key.address()
    }

    pub fn federation(&self) -> FederationId {
        self.federation
    }

    /// The address of `Rounds`, which messages of a round are bound to.
    pub fn rounds(&self) -> Address {
        self.rounds
    }

    /// The domain of every message of a round.
    pub fn domain(&self) -> Eip712Domain {
        domain(self.federation.chain_id, self.rounds)
    }

    pub fn sign<T: SolStruct>(&self, message: T) -> Result<Signed<T>, SiteError> {
        let signature = self.key.sign_hash(signing_hash(&message, &self.domain()))?;
        Ok(Signed { message, signature })
    }

    /// Consent to join is given to `Federations`.
    pub fn sign_join(&self, message: Join) -> Result<Signed<Join>, SiteError> {
        let domain = domain(self.federation.chain_id, self.federation.federations);
        let signature = self.key.sign_hash(signing_hash(&message, &domain))?;
        Ok(Signed { message, signature })
    }

    /// Who signed a message of a round.
    pub fn signer<T: SolStruct>(&self, message: &T, signature: &[u8]) -> Result<Address, almoner_protocol::Error> {
        recover(signing_hash(message, &self.domain()), signature)
    }

    /// ctx of a descriptor in this federation's contract.
    pub fn ctx(&self, descriptor: &almoner_protocol::types::Descriptor) -> B256 {
        almoner_protocol::types::ctx(self.federation.chain_id, self.rounds, descriptor)
    }
}
