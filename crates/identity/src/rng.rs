//! The workspace's random sources in the form that opaque-ke asks for.

use opaque_ke::rand::{CryptoRng as OldCryptoRng, Error, RngCore};
use rand_core::CryptoRng;

pub(crate) struct Older<'a, R: ?Sized>(pub(crate) &'a mut R);

impl<R: CryptoRng + ?Sized> RngCore for Older<'_, R> {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.0.fill_bytes(bytes);
        Ok(())
    }
}

impl<R: CryptoRng + ?Sized> OldCryptoRng for Older<'_, R> {}
