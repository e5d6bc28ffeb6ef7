use alloy_primitives::keccak256;
use almoner_protocol::types::{Answer, Contribution, Descriptor, Join, OpenCids, Ready, Receipt, Reveal, StageAck};
use almoner_protocol::{Address, B256, SolValue, Stage};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::field::words_to_bytes;
use super::*;
use crate::{FieldError, wire};

const SIGNATURE: Signature = [7; 65];

fn signed<T>(message: T) -> Signed<T> {
    Signed { message, signature: SIGNATURE }
}

/// Domain to wire to domain is identity.
fn travels<D, W>(domain: D)
where
    D: Clone + PartialEq + std::fmt::Debug + Into<W> + TryFrom<W, Error = FieldError>,
{
    let wire: W = domain.clone().into();
    assert_eq!(D::try_from(wire).unwrap(), domain);
}

/// The field a wire message is refused for.
fn refused<D, W>(wire: W) -> &'static str
where
    D: TryFrom<W, Error = FieldError> + std::fmt::Debug,
{
    D::try_from(wire).unwrap_err().field
}

fn contribution() -> Contribution {
    Contribution {
        ctx: B256::repeat_byte(1),
        participant: Address::repeat_byte(2),
        blocks: 2,
        ciphertextRoot: B256::repeat_byte(3),
        checkRoot: B256::repeat_byte(4),
        shareRoot: B256::repeat_byte(5),
        ciphertextCid: vec![1; 36].into(),
        checkCid: vec![2; 36].into(),
        sharesCid: vec![3; 36].into(),
        normClass: 9,
    }
}

fn header() -> UploadHeader {
    UploadHeader {
        contribution: signed(contribution()),
        ciphertext_bytes: 2 * 12_288,
        check_bytes: 65_536,
        shares_bytes: 70_000,
        offset: 1,
    }
}

fn ready() -> ReadyRequest {
    let key = Bytes::from(vec![5; 1216]);
    let message = Ready { federation: 1, round: 2, member: Address::repeat_byte(3), keyHash: keccak256(&key) };
    ReadyRequest { ready: signed(message), key }
}

fn score(words: Vec<u64>) -> ScoreAnswer {
    let hash = Sha256::digest(words_to_bytes(&words));
    let message = Answer {
        ctx: B256::repeat_byte(1),
        stage: Stage::Score.number(),
        member: 3,
        answerHash: B256::from_slice(&hash),
    };
    ScoreAnswer { answer: signed(message), words }
}

fn claim() -> ClaimRequest {
    let proof = (1..=32).map(B256::repeat_byte).collect();
    ClaimRequest { federation: 1, account: Address::repeat_byte(2), cumulative: u128::MAX, proof }
}

fn job(directions: Option<Bytes>) -> Job {
    let upload = JobUpload {
        participant: Address::repeat_byte(1),
        ciphertext_cid: vec![1; 36].into(),
        check_cid: vec![2; 36].into(),
        check_root: B256::repeat_byte(3),
        weight: 127,
        examined: true,
    };
    Job {
        lease: 9,
        round: 4,
        first_block: 256,
        blocks: 3,
        parameters: 259 * 2048 - 5,
        drop_bits: 2,
        uploads: vec![upload],
        directions,
    }
}

#[test]
fn messages_travel() {
    let join = Join { federation: 1, account: Address::repeat_byte(1), entity: B256::repeat_byte(2), role: 1 };
    travels::<_, wire::JoinRequest>(JoinRequest { join: signed(join), rows: 127 });
    travels::<_, wire::ReadyRequest>(ready());
    travels::<_, wire::UploadHeader>(header());
    let receipt = Receipt {
        ctx: B256::repeat_byte(1),
        participant: Address::repeat_byte(2),
        manifestHash: B256::repeat_byte(3),
        receivedAt: 4,
    };
    travels::<_, wire::UploadReceipt>(UploadReceipt(signed(receipt)));
    let reveal = Reveal { ctx: B256::ZERO, ..Reveal::default() };
    travels::<_, wire::RevealRequest>(RevealRequest { reveal: signed(reveal), entries: vec![255, 0, 1].into() });
    let ack = signed(StageAck { ctx: B256::repeat_byte(1), stage: 6, transcript: B256::repeat_byte(2) });
    travels::<_, wire::AcknowledgementsReply>(AcknowledgementsReply { acks: vec![ack.clone()] });
    travels::<_, wire::StageAckMessage>(ack);
    travels::<_, wire::ScoreAnswer>(score(vec![1, 2, 3]));
    travels::<_, wire::SealedShare>(SealedShare { participant: Address::repeat_byte(1), blob: vec![1; 9].into() });
    travels::<_, wire::SealedSharesRequest>(SealedSharesRequest { ctx: B256::repeat_byte(1), member: 3 });
    travels::<_, wire::FundRequest>(FundRequest { federation: 1, amount: u128::MAX });
    travels::<_, wire::ClaimRequest>(claim());
    travels::<_, wire::RoundNotice>(RoundNotice { federation: 1, round: 2, ..RoundNotice::default() });
    let spec = "name = \"x\"".to_owned();
    travels::<_, wire::CreateRequest>(CreateRequest { spec, initial: vec![-1, i32::MAX, 0] });
    let stage = StageArtefact { stage: Stage::Lock, root: B256::repeat_byte(1), cid: vec![1; 36].into() };
    let task = Task {
        ctx: B256::repeat_byte(1),
        descriptor: Descriptor { round: 7, ..Descriptor::default() },
        cids: OpenCids { spec: vec![1; 36].into(), ..OpenCids::default() },
        stages: vec![stage],
    };
    travels::<_, wire::Task>(task);
}

