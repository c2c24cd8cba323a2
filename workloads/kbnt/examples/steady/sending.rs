//! Sends orders, each when it is due, without waiting for any response.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::Options;
use crate::connection::{Answer, Connection};
use crate::plan::{Due, Kind, Plan};
use crate::shared::Failure;

/// How often the orders that are due are sent together.
const PACE: Duration = Duration::from_millis(2);

/// What came of a request.
pub(crate) struct Sample {
    pub(crate) due: Due,
    /// The number of the order of before, if it was placed again.
    pub(crate) again: Option<u32>,
    /// What was answered, or why nothing was.
    pub(crate) answer: Result<Answer, String>,
    /// Measured from when it was due.
    pub(crate) took: Duration,
}

/// Idle connections; the one used last comes first.
struct Idle {
    to: SocketAddr,
    connections: RefCell<Vec<Connection>>,
}

impl Idle {
    async fn place(&self, key: Option<&str>, body: &str) -> Result<Answer, Failure> {
        let idle = self.connections.borrow_mut().pop().filter(Connection::is_open);
        let mut connection = match idle {
            Some(connection) => connection,
            None => Connection::open(self.to).await?,
        };
        let answer = connection.place(key, body).await?;
        self.connections.borrow_mut().push(connection);
        Ok(answer)
    }
}

/// The requests, in the sequence in which they are due: the orders of the plan, and those that are placed again.
fn requests(options: &Options, plan: &Plan) -> Vec<(Due, Option<u32>)> {
    let mut requests: Vec<(Due, Option<u32>)> = plan.due().map(|due| (due, None)).collect();
    if let Some((first, begins)) = plan.begin(Kind::Again) {
        let span = Duration::from_secs(options.again_seconds().into());
        for n in 0..options.again {
            let at = begins + span.mul_f64(f64::from(n) / f64::from(options.again));
            let number = fastrand::u32(0..first);
            requests.push((Due { number, kind: Kind::Again, at }, Some(number)));
        }
        requests.sort_by_key(|(due, _)| due.at);
    }
    requests
}

/// Sends all requests.
pub(crate) async fn send(options: &Options, plan: &Plan, to: SocketAddr) -> mpsc::UnboundedReceiver<Sample> {
    let idle = Rc::new(Idle { to, connections: RefCell::default() });
    let (samples, taken) = mpsc::unbounded_channel();
    // Keys are of this run.
    let run = (options.again > 0).then(|| fastrand::u64(..));
    let mut requests = requests(options, plan).into_iter().peekable();
    let began = Instant::now();
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while requests.peek().is_some() {
        pace.tick().await;
        let elapsed = began.elapsed();
        while let Some((due, again)) = requests.next_if(|(due, _)| due.at <= elapsed) {
            let (at, body) = (began + due.at, options.order(due.number));
            let key = run.map(|run| format!("{run:x}-{}", due.number));
            let (samples, idle) = (samples.clone(), Rc::clone(&idle));
            tokio::task::spawn_local(async move {
                let answer = idle.place(key.as_deref(), &body).await.map_err(|error| error.to_string());
                // The receiver is gone only if the measurement was given up.
                drop(samples.send(Sample { due, again, answer, took: at.elapsed() }));
            });
        }
    }
    taken
}
