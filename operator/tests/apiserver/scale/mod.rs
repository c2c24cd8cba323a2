//! What the operator takes with many resources, compared with a controller that does the same with
//! controller-runtime: `make scale`, or `KBNT_SCALE=N` with the path of the other program in
//! `KBNT_SCALE_BESIDE`.
//!
//! It creates N VirtualStocks and N OrderWorkflows, each pair in its own namespace, with everything that is
//! made for them. Each contender gets its own, empty API server, one after the other.

mod audit;
mod contest;
mod same;
mod table;

use std::path::{Path, PathBuf};
use std::time::Duration;

use contest::{Contender, Figures, contest};

use crate::harness::{Failure, Verdict, expect, runtime};

/// The most memory that the operator may take, in bytes.
const MEMORY: u64 = 100 << 20;
/// How long a restarted operator may take until it has checked everything.
const RESTART: Duration = Duration::from_secs(30);
/// Writes per pair: its 28 objects, about 5 events, and an occasional status.
const WRITES: f64 = 40.0;

/// The requested number of pairs, if any.
pub(crate) fn wanted() -> Option<u32> {
    std::env::var("KBNT_SCALE").ok()?.parse().ok()
}

/// Measures both, and fails if the operator exceeds its limits, or if the two make different objects.
pub(crate) fn measure(pairs: u32) -> Verdict {
    let ours = Contender::operator();
    let beside = std::env::var_os("KBNT_SCALE_BESIDE").map(PathBuf::from);
    let mut all = vec![run(&ours, pairs)?];
    if let Some(program) = &beside {
        all.push(run(&Contender::beside(Path::new(program)), pairs)?);
    }
    table::print(&all, pairs);
    if let [ours, beside] = all.as_slice() {
        same::compare(&ours.objects, &beside.objects)?;
        println!("\nboth made the same {} objects in the namespaces that were compared", ours.objects.len());
    }
    all.first().map_or(Ok(()), |ours| judge(ours, pairs))
}

/// Runs in its own runtime, so that nothing of it runs beside the next one.
fn run(contender: &Contender<'_>, pairs: u32) -> Result<Figures, Failure> {
    let runtime = runtime()?;
    let figures = runtime.block_on(contest(contender, pairs));
    runtime.shutdown_background();
    figures
}

fn judge(ours: &Figures, pairs: u32) -> Verdict {
    let (writes, most) = (ours.converging.writes(), WRITES * f64::from(pairs));
    let (peak, took) = (ours.peak.max(ours.restarted_peak), ours.restart);
    expect(f64::from(writes) <= most, || format!("{writes} writes to converge, where {most} would do"))?;
    expect(ours.idle.writes() == 0, || format!("{} writes though nothing changed", ours.idle.writes()))?;
    expect(ours.restarted.writes() == 0, || format!("{} writes after a restart", ours.restarted.writes()))?;
    expect(took < RESTART, || format!("{} s to converge after a restart", took.as_secs()))?;
    expect(peak < MEMORY, || format!("{} MiB of memory", peak >> 20))
}
