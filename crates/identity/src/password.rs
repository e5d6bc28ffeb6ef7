use std::fmt;

use zeroize::Zeroizing;

use crate::IdentityError;

/// Fewest characters of a password that is chosen; one that is only tried may be anything.
pub const LEAST_PASSWORD: usize = 12;

/// What a person remembers.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// As it was typed or read; a line break at its end is not part of it.
    pub fn new(text: Zeroizing<String>) -> Self {
        Self(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
    }

    /// Refuses what is too short to be chosen. Longer beats stranger, so nothing else is asked of it.
    pub fn chosen(self) -> Result<Self, IdentityError> {
        match self.0.chars().count() {
            0..LEAST_PASSWORD => Err(IdentityError::WeakPassword(self.0.chars().count())),
            _ => Ok(self),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl PartialEq for Password {
    /// Two that the same person has just typed: nobody measures it.
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(redacted)")
    }
}
