//! Steps 1 to 5, and the floor.
//!
//! `scores` is row-major, candidates by judges. `standing` is 0 for a candidate of A and 1 for an oversize one,
//! whose quality is 0. `verdicts` are those of the admit list; empty where A is smaller than `minAdmitted`.

use alloy_primitives::B256;

use super::Object;
use super::fields::{many, object, one, text, texts};
use crate::{Candidate, Judge, Scores, Standing, floor_verdicts, quality};

pub(super) fn run(vector: &Object) -> Result<Object, String> {
    let (judges, candidates) = (judges(vector), candidates(vector)?);
    let quality = quality(one(vector, "parameters"), one(vector, "promisedStake"), &judges, &candidates)
        .map_err(|error| error.to_string())?;
    let verdicts = floor_verdicts(&quality, one(vector, "qualityFloor"), one(vector, "minAdmitted"));
    let standings = quality.standings.iter().map(|standing| match standing {
        Standing::Quality(quality) => (0, *quality),
        Standing::Oversize => (1, 0),
    });
    let (oversize, qualities): (Vec<u8>, Vec<u128>) = standings.unzip();
    Ok(object([
        ("scoresVoid", text(u8::from(quality.scores == Scores::Void))),
        ("standing", texts(oversize)),
        ("quality", texts(qualities)),
        ("agreed", texts(quality.votes.iter().map(|vote| vote.agreed))),
        ("feeWeight", texts(quality.votes.iter().map(|vote| vote.fee_weight))),
        ("verdicts", texts(verdicts.unwrap_or_default().iter().map(|verdict| verdict.number()))),
    ]))
}

fn judges(vector: &Object) -> Vec<Judge> {
    let entities: Vec<B256> = many(vector, "judgeEntities");
    let (stakes, norms) = (many::<u128>(vector, "judgeStakes"), many::<u64>(vector, "judgeNormsSquared"));
    let judge = |((entity, stake), norm_squared)| Judge { entity, stake, norm_squared };
    entities.into_iter().zip(stakes).zip(norms).map(judge).collect()
}

fn candidates(vector: &Object) -> Result<Vec<Candidate>, String> {
    let entities: Vec<B256> = many(vector, "entities");
    let (classes, norms) = (many::<u16>(vector, "classes"), many::<u64>(vector, "norms"));
    let scores: Vec<i64> = many(vector, "scores");
    let columns = many::<String>(vector, "judgeEntities").len();
    if scores.len() != entities.len() * columns {
        return Err("not one score per candidate and judge".into());
    }
    let row = |i: usize| scores[i * columns..(i + 1) * columns].to_vec();
    let candidate = |i: usize| Candidate { entity: entities[i], class: classes[i], norm: norms[i], scores: row(i) };
    Ok((0..entities.len()).map(candidate).collect())
}

/// Four hospitals and three validators over a direction of norm 10 and 10 000 parameters: with norm 100 one sigma
/// is 10, and more than 1000 is oversize.
struct Case {
    parameters: u32,
    promised: u128,
    floor: u64,
    least: usize,
    entities: Vec<u8>,
    classes: Vec<u16>,
    norms: Vec<u64>,
    scores: Vec<i64>,
    judges: Vec<(u8, u128, u64)>,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            parameters: 10_000,
            promised: 3,
            floor: 0,
            least: 3,
            entities: vec![1, 2, 3, 4],
            classes: vec![127, 96, 64, 32],
            norms: vec![100; 4],
            scores: vec![-30, -31, -32, -40, -41, -42, -25, -24, -23, -20, -60, -22],
            judges: vec![(101, 1, 100), (102, 1, 100), (103, 1, 100)],
        }
    }
}

