use alloy::primitives::{Address, Bytes, FixedBytes, U256, bytes};
use alloy::sol_types::{Panic, PanicKind, SolError};

use super::{ERRORS, OTHERS, Revert};
use crate::contracts::{Federations, Payouts, Rounds};

fn check(data: Vec<u8>, expected: &str) {
    assert_eq!(Revert::decode(Bytes::from(data)).to_string(), expected);
}

#[test]
fn errors_are_named_with_their_arguments() {
    let field = FixedBytes::<32>::right_padding_from(b"feeBps");
    let differs = Rounds::FieldDiffers { field, expected: U256::from(1000), given: U256::from(7) };
    check(differs.abi_encode(), "Rounds.FieldDiffers(field: feeBps, expected: 1000, given: 7)");
    let account = Address::repeat_byte(1);
    let nothing = Payouts::NothingToClaim { federation: 1, account, cumulative: U256::from(5) };
    check(nothing.abi_encode(), &format!("Payouts.NothingToClaim(federation: 1, account: {account}, cumulative: 5)"));
    let refused = Federations::NotAuthorised { caller: account };
    let revert = Revert::decode(refused.abi_encode().into());
    assert!(revert.is("NotAuthorised"));
    assert_eq!(revert.argument("caller"), Some(account.to_string().as_str()));
}

#[test]
fn errors_of_the_language_and_of_libraries_are_known() {
    check(alloy::sol_types::Revert::from("why").abi_encode(), "Error(reason: \"why\")");
    check(Panic::from(PanicKind::UnderOverflow).abi_encode(), "Panic(code: 17)");
    assert!(ERRORS.len() >= OTHERS.len() + 50);
}

#[test]
fn what_is_unknown_is_shown_as_it_is() {
    check(Vec::new(), "no reason given");
    check(vec![1, 2, 3, 4, 5], "unknown error 0x0102030405");
    // The selector of a known error with arguments cut short.
    let cut = Revert::decode(bytes!("4e487b7100"));
    assert_eq!(cut.name, "");
}
