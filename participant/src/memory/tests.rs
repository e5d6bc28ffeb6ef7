use almoner_proto::{ErrorKind, Kinded};
use almoner_protocol::model_root;

use super::*;

fn memory() -> Memory {
    let federation = FederationId { chain_id: 1, federations: Address::ZERO, number: 1 };
    Memory::new(Journal::memory().unwrap(), federation)
}

/// Another life of the same site.
fn again(memory: &Memory) -> Memory {
    Memory { held: Arc::default(), ..memory.clone() }
}

fn drawn(byte: u8) -> impl FnOnce() -> Result<Zeroizing<[u8; 32]>, SiteError> {
    move || Ok(Zeroizing::new([byte; 32]))
}

const A: B256 = B256::repeat_byte(1);
const B: B256 = B256::repeat_byte(2);

#[tokio::test]
async fn seeds_are_drawn_once_and_forgotten_with_their_round() {
    let memory = memory();
    assert_eq!(*memory.member_key(3, drawn(1)).await.unwrap(), [1; 32]);
    assert_eq!(*memory.member_key(3, drawn(2)).await.unwrap(), [1; 32]);
    assert_eq!(*memory.upload_seed(A, drawn(3)).await.unwrap(), [3; 32]);
    memory.forget_round(3, A).await.unwrap();
    assert!(memory.known_member_key(3).await.unwrap().is_none());
    assert_eq!(*memory.upload_seed(A, drawn(4)).await.unwrap(), [4; 32]);
}

#[tokio::test]
async fn what_was_trained_is_kept_to_the_bit_while_its_round_lasts() {
    let memory = memory();
    assert_eq!(memory.delta(A).await.unwrap(), None);
    let delta = [0.0, -1.5e-7, f32::MIN_POSITIVE, 3.0];
    memory.keep_delta(A, &delta).await.unwrap();
    assert_eq!(memory.delta(A).await.unwrap(), Some(delta.to_vec()));
    assert_eq!(memory.delta(B).await.unwrap(), None);
    memory.forget_round(3, A).await.unwrap();
    assert_eq!(memory.delta(A).await.unwrap(), None);
}

#[tokio::test]
async fn a_stage_is_acknowledged_once() {
    let memory = memory();
    assert_eq!(memory.acknowledge_once(A, Stage::Admit, B).await.unwrap(), Answered::First);
    assert_eq!(memory.acknowledge_once(A, Stage::Admit, B).await.unwrap(), Answered::Same);
    let error = memory.acknowledge_once(A, Stage::Admit, A).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    // Another stage and another round are other questions.
    memory.acknowledge_once(A, Stage::Direction, A).await.unwrap();
    memory.acknowledge_once(B, Stage::Admit, A).await.unwrap();
}

#[tokio::test]
async fn a_base_model_is_opened_for_one_set() {
    let memory = memory();
    let (x, y) = (Address::repeat_byte(1), Address::repeat_byte(2));
    memory.open_once(A, &[x, y]).await.unwrap();
    assert_eq!(memory.open_once(A, &[x, y]).await.unwrap(), Answered::Same);
    assert_eq!(memory.open_once(A, &[x]).await.unwrap_err().kind(), ErrorKind::Conflict);
    memory.open_once(B, &[x]).await.unwrap();
}

#[tokio::test]
async fn scalars_are_counted_once_a_round_up_to_the_limit() {
    let memory = memory();
    memory.spend_scalars(A, 3, 7).await.unwrap();
    memory.spend_scalars(A, 3, 7).await.unwrap();
    memory.spend_scalars(B, 3, 7).await.unwrap();
    let error = memory.spend_scalars(B256::repeat_byte(3), 3, 7).await.unwrap_err();
    assert!(matches!(error, SiteError::Rule(almoner_protocol::Error::ScalarsSpent { opened: 6, .. })), "{error}");
}

#[tokio::test]
async fn models_and_promises_read_back() {
    let memory = memory();
    assert!(memory.verified_model().await.unwrap().is_none());
    let [(first, values), (second, later)] =
        [vec![1, -2, i32::MIN], vec![3]].map(|values| (model_root(&values), Arc::new(values)));
    memory.keep_model(first, values.to_vec()).await.unwrap();
    assert_eq!(memory.verified_model().await.unwrap(), Some((first, values.clone())));
    // The first is written down at once, the next ones when they are saved.
    memory.keep_model(second, later.to_vec()).await.unwrap();
    assert_eq!(memory.verified_model().await.unwrap(), Some((second, later.clone())));
    assert_eq!(again(&memory).verified_model().await.unwrap(), Some((first, values)));
    memory.save_model().await.unwrap();
    assert_eq!(again(&memory).verified_model().await.unwrap(), Some((second, later)));
    // Damage on the disk is found out.
    memory.journal.beside_put(&memory.key("model"), |out| out.write_all(&[0; 36])).unwrap();
    assert!(matches!(again(&memory).verified_model().await, Err(SiteError::Journal(JournalError::Corrupt(_)))));
    let promised = Promised { salt: B, entries: vec![-7, 0, 1] };
    memory.keep_promise(A, &promised).await.unwrap();
    assert_eq!(memory.promised(A).await.unwrap(), Some(promised));
    memory.keep_receipt(A, B).await.unwrap();
    assert_eq!(memory.receipt(A).await.unwrap(), Some(B));
}

