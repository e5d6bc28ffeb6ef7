//! What a federation file must satisfy by itself; what depends on the members is checked with the descriptor.

use super::model::MAX_LAYERS;
use super::{DataSpec, FederationSpec, LayerSpec, ModelSpec, Payment, RoundSpec, RuleSpec, TrainingSpec};
use crate::Error;
use crate::fixed::MAX_LEARNING_RATE_TERM;
use crate::scale::MAX_FRAC_BITS;

const MAX_NAME: usize = 200;
const MAX_FEE_BPS: u16 = 10_000;
/// Ten years: keeps every sum of seconds far from the end of its type.
const MAX_SECONDS: u64 = 315_360_000;

impl FederationSpec {
    pub(super) fn validate(&self) -> Result<(), Error> {
        if self.name.is_empty() || self.name.len() > MAX_NAME || self.name.chars().any(char::is_control) {
            return Err(Error::spec("name", format!("must be 1 to {MAX_NAME} bytes of plain text")));
        }
        model(&self.model, self.data.features)?;
        data(&self.data)?;
        training(&self.training)?;
        rule(&self.rule)?;
        if self.privacy.accept_leak && self.privacy.scalars_max.is_none() {
            return Err(Error::spec("privacy.scalars_max", "accept_leak needs it: say how many scalars may be opened"));
        }
        if !self.privacy.accept_leak && self.scalars_max()? > crate::leak::default_scalars_max(self.model.parameters()?)
        {
            return Err(Error::spec(
                "privacy.scalars_max",
                "a limit above min(parameters, 4096) needs accept_leak = true",
            ));
        }
        round(&self.round)
    }
}

fn model(spec: &ModelSpec, features: u32) -> Result<(), Error> {
    if spec.layers.is_empty() || spec.layers.len() > MAX_LAYERS {
        return Err(Error::spec("model.layers", format!("must be 1 to {MAX_LAYERS} layers")));
    }
    let mut width = features;
    for (at, layer) in spec.layers.iter().enumerate() {
        match *layer {
            LayerSpec::Linear { inputs, outputs } => {
                if inputs == 0 || outputs == 0 {
                    return Err(Error::spec(format!("model.layers[{at}]"), "sizes must be at least 1"));
                }
                if inputs != width {
                    let reason =
                        format!("inputs = {inputs}, but {width} values come in (data.features, or the layer before)");
                    return Err(Error::spec(format!("model.layers[{at}].inputs"), reason));
                }
                width = outputs;
            }
            LayerSpec::Relu => {}
        }
    }
    if !matches!(spec.layers.last(), Some(LayerSpec::Linear { outputs: 1, .. })) {
        return Err(Error::spec("model.layers", "the last layer must be linear with outputs = 1, the logit"));
    }
    spec.parameters().map(|_| ())
}

fn data(spec: &DataSpec) -> Result<(), Error> {
    // NaN fails both comparisons.
    if !(spec.label_min >= 0.0 && spec.label_max <= 1.0 && spec.label_min < spec.label_max) {
        return Err(Error::spec("data.label_min", "labels need 0 <= label_min < label_max <= 1"));
    }
    Ok(())
}

fn training(spec: &TrainingSpec) -> Result<(), Error> {
    if !(spec.lr > 0.0 && spec.lr <= 1e6) {
        return Err(Error::spec("training.lr", "must be above 0 and at most 1e6"));
    }
    if spec.batch == 0 {
        return Err(Error::spec("training.batch", "must be at least 1"));
    }
    if spec.steps == 0 {
        return Err(Error::spec("training.steps", "must be at least 1"));
    }
    Ok(())
}

fn rule(spec: &RuleSpec) -> Result<(), Error> {
    if !(2f64.powi(-20)..=2f64.powi(20)).contains(&spec.clip) {
        return Err(Error::spec("rule.clip", "must be from 2^-20 to 2^20"));
    }
    if spec.frac_bits == 0 || spec.frac_bits > MAX_FRAC_BITS {
        return Err(Error::spec("rule.frac_bits", format!("must be 1 to {MAX_FRAC_BITS}")));
    }
    match spec.payment {
        Payment::Proportional => {}
        Payment::Multiplier => {
            let reason = "\"multiplier\" needs speed, stake and utilisation, which version 0 does not measure: use \
                          \"proportional\"";
            return Err(Error::spec("rule.payment", reason));
        }
    }
    if spec.fee_bps > MAX_FEE_BPS {
        return Err(Error::spec("rule.fee_bps", format!("must be at most {MAX_FEE_BPS}")));
    }
    if spec.quality_floor_bps > MAX_FEE_BPS {
        return Err(Error::spec("rule.quality_floor_bps", format!("must be at most {MAX_FEE_BPS}")));
    }
    if spec.min_admitted.is_some_and(|least| least < 3) {
        return Err(Error::spec("rule.min_admitted", "a sum of fewer than 3 updates tells too much about each"));
    }
    for (field, term) in [("rule.lr_num", spec.lr_num), ("rule.lr_den", spec.lr_den)] {
        if !(1..=MAX_LEARNING_RATE_TERM).contains(&term) {
            return Err(Error::spec(field, "must be 1 to 2^32"));
        }
    }
    Ok(())
}

fn round(spec: &RoundSpec) -> Result<(), Error> {
    if spec.rounds == 0 {
        return Err(Error::spec("round.rounds", "must be at least 1"));
    }
    if spec.challenge_window_s > MAX_SECONDS {
        return Err(Error::spec("round.challenge_window_s", "must be at most ten years"));
    }
    if spec.deadlines.seconds().iter().any(|seconds| !(1..=MAX_SECONDS).contains(seconds)) {
        return Err(Error::spec("round.deadlines", "every stage needs 1 second to ten years"));
    }
    Ok(())
}
