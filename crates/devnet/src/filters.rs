//! Filters that a client polls. Kept in memory, and only so many: an old one gives way to a new one.

use std::collections::BTreeMap;

use alloy::primitives::{B256, U256};
use alloy::rpc::types::{Filter, Log};
use serde::Serialize;

use crate::chain::Chain;
use crate::error::RpcError;

const MAX_FILTERS: usize = 256;

#[derive(Debug, Default)]
pub(crate) struct Filters {
    next: u64,
    open: BTreeMap<u64, Open>,
}

#[derive(Debug)]
struct Open {
    kind: Kind,
    /// First block not yet told of.
    from: u64,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Blocks,
    Logs(Box<Filter>),
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Changes {
    Blocks(Vec<B256>),
    Logs(Vec<Log>),
}

impl Chain {
    pub(crate) fn filter_open(&mut self, kind: Kind) -> U256 {
        let from = self.tip().header.number.saturating_add(1);
        let filters = &mut self.filters;
        filters.next = filters.next.saturating_add(1);
        filters.open.insert(filters.next, Open { kind, from });
        while filters.open.len() > MAX_FILTERS {
            filters.open.pop_first();
        }
        U256::from(filters.next)
    }

    pub(crate) fn filter_close(&mut self, id: U256) -> bool {
        u64::try_from(id).is_ok_and(|id| self.filters.open.remove(&id).is_some())
    }

    /// What is new since the last poll.
    pub(crate) fn filter_changes(&mut self, id: U256) -> Result<Changes, RpcError> {
        let missing = || RpcError::server("filter not found");
        let id = u64::try_from(id).map_err(|_| missing())?;
        let tip = self.tip().header.number;
        let open = self.filters.open.get(&id).ok_or_else(missing)?;
        let changes = match &open.kind {
            Kind::Blocks => {
                let blocks = (open.from..=tip).filter_map(|n| self.block(n));
                Changes::Blocks(blocks.map(|block| block.header.hash()).collect())
            }
            Kind::Logs(filter) => Changes::Logs(self.logs_between(open.from, tip, filter)?),
        };
        if let Some(open) = self.filters.open.get_mut(&id) {
            open.from = tip.saturating_add(1);
        }
        Ok(changes)
    }

    /// Everything a log filter matches, told before or not.
    pub(crate) fn filter_logs(&self, id: U256) -> Result<Vec<Log>, RpcError> {
        let id = u64::try_from(id).ok();
        match id.and_then(|id| self.filters.open.get(&id)) {
            Some(Open { kind: Kind::Logs(filter), .. }) => self.logs(filter),
            _ => Err(RpcError::server("filter not found")),
        }
    }
}
