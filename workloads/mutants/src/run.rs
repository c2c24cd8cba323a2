//! Plants one bug after the other, and says what caught it.

use std::fs;
use std::path::{Path, PathBuf};
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
    /// Where the copy is built; kept, so that the next run compiles little.
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
    copy_core(&options.scratch)?;
    let trial = Trial { scratch: &options.scratch, seeds: options.seeds };
    screen::show(format_args!("building the core as it is, and trying that it passes"))?;
    let started = Instant::now();
    if let Some(caught) = trial.caught_by(PATIENCE_WITHOUT_BUG)? {
        return Err(format!("without any bug: {caught}").into());
    }
    let patience = PATIENCE.max(started.elapsed() * 2);
    let mut escaped = Vec::new();
    for mutant in &mutants {
        let started = Instant::now();
        let file = options.scratch.join(&mutant.file);
        let sound = fs::read_to_string(&file)?;
        fs::write(&file, mutant.planted(&sound)?)?;
        let caught = trial.caught_by(patience);
        fs::write(&file, sound)?;
        let (is_caught, verdict) = match caught {
            Ok(Some(by)) => (true, by),
            Ok(None) => (false, "ESCAPED".to_owned()),
            Err(error) => (false, format!("NOT TRIED: {error}")),
        };
        let took = started.elapsed().as_secs();
        screen::show(format_args!("{:<44} {took:>4} s  {verdict}", mutant.name))?;
        if !is_caught {
            escaped.push(mutant.name.as_str());
        }
    }
    screen::show(format_args!("{} of {} planted bugs caught", mutants.len() - escaped.len(), mutants.len()))?;
    Ok(escaped.is_empty())
}

/// Plants all of these, of which there must be any.
fn plant(mutants: &[Mutant], copy: &Path) -> Result<bool, Failure> {
    for mutant in mutants {
        let file = copy.join(&mutant.file);
        fs::write(&file, mutant.planted(&fs::read_to_string(&file)?)?)?;
    }
    if mutants.is_empty() { Err("no planted bug has such a name".into()) } else { Ok(true) }
}
