//! Local training: synchronous, on a blocking thread.

use almoner_model::{ComputeDevice, Dataset, TrainPlan};
use almoner_protocol::{Update, base_to_f32, quantise};

use crate::SiteError;
use crate::fetch::Terms;

/// Trains from the base model's f32 values and rounds what changed to an update.
///
/// `seed` orders the rows and is the site's own, the same in every round: a restarted site takes the same batches.
pub fn train_update(
    terms: &Terms,
    data: &Dataset,
    seed: [u8; 32],
    device: &ComputeDevice,
) -> Result<Update, SiteError> {
    let base = base_to_f32(&terms.base, terms.descriptor.scale.fracBits);
    let plan = TrainPlan::new(&terms.spec.training, seed);
    let trained = almoner_model::train(&terms.spec.model, &base, data, &plan, terms.descriptor.round, device)?;
    let delta: Vec<f32> = trained.iter().zip(&base).map(|(after, before)| after - before).collect();
    Ok(quantise(&delta, &terms.scale())?)
}
