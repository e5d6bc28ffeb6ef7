use crate::{Journal, JournalError, events, journal};

/// Changes that become durable together or not at all, at the price of one commit.
#[derive(Debug, Default)]
pub struct Batch<'a> {
    forget: bool,
    events: Vec<&'a [u8]>,
    state: Vec<(&'a str, &'a [u8])>,
}

impl<'a> Batch<'a> {
    pub fn new() -> Self {
        Self::default()
    }

    /// Without the events so far: what they led to is in the state of this batch.
    #[must_use]
    pub fn forget_events(mut self) -> Self {
        self.forget = true;
        self
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
    /// Writes the whole batch in one transaction.
    pub fn commit(&self, batch: &Batch<'_>) -> Result<(), JournalError> {
        let name = || batch.state.first().map_or_else(|| "event".into(), |(key, _)| journal::name_of_state(key));
        self.write(name, |tx| {
            if batch.forget {
                events::forget(tx)?;
            }
            for (key, value) in &batch.state {
                journal::put(tx, key, value)?;
            }
            batch.events.iter().try_for_each(|body| events::insert(tx, body))
        })
    }
}
