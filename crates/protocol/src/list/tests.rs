use proptest::prelude::*;

use super::*;

fn verdicts(count: u8) -> Vec<VerdictItem> {
    (0..count).map(|i| VerdictItem { participant: Address::repeat_byte(i), verdict: i % 5 }).collect()
}

fn score(i: u8) -> ScoreItem {
    ScoreItem {
        participant: Address::repeat_byte(i),
        inner: vec![1, u64::MAX],
        responders: vec![0, 2, 3],
        answers: vec![5; 6],
        verdict: 0,
        scores: vec![-1, i64::MAX],
    }
}

fn check<T: ListItem + PartialEq + std::fmt::Debug>(items: Vec<T>) {
    let bytes = encode_list(&items);
    assert_eq!(decode_list::<T>(&bytes, items.len()).unwrap(), items);
    for cut in 0..bytes.len().min(400) {
        assert!(decode_list::<T>(&bytes[..cut], items.len()).is_err(), "cut at {cut}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(decode_list::<T>(&longer, items.len()).is_err());
    if !items.is_empty() {
        assert!(decode_list::<T>(&bytes, items.len() - 1).is_err());
    }
}

#[test]
fn lists_read_back() {
    check(verdicts(0));
    check(verdicts(5));
    check((0..3).map(score).collect::<Vec<_>>());
    check(vec![OpenItem { member: 1, words: vec![7; 2048 * 8].into() }]);
    check(vec![SealedShares(vec![1; 99].into()), SealedShares(vec![2].into())]);
}

#[test]
fn the_longest_items_fit_their_bound() {
    let score = ScoreItem {
        responders: vec![1; crate::MAX_COMMITTEE],
        answers: vec![1; crate::MAX_COMMITTEE * 64],
        inner: vec![1; 64],
        scores: vec![1; 64],
        ..score(0)
    };
    assert!(score.encode().len() <= ScoreItem::MAX_LENGTH);
    let open = OpenItem { member: 1, words: vec![7; 2048 * 8].into() };
    assert!(open.encode().len() <= OpenItem::MAX_LENGTH);
    assert_eq!(SettleItem::default().encode().len(), SettleItem::MAX_LENGTH);
    assert_eq!(AdmitItem::default().encode().len(), AdmitItem::MAX_LENGTH);
}

#[test]
fn a_list_has_one_order() {
    let mut items = verdicts(3);
    items.swap(0, 1);
    let refused = decode_list::<VerdictItem>(&encode_list(&items), 9).unwrap_err();
    assert_eq!(refused, Error::ListItem { list: "audit", item: 1, reason: "out of order, or there twice" });
    items[0] = items[1].clone();
    assert!(decode_list::<VerdictItem>(&encode_list(&items), 9).is_err());
}

#[test]
fn an_item_has_one_encoding() {
    let mut bytes = encode_list(&verdicts(1));
    // The high half of the word of an address is padding.
    bytes[HEADER + 4] = 1;
    assert!(decode_list::<VerdictItem>(&bytes, 9).is_err());
}

#[test]
fn a_list_of_another_kind_is_refused() {
    let bytes = encode_list(&verdicts(2));
    assert_eq!(
        decode_list::<PromiseItem>(&bytes, 9).unwrap_err(),
        Error::List { list: "promise", reason: "a list of another kind" }
    );
    let mut later = bytes.clone();
    later[4] = 1;
    assert!(decode_list::<VerdictItem>(&later, 9).is_err());
}

#[test]
fn a_claimed_count_allocates_nothing() {
    let mut bytes = encode_list(&verdicts(0));
    bytes[6..10].fill(0xff);
    assert!(decode_list::<VerdictItem>(&bytes, usize::MAX).is_err());
}

#[test]
fn roots_tell_kind_order_and_count_apart() {
    let items = verdicts(3);
    assert_ne!(list_root(&items), list_root(&items[..2]));
    let admits: Vec<_> =
        items.iter().map(|v| PromiseItem { validator: v.participant, commitment: B256::ZERO }).collect();
    let same_bytes: Vec<_> = items.iter().map(|v| VerdictItem { participant: v.participant, verdict: 0 }).collect();
    assert_eq!(admits[0].encode(), same_bytes[0].encode());
    assert_ne!(list_root(&admits), list_root(&same_bytes));
}

proptest! {
    #[test]
    fn garbage_is_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(decode_list::<LockItem>(&bytes, 100).is_err());
        // Behind a good header, too.
        let mut framed = encode_list::<ScoreItem>(&[]);
        framed[9] = 1;
        framed.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
        framed.extend_from_slice(&bytes);
        prop_assert!(decode_list::<ScoreItem>(&framed, 100).is_err());
    }

    #[test]
    fn one_changed_byte_never_reads_as_the_same_list(at in 0usize..500, to in any::<u8>()) {
        let items: Vec<_> = (0..2).map(score).collect();
        let mut bytes = encode_list(&items);
        let at = at % bytes.len();
        prop_assume!(bytes[at] != to);
        bytes[at] = to;
        prop_assert_ne!(decode_list::<ScoreItem>(&bytes, 2).ok(), Some(items));
    }
}
