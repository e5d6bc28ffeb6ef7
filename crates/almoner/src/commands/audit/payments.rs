//! What `almoner audit --payments` shows: who was paid what, round by round, by settlements that the audit recomputed.

use almoner_audit::{Report, RoundPayments};
use almoner_protocol::types::SettleItem;
use almoner_protocol::{FULL_QUALITY, U256};
use serde_json::{Value, json};

use crate::commands::status::seat;
use crate::tokens::tokens;

/// The table of a federation, a line each.
pub(super) fn table(report: &Report) -> Vec<String> {
    if report.payments.is_empty() {
        return vec!["payments: no final round whose settlement could be recomputed".to_owned()];
    }
    report.payments.iter().flat_map(round_table).collect()
}

fn round_table(paid: &RoundPayments) -> Vec<String> {
    let RoundPayments { round, settle_root, settle_cid, lines } = paid;
    let [quality, weight, now, so_far] = ["quality", "weight", "paid", "so far"];
    let mut table = vec![
        format!("round {round}, in tokens; settlement list {settle_cid}, root {settle_root}"),
        format!("  {:<42} {:<9} {quality:>8} {weight:>8} {now:>14} {so_far:>14}", "account", "role"),
    ];
    table.extend(lines.iter().map(|line| {
        let [quality, weight] = [U256::from(line.quality), line.weight].map(fraction);
        let [now, so_far] = [line.pay, line.cumulative].map(|amount| tokens(U256::from(amount)));
        let (account, role) = (line.account.to_string(), seat(line.role));
        format!("  {account:<42} {role:<9} {quality:>8} {weight:>8} {now:>14} {so_far:>14}")
    }));
    table
}

/// As [`table`], in base units.
pub(super) fn document(report: &Report) -> Vec<Value> {
    let line = |line: &SettleItem| {
        json!({
            "account": line.account,
            "role": seat(line.role),
            "quality": line.quality.to_string(),
            "weight": line.weight.to_string(),
            "paid": line.pay.to_string(),
            "cumulative": line.cumulative.to_string(),
        })
    };
    let round = |paid: &RoundPayments| {
        json!({
            "round": paid.round,
            "settle_cid": paid.settle_cid,
            "settle_root": paid.settle_root,
            "lines": paid.lines.iter().map(line).collect::<Vec<_>>(),
        })
    };
    report.payments.iter().map(round).collect()
}

/// Of the whole quality of a round, in thousandths, rounded down.
fn fraction(quality: U256) -> String {
    let thousand = U256::from(1000);
    let milli = quality.saturating_mul(thousand) / U256::from(FULL_QUALITY);
    format!("{}.{:03}", milli / thousand, (milli % thousand).to::<u64>())
}

#[cfg(test)]
mod tests {
    use almoner_protocol::{Address, B256, Role};

    use super::*;

    fn paid() -> RoundPayments {
        let line = |index: u8, role, pay: u128| SettleItem {
            index: index.into(),
            account: Address::repeat_byte(index),
            role,
            quality: 1 << 31,
            weight: U256::from(1u64 << 31),
            pay,
            cumulative: pay + 1,
            ..SettleItem::default()
        };
        let ten = 10_000_000_000_000_000_000;
        let lines = vec![line(1, Role::Hospital as u8, ten), line(2, Role::Validator as u8, 7)];
        RoundPayments { round: 3, settle_root: B256::repeat_byte(9), settle_cid: "bafy".into(), lines }
    }

    #[test]
    fn people_read_tokens_and_scripts_base_units() {
        let text = round_table(&paid());
        assert!(text[0].starts_with("round 3") && text[0].contains("bafy") && text[0].contains("0x0909"), "{text:?}");
        let words: Vec<&str> = text[2].split_whitespace().skip(1).collect();
        assert_eq!(words, ["member", "0.500", "0.500", "10.000", "10.000"]);
        assert!(text[3].contains("validator") && text[1].len() == text[3].len());
        let report = Report { payments: vec![paid()], ..super::super::tests::report(1, None, None) };
        let document = json!(document(&report));
        assert_eq!(document[0]["lines"][1]["paid"], "7");
        assert_eq!(document[0]["lines"][0]["cumulative"], "10000000000000000001");
        assert_eq!((&document[0]["round"], &document[0]["settle_cid"]), (&json!(3), &json!("bafy")));
    }

    #[test]
    fn a_federation_that_paid_nobody_says_so() {
        let report = super::super::tests::report(1, None, None);
        assert_eq!(table(&report).len(), 1);
        assert_eq!(document(&report), Vec::<Value>::new());
    }
}
