//! Secrets that people copy by hand or by clipboard: sixteen random bytes and a checksum, in groups of four letters
//! that cannot be taken for one another (Crockford's base32).

use std::fmt;
use std::marker::PhantomData;

use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::IdentityError;

const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const SECRET: usize = 16;
const CHECK: usize = 4;
const GROUP: usize = 4;

/// What a code is for. A code of one kind does not read as another.
pub trait Kind {
    const PREFIX: &'static str;
    const NAME: &'static str;
}

#[derive(Debug)]
pub struct ToEnrol;
#[derive(Debug)]
pub struct ToRecover;
#[derive(Debug)]
pub struct ToUnlock;

impl Kind for ToEnrol {
    const PREFIX: &'static str = "invite-";
    const NAME: &'static str = "an invitation";
}

impl Kind for ToRecover {
    const PREFIX: &'static str = "recover-";
    const NAME: &'static str = "a recovery code";
}

impl Kind for ToUnlock {
    const PREFIX: &'static str = "unlock-";
    const NAME: &'static str = "an unlock secret";
}

/// Lets somebody enrol once.
pub type Invitation = Code<ToEnrol>;
/// Opens a vault whose password is lost.
pub type RecoveryCode = Code<ToRecover>;
/// Opens a vault without anybody there to type a password.
pub type UnlockSecret = Code<ToUnlock>;

pub struct Code<K> {
    secret: Zeroizing<[u8; SECRET]>,
    kind: PhantomData<K>,
}

impl<K: Kind> Code<K> {
    pub fn draw(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut secret = Zeroizing::new([0; SECRET]);
        rng.fill_bytes(secret.as_mut_slice());
        Self { secret, kind: PhantomData }
    }

    pub fn from_secret(secret: [u8; SECRET]) -> Self {
        Self { secret: Zeroizing::new(secret), kind: PhantomData }
    }

    pub fn secret(&self) -> &[u8; SECRET] {
        &self.secret
    }

    /// Whether a text says of itself that it is of this kind.
    pub fn is_meant(text: &str) -> bool {
        text.trim_start().get(..K::PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(K::PREFIX))
    }

    pub fn to_text(&self) -> Zeroizing<String> {
        let bytes = self.with_check();
        let letters = bytes.len() * 8 / 5;
        // Room for all of it: a string that grows leaves copies behind.
        let mut text = Zeroizing::new(String::with_capacity(K::PREFIX.len() + letters + letters / GROUP));
        text.push_str(K::PREFIX);
        for at in 0..letters {
            if at > 0 && at % GROUP == 0 {
                text.push('-');
            }
            // Twenty bytes are 32 letters; the letter before the last bit of a byte reaches into the next one.
            let (byte, bit) = (at * 5 / 8, at * 5 % 8);
            let pair = u16::from_be_bytes([bytes[byte], bytes.get(byte + 1).copied().unwrap_or(0)]);
            text.push(char::from(LETTERS[usize::from(pair >> (11 - bit) & 31)]));
        }
        text
    }

    /// Takes what `to_text` wrote, in either case, with whatever a person made of the dashes and of 0, 1, O, I and L.
    pub fn parse(text: &str) -> Result<Self, IdentityError> {
        let mistyped = || IdentityError::Mistyped { kind: K::NAME, begins: K::PREFIX };
        if !Self::is_meant(text) {
            return Err(mistyped());
        }
        let mut bytes = Zeroizing::new([0u8; SECRET + CHECK]);
        let (mut held, mut bits, mut at) = (0u32, 0, 0);
        for letter in text.trim()[K::PREFIX.len()..].bytes().filter(|byte| !matches!(byte, b'-' | b' ')) {
            held = held << 5 & 0x1fff | value(letter).ok_or_else(mistyped)?;
            bits += 5;
            if bits >= 8 {
                bits -= 8;
                // The lowest eight of what is above the rest.
                *bytes.get_mut(at).ok_or_else(mistyped)? = (held >> bits & 0xff).to_le_bytes()[0];
                at += 1;
            }
        }
        let (secret, _) = bytes.split_first_chunk().ok_or_else(mistyped)?;
        let code = Self::from_secret(*secret);
        match at == bytes.len() && bits == 0 && code.with_check() == bytes {
            true => Ok(code),
            false => Err(mistyped()),
        }
    }

    fn with_check(&self) -> Zeroizing<[u8; SECRET + CHECK]> {
        let check = Sha256::new().chain_update(K::PREFIX).chain_update(self.secret.as_slice()).finalize();
        let mut bytes = Zeroizing::new([0; SECRET + CHECK]);
        let (secret, rest) = bytes.split_at_mut(SECRET);
        secret.copy_from_slice(self.secret.as_slice());
        rest.copy_from_slice(&check[..CHECK]);
        bytes
    }
}

/// What is kept of an invitation: it names the invitation and does not give it away.
pub fn fingerprint(secret: &[u8; SECRET]) -> [u8; 32] {
    Sha256::new().chain_update(b"almoner/invitation/v0").chain_update(secret).finalize().into()
}

fn value(letter: u8) -> Option<u32> {
    let letter = match letter.to_ascii_uppercase() {
        b'O' => b'0',
        b'I' | b'L' => b'1',
        other => other,
    };
    LETTERS.iter().position(|known| *known == letter).and_then(|at| u32::try_from(at).ok())
}

impl<K: Kind> fmt::Debug for Code<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}redacted", K::PREFIX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_code_reads_in_any_dress() {
        let code = RecoveryCode::from_secret(*b"0123456789abcdef");
        let text = code.to_text();
        assert_eq!(text.len(), "recover-".len() + 32 + 7);
        assert_eq!(text.capacity(), text.len() + 1, "it never grew");
        let same = |text: &str| assert_eq!(RecoveryCode::parse(text).unwrap().secret(), code.secret(), "{text}");
        same(&text);
        same(&format!("  {}\n", text.to_lowercase()));
        same(&format!("recover-{}", text["recover-".len()..].replace('-', " ").replace('0', "o").replace('1', "l")));
        for wrong in
            ["", "recover-", "Ü", &text[..text.len() - 1], &format!("{}0", *text), &text.replace("recover", "invite")]
        {
            assert!(RecoveryCode::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Invitation::parse(&text).unwrap_err().to_string().contains("\"invite-\""));
        assert!(!format!("{code:?}").contains(&text[8..12]));
    }

    proptest! {
        #[test]
        fn a_wrong_letter_is_noticed(secret: [u8; 16], at in 0usize..32, other in 0usize..32) {
            let text = UnlockSecret::from_secret(secret).to_text();
            let same = UnlockSecret::parse(&text).unwrap();
            prop_assert_eq!(same.secret(), &secret);
            let mut letters = text.as_bytes().to_vec();
            let at = "unlock-".len() + at + at / GROUP;
            let changed = letters[at] != LETTERS[other];
            letters[at] = LETTERS[other];
            prop_assert_eq!(UnlockSecret::parse(std::str::from_utf8(&letters).unwrap()).is_err(), changed);
        }

        #[test]
        fn garbage_is_refused(text in ".{0,80}") {
            prop_assert!(UnlockSecret::parse(&text).is_err());
            let _ = UnlockSecret::parse(&format!("unlock-{text}"));
        }
    }
}
