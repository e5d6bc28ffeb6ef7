//! The federation file: model, plan, rule and pot as data, written by a researcher, agreed to by every site.
//!
//! It is parsed whole, unknown keys are errors, and its canonical form (every default written out) is what is
//! published and hashed, so that two readers of one hash read the same terms.

mod amount;
mod model;
mod validate;

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Error;

pub use amount::Amount;
pub use model::{LayerSpec, ModelSpec, Tensor};

/// Longest federation file read.
pub const MAX_SPEC_BYTES: usize = 1 << 20;

/// A federation file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FederationSpec {
    pub name: String,
    pub model: ModelSpec,
    pub data: DataSpec,
    pub training: TrainingSpec,
    #[serde(default)]
    pub rule: RuleSpec,
    #[serde(default)]
    pub privacy: PrivacySpec,
    pub round: RoundSpec,
}

/// What a row looks like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSpec {
    /// Columns beside the label.
    pub features: u32,
    /// Least label accepted; the loss is binary cross-entropy, so labels lie in 0 to 1.
    #[serde(default)]
    pub label_min: f64,
    /// Largest label accepted.
    #[serde(default = "one")]
    pub label_max: f64,
}

/// What a site does with its rows in one round. The loss is binary cross-entropy on one logit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSpec {
    #[serde(default)]
    pub optimiser: Optimiser,
    /// Step size.
    pub lr: f64,
    /// Rows per step.
    pub batch: u32,
    /// Local steps a round.
    pub steps: u32,
    /// Whether every pass takes the rows in a new order; otherwise file order, from the top again after the end.
    #[serde(default = "yes")]
    pub shuffle: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimiser {
    #[default]
    Sgd,
}

/// How updates become a model, and quality becomes pay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RuleSpec {
    /// L2 bound of an update in units of the parameters.
    pub clip: f64,
    /// Fraction bits of the base model.
    pub frac_bits: u8,
    /// How quality becomes a weight in the pot.
    pub payment: Payment,
    /// Share of the pot that validators earn, in 1/10 000.
    pub fee_bps: u16,
    /// Share of a round's whole quality below which an update is not summed, in 1/10 000; 0 admits all.
    pub quality_floor_bps: u16,
    /// Fewest updates in a sum; without it the least the committee's size allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_admitted: Option<u16>,
    /// Server learning rate, numerator.
    pub lr_num: u64,
    /// Server learning rate, denominator.
    pub lr_den: u64,
}

impl Default for RuleSpec {
    fn default() -> Self {
        Self {
            clip: 1.0,
            frac_bits: 24,
            payment: Payment::Proportional,
            fee_bps: 1000,
            quality_floor_bps: 0,
            min_admitted: None,
            lr_num: 1,
            lr_den: 1,
        }
    }
}

impl RuleSpec {
    /// The floor in the unit of quality, 2^-32, rounded down.
    pub fn quality_floor(&self) -> u64 {
        (u64::from(self.quality_floor_bps) << 32) / 10_000
    }
}

/// The descriptor's `rule`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Payment {
    /// Weight = quality.
    #[default]
    Proportional,
    /// Quality times bonuses for speed, stake and utilisation: known, but refused, because none of them is measured.
    Multiplier,
}

impl Payment {
    pub fn number(self) -> u8 {
        match self {
            Self::Proportional => 0,
            Self::Multiplier => 1,
        }
    }
}

/// What may be told about one site's updates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PrivacySpec {
    /// More opened scalars per round than the cap for this model. Every site repeats it in its own consent.
    pub accept_leak: bool,
    /// Scalars opened per site over the federation's life; without it min(parameters, 4096).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scalars_max: Option<u32>,
}

/// What a round costs and how long it may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoundSpec {
    /// Paid per round, in base units of the token.
    pub pot: Amount,
    /// Rounds planned: what a launch runs that names no number. No rule of a round depends on it.
    pub rounds: u32,
    /// Seconds between a proposal and its being final.
    #[serde(default = "one_hour")]
    pub challenge_window_s: u64,
    #[serde(default)]
    pub deadlines: DeadlineSpec,
}

/// Seconds a stage may take after the one before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeadlineSpec {
    /// Validators take a gradient and commit to it.
    pub promise_s: u64,
    /// Participants train and upload.
    pub lock_s: u64,
    pub direction_s: u64,
    pub audit_s: u64,
    /// Members answer for every participant and direction.
    pub score_s: u64,
    pub admit_s: u64,
    pub sum_s: u64,
    /// Members answer for the sum, and the next model is made.
    pub model_s: u64,
    pub settle_s: u64,
}

impl Default for DeadlineSpec {
    fn default() -> Self {
        Self {
            promise_s: 1800,
            lock_s: 7200,
            direction_s: 1800,
            audit_s: 1800,
            score_s: 1800,
            admit_s: 1800,
            sum_s: 1800,
            model_s: 1800,
            settle_s: 3600,
        }
    }
}

impl DeadlineSpec {
    /// In the order of the descriptor's deadlines.
    pub fn seconds(&self) -> [u64; 9] {
        [
            self.promise_s,
            self.lock_s,
            self.direction_s,
            self.audit_s,
            self.score_s,
            self.admit_s,
            self.sum_s,
            self.model_s,
            self.settle_s,
        ]
    }

    /// Unix seconds of each deadline of a round opened at `opened_at`.
    pub fn from_opening(&self, opened_at: u64) -> Result<[u64; 9], Error> {
        let mut at = opened_at;
        let mut deadlines = self.seconds();
        for deadline in &mut deadlines {
            at = at.checked_add(*deadline).ok_or(Error::Overflow("a deadline"))?;
            *deadline = at;
        }
        Ok(deadlines)
    }
}

impl FederationSpec {
    /// Reads and checks a federation file.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_SPEC_BYTES {
            return Err(Error::SpecSyntax(format!("longer than {MAX_SPEC_BYTES} bytes")));
        }
        let spec: Self = toml::from_str(text).map_err(|error| Error::SpecSyntax(error.to_string()))?;
        spec.validate()?;
        Ok(spec)
    }

    /// Reads what was published: the canonical bytes and nothing else.
    pub fn from_canonical(bytes: &[u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(bytes).map_err(|_| Error::SpecSyntax("not UTF-8".into()))?;
        let spec = Self::parse(text)?;
        if spec.canonical_bytes()? != bytes {
            return Err(Error::SpecSyntax("not in canonical form".into()));
        }
        Ok(spec)
    }

    /// The bytes that are published: every field in order, defaults written out.
    pub fn canonical_bytes(&self) -> Result<Vec<u8>, Error> {
        let text = toml::to_string(self).map_err(|error| Error::SpecSyntax(error.to_string()))?;
        Ok(text.into_bytes())
    }

    /// SHA-256 of the canonical bytes.
    pub fn hash(&self) -> Result<B256, Error> {
        Ok(B256::from(<[u8; 32]>::from(Sha256::digest(self.canonical_bytes()?))))
    }

    /// Limit of opened scalars per site over the federation's life.
    pub fn scalars_max(&self) -> Result<u32, Error> {
        let least = crate::leak::default_scalars_max(self.model.parameters()?);
        Ok(self.privacy.scalars_max.unwrap_or(least))
    }
}

fn one() -> f64 {
    1.0
}

fn yes() -> bool {
    true
}

fn one_hour() -> u64 {
    3600
}

#[cfg(test)]
mod tests;
