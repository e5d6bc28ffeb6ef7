//! How much the opened scalars may tell, and which directions are spread widely enough to ask about.

use almoner_crypto::score::FORMS_PER_SECRET_MAX;
use almoner_crypto::widest;

use crate::Error;
use crate::scale::{DIRECTION_SUPPORT, SIGN_DIRECTION_PARAMETERS, direction_norm};

/// Largest entry of a graded direction.
pub const DIRECTION_ENTRY_MAX: i8 = 7;

/// Scalars that may be opened per participant and round: for few parameters they tell much.
pub fn scalars_per_round(parameters: u32) -> u32 {
    (parameters / 8).clamp(2, 9)
}

/// Scalars a site lets out over a federation's life unless it signs more.
pub fn default_scalars_max(parameters: u32) -> u32 {
    parameters.min(4096)
}

/// A federation beyond the caps must say so, and name the limit that replaces the ledger's.
pub fn check_leak(parameters: u32, validators: u16, accept_leak: bool) -> Result<(), Error> {
    // The encryption's own limit: every opened form costs one dimension of the secret.
    if u32::from(validators) > FORMS_PER_SECRET_MAX {
        return Err(Error::descriptor("validators", format!("at most {FORMS_PER_SECRET_MAX} directions a round")));
    }
    let cap = scalars_per_round(parameters);
    if accept_leak || u32::from(validators) <= cap {
        return Ok(());
    }
    Err(Error::descriptor(
        "validators",
        format!(
            "{validators} directions a round tell too much about an update of {parameters} parameters (at most \
             {cap}): use fewer validators, or set privacy.accept_leak and privacy.scalars_max"
        ),
    ))
}

/// Whether a site that opened `opened` scalars may open `more`.
pub fn check_ledger(opened: u32, more: u32, scalars_max: u32) -> Result<u32, Error> {
    match opened.checked_add(more) {
        Some(total) if total <= scalars_max => Ok(total),
        _ => Err(Error::ScalarsSpent { opened, more, limit: scalars_max }),
    }
}

/// Entries a direction must at least be spread over.
pub fn spread_min(parameters: u32) -> u32 {
    parameters.div_ceil(100).max(parameters.div_ceil(4).min(100))
}

/// Whether a revealed direction is one that members answer: its entries, its norm, its spread. Returns `‖g‖²`.
pub fn check_direction(entries: &[i8], parameters: u32) -> Result<u64, Error> {
    if entries.len() != parameters as usize {
        return Err(Error::Length { what: "direction", have: entries.len(), want: parameters as usize });
    }
    let largest = if parameters <= SIGN_DIRECTION_PARAMETERS { 1 } else { DIRECTION_ENTRY_MAX.unsigned_abs() };
    let Sizes { norm_squared, one_norm, support, maximum } = Sizes::of(entries);
    if maximum > largest {
        return Err(Error::Direction("an entry is larger than the quantiser makes it"));
    }
    if norm_squared == 0 {
        return Err(Error::Direction("all entries are zero"));
    }
    if norm_squared > u64::from(direction_norm(parameters)).pow(2) {
        return Err(Error::Direction("its norm is above G"));
    }
    if support > u64::from(DIRECTION_SUPPORT) {
        return Err(Error::Direction("more entries than 2^20 are not zero"));
    }
    // Both factors are below 2^31 and 2^29: 1-norm ≤ 7·2^20 after the checks above.
    if one_norm.pow(2) < u64::from(spread_min(parameters)) * norm_squared {
        return Err(Error::Direction("it is not spread over enough entries"));
    }
    Ok(norm_squared)
}

pub(crate) fn norm_squared(entries: &[i8]) -> u64 {
    Sizes::of(entries).norm_squared
}

/// How large a vector is, in one pass.
#[derive(Default)]
struct Sizes {
    norm_squared: u64,
    one_norm: u64,
    support: u64,
    maximum: u8,
}

impl Sizes {
    fn of(entries: &[i8]) -> Self {
        entries.chunks(1 << 16).fold(Self::default(), |sizes, entries| {
            // 2^14·2^16 is below 2^32: nothing wraps, and unchecked sums are what a compiler makes into vectors.
            let (squares, sum, support, maximum) = widest(
                #[inline(always)]
                || {
                    let (mut squares, mut sum, mut support, mut maximum) = (0u32, 0u32, 0u32, 0u8);
                    for entry in entries {
                        let size = entry.unsigned_abs();
                        squares = squares.wrapping_add(u16::from(size).wrapping_pow(2).into());
                        sum = sum.wrapping_add(size.into());
                        support = support.wrapping_add((size != 0).into());
                        maximum = maximum.max(size);
                    }
                    (squares, sum, support, maximum)
                },
            );
            Self {
                norm_squared: sizes.norm_squared + u64::from(squares),
                one_norm: sizes.one_norm + u64::from(sum),
                support: sizes.support + u64::from(support),
                maximum: sizes.maximum.max(maximum),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_of_the_design() {
        assert_eq!([1, 14, 24, 72, 513, 100_000].map(scalars_per_round), [2, 2, 3, 9, 9, 9]);
        assert_eq!([14, 513, 10_000].map(default_scalars_max), [14, 513, 4096]);
        // max(⌈d/100⌉, min(⌈d/4⌉, 100))
        assert_eq!([14, 513, 20_000].map(spread_min), [4, 100, 200]);
        assert!(check_leak(14, 3, false).is_err());
        assert!(check_leak(14, 3, true).is_ok());
        assert!(check_leak(14, 49, true).is_err());
        assert!(check_leak(513, 3, false).is_ok());
    }

    #[test]
    fn the_ledger_counts_up_to_its_limit() {
        assert_eq!(check_ledger(10, 4, 14), Ok(14));
        assert!(check_ledger(11, 4, 14).is_err());
        assert!(check_ledger(u32::MAX, 1, u32::MAX).is_err());
    }

    #[test]
    fn a_direction_must_be_spread_and_small() {
        let mut signs = [0i8; 14];
        assert_eq!(check_direction(&signs, 14), Err(Error::Direction("all entries are zero")));
        signs[..3].fill(1);
        assert_eq!(check_direction(&signs, 14), Err(Error::Direction("it is not spread over enough entries")));
        signs[3] = -1;
        assert_eq!(check_direction(&signs, 14), Ok(4));
        signs[4] = 2;
        assert!(check_direction(&signs, 14).is_err());
        signs[4] = i8::MIN;
        assert!(check_direction(&signs, 14).is_err());
        assert!(check_direction(&signs[1..], 14).is_err());

        // G = 2·⌈√2000⌉ = 90: 165 entries of 7 reach 8085 of 8100.
        let mut graded = vec![0i8; 2000];
        graded[..165].fill(7);
        assert_eq!(check_direction(&graded, 2000), Ok(8085));
        graded[165] = 7;
        assert_eq!(check_direction(&graded, 2000), Err(Error::Direction("its norm is above G")));
    }
}