#[tokio::test]
async fn what_a_copy_forgot_is_settled_once_and_its_scalars_count() {
    let memory = memory();
    memory.spend_scalars(A, 3, 7).await.unwrap();
    assert_eq!(memory.forgotten(1).await.unwrap(), None);
    // Round A is known already; round B may have been played after the copy was made.
    memory.keep_forgotten(1, 500, &[(A, 3), (B, 3)]).await.unwrap();
    assert_eq!(memory.forgotten(1).await.unwrap(), Some(500));
    assert_eq!(memory.forgotten(2).await.unwrap(), None, "a copy of the copy asks again");
    let error = memory.spend_scalars(B256::repeat_byte(3), 3, 7).await.unwrap_err();
    assert!(matches!(error, SiteError::Rule(almoner_protocol::Error::ScalarsSpent { opened: 6, .. })), "{error}");
}

#[tokio::test]
async fn a_look_into_the_journal_shows_what_was_said_and_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let (path, federation) =
        (dir.path().join("site.db"), FederationId { chain_id: 1, federations: Address::ZERO, number: 1 });
    let memory = Memory::new(Journal::open(&path).unwrap(), federation);
    memory.upload_seed(A, drawn(3)).await.unwrap();
    memory.keep_receipt(A, B).await.unwrap();
    memory.keep_promise(B, &Promised { salt: B, entries: vec![1] }).await.unwrap();
    memory.answer_once(A, Stage::Score, B).await.unwrap();
    memory.open_once(B256::repeat_byte(9), &[Address::ZERO]).await.unwrap();
    memory.spend_scalars(A, 3, 7).await.unwrap();
    memory.forget_round(1, B).await.unwrap();
    let records = Records::read(&almoner_journal::JournalReader::open(&path).unwrap(), federation).unwrap();
    let expected = Records {
        receipts: [A].into(),
        promises: [B].into(),
        answers: [A].into(),
        scalars: vec![(A, 3)],
        generation: 0,
        forgotten_until: None,
    };
    assert_eq!((records.opened(), records), (3, expected));
}

#[tokio::test]
async fn with_a_vault_the_journal_shows_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let (path, federation) =
        (dir.path().join("site.db"), FederationId { chain_id: 1, federations: Address::ZERO, number: 1 });
    let key = state_key(1);
    let draw = |text: &[u8; 32]| {
        let text = *text;
        move || Ok(Zeroizing::new(text))
    };
    let secrets = [b"the seed of the site, in plain !", b"the seed of a member, in plain !"];
    {
        // From before there was a vault.
        let plain = Memory::new(Journal::open(&path).unwrap(), federation);
        plain.site_seed(draw(secrets[0])).await.unwrap();
        plain.keep_receipt(A, B).await.unwrap();
    }
    let journal = Journal::open(&path).unwrap();
    let memory = Memory::sealed(journal.clone(), federation, Some(key.clone()));
    let error = memory.site_seed(drawn(9)).await.unwrap_err();
    assert!(error.to_string().contains("participant login"), "{error}");
    assert!(check_sealed(&journal, None).is_ok() && check_sealed(&journal, Some(&key)).is_err());
    assert_eq!((seal_secrets(&journal, &key).unwrap(), seal_secrets(&journal, &key).unwrap()), (1, 0));
    assert_eq!(*memory.site_seed(drawn(9)).await.unwrap(), *secrets[0]);
    assert_eq!(*memory.member_key(3, draw(secrets[1])).await.unwrap(), *secrets[1]);
    let promised = Promised { salt: B256::from_slice(b"the salt of a promise, in plain!"), entries: vec![3, -3] };
    memory.keep_promise(A, &promised).await.unwrap();
    assert_eq!(memory.promised(A).await.unwrap(), Some(promised.clone()));
    assert_eq!(memory.receipt(A).await.unwrap(), Some(B), "what is no secret is as it was");
    // Without the vault, or with another one, it is not taken for something else.
    let without = Memory::new(journal.clone(), federation);
    assert!(matches!(without.site_seed(drawn(9)).await, Err(SiteError::VaultNeeded)));
    assert!(matches!(without.promised(A).await, Err(SiteError::VaultNeeded)));
    memory.forget_round(3, A).await.unwrap();
    assert!(memory.known_member_key(3).await.unwrap().is_none() && memory.promised(A).await.unwrap().is_none());
    check_sealed(&journal, Some(&key)).unwrap();
    assert!(matches!(check_sealed(&journal, None), Err(SiteError::VaultNeeded)));
    assert!(check_sealed(&journal, Some(&state_key(2))).is_err());
    assert!(seal_secrets(&journal, &state_key(2)).is_err());
    drop((memory, without, journal));
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for secret in [secrets[0], secrets[1], &promised.salt.0] {
            assert!(!bytes.windows(32).any(|window| window == secret));
        }
    }
}

fn state_key(byte: u8) -> StateKey {
    StateKey::from_bytes([byte; 32])
}
