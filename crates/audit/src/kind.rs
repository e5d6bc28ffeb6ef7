//! What a check is about, in one word.

use serde::Serialize;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $word:literal,)+) => {
        /// What a check is about, in the order in which a round comes to it. The words are stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub enum Kind {
            $($(#[$doc])* #[serde(rename = $word)] $kind,)+
        }

        impl Kind {
            pub const ALL: &[Self] = &[$(Self::$kind,)+];

            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$kind => $word,)+
                }
            }
        }
    };
}

kinds! {
    /// ctx and the chain of `H_s`; rounds and stages in order.
    Transcript = "transcript",
    /// The federation file under its hash.
    Spec = "spec",
    /// The model a round starts from is the one its parent ended with.
    BaseModel = "base_model",
    /// The member list is the seats on chain.
    Members = "members",
    /// The committee is those who were ready, with the keys they announced.
    Committee = "committee",
    /// The validator list is the seats on chain.
    Validators = "validators",
    /// The descriptor follows from spec and lists.
    Descriptor = "descriptor",
    /// The public matrix of the epoch.
    Matrix = "matrix",
    /// The promise list is the promises on chain.
    Promise = "promise",
    /// The lock list: members only, nobody who committed directly left out.
    Lock = "lock",
    /// A participant signed its manifest.
    ManifestSignature = "manifest_signature",
    /// The coordinator signed for an upload, or the chain has it.
    Receipt = "receipt",
    /// A reveal opens its promise.
    Reveal = "reveal",
    /// A direction is the revealed one and within the leak rules.
    Direction = "direction",
    /// A verdict on an upload.
    AuditVerdict = "audit_verdict",
    /// The data words of an upload under the root its manifest commits to.
    Ciphertext = "ciphertext",
    /// The check words of an upload under the root its manifest commits to.
    CheckWords = "check_words",
    /// Inner products of an upload with the directions.
    InnerProduct = "inner_product",
    /// What the answers open to.
    Score = "score",
    /// Opened scalars of a site within its limit.
    Leak = "leak",
    /// The admit list follows from the scores.
    Admit = "admit",
    /// t members of the committee acknowledged it.
    AdmitSignatures = "admit_signatures",
    /// The weighted sum of the admitted uploads, word by word.
    Sum = "sum",
    /// The secret of the sum, from exactly t members.
    Opening = "opening",
    /// The secret is that of the committed uploads.
    Residual = "residual",
    /// The next model follows from the opened sum.
    Model = "model",
    /// The settle list and its root.
    Settle = "settle",
    /// The payout list and its root, and what was credited.
    Payout = "payout",
    /// What became of a round's pot.
    Pot = "pot",
    /// A claim was paid from a final root, and once.
    Claim = "claim",
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}
