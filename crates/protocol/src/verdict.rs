//! Why a participant stays or goes, as the numbers of PROTOCOL.md §7.

use crate::Error;

macro_rules! verdicts {
    ($(#[$doc:meta])* $name:ident, $list:literal { $($(#[$variant_doc:meta])* $variant:ident = $number:literal => $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $name {
            $($(#[$variant_doc])* $variant = $number,)+
        }

        impl $name {
            pub fn number(self) -> u8 {
                self as u8
            }
        }

        impl TryFrom<u8> for $name {
            type Error = Error;

            fn try_from(number: u8) -> Result<Self, Error> {
                match number {
                    $($number => Ok(Self::$variant),)+
                    _ => Err(Error::List { list: $list, reason: "a verdict without a meaning" }),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $text,)+
                })
            }
        }
    };
}

verdicts! {
    /// Of the audit list.
    AuditVerdict, "audit" {
        Held = 0 => "held",
        Unavailable = 1 => "unavailable",
        Malformed = 2 => "malformed",
        CiphertextRoot = 3 => "ciphertext root",
        CheckRoot = 4 => "check root",
    }
}

verdicts! {
    /// Of the score list.
    ScoreVerdict, "score" {
        Opened = 0 => "opened",
        /// No t-subset of the answers opens every score with small residuals.
        Residual = 1 => "residual",
    }
}

verdicts! {
    /// Of the admit list.
    AdmitVerdict, "admit" {
        Admitted = 0 => "admitted",
        Audit = 1 => "audit",
        Residual = 2 => "residual",
        Oversize = 3 => "oversize",
        BelowFloor = 4 => "below the floor",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back() {
        for number in 0..5 {
            assert_eq!(AuditVerdict::try_from(number).unwrap().number(), number);
            assert_eq!(AdmitVerdict::try_from(number).unwrap().number(), number);
        }
        assert!(AuditVerdict::try_from(5).is_err());
        assert!(ScoreVerdict::try_from(2).is_err());
        assert!(AdmitVerdict::try_from(5).is_err());
    }
}
