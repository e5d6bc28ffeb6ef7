//! What a hospital trained, and every way in which a log could show it. With the seed of a test it can be worked out again.

use std::collections::BTreeSet;

use almoner_chain::{RoundRecord, SigningKey};
use almoner_model::{ComputeDevice, TrainPlan, train};
use almoner_participant::data::{Limits, load};
use almoner_participant::{DataConfig, Entropy, SeededEntropy, fetch};
use almoner_protocol::spec::FederationSpec;
use almoner_protocol::types::AdmitItem;
use almoner_protocol::{
    Scale, ServerStep, Stage, base_from_f32, base_to_f32, decode_list, decode_model, model_root, next_model, quantise,
};
use almoner_store::{Bytes, GatewayStore, Store, cid_from_bytes};
use regex::Regex;
use serde_json::json;

use super::kubo::{block_on, reader};
use super::processes::{HOSPITALS, House, hex, site_seed};

/// Shorter texts are in a log by chance.
const SHORTEST: usize = 9;
/// Bytes looked for at a time.
const WINDOW: usize = 12;
const ALPHABETS: [&[u8; 64]; 2] = [
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
];

/// What one hospital trained in one round.
pub(super) struct Trained {
    weights: Vec<f32>,
    /// What training changed of the base model.
    delta: Vec<f32>,
    /// The same in fixed point: what is encrypted.
    update: Vec<i16>,
    frac_bits: u8,
}

/// Trains again what every hospital trained in every round of the federation. What was trained is what came of it: the
/// models are held against the chain's.
pub(super) fn trained(house: &House, url: &str) -> Vec<Trained> {
    block_on(async {
        let (ledger, store) = reader(url).await;
        let params = ledger.federation(1).await.unwrap().unwrap().params;
        let spec = fetch::spec(&store, &params.specCid, params.specHash).await.unwrap();
        let mut all = Vec::new();
        for round in ledger.rounds(1).await.unwrap().iter() {
            all.extend(trained_in(house, &store, &spec, round).await);
        }
        all
    })
}

async fn trained_in(house: &House, store: &GatewayStore, spec: &FederationSpec, round: &RoundRecord) -> Vec<Trained> {
    let read = async |cid: &[u8]| store.get(&cid_from_bytes(cid).unwrap(), 1 << 20).await.unwrap();
    let base = decode_model(&spec.model, &read(&round.cids.base).await).unwrap();
    let admitted: Vec<AdmitItem> = decode_list(&read(&round.stages[&Stage::Admit].cid).await, HOSPITALS).unwrap();
    let (mut all, mut sums, mut weight_total) = (Vec::new(), vec![0; base.len()], 0);
    for number in 1..=HOSPITALS {
        let name = format!("hospital-{number}");
        let account = SigningKey::load(&house.room(&name).join("site.key")).unwrap().address();
        let class = admitted.iter().find(|item| item.participant == account && item.verdict == 0).unwrap().class;
        let trained = train_again(house, &name, spec, round, &base);
        sums.iter_mut().zip(&trained.update).for_each(|(sum, change)| *sum += i64::from(class) * i64::from(*change));
        weight_total += u64::from(class);
        all.push(trained);
    }
    let (frac_bits, update_bits) = (round.descriptor.scale.fracBits, round.descriptor.scale.updateBits);
    let (lr_num, lr_den) = (spec.rule.lr_num, spec.rule.lr_den);
    let step = ServerStep { frac_bits, update_bits, lr_num, lr_den, weight_total };
    let next = next_model(&base, &sums, step).unwrap();
    assert_eq!(
        model_root(&next),
        round.stages[&Stage::Model].root,
        "what the hospitals trained comes to another model"
    );
    all
}

