//! The same question of many callers, asked once: every site asks the chain in the same words when a block is new.
//!
//! An answer is given to those who came before its question was sent on, so that nobody is told of an older chain than
//! it asked of: who comes later shares the next one. Nothing is kept once nobody waits.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use tokio::sync;

/// Questions that are being asked, and who waits for an answer `A` to them.
pub(crate) struct Turns<A>(Mutex<HashMap<Bytes, Arc<Turn<A>>>>);

struct Turn<A> {
    /// How many came so far.
    came: AtomicU64,
    last: sync::Mutex<Last<A>>,
}

struct Last<A> {
    /// How many had come when it was asked for.
    covers: u64,
    answer: Option<A>,
}

/// One caller's part in a turn.
struct Place<'a, A> {
    turns: &'a Turns<A>,
    question: &'a Bytes,
    turn: Arc<Turn<A>>,
}

impl<A> Default for Turns<A> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<A: Clone> Turns<A> {
    /// What `ask` answers, or what another caller's answered that was sent since this one came. `Err` is an answer of
    /// this caller alone.
    pub(crate) async fn ask<R>(&self, question: &Bytes, ask: impl Future<Output = Result<A, R>>) -> Result<A, R> {
        let place = self.place(question);
        let mine = place.turn.came.fetch_add(1, Ordering::Relaxed) + 1;
        // In the order in which they came.
        let mut last = place.turn.last.lock().await;
        if let Some(answer) = last.answer.as_ref().filter(|_| last.covers >= mine) {
            return Ok(answer.clone());
        }
        let covers = place.turn.came.load(Ordering::Relaxed);
        let answer = ask.await;
        *last = Last { covers, answer: answer.as_ref().ok().cloned() };
        answer
    }
}

impl<A> Turns<A> {
    fn place<'a>(&'a self, question: &'a Bytes) -> Place<'a, A> {
        let new = || Turn { came: AtomicU64::new(0), last: sync::Mutex::new(Last { covers: 0, answer: None }) };
        let turn = self.lock().entry(question.clone()).or_insert_with(|| Arc::new(new())).clone();
        Place { turns: self, question, turn }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Bytes, Arc<Turn<A>>>> {
        // Every change of it is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl<A> Turns<A> {
    /// Waits until so many have come who wait for this answer.
    pub(crate) async fn waited_for(&self, question: &[u8], callers: u64) {
        while self.lock().get(question).map_or(0, |turn| turn.came.load(Ordering::Relaxed)) < callers {
            tokio::task::yield_now().await;
        }
    }
}

impl<A> Drop for Place<'_, A> {
    fn drop(&mut self) {
        let mut turns = self.turns.lock();
        // Places are made under the lock: there is the map's, and this one.
        if Arc::strong_count(&self.turn) == 2 {
            turns.remove(self.question);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;
    use tokio::task::JoinHandle;

    use super::*;

    /// A node that counts questions, and answers each with its number when it is told to.
    struct Node {
        turns: Arc<Turns<usize>>,
        sent: mpsc::UnboundedSender<sync::oneshot::Sender<Result<(), ()>>>,
        asked: mpsc::UnboundedReceiver<sync::oneshot::Sender<Result<(), ()>>>,
        count: Arc<Mutex<usize>>,
    }

    impl Node {
        fn new() -> Self {
            let (sent, asked) = mpsc::unbounded_channel();
            Self { turns: Arc::default(), sent, asked, count: Arc::default() }
        }

        fn caller(&self, question: &'static str) -> JoinHandle<Result<usize, ()>> {
            let (turns, sent, count) = (self.turns.clone(), self.sent.clone(), self.count.clone());
            tokio::spawn(async move {
                let ask = async {
                    let number = {
                        let mut count = count.lock().unwrap();
                        *count += 1;
                        *count
                    };
                    let (tell, told) = sync::oneshot::channel();
                    sent.send(tell).unwrap();
                    told.await.unwrap().map(|()| number)
                };
                turns.ask(&Bytes::from_static(question.as_bytes()), ask).await
            })
        }
    }

    #[tokio::test]
    async fn who_comes_while_one_is_asked_shares_the_next() {
        let mut node = Node::new();
        let first = node.caller("a");
        let tell = node.asked.recv().await.unwrap();
        let others: Vec<_> = (0..9).map(|_| node.caller("a")).collect();
        node.turns.waited_for(b"a", 10).await;
        tell.send(Ok(())).unwrap();
        assert_eq!(first.await.unwrap(), Ok(1));
        // It was sent before they came: it may be of an older chain.
        node.asked.recv().await.unwrap().send(Ok(())).unwrap();
        for other in others {
            assert_eq!(other.await.unwrap(), Ok(2));
        }
        assert!(node.turns.lock().is_empty(), "nothing is kept");
        let again = node.caller("a");
        node.asked.recv().await.unwrap().send(Ok(())).unwrap();
        assert_eq!(again.await.unwrap(), Ok(3));
    }

    #[tokio::test]
    async fn other_questions_do_not_wait() {
        let mut node = Node::new();
        let _first = node.caller("a");
        let _untold = node.asked.recv().await.unwrap();
        let other = node.caller("b");
        node.asked.recv().await.unwrap().send(Ok(())).unwrap();
        assert_eq!(other.await.unwrap(), Ok(2));
    }

    #[tokio::test]
    async fn an_answer_of_one_alone_is_given_to_nobody_else() {
        let mut node = Node::new();
        let first = node.caller("a");
        let tell = node.asked.recv().await.unwrap();
        let others = [node.caller("a"), node.caller("a")];
        node.turns.waited_for(b"a", 3).await;
        tell.send(Err(())).unwrap();
        assert_eq!(first.await.unwrap(), Err(()));
        for _ in 0..2 {
            node.asked.recv().await.unwrap().send(Err(())).unwrap();
        }
        for other in others {
            assert_eq!(other.await.unwrap(), Err(()));
        }
    }

    #[tokio::test]
    async fn who_hangs_up_leaves_the_question_to_the_next() {
        let mut node = Node::new();
        let first = node.caller("a");
        let _untold = node.asked.recv().await.unwrap();
        let next = node.caller("a");
        node.turns.waited_for(b"a", 2).await;
        first.abort();
        node.asked.recv().await.unwrap().send(Ok(())).unwrap();
        assert_eq!(next.await.unwrap(), Ok(2));
    }
}
