use almoner_protocol::Stage;

/// Where an audit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The round being checked.
    pub round: u64,
    /// How many there are.
    pub rounds: u64,
    /// The stage that is looked at now.
    pub stage: Stage,
}

/// Hears of every stage before it is looked at.
pub(crate) type Watch<'a> = &'a mut (dyn FnMut(Progress) + Send);
