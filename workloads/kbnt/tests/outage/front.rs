//! A front before a broker: forwards bytes, or claims that the cluster has no brokers.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// API key of the Metadata request.
const METADATA: i16 = 3;

/// The first version of its response with compact arrays; current clients use a later one.
const COMPACT: i16 = 9;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Through,
    /// Every metadata response lists topics, but no brokers, like that of a fenced broker.
    NoBrokers,
}

/// Listens at the broker's advertised address.
pub struct Front {
    pub address: SocketAddr,
    target: Arc<Mutex<Option<SocketAddr>>>,
    mode: watch::Sender<Mode>,
    /// Number of responses without brokers so far.
    pub lies: watch::Receiver<u32>,
}

impl Front {
    pub async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, modes) = watch::channel(Mode::Through);
        let (lie_count, lies) = watch::channel(0);
        let target = Arc::<Mutex<Option<SocketAddr>>>::default();
        let to = Arc::clone(&target);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Some(target) = *to.lock().unwrap() else { continue };
                let (modes, lie_count) = (modes.clone(), lie_count.clone());
                tokio::spawn(async move {
                    if let Ok(broker) = TcpStream::connect(target).await {
                        connection(client, broker, modes, lie_count).await;
                    }
                });
            }
        });
        Self { address, target, mode, lies }
    }

    pub fn point_at(&self, broker: &str) {
        *self.target.lock().unwrap() = Some(broker.parse().unwrap());
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

/// Requests whose responses are inspected, by correlation id.
type Asked = Arc<Mutex<BTreeSet<i32>>>;

async fn connection(
    client: TcpStream,
    broker: TcpStream,
    modes: watch::Receiver<Mode>,
    lie_count: watch::Sender<u32>,
) {
    let (from_client, to_client) = client.into_split();
    let (from_broker, to_broker) = broker.into_split();
    let asked = Asked::default();
    // The end that closes first ends both.
    tokio::select! {
        _ = questions(from_client, to_broker, &asked) => {}
        _ = answers(from_broker, to_client, &asked, &modes, &lie_count) => {}
    }
}

/// One message without its length; `None` at the end.
async fn frame(from: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let length = usize::try_from(from.read_i32().await.ok()?).ok()?;
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes).await.ok()?;
    Some(bytes)
}

async fn forward(to: &mut OwnedWriteHalf, bytes: &[u8]) -> Option<()> {
    to.write_all(&i32::try_from(bytes.len()).unwrap().to_be_bytes()).await.ok()?;
    to.write_all(bytes).await.ok()
}

async fn questions(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, asked: &Asked) -> Option<()> {
    loop {
        let question = frame(&mut from).await?;
        let number = |at: usize| i16::from_be_bytes([question[at], question[at + 1]]);
        if number(0) == METADATA {
            assert!(number(2) >= COMPACT, "version {} of the question", number(2));
            asked.lock().unwrap().insert(i32::from_be_bytes(question[4..8].try_into().unwrap()));
        }
        forward(&mut to, &question).await?;
    }
}

async fn answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    asked: &Asked,
    modes: &watch::Receiver<Mode>,
    lie_count: &watch::Sender<u32>,
) -> Option<()> {
    loop {
        let mut answer = frame(&mut from).await?;
        let about = i32::from_be_bytes(answer[..4].try_into().unwrap());
        if asked.lock().unwrap().remove(&about) && *modes.borrow() == Mode::NoBrokers {
            answer = without_brokers(&answer);
            lie_count.send_modify(|lies| *lies += 1);
        }
        forward(&mut to, &answer).await?;
    }
}

/// The response with an empty list of brokers.
fn without_brokers(answer: &[u8]) -> Vec<u8> {
    // Correlation id, no tags, and the throttle time.
    let start = 4 + 1 + 4;
    let mut at = start;
    let count = length(answer, &mut at);
    for _ in 0..count {
        at += 4;
        let host = length(answer, &mut at);
        at += host + 4;
        let rack = length(answer, &mut at);
        at += rack;
        assert_eq!(answer[at], 0, "a broker without tags");
        at += 1;
    }
    [&answer[..start], &[1], &answer[at..]].concat()
}

/// A length in the compact encoding; 0 for null.
fn length(bytes: &[u8], at: &mut usize) -> usize {
    let (mut value, mut shift) = (0_usize, 0);
    loop {
        let byte = bytes[*at];
        *at += 1;
        value |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return value.saturating_sub(1);
        }
    }
}
