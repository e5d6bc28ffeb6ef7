//! The round, from ready to claimed.

use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::sol_types::{SolCall, SolValue};
use almoner_chain::contracts::Payouts::{claimBatchCall, claimCall};
use almoner_chain::contracts::Rounds::{
    admitCall, commitDirectCall, finaliseCall, lockCall, openCall, openSumCall, postAuditCall, postDirectionsCall,
    postPromisesCall, postScoresCall, postSumCall, promiseDirectionsCall, proposeCall, readyCall, revealCall,
};
use almoner_chain::{PotChange, RoundRecord, RoundStatus};
use almoner_protocol::Stage;
use almoner_protocol::types::{
    Contribution, Descriptor, DirectionPromise, ListRoots, OpenCids, Promise, Ready, Reveal, Scales, StageAck,
    commitment, transcript,
};

use super::federation::{CLASSES, MATRIX_ROOT, MEMBERS, POT, SPEC_HASH, VALIDATORS, WINDOW, World, account, call};
use super::record::Trace;

const MODEL_ROOT: B256 = B256::repeat_byte(0x60);

fn root(stage: u8) -> B256 {
    B256::repeat_byte(0x70 + stage)
}

fn cid(stage: u8) -> Bytes {
    Bytes::from(vec![1, 0x55, 0x12, 0x20, stage])
}

pub(crate) async fn play(world: &World, trace: &mut Trace, wait_until: &impl AsyncFn(u64) -> u64) {
    let ctx = open(world, trace).await;
    promise(world, trace, ctx).await;
    upload(world, trace, ctx).await;
    reveal(world, trace, ctx).await;
    admit(world, trace, ctx).await;
    let payout = settle(world, trace, wait_until).await;
    claim(world, trace, payout).await;
    check(world).await;
}

async fn record(world: &World) -> RoundRecord {
    let record = world.ledger.round(1, 1).await.unwrap().unwrap();
    world.ledger.confirm(&record).await.unwrap();
    record
}

fn descriptor(world: &World) -> Descriptor {
    let list = |byte| B256::repeat_byte(byte);
    Descriptor {
        federation: 1,
        round: 1,
        parentCtx: B256::ZERO,
        baseModelRoot: list(0x5f),
        specHash: SPEC_HASH,
        scale: Scales {
            parameters: 513,
            clip: 32_768,
            delta: 1 << 17,
            updateBits: 15,
            fracBits: 24,
            dropBits: 2,
            updateMax: 32_767,
            directionNorm: 23,
        },
        members: 4,
        faults: 1,
        threshold: 3,
        minAdmitted: 3,
        validators: 3,
        acceptLeak: false,
        scalarsMax: 513,
        lrNum: 1,
        lrDen: 1,
        pot: POT,
        feeBps: 1000,
        rule: 0,
        qualityFloor: 0,
        epoch: 0,
        matrixRoot: MATRIX_ROOT,
        lists: ListRoots { membershipRoot: list(0x53), committeeRoot: list(0x54), validatorRoot: list(0x55) },
        challengeWindow: WINDOW,
        deadlines: std::array::from_fn(|stage| world.start + 86_400 * (stage as u64 + 1)),
    }
}

async fn open(world: &World, trace: &mut Trace) -> B256 {
    let offers: Vec<Ready> = MEMBERS
        .map(|who| Ready { federation: 1, round: 1, member: account(who), keyHash: B256::repeat_byte(who) })
        .to_vec();
    let signatures: Vec<Bytes> = MEMBERS.into_iter().zip(&offers).map(|(who, offer)| world.sign(who, offer)).collect();
    let data = call::<readyCall>((offers, signatures).abi_encode_params());
    trace.included("ready", &world.rounds(data).await.unwrap());
    assert_eq!(world.ledger.readies(1, 1).await.unwrap().len(), 4);
    assert_eq!(world.ledger.round(1, 1).await.unwrap(), None);

    let cids = OpenCids { spec: cid(20), base: cid(21), members: cid(22), committee: cid(23), validators: cid(24) };
    let descriptor = descriptor(world);
    let mut other_terms = descriptor.clone();
    other_terms.feeBps = 7;
    let data = call::<openCall>((other_terms, cids.clone()).abi_encode_params());
    let error = "Rounds.FieldDiffers(field: feeBps, expected: 1000, given: 7)";
    trace.refused("open", world.rounds(data).await, error);
    let data = call::<openCall>((descriptor.clone(), cids.clone()).abi_encode_params());
    trace.included("open", &world.rounds(data.clone()).await.unwrap());
    let error = "Rounds.RoundStillRuns(federation: 1, round: 1, status: 1)";
    trace.refused("open", world.rounds(data).await, error);

    let record = record(world).await;
    assert_eq!((record.descriptor, record.cids, record.readies.len()), (descriptor, cids, 4));
    record.ctx
}

fn salt(who: u8) -> B256 {
    B256::repeat_byte(0xa0 + who)
}

