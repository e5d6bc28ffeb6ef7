//! The direction of a round.
//!
//! 1. The gradient of the loss at the base model, each row's own part clipped to norm 1, so that one patient moves it
//!    by at most one part in the number of rows.
//! 2. Gaussian noise of 0.3·‖g‖/√d per coordinate. It depends on the site's seed and the base model only: a round
//!    that is retried gets the same direction again, and nobody averages the noise away.
//! 3. Rounding to few bits.

use almoner_model::{ComputeDevice, Dataset, HostRng, per_example_clipped_gradient};
use almoner_protocol::{DEFAULT_NOISE, add_noise, base_to_f32, quantise_direction};

use crate::SiteError;
use crate::fetch::Terms;

/// With fewer rows a direction tells too much about each.
pub const LEAST_ROWS: usize = 50;
/// Bound of one row's gradient.
const ROW_NORM: f32 = 1.0;

pub fn build_direction(
    terms: &Terms,
    data: &Dataset,
    seed: [u8; 32],
    device: &ComputeDevice,
) -> Result<Vec<i8>, SiteError> {
    if data.rows() < LEAST_ROWS {
        let rows = data.rows();
        return Err(SiteError::Policy(format!("a validator needs {LEAST_ROWS} rows at least, this one has {rows}")));
    }
    let base = base_to_f32(&terms.base, terms.descriptor.scale.fracBits);
    let mut gradient = per_example_clipped_gradient(&terms.spec.model, base, data, ROW_NORM, device)?;
    let root = terms.descriptor.baseModelRoot.0;
    let mut number = [0; 8];
    // Seven bytes: a stream number has 56 bits.
    number[1..].copy_from_slice(&root[..7]);
    let mut rng = HostRng::new(seed, HostRng::NOISE, u64::from_be_bytes(number));
    add_noise(&mut gradient, || rng.normal() as f32, DEFAULT_NOISE);
    Ok(quantise_direction(&gradient)?)
}
