//! Where secrets come from. Always asked for a purpose, so that a seeded run does not depend on the order in which
//! things happen to be drawn.

use std::fmt;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::SiteError;

const LABEL: &[u8] = b"almoner/site-entropy/v0";

/// A source of 32 unpredictable bytes.
pub trait Entropy: Send + Sync + fmt::Debug {
    /// `purpose` names a use, `about` the round or thing it is for.
    fn draw(&self, purpose: &'static str, about: &[u8]) -> Result<Zeroizing<[u8; 32]>, SiteError>;
}

/// The operating system's generator: fresh bytes at every call.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn draw(&self, _purpose: &'static str, _about: &[u8]) -> Result<Zeroizing<[u8; 32]>, SiteError> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut_slice()).map_err(|_| SiteError::Entropy)?;
        Ok(bytes)
    }
}

/// A generator that the operating system has seeded: for nonces and handshakes, which no run repeats.
pub fn system_rng() -> Result<ChaCha20Rng, SiteError> {
    Ok(ChaCha20Rng::from_seed(*SystemEntropy.draw("rng", &[])?))
}

/// Everything from one seed, for tests and demonstrations that have to come out the same. INSECURE: whoever knows the
/// seed knows every secret.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SeededEntropy([u8; 32]);

impl SeededEntropy {
    pub fn new(seed: [u8; 32]) -> Self {
        Self(seed)
    }
}

impl Entropy for SeededEntropy {
    fn draw(&self, purpose: &'static str, about: &[u8]) -> Result<Zeroizing<[u8; 32]>, SiteError> {
        let mut hash = Sha256::new();
        hash.update(LABEL);
        hash.update(self.0);
        // Lengths keep two purposes from meeting.
        hash.update((purpose.len() as u64).to_be_bytes());
        hash.update(purpose);
        hash.update(about);
        Ok(Zeroizing::new(hash.finalize().into()))
    }
}

impl fmt::Debug for SeededEntropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SeededEntropy(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_and_subjects_are_apart() {
        let seeded = SeededEntropy::new([1; 32]);
        let draw = |purpose, about: &[u8]| *seeded.draw(purpose, about).unwrap();
        assert_eq!(draw("a", b"x"), draw("a", b"x"));
        assert_ne!(draw("a", b"x"), draw("a", b"y"));
        assert_ne!(draw("ab", b"x"), draw("a", b"bx"));
        assert_ne!(*SystemEntropy.draw("a", b"").unwrap(), *SystemEntropy.draw("a", b"").unwrap());
    }
}