async fn promise(world: &World, trace: &mut Trace, ctx: B256) {
    let deployment = world.ledger.deployment();
    let promises: Vec<DirectionPromise> = VALIDATORS
        .map(|who| {
            let promise = Promise {
                chain_id: deployment.chain_id,
                rounds: deployment.rounds,
                federation: 1,
                round: 1,
                validator: account(who),
                ctx,
                direction_root: B256::repeat_byte(who),
                salt: salt(who),
            };
            DirectionPromise { ctx, validator: account(who), commitment: commitment(&promise) }
        })
        .to_vec();
    let signed = VALIDATORS.into_iter().zip(&promises);
    let signatures: Vec<Bytes> = signed.map(|(who, promise)| world.sign(who, promise)).collect();
    let data = call::<promiseDirectionsCall>((promises, signatures).abi_encode_params());
    trace.included("promise", &world.rounds(data).await.unwrap());
    post::<postPromisesCall>(world, trace, "promises", 1).await;
}

async fn post<C: SolCall>(world: &World, trace: &mut Trace, name: &'static str, stage: u8) {
    let data = call::<C>((1_u64, 1_u64, root(stage), cid(stage)).abi_encode_params());
    trace.included(name, &world.rounds(data).await.unwrap());
}

async fn upload(world: &World, trace: &mut Trace, ctx: B256) {
    let manifest = Contribution {
        ctx,
        participant: account(1),
        blocks: 1,
        ciphertextRoot: root(30),
        checkRoot: root(31),
        shareRoot: root(32),
        ciphertextCid: cid(30),
        checkCid: cid(31),
        sharesCid: cid(32),
        normClass: 5,
    };
    let signature = world.sign(1, &manifest);
    let data = call::<commitDirectCall>((manifest.clone(), signature.clone()).abi_encode_params());
    trace.included("commitDirect", &world.rounds(data).await.unwrap());
    let lock = async |count: u32| {
        let data = call::<lockCall>((1_u64, 1_u64, root(2), count, cid(2)).abi_encode_params());
        world.rounds(data).await
    };
    trace.refused("lock", lock(0).await, "Rounds.LockTooShort(given: 0, direct: 1)");
    trace.included("lock", &lock(4).await.unwrap());
    let record = record(world).await;
    assert_eq!((&record.direct[0].manifest, &record.direct[0].signature), (&manifest, &signature));
    assert_eq!(record.locked, Some(4));
}

async fn reveal(world: &World, trace: &mut Trace, ctx: B256) {
    let of = |who: u8, salt: B256| Reveal { ctx, validator: account(who), directionRoot: B256::repeat_byte(who), salt };
    let wrong = of(5, salt(6));
    let signature = world.sign(5, &wrong);
    let data = call::<revealCall>((vec![wrong], vec![signature]).abi_encode_params());
    let refused = world.rounds(data).await;
    assert!(refused.as_ref().unwrap_err().revert().unwrap().is("RevealDiffers"));
    let error = refused.as_ref().unwrap_err().revert().unwrap().to_string();
    trace.refused("reveal", refused, &error);

    let reveals: Vec<Reveal> = VALIDATORS.map(|who| of(who, salt(who))).to_vec();
    let signed = VALIDATORS.into_iter().zip(&reveals);
    let signatures: Vec<Bytes> = signed.map(|(who, reveal)| world.sign(who, reveal)).collect();
    let data = call::<revealCall>((reveals, signatures).abi_encode_params());
    trace.included("reveal", &world.rounds(data).await.unwrap());
    post::<postDirectionsCall>(world, trace, "directions", 3).await;
    post::<postAuditCall>(world, trace, "audit", 4).await;
    post::<postScoresCall>(world, trace, "scores", 5).await;
}

async fn admit(world: &World, trace: &mut Trace, ctx: B256) {
    let scored = record(world).await.stages[&Stage::Score].transcript;
    let ack = StageAck { ctx, stage: 6, transcript: transcript(scored, Stage::Admit, root(6)) };
    let mut signers: Vec<(Address, Bytes)> =
        MEMBERS[..3].iter().map(|who| (account(*who), world.sign(*who, &ack))).collect();
    signers.sort_unstable();
    let admit = async |signers: &[(Address, Bytes)]| {
        let (accounts, signatures): (Vec<Address>, Vec<Bytes>) = signers.iter().cloned().unzip();
        let arguments = (1_u64, 1_u64, root(6), cid(6), 4_u16, accounts, signatures);
        world.rounds(call::<admitCall>(arguments.abi_encode_params())).await
    };
    trace.refused("admit", admit(&signers[..2]).await, "Rounds.TooFewSigners(given: 2, threshold: 3)");
    trace.included("admit", &admit(&signers).await.unwrap());
    post::<postSumCall>(world, trace, "sum", 7).await;
    let arguments = (1_u64, 1_u64, root(8), cid(8), MODEL_ROOT, cid(9)).abi_encode_params();
    trace.included("openSum", &world.rounds(call::<openSumCall>(arguments)).await.unwrap());
}

