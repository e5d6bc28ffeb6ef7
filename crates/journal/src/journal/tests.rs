use crate::{Answered, Batch, Journal, JournalError, MAX_EVENT_BYTES, OutboxStatus};

const ACCOUNT: &[u8] = b"account";

#[test]
fn events_come_back_in_order_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("role.sqlite");
    {
        let journal = Journal::open(&path).unwrap();
        for i in 0..10_u8 {
            assert_eq!(journal.append(&[i]).unwrap(), u64::from(i) + 1);
        }
        assert_eq!(journal.commits(), 10);
    }
    let journal = Journal::open(&path).unwrap();
    let bodies: Vec<_> = journal.replay().unwrap().iter().map(|e| e.body[0]).collect();
    assert_eq!(bodies, (0..10).collect::<Vec<u8>>());
    let tail = journal.replay_after(7, 2).unwrap();
    assert_eq!(tail.iter().map(|e| e.seq).collect::<Vec<_>>(), [8, 9]);
}

#[test]
fn a_batch_is_one_commit_and_leaves_nothing_behind_when_it_fails() {
    let journal = Journal::memory().unwrap();
    let seqs = journal.commit(&Batch::new().append(b"a").append(b"b").state("k", b"v")).unwrap();
    assert_eq!((seqs, journal.commits()), (vec![1, 2], 1));
    let long = vec![0; MAX_EVENT_BYTES + 1];
    let refused = journal.commit(&Batch::new().state("k", b"w").append(&long));
    assert!(matches!(refused, Err(JournalError::TooLong { .. })));
    assert_eq!(journal.state_get("k").unwrap().unwrap(), b"v");
    assert_eq!(journal.state_get("absent").unwrap(), None);
}

#[test]
fn a_second_holder_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("role.sqlite");
    let first = Journal::open(&path).unwrap();
    assert!(matches!(Journal::open(&path), Err(JournalError::InUse { .. })));
    drop(first);
    Journal::open(&path).unwrap();
}

#[test]
fn a_newer_file_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("role.sqlite");
    let newer = rusqlite::Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    drop(newer);
    assert!(matches!(Journal::open(&path), Err(JournalError::Schema { found: 99, .. })));
}

#[test]
fn a_stage_is_answered_once_even_across_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("member.sqlite");
    let base = [7; 32];
    {
        let journal = Journal::open(&path).unwrap();
        let first = journal.answer_once("f", base, 6, [1; 32]).unwrap();
        assert_eq!(first, Answered::First);
    }
    let journal = Journal::open(&path).unwrap();
    assert_eq!(journal.answer_once("f", base, 6, [1; 32]).unwrap(), Answered::Same);
    assert!(matches!(
        journal.answer_once("f", base, 6, [2; 32]),
        Err(JournalError::AnswerConflict { logged, .. }) if logged == [1; 32]
    ));
    for (federation, root, stage) in [("g", base, 6), ("f", [8; 32], 6), ("f", base, 3)] {
        let other = journal.answer_once(federation, root, stage, [2; 32]);
        assert_eq!(other.unwrap(), Answered::First);
    }
}

#[test]
fn the_outbox_keeps_every_transaction_of_a_nonce_until_one_is_mined() {
    let journal = Journal::memory().unwrap();
    journal.outbox_insert(ACCOUNT, 4, [1; 32], b"cheap").unwrap();
    journal.outbox_insert(ACCOUNT, 4, [2; 32], b"dear").unwrap();
    journal.outbox_insert(ACCOUNT, 5, [3; 32], b"next").unwrap();
    journal.outbox_insert(b"other", 4, [4; 32], b"x").unwrap();
    assert_eq!(journal.outbox_pending(ACCOUNT).unwrap().len(), 3);

    journal.outbox_settle(ACCOUNT, 4, Some([2; 32])).unwrap();
    let pending = journal.outbox_pending(ACCOUNT).unwrap();
    assert_eq!((pending.len(), pending[0].nonce), (1, 5));
    let kept = journal.outbox_from(ACCOUNT, 4).unwrap();
    assert_eq!(kept[0].status, OutboxStatus::Mined);
    assert_eq!((kept.len(), kept[0].raw.as_slice()), (2, &b"dear"[..]));

    journal.outbox_settle(ACCOUNT, 5, None).unwrap();
    assert!(journal.outbox_pending(ACCOUNT).unwrap().is_empty());
}