fn train_again(house: &House, name: &str, spec: &FederationSpec, round: &RoundRecord, base: &[i32]) -> Trained {
    let csv = house.room(name).join("rows.csv");
    let rows = DataConfig { csv, columns: Vec::new(), label: "y".into(), features: Vec::new() };
    let data = load(&rows.source(), &Limits::default(), &spec.data).unwrap();
    let entropy = SeededEntropy::new(site_seed(house.seed.expect("a test seed"), name));
    let plan = TrainPlan::new(&spec.training, *entropy.draw("site-seed", &[]).unwrap());
    let scale = &round.descriptor.scale;
    let before = base_to_f32(base, scale.fracBits);
    let number = round.descriptor.round;
    let weights = train(&spec.model, before.clone(), &data, &plan, number, &ComputeDevice::cpu()).unwrap();
    let delta: Vec<f32> = weights.iter().zip(before).map(|(after, before)| after - before).collect();
    let of_round = Scale {
        delta: scale.delta,
        update_bits: scale.updateBits,
        clip: scale.clip,
        update_max: scale.updateMax,
        direction_norm: scale.directionNorm,
    };
    let update = quantise(&delta, &of_round).unwrap().values().to_vec();
    Trained { weights, delta, update, frac_bits: scale.fracBits }
}

/// Finds any of it in any of its forms.
pub(super) fn search(trained: &[Trained]) -> Regex {
    let texts: BTreeSet<String> =
        trained.iter().flat_map(Trained::shown).filter(|text| text.len() >= SHORTEST).collect();
    let texts: Vec<String> = texts.iter().map(|text| regex::escape(text)).collect();
    Regex::new(&texts.join("|")).unwrap()
}

impl Trained {
    fn floats(&self) -> [&[f32]; 2] {
        [&self.weights, &self.delta]
    }

    fn fixed(&self) -> [Vec<i32>; 2] {
        self.floats().map(|values| base_from_f32(values, self.frac_bits).unwrap())
    }

    fn shown(&self) -> Vec<String> {
        let decimals =
            self.floats().into_iter().flat_map(|values| values.iter().flat_map(|value| decimals(value.abs())));
        let update: Vec<i32> = self.update.iter().map(|value| i32::from(*value)).collect();
        let runs = self.fixed().into_iter().chain([update]).flat_map(|values| runs(&values));
        decimals.chain(runs).chain(self.words().iter().flat_map(|words| words.shown())).collect()
    }

    /// All that is not a text, as it lies in memory or in a file.
    fn words(&self) -> Vec<Words> {
        let mut all = vec![Words::of(&self.update, |value| (value.to_le_bytes(), value.to_be_bytes()))];
        for values in self.fixed() {
            all.push(Words::of(&values, |value| (value.to_le_bytes(), value.to_be_bytes())));
        }
        for values in self.floats() {
            all.push(Words::of(values, |value| (value.to_le_bytes(), value.to_be_bytes())));
            all.push(Words::of(values, |value| (f64::from(value).to_le_bytes(), f64::from(value).to_be_bytes())));
        }
        all
    }
}

/// A number by itself, without its sign.
fn decimals(value: f32) -> [String; 8] {
    let wide = f64::from(value);
    [
        value.to_string(),
        format!("{value:?}"),
        format!("{value:e}"),
        serde_json::to_string(&value).unwrap(),
        wide.to_string(),
        format!("{wide:?}"),
        format!("{wide:e}"),
        serde_json::to_string(&wide).unwrap(),
    ]
}

/// Integers by themselves may be anything: four in a row.
fn runs(values: &[i32]) -> Vec<String> {
    let joined = |separator: &str| {
        let text = |run: &[i32]| run.iter().map(i32::to_string).collect::<Vec<_>>().join(separator);
        values.windows(4).map(text).collect::<Vec<_>>()
    };
    [",", ", ", " "].into_iter().flat_map(joined).collect()
}

/// Words of one size in both orders of their bytes.
struct Words {
    size: usize,
    orders: [Vec<u8>; 2],
}