/// Who is paid what; a tree of two leaves.
struct Payout {
    leaves: [(Address, U256); 2],
    hashes: [B256; 2],
}

impl Payout {
    fn new() -> Self {
        let leaves = [(account(1), U256::from(POT / 4 * 3)), (account(2), U256::from(POT / 4))];
        Self { leaves, hashes: leaves.map(|leaf| keccak256(keccak256(leaf.abi_encode_params()))) }
    }

    fn root(&self) -> B256 {
        let [a, b] = self.hashes;
        keccak256((a.min(b), a.max(b)).abi_encode())
    }

    fn proof(&self, leaf: usize) -> Vec<B256> {
        vec![self.hashes[1 - leaf]]
    }
}

async fn settle(world: &World, trace: &mut Trace, wait_until: &impl AsyncFn(u64) -> u64) -> Payout {
    let payout = Payout::new();
    let propose = async |total: u128| {
        let arguments = (1_u64, 1_u64, root(10), cid(10), payout.root(), cid(11), total).abi_encode_params();
        world.rounds(call::<proposeCall>(arguments)).await
    };
    let error = format!("Rounds.BadTotal(given: 1, pot: {POT})");
    trace.refused("propose", propose(1).await, &error);
    trace.included("propose", &propose(POT).await.unwrap());
    let proposal = record(world).await.proposal.unwrap();
    assert_eq!((proposal.proposer, proposal.total), (account(0), POT));

    let data = finaliseCall { federation: 1, round: 1 }.abi_encode();
    trace.refused_in_time("finalise", world.rounds(data.clone()).await, "WindowOpen");
    trace.unrecorded_gas += wait_until(proposal.ends_at).await;
    trace.included("finalise", &world.rounds(data).await.unwrap());
    payout
}

async fn claim(world: &World, trace: &mut Trace, payout: Payout) {
    let [(first, amount), (_, other)] = payout.leaves;
    let claim = async |cumulative: U256| {
        let claim = claimCall { federation: 1, account: first, cumulative, proof: payout.proof(0) };
        world.payouts(claim.abi_encode()).await
    };
    let error = format!("Payouts.BadProof(federation: 1, account: {first}, cumulative: {other})");
    trace.refused("claim", claim(other).await, &error);
    trace.included("claim", &claim(amount).await.unwrap());
    let error = format!("Payouts.NothingToClaim(federation: 1, account: {first}, cumulative: {amount})");
    trace.refused("claim", claim(amount).await, &error);
    let batch = claimBatchCall {
        federation: 1,
        accounts: payout.leaves.map(|(account, _)| account).to_vec(),
        cumulatives: payout.leaves.map(|(_, amount)| amount).to_vec(),
        proofs: vec![payout.proof(0), payout.proof(1)],
    };
    trace.included("claimBatch", &world.payouts(batch.abi_encode()).await.unwrap());

    for (account, amount) in payout.leaves {
        assert_eq!(world.ledger.balance(account).await.unwrap(), amount);
        assert_eq!(world.ledger.claimed_by(1, account).await.unwrap(), amount);
    }
    assert_eq!(world.ledger.payout_root(1).await.unwrap(), payout.root());
    let claims = world.ledger.claims(1).await.unwrap();
    let paid: Vec<_> = claims.iter().map(|claim| (claim.account, U256::from(claim.paid))).collect();
    assert_eq!(paid, payout.leaves);
}

async fn check(world: &World) {
    let record = record(world).await;
    assert_eq!((record.status, record.paid, record.number), (RoundStatus::Final, Some(POT), 1));
    assert_eq!(record.stages.len(), Stage::ALL.len());
    assert!(record.stages.values().is_sorted_by_key(|stage| (stage.time, stage.block)));
    assert_eq!(record.stages[&Stage::Open].tx, record.stages[&Stage::Model].tx);
    assert_eq!(record.stages[&Stage::Model].root, MODEL_ROOT);
    assert_eq!(record.stages[&Stage::Audit].cid, cid(4));
    assert_eq!((record.promises.len(), record.reveals.len()), (VALIDATORS.len(), VALIDATORS.len()));
    assert_eq!(record.reveals[0].salt, salt(VALIDATORS[0]));
    let admitted = record.admitted.clone().unwrap();
    assert_eq!((admitted.count, admitted.signers.len()), (4, 3));
    assert_eq!(*world.ledger.rounds(1).await.unwrap(), [record]);
    assert_eq!(CLASSES.len(), MEMBERS.len());

    let pots = world.ledger.pots(1).await.unwrap();
    assert_eq!(pots[0].change, PotChange::Reserved { from_free: POT, from_carry: 0 });
    assert!(matches!(pots[1].change, PotChange::Paid { amount: POT, .. }));
    // A ledger that has read nothing yet says the same.
    let fresh =
        almoner_chain::Ledger::with_provider(world.ledger.provider().clone(), world.ledger.deployment().clone());
    assert_eq!(fresh.rounds(1).await.unwrap(), world.ledger.rounds(1).await.unwrap());
}
