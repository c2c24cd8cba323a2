//! Plants one bug after the other, and says what caught it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use kbnt_simulation::screen;

use crate::Failure;
use crate::list::{self, Mutant};
use crate::scratch::copy_core;
use crate::trial::Trial;

/// Plants bugs and shows that each is caught.
#[derive(Debug, Parser)]
pub struct Options {
    /// Only those whose name contains this, or one of these.
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Only shows the list.
    #[arg(long)]
    list: bool,
    /// Only plants them in this copy of the repository
    #[arg(long, value_name = "DIR")]
    plant: Option<PathBuf>,
    /// Seeds that the simulator runs at most for each.
    #[arg(long, default_value_t = 20_000)]
    seeds: u64,
    /// Bugs that are tried at the same time, each in a copy of its own.
    #[arg(long, default_value_t = thread::available_parallelism().map_or(1, usize::from), value_name = "COUNT")]
    at_once: usize,
    /// Where the copies are built; kept, so that the next run compiles little.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/mutants"))]
    scratch: PathBuf,
}

/// A bug that makes the simulator or the tests run on and on is caught when this is over, or twice the time that all of
/// it takes without a bug: on a busy machine that is more.
const PATIENCE: Duration = Duration::from_mins(4);

/// Without a bug they come to their end, sooner or later.
const PATIENCE_WITHOUT_BUG: Duration = Duration::from_hours(1);

/// Does what the command line asks for; whether every bug was caught.
///
/// # Errors
/// The list cannot be read, the core does not pass without a bug, or stdout cannot be written to.
pub fn run(options: &Options) -> Result<bool, Failure> {
    let mut mutants = list::read()?;
    let wanted = |mutant: &Mutant| {
        options.only.is_empty() || options.only.iter().any(|only| mutant.name.contains(only))
    };
    mutants.retain(wanted);
    if options.list {
        for mutant in &mutants {
            screen::show(format_args!("{:<44} {}", mutant.name, mutant.file))?;
        }
        return Ok(true);
    }
    if let Some(copy) = &options.plant {
        return plant(&mutants, copy);
    }
    let copies: Vec<PathBuf> =
        (0..options.at_once.max(1)).map(|copy| options.scratch.join(copy.to_string())).collect();
    let patience = try_without_bug(options, &copies)?;
    let next = Mutex::new(mutants.iter());
    let escaped = thread::scope(|scope| {
        let tried = |scratch| try_each(&next, &Trial { scratch, seeds: options.seeds, jobs: 1 }, patience);
        let workers: Vec<_> = copies.iter().map(|scratch| scope.spawn(move || tried(scratch))).collect();
        let escaped = workers.into_iter().map(|worker| worker.join().map_err(|_| "a trial panicked")?);
        escaped.sum::<Result<usize, Failure>>()
    })?;
    screen::show(format_args!("{} of {} planted bugs caught", mutants.len() - escaped, mutants.len()))?;
    Ok(escaped == 0)
}

/// Tries the core as it is, which must pass. How long a bug is looked for.
fn try_without_bug(options: &Options, copies: &[PathBuf]) -> Result<Duration, Failure> {
    for copy in copies {
        copy_core(copy)?;
    }
    let (Some(scratch), jobs) = (copies.first(), copies.len()) else { return Ok(PATIENCE) };
    screen::show(format_args!("building the core as it is, and trying that it passes"))?;
    let started = Instant::now();
    if let Some(caught) = (Trial { scratch, seeds: options.seeds, jobs }).caught_by(PATIENCE_WITHOUT_BUG)? {
        return Err(format!("without any bug: {caught}").into());
    }
    // Alone it had all processors for itself.
    Ok(PATIENCE.max(started.elapsed() * 2 * u32::try_from(jobs)?))
}

/// Tries one bug after the other, as long as there are any; how many were not caught.
fn try_each<'a>(
    next: &Mutex<impl Iterator<Item = &'a Mutant>>,
    trial: &Trial<'_>,
    patience: Duration,
) -> Result<usize, Failure> {
    let mut escaped = 0;
    loop {
        let mutant = next.lock().unwrap_or_else(PoisonError::into_inner).next();
        let Some(mutant) = mutant else { return Ok(escaped) };
        let started = Instant::now();
        let file = trial.scratch.join(&mutant.file);
        let sound = fs::read_to_string(&file)?;
        fs::write(&file, mutant.planted(&sound)?)?;
        let caught = trial.caught_by(patience);
        fs::write(&file, sound)?;
        let verdict = match caught {
            Ok(Some(by)) => by,
            missed => {
                escaped += 1;
                missed.map_or_else(|error| format!("NOT TRIED: {error}"), |_| "ESCAPED".to_owned())
            }
        };
        let took = started.elapsed().as_secs();
        screen::show(format_args!("{:<44} {took:>4} s  {verdict}", mutant.name))?;
    }
}

/// Plants all of these, of which there must be any.
fn plant(mutants: &[Mutant], copy: &Path) -> Result<bool, Failure> {
    for mutant in mutants {
        let file = copy.join(&mutant.file);
        fs::write(&file, mutant.planted(&fs::read_to_string(&file)?)?)?;
    }
    if mutants.is_empty() { Err("no planted bug has such a name".into()) } else { Ok(true) }
}