impl Case {
    fn object(self) -> Object {
        let entity = |n: &u8| B256::repeat_byte(*n);
        object([
            ("parameters", text(self.parameters)),
            ("promisedStake", text(self.promised)),
            ("qualityFloor", text(self.floor)),
            ("minAdmitted", text(self.least)),
            ("entities", texts(self.entities.iter().map(entity))),
            ("classes", texts(self.classes)),
            ("norms", texts(self.norms)),
            ("scores", texts(self.scores)),
            ("judgeEntities", texts(self.judges.iter().map(|judge| entity(&judge.0)))),
            ("judgeStakes", texts(self.judges.iter().map(|judge| judge.1))),
            ("judgeNormsSquared", texts(self.judges.iter().map(|judge| judge.2))),
        ])
    }
}

pub(super) fn cases() -> Vec<(&'static str, Object)> {
    let case = Case::default;
    let flipped = || vec![-30, -31, -32, 90, 80, 70, -25, -24, -23, -20, -60, -22];
    let tenth = (1 << 32) / 10;
    vec![
        ("honest", case().object()),
        ("same_entity", Case { entities: vec![101, 2, 3, 4], ..case() }.object()),
        (
            "oversize",
            Case { scores: vec![-30, -31, 1001, -40, -41, -42, -25, -24, -23, -20, -60, -22], ..case() }.object(),
        ),
        (
            "norm_at_its_bound",
            Case { scores: vec![-1000, -31, 1000, -40, -41, -42, -25, -24, -23, -20, -60, -22], ..case() }.object(),
        ),
        (
            "cap_twice_the_median",
            Case { scores: vec![-900, -900, -900, -40, -41, -42, -25, -24, -23, -20, -60, -22], ..case() }.object(),
        ),
        (
            "norms_differ",
            Case {
                norms: vec![100, 400, 90, 0],
                scores: vec![-30, -31, -32, -80, -81, -82, -25, -24, -23, 0, 0, 0],
                ..case()
            }
            .object(),
        ),
        ("mislabelled", Case { scores: flipped(), ..case() }.object()),
        ("floor", Case { scores: flipped(), floor: tenth, ..case() }.object()),
        ("take_back", Case { scores: flipped(), floor: 1 << 32, ..case() }.object()),
        ("take_back_equals", Case { classes: vec![1; 4], scores: vec![-20; 12], floor: 1 << 32, ..case() }.object()),
        ("too_few", Case { least: 5, ..case() }.object()),
        ("abstaining", Case { scores: vec![-30, -31, 5, -40, -41, 6, -25, -24, 7, -20, -60, -200], ..case() }.object()),
        ("void_abstaining", Case { scores: vec![-30, 1, 5, -40, 2, 6, -25, 3, 7, -20, -60, -200], ..case() }.object()),
        ("void_half_the_stake", Case { promised: 6, ..case() }.object()),
        ("just_over_half_the_stake", Case { promised: 5, ..case() }.object()),
        (
            "stakes_differ",
            Case { promised: 100, judges: vec![(101, 10, 100), (102, 51, 100), (103, 39, 100)], ..case() }.object(),
        ),
        (
            "disagreement",
            Case {
                entities: vec![1, 2, 3],
                classes: vec![1; 3],
                norms: vec![100; 3],
                scores: vec![-90, -20, -20, -20, -90, -20, -20, -20, -90],
                ..case()
            }
            .object(),
        ),
        ("unscored", Case { promised: 0, scores: vec![], judges: vec![], ..case() }.object()),
        (
            "large_numbers",
            Case {
                promised: 3 << 90,
                norms: vec![u64::MAX; 4],
                scores: vec![
                    i64::MIN,
                    -1,
                    i64::MAX,
                    i64::MIN,
                    i64::MIN,
                    i64::MIN,
                    -5,
                    i64::MIN,
                    i64::MIN,
                    i64::MIN,
                    -7,
                    -9,
                ],
                judges: vec![(101, 1 << 90, 1 << 23), (102, 1 << 90, 1), (103, 1 << 90, 3)],
                ..case()
            }
            .object(),
        ),
        ("bad_stake", Case { promised: 1 << 96, ..case() }.object()),
        ("bad_more_stake_than_promised", Case { promised: 2, ..case() }.object()),
        ("bad_missing_score", Case { scores: vec![-1; 11], ..case() }.object()),
        ("bad_no_parameters", Case { parameters: 0, ..case() }.object()),
    ]
}
