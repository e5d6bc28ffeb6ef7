//! Local training: synchronous, on a blocking thread.

use almoner_model::{ComputeDevice, Dataset, TrainPlan};
use almoner_protocol::{Update, base_to_f32, quantise};

use crate::SiteError;
use crate::fetch::Terms;

/// Weights at a time.
const CHUNK: usize = 1 << 14;

/// What training changes of the base model's f32 values.
///
/// `seed` orders the rows and is the site's own, the same in every round: a restarted site takes the same batches.
pub fn train_delta(
    terms: &Terms,
    data: &Dataset,
    seed: [u8; 32],
    device: &ComputeDevice,
) -> Result<Vec<f32>, SiteError> {
    let frac_bits = terms.descriptor.scale.fracBits;
    let plan = TrainPlan::new(&terms.spec.training, seed);
    let base = base_to_f32(&terms.base, frac_bits);
    let mut trained = almoner_model::train(&terms.spec.model, base, data, &plan, terms.descriptor.round, device)?;
    // In its place, and the base once more from its integers: a large model is held as few times as may be.
    for (after, before) in trained.chunks_mut(CHUNK).zip(terms.base.chunks(CHUNK)) {
        let before = base_to_f32(before, frac_bits);
        after.iter_mut().zip(&before).for_each(|(after, before)| *after -= before);
    }
    Ok(trained)
}

/// [`train_delta`], rounded to an update.
pub fn train_update(
    terms: &Terms,
    data: &Dataset,
    seed: [u8; 32],
    device: &ComputeDevice,
) -> Result<Update, SiteError> {
    Ok(quantise(&train_delta(terms, data, seed, device)?, &terms.scale())?)
}
