use crate::{Answered, Batch, Given, Journal, JournalError, JournalReader, MAX_EVENT_BYTES, OutboxStatus, restore};

const ACCOUNT: &[u8] = b"account";

fn events(journal: &Journal) -> Vec<Vec<u8>> {
    let mut events = Vec::new();
    let seen: Result<(), JournalError> = journal.replay(|event| {
        events.push(event.to_vec());
        Ok(())
    });
    seen.unwrap();
    events
}

#[test]
fn events_come_back_in_order_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("role.sqlite");
    {
        let journal = Journal::open(&path).unwrap();
        for i in 0..10_u8 {
            journal.commit(&Batch::new().append(&[i])).unwrap();
        }
        assert_eq!(journal.commits(), 10);
    }
    let journal = Journal::open(&path).unwrap();
    assert_eq!(events(&journal).concat(), (0..10).collect::<Vec<u8>>());
    journal.commit(&Batch::new().state("k", b"what they led to").forget_events().append(b"a")).unwrap();
    assert_eq!(events(&journal), [b"a"]);
}

#[test]
fn a_batch_is_one_commit_and_leaves_nothing_behind_when_it_fails() {
    let journal = Journal::memory().unwrap();
    journal.commit(&Batch::new().append(b"a").append(b"b").state("k", b"v")).unwrap();
    assert_eq!(journal.commits(), 1);
    let long = vec![0; MAX_EVENT_BYTES + 1];
    let refused = journal.commit(&Batch::new().forget_events().state("k", b"w").append(&long));
    assert!(matches!(refused, Err(JournalError::TooLong { .. })));
    assert_eq!(events(&journal), [b"a", b"b"]);
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
fn another_name_of_the_same_file_is_the_same_file() {
    let dir = tempfile::tempdir().unwrap();
    let (path, link) = (dir.path().join("role.sqlite"), dir.path().join("link.sqlite"));
    let _first = Journal::open(&path).unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(matches!(Journal::open(&link), Err(JournalError::InUse { .. })));
}

#[test]
fn a_reader_looks_on_while_the_holder_writes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("site.sqlite");
    assert!(matches!(JournalReader::open(&path), Err(JournalError::Missing { .. })));
    let journal = Journal::open(&path).unwrap();
    let reader = JournalReader::open(&path).unwrap();
    assert!(reader.is_held());
    journal.commit(&Batch::new().state("f/a", b"1").state("f/b", b"2").state("g/a", b"3")).unwrap();
    journal.answer_once("f", [7; 32], 6, [1; 32]).unwrap();
    let seen = reader.state_under("f/").unwrap();
    assert_eq!(seen, [("f/a".to_owned(), b"1".to_vec()), ("f/b".to_owned(), b"2".to_vec())]);
    assert_eq!(reader.owners().unwrap(), ["f", "g"]);
    assert_eq!(reader.answers("f").unwrap(), [Given { about: [7; 32], stage: 6 }]);
    // It writes nothing, and being looked at does not let a second writer in.
    assert!(reader.conn().execute("DELETE FROM state", []).is_err());
    assert!(matches!(Journal::open(&path), Err(JournalError::InUse { .. })));
    drop(journal);
    let alone = JournalReader::open(&path).unwrap();
    assert!(!alone.is_held());
    assert_eq!(alone.state_under("g/").unwrap().len(), 1);
}