#[test]
fn jobs_travel() {
    for directions in [None, Some(Bytes::from(vec![9; 36]))] {
        let wire: wire::Job = job(directions.clone()).into();
        assert_eq!(Job::from_wire(wire).unwrap(), Some(job(directions)));
    }
    assert_eq!(Job::from_wire(wire::Job::default()).unwrap(), None);
}

#[test]
fn a_job_covers_one_aligned_range_of_the_model() {
    let with = |change: fn(&mut wire::Job)| {
        let mut wire: wire::Job = job(None).into();
        change(&mut wire);
        Job::from_wire(wire).unwrap_err().field
    };
    assert_eq!(with(|job| job.first_block = 255), "first_block");
    assert_eq!(with(|job| job.first_block = 512), "first_block");
    assert_eq!(with(|job| job.blocks = 4), "blocks");
    assert_eq!(with(|job| job.parameters = 0), "parameters");
    assert_eq!(with(|job| job.uploads[0].weight = 0), "weight");
    assert_eq!(with(|job| job.directions_cid = vec![1; 65].into()), "directions_cid");
}

#[test]
fn lengths_follow_from_the_manifest() {
    let mut wire: wire::UploadHeader = header().into();
    wire.ciphertext_bytes += 1;
    assert_eq!(refused::<UploadHeader, _>(wire), "ciphertext_bytes");
    let mut wire: wire::UploadHeader = header().into();
    wire.shares_bytes = 1 << 40;
    assert_eq!(refused::<UploadHeader, _>(wire), "shares_bytes");
    let mut wire: wire::UploadHeader = header().into();
    wire.offset = header().total() + 1;
    assert_eq!(refused::<UploadHeader, _>(wire), "offset");
}

#[test]
fn truncated_and_padded_structs_are_refused() {
    let good: wire::UploadHeader = header().into();
    for cut in [0, 1, 31, 32, good.contribution.len() - 1] {
        let wire = wire::UploadHeader { contribution: good.contribution.slice(..cut), ..good.clone() };
        assert_eq!(refused::<UploadHeader, _>(wire), "contribution");
    }
    let mut padded = good.contribution.to_vec();
    padded.extend_from_slice(&[0; 32]);
    let wire = wire::UploadHeader { contribution: padded.into(), ..good.clone() };
    assert_eq!(refused::<UploadHeader, _>(wire), "contribution");
    let wire = wire::UploadHeader { signature: good.signature.slice(1..), ..good };
    assert_eq!(refused::<UploadHeader, _>(wire), "signature");
}

#[test]
fn oversized_fields_are_refused() {
    let wire = wire::Task { stages: vec![wire::StageArtefact::default(); 13], ..wire::Task::default() };
    assert_eq!(refused::<Task, _>(wire), "stages");
    let share = wire::SealedShare { participant: vec![0; 20].into(), blob: vec![0; (1 << 15) + 1].into() };
    assert_eq!(refused::<SealedShare, _>(share), "blob");
    let acks = wire::AcknowledgementsReply { acks: vec![wire::StageAckMessage::default(); 129] };
    assert_eq!(refused::<AcknowledgementsReply, _>(acks), "acks");
    assert_eq!(
        refused::<CreateRequest, _>(wire::CreateRequest { spec: "x".repeat((64 << 10) + 1), ..Default::default() }),
        "spec"
    );
    let long: wire::ClaimRequest = claim().into();
    let proof = vec![0; 33 * 32].into();
    assert_eq!(refused::<ClaimRequest, _>(wire::ClaimRequest { proof, ..long.clone() }), "proof");
    let proof = vec![0; 31].into();
    assert_eq!(refused::<ClaimRequest, _>(wire::ClaimRequest { proof, ..long.clone() }), "proof");
    for cumulative in ["", "0", "0x10", &"1".repeat(40)] {
        let wire = wire::ClaimRequest { cumulative: cumulative.into(), ..long.clone() };
        assert_eq!(refused::<ClaimRequest, _>(wire), "cumulative", "{cumulative}");
    }
    for amount in ["", "0", "-1", "+1", "1e3", "340282366920938463463374607431768211456"] {
        let wire = wire::FundRequest { federation: 1, amount: amount.into() };
        assert_eq!(refused::<FundRequest, _>(wire), "amount", "{amount}");
    }
}

