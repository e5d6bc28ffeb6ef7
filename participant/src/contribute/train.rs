//! Local training: synchronous, on a blocking thread.

use almoner_model::{ComputeDevice, Dataset, TrainPlan};
use almoner_protocol::{Update, base_to_f32, quantise};

use crate::SiteError;
use crate::fetch::Terms;

/// What training changes of the base model's f32 values.
///
/// `seed` orders the rows and is the site's own, the same in every round: a restarted site takes the same batches.
pub fn train_delta(
    terms: &Terms,
    data: &Dataset,
    seed: [u8; 32],
    device: &ComputeDevice,
) -> Result<Vec<f32>, SiteError> {
    let base = base_to_f32(&terms.base, terms.descriptor.scale.fracBits);
    let plan = TrainPlan::new(&terms.spec.training, seed);
    let trained = almoner_model::train(&terms.spec.model, &base, data, &plan, terms.descriptor.round, device)?;
    Ok(trained.iter().zip(&base).map(|(after, before)| after - before).collect())
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