#[test]
fn a_copy_made_meanwhile_is_whole_and_marked() {
    let dir = tempfile::tempdir().unwrap();
    let [live, copy, back] = ["live.db", "copy.db", "back.db"].map(|name| dir.path().join(name));
    let journal = Journal::open(&live).unwrap();
    journal.commit(&Batch::new().append(b"before")).unwrap();
    journal.answer_once("f", [7; 32], 6, [1; 32]).unwrap();
    assert_eq!(JournalReader::open(&live).unwrap().copy_to(&copy).unwrap(), 1);
    journal.commit(&Batch::new().append(b"after")).unwrap();
    assert_eq!(journal.generation().unwrap(), 0, "the journal itself goes on");
    let again = JournalReader::open(&live).unwrap().copy_to(&copy);
    assert!(matches!(again, Err(JournalError::Exists { .. })), "a copy is not overwritten");

    assert_eq!(restore(&copy, &back).unwrap(), 2);
    let restored = Journal::open(&back).unwrap();
    assert_eq!(restored.generation().unwrap(), 2);
    assert_eq!(events(&restored), [b"before"]);
    assert!(matches!(restored.answer_once("f", [7; 32], 6, [2; 32]), Err(JournalError::AnswerConflict { .. })));
    // A copy that somebody put into place by hand says what it is, too.
    assert_eq!(Journal::open(&copy).unwrap().generation().unwrap(), 1);
}

#[test]
fn a_copy_takes_nobodys_place() {
    let dir = tempfile::tempdir().unwrap();
    let [live, copy] = ["live.db", "copy.db"].map(|name| dir.path().join(name));
    let journal = Journal::open(&live).unwrap();
    JournalReader::open(&live).unwrap().copy_to(&copy).unwrap();
    assert!(matches!(restore(&copy, &live), Err(JournalError::InUse { .. })));
    drop(journal);
    assert!(matches!(restore(&copy, &live), Err(JournalError::Exists { .. })));
    std::fs::write(dir.path().join("lost.db-wal"), "the log of a lost file").unwrap();
    assert!(
        matches!(restore(&copy, dir.path().join("lost.db")), Err(JournalError::Exists { path }) if path.ends_with("lost.db-wal"))
    );
    std::fs::write(dir.path().join("text.db"), "no journal, and long enough to be looked at as one".repeat(20))
        .unwrap();
    let text = restore(dir.path().join("text.db"), dir.path().join("new.db"));
    assert!(matches!(text, Err(JournalError::NotAJournal { .. })), "{text:?}");
}

#[test]
fn only_the_owner_may_read_it_and_its_copies() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let [live, copy] = ["live.db", "copy.db"].map(|name| dir.path().join(name));
    let journal = Journal::open(&live).unwrap();
    journal.commit(&Batch::new().append(b"seed")).unwrap();
    JournalReader::open(&live).unwrap().copy_to(&copy).unwrap();
    for file in [&live, &copy, &dir.path().join("live.db-wal")] {
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
}

#[test]
fn a_newer_file_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("role.sqlite");
    let newer = rusqlite::Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    drop(newer);
    let refused = Journal::open(&path).unwrap_err();
    assert!(matches!(refused, JournalError::Schema { found: 99, .. }));
    assert!(refused.to_string().contains("run the version that wrote it"), "{refused}");
    assert!(matches!(JournalReader::open(&path), Err(JournalError::Schema { found: 99, .. })));
    assert!(matches!(restore(&path, dir.path().join("new")), Err(JournalError::Schema { found: 99, .. })));
    let version = rusqlite::Connection::open(&path).unwrap().query_row("PRAGMA user_version", [], |row| row.get(0));
    assert_eq!(version, Ok(99));
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

#[test]
fn a_full_disk_is_named_and_leaves_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("role.sqlite");
    let journal = Journal::open(&path).unwrap();
    journal.state_put("k", b"v").unwrap();
    // SQLite says the same when the disk has no room and when it may not take more of it.
    let pages: i64 = journal.conn().query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    journal.conn().pragma_update(None, "max_page_count", pages).unwrap();
    let refused = journal.commit(&Batch::new().state("k", b"w").append(&vec![7; 1 << 16]));
    assert!(matches!(&refused, Err(JournalError::Full { path }) if path.ends_with("role.sqlite")), "{refused:?}");
    assert_eq!((journal.state_get("k").unwrap().unwrap(), events(&journal).len()), (b"v".to_vec(), 0));
    journal.conn().pragma_update(None, "max_page_count", 1 << 20).unwrap();
    journal.commit(&Batch::new().append(&vec![7; 1 << 16])).unwrap();
}