impl Words {
    fn of<T: Copy, const N: usize>(values: &[T], bytes: impl Fn(T) -> ([u8; N], [u8; N])) -> Self {
        let (little, big): (Vec<_>, Vec<_>) = values.iter().map(|value| bytes(*value)).unzip();
        Self { size: N, orders: [little, big].map(|order| order.into_flattened()) }
    }

    fn shown(&self) -> Vec<String> {
        let windows = self.orders.iter().flat_map(|bytes| bytes.windows(WINDOW).step_by(self.size));
        windows.flat_map(shown_bytes).collect()
    }
}

/// Bytes somewhere in a longer text.
fn shown_bytes(bytes: &[u8]) -> Vec<String> {
    let mut all = vec![hex(bytes), hex(bytes).to_uppercase(), escaped(bytes)];
    all.extend([",", ", "].map(|separator| bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(separator)));
    for alphabet in ALPHABETS {
        // Where a group of three begins is not known.
        all.extend((0..3).map(|skipped| base64(&bytes[skipped..skipped + 9], alphabet)));
    }
    all
}

/// As `bytes` prints them, in a JSON document.
fn escaped(bytes: &[u8]) -> String {
    let text = format!("{:?}", Bytes::copy_from_slice(bytes));
    let text = json!(text[2..text.len() - 1]).to_string();
    text[1..text.len() - 1].to_owned()
}

/// Of whole groups of three.
fn base64(bytes: &[u8], alphabet: &[u8; 64]) -> String {
    let group = |group: &[u8; 3]| {
        let word = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        [18, 12, 6, 0].map(|shift| char::from(alphabet[(word >> shift) as usize % 64]))
    };
    bytes.as_chunks::<3>().0.iter().flat_map(group).collect()
}

#[test]
fn an_update_is_found_however_a_log_shows_it() {
    let weights: Vec<f32> = (1u8..=31).map(|at| f32::from(at).ln_1p().fract() - 0.5).collect();
    let delta: Vec<f32> = weights.iter().map(|weight| weight * weight / 7.0 - 0.011).collect();
    let update: Vec<i16> = delta.iter().map(|change| (change * 32767.0) as i16).collect();
    let trained = Trained { weights, delta, update, frac_bits: 24 };
    let search = search(std::slice::from_ref(&trained));
    let line = |shown: &str| {
        let fields = json!({ "message": "a line made up", "shown": shown });
        json!({ "timestamp": "2026-01-01T00:00:00Z", "level": "TRACE", "fields": fields }).to_string()
    };
    let check = |shown: &str| assert!(search.is_match(&line(shown)), "not found: {shown}");
    for values in trained.floats() {
        let wide: Vec<f64> = values.iter().copied().map(f64::from).collect();
        for (value, wide) in values.iter().zip(&wide) {
            [format!("{value}"), format!("{value:?}"), format!("{wide}"), format!("{wide:?}")]
                .iter()
                .for_each(|one| check(one));
        }
        for all in [format!("{values:?}"), format!("{values:#?}"), format!("{wide:?}"), json!(values).to_string()] {
            check(&all);
        }
        let document = json!({ "level": "TRACE", "fields": { "delta": values } }).to_string();
        assert!(search.is_match(&document), "{document}");
    }
    check(&format!("{:?}", trained.update));
    for values in trained.fixed() {
        check(&format!("{values:?}"));
        check(&json!(values).to_string());
    }
    for bytes in trained.words().iter().flat_map(|words| &words.orders) {
        [hex(bytes), hex(bytes).to_uppercase(), format!("{bytes:?}")].iter().for_each(|all| check(all));
        check(&format!("{:?}", Bytes::copy_from_slice(bytes)));
        for (alphabet, before) in
            ALPHABETS.into_iter().flat_map(|alphabet| (0..3).map(move |before| (alphabet, before)))
        {
            check(&base64(&[&[0; 2][..before], bytes].concat(), alphabet));
        }
    }
    assert!(!search.is_match(&line("the update was trained: 31 parameters, seconds=0.0123456, clipped=false")));
}
