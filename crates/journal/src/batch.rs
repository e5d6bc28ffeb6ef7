use crate::{Journal, JournalError, events, journal};

/// Events and state that become durable together or not at all, at the price of one commit.
#[derive(Debug, Default)]
pub struct Batch<'a> {
    events: Vec<&'a [u8]>,
    state: Vec<(&'a str, &'a [u8])>,
}

impl<'a> Batch<'a> {
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn append(mut self, body: &'a [u8]) -> Self {
        self.events.push(body);
        self
    }

    #[must_use]
    pub fn state(mut self, key: &'a str, value: &'a [u8]) -> Self {
        self.state.push((key, value));
        self
    }
}

impl Journal {
    /// Writes the whole batch in one transaction; returns the sequence numbers of its events.
    pub fn commit(&self, batch: &Batch<'_>) -> Result<Vec<u64>, JournalError> {
        let name = || batch.state.first().map_or_else(|| "event".into(), |(key, _)| journal::name_of_state(key));
        self.write(name, |tx| {
            for (key, value) in &batch.state {
                journal::put(tx, key, value)?;
            }
            batch.events.iter().map(|body| events::insert(tx, body)).collect()
        })
    }
}
