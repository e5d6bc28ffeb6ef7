//! The notice that wakes sites. Slow readers miss notices in between and lose nothing: each says how things stand.

use almoner_proto::RoundNotice;
use tokio::sync::watch;

/// Sender and template of the current notice.
#[derive(Debug)]
pub(crate) struct Notices {
    sender: watch::Sender<RoundNotice>,
}

impl Notices {
    pub(crate) fn new() -> (Self, watch::Receiver<RoundNotice>) {
        let (sender, receiver) = watch::channel(RoundNotice::default());
        (Self { sender }, receiver)
    }

    /// Changes the notice and wakes everybody, even if it reads as before: an acknowledgement or answer list grew.
    pub(crate) fn publish(&self, change: impl FnOnce(&mut RoundNotice)) {
        self.sender.send_modify(change);
    }
}