#[test]
fn what_is_signed_is_what_is_sent() {
    let mut wire: wire::ReadyRequest = ready().into();
    wire.key = vec![6; 1216].into();
    assert_eq!(refused::<ReadyRequest, _>(wire), "key");
    let mut wire: wire::ScoreAnswer = score(vec![1, 2, 3]).into();
    wire.words = words_to_bytes(&[1, 2, 4]);
    assert_eq!(refused::<ScoreAnswer, _>(wire), "words");
    let mut wire: wire::ScoreAnswer = score(vec![1]).into();
    wire.words = wire.words.slice(..7);
    assert_eq!(refused::<ScoreAnswer, _>(wire), "words");
    // A scores answer is not a sum answer.
    let answer: wire::ScoreAnswer = score(vec![0; 2048]).into();
    let wire = wire::SumAnswer { answer: answer.answer, signature: answer.signature, words: answer.words };
    assert_eq!(refused::<SumAnswer, _>(wire), "answer.stage");
}

#[test]
fn a_long_reason_is_cut_not_refused() {
    let notice = RoundNotice { reason: "é".repeat(300), ..RoundNotice::default() };
    let read = RoundNotice::try_from(wire::RoundNotice::from(notice)).unwrap();
    assert_eq!(read.reason, "é".repeat(128));
}

#[test]
fn abi_lengths_fit_the_documented_bounds() {
    assert!(contribution().abi_encode().len() <= 1024);
    assert!(Descriptor::default().abi_encode().len() <= 2048);
    let cid = || vec![0; 64].into();
    let cids = OpenCids { spec: cid(), base: cid(), members: cid(), committee: cid(), validators: cid() };
    assert!(cids.abi_encode().len() <= 1024);
}

#[test]
fn enrolment_travels_and_every_length_is_exact() {
    let start = |admission| RegisterStartRequest { account: Address::repeat_byte(1), request: [2; 32], admission };
    travels::<_, wire::RegisterStartRequest>(start(Admission::Invitation([3; 16])));
    travels::<_, wire::RegisterStartRequest>(start(Admission::Signature(SIGNATURE)));
    let role = "researcher".into();
    travels::<_, wire::RegisterStartReply>(RegisterStartReply { credential: [4; 32], response: [5; 64], role });
    let finish = |csr: Option<&str>| RegisterFinishRequest {
        credential: [4; 32],
        record: [6; 192],
        signature: SIGNATURE,
        csr: csr.map(ToOwned::to_owned),
    };
    travels::<_, wire::RegisterFinishRequest>(finish(None));
    travels::<_, wire::RegisterFinishRequest>(finish(Some("-----BEGIN CERTIFICATE REQUEST-----")));
    travels::<_, wire::RegisterFinishReply>(RegisterFinishReply { certificate: Some("PEM".into()) });
    let login = LoginStartRequest { account: Address::repeat_byte(1), request: [7; 96] };
    travels::<_, wire::LoginStartRequest>(login.clone());
    travels::<_, wire::LoginStartReply>(LoginStartReply { login: [8; 16], response: [9; 320] });
    travels::<_, wire::LoginFinishRequest>(LoginFinishRequest { login: [8; 16], proof: [1; 64] });
    travels::<_, wire::RenewRequest>(RenewRequest { csr: "PEM".into() });
    travels::<_, wire::RenewReply>(RenewReply { certificate: "PEM".into() });

    let mut wire = wire::RegisterStartRequest::from(start(Admission::Invitation([3; 16])));
    wire.admission = None;
    assert_eq!(refused::<RegisterStartRequest, _>(wire.clone()), "admission");
    wire.admission = Some(wire::register_start_request::Admission::Invitation(vec![3; 15].into()));
    assert_eq!(refused::<RegisterStartRequest, _>(wire), "invitation");
    assert_eq!(
        refused::<RegisterFinishRequest, wire::RegisterFinishRequest>(finish(Some(&"x".repeat(8193))).into()),
        "csr"
    );
    let mut wire = wire::LoginStartRequest::from(login);
    wire.request = vec![7; 97].into();
    assert_eq!(refused::<LoginStartRequest, _>(wire), "request");
    let long = wire::RegisterFinishReply { certificate: "x".repeat(65537) };
    assert_eq!(refused::<RegisterFinishReply, _>(long), "certificate");
    let long = wire::RenewRequest { csr: "x".repeat(8193) };
    assert_eq!(refused::<RenewRequest, _>(long), "csr");
    let long = wire::RenewReply { certificate: "x".repeat(65537) };
    assert_eq!(refused::<RenewReply, _>(long), "certificate");
}
