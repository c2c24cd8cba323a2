//! Writes a record that no regular client would write: with a header whose name is not UTF-8, by a hand-made
//! produce request.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant, UNIX_EPOCH};

/// For how long a broker may not know yet that it leads a new topic.
const PATIENCE: Duration = Duration::from_secs(10);

/// The broker's errors in that time: unknown topic or partition, leader not available, not leader or
/// follower.
const NOT_YET: [[u8; 2]; 3] = [[0, 3], [0, 5], [0, 6]];

/// Writes a record with this value to partition 0 of `topic`. A single broker leads it sooner or later.
pub fn write(broker: &str, topic: &str, value: &[u8]) {
    let give_up = Instant::now() + PATIENCE;
    loop {
        let error = produce(broker, topic, value);
        if error == [0, 0] {
            return;
        }
        assert!(NOT_YET.contains(&error) && Instant::now() < give_up, "the broker answers error {error:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Sends one request. Returns the broker's error.
fn produce(broker: &str, topic: &str, value: &[u8]) -> [u8; 2] {
    let batch = batch(&record(value));
    let mut request = Vec::new();
    // Produce, version 3, correlation id 1, no client id; no transaction, acks from all, ten seconds.
    request.extend([0, 0, 0, 3, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0x27, 0x10]);
    request.extend(1_i32.to_be_bytes());
    request.extend(i16::try_from(topic.len()).unwrap().to_be_bytes());
    request.extend(topic.as_bytes());
    request.extend(1_i32.to_be_bytes());
    request.extend(0_i32.to_be_bytes());
    request.extend(length(&batch));
    request.extend(&batch);
    let mut stream = TcpStream::connect(broker).unwrap();
    stream.write_all(&[&length(&request)[..], &request[..]].concat()).unwrap();
    let mut size = [0; 4];
    stream.read_exact(&mut size).unwrap();
    let mut answer = vec![0; usize::try_from(i32::from_be_bytes(size)).unwrap()];
    stream.read_exact(&mut answer).unwrap();
    // Correlation id, one topic, its name, one partition, its number; then the error.
    let error = 4 + 4 + 2 + topic.len() + 4 + 4;
    answer[error..error + 2].try_into().unwrap()
}

fn length(bytes: &[u8]) -> [u8; 4] {
    i32::try_from(bytes.len()).unwrap().to_be_bytes()
}

/// A number below 2^27 in the encoding of records.
fn number(n: i32, out: &mut Vec<u8>) {
    let mut rest = ((n << 1) ^ (n >> 31)).cast_unsigned();
    while rest > 0x7f {
        out.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    out.push(rest.to_le_bytes()[0]);
}

fn bytes(bytes: &[u8], out: &mut Vec<u8>) {
    number(i32::try_from(bytes.len()).unwrap(), out);
    out.extend(bytes);
}

/// No key, this value, and two headers: one whose name is not text, and a plain one.
fn record(value: &[u8]) -> Vec<u8> {
    let mut body = vec![0, 0, 0];
    number(-1, &mut body);
    bytes(value, &mut body);
    number(2, &mut body);
    for (name, value) in [(b"\xff\xfe".as_slice(), b"1"), (b"plain".as_slice(), b"2")] {
        bytes(name, &mut body);
        bytes(value, &mut body);
    }
    let mut record = Vec::new();
    bytes(&body, &mut record);
    record
}

fn batch(record: &[u8]) -> Vec<u8> {
    // No attributes; the last offset, the two times; no producer; one record.
    let mut content = vec![0; 2 + 4];
    let now = i64::try_from(UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    content.extend(now.to_be_bytes());
    content.extend(now.to_be_bytes());
    content.extend([0xff; 8 + 2 + 4]);
    content.extend(1_i32.to_be_bytes());
    content.extend(record);
    let mut rest = vec![0xff, 0xff, 0xff, 0xff, 2];
    rest.extend(crc32c(&content).to_be_bytes());
    rest.extend(content);
    [&[0; 8][..], &length(&rest)[..], &rest[..]].concat()
}

fn crc32c(bytes: &[u8]) -> u32 {
    let fold = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 * (crc & 1)))
    };
    !bytes.iter().fold(u32::MAX, fold)
}
