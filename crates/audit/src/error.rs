use almoner_chain::LedgerError;
use thiserror::Error;

/// Why there is no report. What is wrong with a run is no error: it is a finding of the report.
#[derive(Debug, Error)]
pub enum AuditError {
    #[error("the chain could not be read: {0}")]
    Ledger(#[from] LedgerError),
    #[error("federation {0} does not exist on this chain")]
    NoFederation(u64),
    /// Blocks kept coming while it was read.
    #[error("the chain moved on during every attempt to read it; try again when the round is over")]
    Moving,
    /// A gateway that does not answer has shown nothing, right or wrong.
    #[error("the artefacts could not be read, so there is no verdict: {0}")]
    Source(String),
    /// A bug in us.
    #[error("internal: a computation was stopped before its end")]
    Task,
}
