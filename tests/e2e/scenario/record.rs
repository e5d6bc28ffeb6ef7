//! What a node did, in the form in which nodes are compared.

use alloy::primitives::{Address, B256, Bytes};
use alloy::sol_types::SolEvent;
use almoner_chain::contracts::Rounds;
use almoner_chain::{Deployment, LedgerError, TxReceipt};

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) outcome: Outcome,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Included { gas: u64, logs: Vec<(Address, Vec<B256>, Bytes)> },
    Reverted { error: String, data: Bytes },
}

#[derive(Debug)]
pub(crate) struct Trace {
    addresses: [Address; 4],
    deploy_gas: u64,
    pub(crate) steps: Vec<Step>,
    /// Of transactions that are not part of the comparison.
    pub(crate) unrecorded_gas: u64,
}

impl Trace {
    pub(crate) fn new(deployment: &Deployment, deploy_gas: u64) -> Self {
        let Deployment { federations, rounds, payouts, token, .. } = *deployment;
        Self { addresses: [federations, rounds, payouts, token], deploy_gas, steps: Vec::new(), unrecorded_gas: 0 }
    }

    pub(crate) fn included(&mut self, name: &'static str, receipt: &TxReceipt) {
        let logs = receipt.logs.iter().map(|log| {
            let mut data = log.data.data.to_vec();
            if log.data.topics()[0] == Rounds::Proposed::SIGNATURE_HASH {
                // endsAt, the last word.
                let words = data.len() - 32;
                data.truncate(words);
            }
            (log.address, log.data.topics().to_vec(), data.into())
        });
        let outcome = Outcome::Included { gas: receipt.gas_used, logs: logs.collect() };
        self.steps.push(Step { name, outcome });
    }

    /// A call that the contracts must refuse with this error, arguments included.
    pub(crate) fn refused(&mut self, name: &'static str, result: Result<TxReceipt, LedgerError>, expected: &str) {
        let error = result.expect_err(name);
        assert!(matches!(error, LedgerError::Reverted(_)), "{name}: {error}");
        let revert = error.revert().unwrap();
        assert_eq!(revert.to_string(), expected, "{name}");
        let outcome = Outcome::Reverted { error: revert.to_string(), data: revert.data.clone() };
        self.steps.push(Step { name, outcome });
    }

    /// As [`Self::refused`], for an error whose arguments are block times.
    pub(crate) fn refused_in_time(
        &mut self,
        name: &'static str,
        result: Result<TxReceipt, LedgerError>,
        expected: &str,
    ) {
        let error = result.expect_err(name);
        assert_eq!(error.revert().expect(name).name, expected, "{name}");
        self.steps.push(Step { name, outcome: Outcome::Reverted { error: expected.into(), data: Bytes::new() } });
    }

    pub(crate) fn gas(&self) -> u64 {
        let gas = self.steps.iter().map(|step| match &step.outcome {
            Outcome::Included { gas, .. } => *gas,
            Outcome::Reverted { .. } => 0,
        });
        self.deploy_gas + gas.sum::<u64>()
    }

    pub(crate) fn assert_same(&self, expected: &Self, name: &str) {
        assert_eq!(self.addresses, expected.addresses, "{name}: addresses");
        assert_eq!(self.deploy_gas, expected.deploy_gas, "{name}: gas of the deployment");
        for (found, expected) in self.steps.iter().zip(&expected.steps) {
            assert_eq!(found, expected, "{name}");
        }
        assert_eq!(self.steps.len(), expected.steps.len(), "{name}");
    }
}
