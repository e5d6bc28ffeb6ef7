//! Where a local federation's randomness comes from: the operating system, or one number from which all of it follows.

use almoner_protocol::sha256;

/// Derives every key, salt, noise and shuffle of a run.
#[derive(Clone)]
pub struct Seeds {
    root: [u8; 32],
    pub seeded: bool,
}

impl Seeds {
    /// From a number: anybody who knows it knows every key. Demo, tests and development only.
    pub fn insecure(seed: u64) -> Self {
        let root = sha256(&[b"almoner/localnet/v0".as_slice(), &seed.to_be_bytes()].concat());
        Self { root: root.0, seeded: true }
    }

    /// From the operating system.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut root = [0; 32];
        getrandom::fill(&mut root)?;
        Ok(Self { root, seeded: false })
    }

    /// The seed of one use.
    pub fn derive(&self, label: &str, index: u64) -> [u8; 32] {
        sha256(&[&self.root, label.as_bytes(), &index.to_be_bytes()].concat()).0
    }
}

impl std::fmt::Debug for Seeds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seeds").field("seeded", &self.seeded).finish_non_exhaustive()
    }
}
