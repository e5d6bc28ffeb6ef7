use almoner_protocol::types::Contribution;

use super::*;
use crate::Signed;

fn header() -> UploadHeader {
    let contribution = Contribution { blocks: 200, ..Contribution::default() };
    UploadHeader {
        contribution: Signed { message: contribution, signature: [1; 65] },
        ciphertext_bytes: 200 * 12_288,
        check_bytes: 65_536,
        shares_bytes: 99,
        offset: 0,
    }
}

fn files() -> [Bytes; 3] {
    [vec![1; 200 * 12_288].into(), vec![2; 65_536].into(), vec![3; 99].into()]
}

fn stream<T: 'static>(messages: Vec<T>) -> impl Stream<Item = Result<T, Status>> + Unpin {
    tokio_stream::iter(messages.into_iter().map(Ok))
}

fn data(bytes: usize) -> UploadChunk {
    UploadChunk { part: Some(upload_chunk::Part::Data(vec![0; bytes].into())) }
}

#[tokio::test]
async fn an_upload_reads_back() {
    let messages: Vec<_> = upload_messages(header(), files()).collect();
    assert_eq!(messages.len(), 1 + 3 + 1 + 1);
    let (read, mut body) = UploadReader::open(stream(messages)).await.unwrap();
    assert_eq!(read, header());
    assert!(rest(&mut body).await.unwrap() == files().concat());
}

/// Everything that is left.
async fn rest(
    body: &mut UploadReader<impl Stream<Item = Result<UploadChunk, Status>> + Unpin>,
) -> Result<Vec<u8>, WireError> {
    let mut all = Vec::new();
    while let Some(bytes) = body.next().await? {
        all.extend_from_slice(&bytes);
    }
    Ok(all)
}

#[tokio::test]
async fn an_upload_goes_on_where_it_was() {
    let all = files().concat();
    let (ciphertext, check) = (200 * 12_288, 65_536);
    for offset in [0, 1, MAX_CHUNK, ciphertext, ciphertext + 5, ciphertext + check, all.len() - 1, all.len()] {
        let header = UploadHeader { offset: offset as u64, ..header() };
        let messages: Vec<_> = upload_messages(header, files()).collect();
        let (_, mut body) = UploadReader::open(stream(messages)).await.unwrap();
        assert!(rest(&mut body).await.unwrap() == all[offset..], "from {offset} on");
    }
}

#[tokio::test]
async fn what_arrived_before_a_line_broke_is_there() {
    let mut messages: Vec<_> = upload_messages(header(), files()).take(2).map(Ok).collect();
    messages.push(Err(Status::unavailable("cut")));
    let (_, mut body) = UploadReader::open(tokio_stream::iter(messages)).await.unwrap();
    assert_eq!(body.next().await.unwrap().map(|bytes| bytes.len()), Some(MAX_CHUNK));
    assert!(matches!(body.next().await, Err(WireError::Status(_))));
}

/// Reads a damaged upload to the end.
async fn damaged(change: fn(&mut Vec<UploadChunk>)) -> String {
    let mut messages: Vec<_> = upload_messages(header(), files()).collect();
    change(&mut messages);
    let read = async {
        let (_, mut body) = UploadReader::open(stream(messages)).await?;
        rest(&mut body).await
    };
    read.await.unwrap_err().to_string()
}

#[tokio::test]
async fn damaged_uploads_are_refused() {
    assert!(damaged(Vec::clear).await.contains("ended before its header"));
    assert!(damaged(|all| drop(all.remove(0))).await.contains("does not begin"));
    assert!(damaged(|all| drop(all.pop())).await.contains("ended early"));
    assert!(damaged(|all| all.push(data(1))).await.contains("longer than announced"));
    assert!(damaged(|all| all.insert(1, data(0))).await.contains("empty"));
    assert!(damaged(|all| all[1] = data(MAX_CHUNK + 1)).await.contains("above the limit"));
    assert!(damaged(|all| all[1] = all[0].clone()).await.contains("second header"));
}

#[tokio::test]
async fn a_result_has_exactly_its_length() {
    let result = Bytes::from(vec![5; MAX_CHUNK + 7]);
    for (length, good) in [(result.len(), true), (result.len() - 1, false), (result.len() + 1, false)] {
        let messages = result_messages(4, result.clone()).collect();
        let (lease, body) = ResultReader::open(stream(messages)).await.unwrap();
        assert_eq!(lease, 4);
        assert_eq!(body.read(length).await.ok(), good.then(|| result.clone()));
    }
}
