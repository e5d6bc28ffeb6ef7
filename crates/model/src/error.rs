use thiserror::Error;

/// Why a model could not be built, fed, trained or read.
///
/// No variant carries a data value: errors are logged, and a log must not hold a patient's row.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ModelError {
    /// The layer list is not a chain that ends in one output.
    #[error("model layer {layer}: {reason}")]
    Layer {
        /// Position in the federation file's layer list, from 0.
        layer: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The model is larger than this build accepts.
    #[error("the model has more than {limit} parameters")]
    TooLarge {
        /// The most that the protocol carries.
        limit: u32,
    },
    /// A flat vector does not have the model's length.
    #[error("expected {expected} parameters, got {got}")]
    Parameters {
        /// What the layer list needs.
        expected: usize,
        /// What was handed over.
        got: usize,
    },
    /// The data do not fit the model's first layer.
    #[error("the model takes {expected} features, the data have {got}")]
    Features {
        /// Inputs of the first linear layer.
        expected: usize,
        /// Columns of the data.
        got: usize,
    },
    /// The parts of a data set contradict each other.
    #[error("a data set of {features} features and {labels} labels cannot hold {values} values")]
    DatasetShape {
        /// Columns.
        features: usize,
        /// Rows.
        labels: usize,
        /// Values handed over.
        values: usize,
    },
    /// Too few rows for what was asked.
    #[error("{what} needs at least {needed} rows, the data have {got}")]
    TooFewRows {
        /// The operation.
        what: &'static str,
        /// Rows it needs.
        needed: usize,
        /// Rows there are.
        got: usize,
    },
    /// A feature is NaN or infinite.
    #[error("row {row}, column {column}: the value is not finite")]
    NotFinite {
        /// From 0.
        row: usize,
        /// From 0.
        column: usize,
    },
    /// A label the loss is not defined for.
    #[error("row {row}: the label must lie in 0 to 1")]
    Label {
        /// From 0.
        row: usize,
    },
    /// The training plan cannot be carried out.
    #[error("training plan: {0}")]
    Plan(&'static str),
    /// Weights became NaN or infinite.
    #[error("training diverged: weights are no longer finite; lower the learning rate")]
    Diverged,
    /// The name is a device, but this build has no back end for it.
    #[error("device '{0}' is not in this build; use 'auto' or 'cpu', or build with --features wgpu for 'wgpu'")]
    DeviceNotBuilt(String),
    /// The name is not a device.
    #[error("unknown device '{0}'; use 'auto', 'cpu' or 'wgpu'")]
    UnknownDevice(String),
    /// The build has GPUs, the machine has none that it can train on.
    #[error("no GPU: {0}; install the Vulkan driver and loader (libvulkan1) of the card, or use device 'cpu'")]
    NoGpu(String),
    /// A file of weights that is not one of this model.
    #[error("weights file: {0}")]
    File(String),
    /// The numeric library reported a failure.
    #[error("tensor library: {0}")]
    Backend(String),
}
