//! Amounts as people read them.

use almoner_protocol::U256;

/// Base units as tokens of 18 decimals, three of them shown, rounded down.
pub(crate) fn tokens(amount: U256) -> String {
    let milli = amount / U256::from(10u64.pow(15));
    let thousand = U256::from(1000);
    format!("{}.{:03}", milli / thousand, (milli % thousand).to::<u64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_as_tokens() {
        assert_eq!(tokens(U256::from(1_234_567_000_000_000_000u64)), "1.234");
        assert_eq!(tokens(U256::ZERO), "0.000");
        assert_eq!(tokens(U256::from(10u64.pow(18)) * U256::from(10_000)), "10000.000");
    }
}
