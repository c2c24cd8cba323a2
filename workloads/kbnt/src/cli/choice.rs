//! Options that exclude each other: an option on the command line takes precedence over a variable.

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

/// Options that say where a command reads from.
const ORIGINS: [&str; 3] = ["data_dir", "bootstrap_servers", ORIGIN];

/// The option that identifies commands with a choice of origins.
const ORIGIN: &str = "origin_url";

/// Options that say where order-service keeps the history.
const HISTORIES: [&str; 2] = ["history_dir", "history_postgres"];

/// Options that say how a command prints.
const FORMS: [&str; 2] = ["raw", "json"];

/// The error for options that exclude each other.
const SEVERAL: ErrorKind = ErrorKind::ArgumentConflict;

/// The options of the command in these matches whose variables are ignored because another option was given
/// on the command line. Fails if two were given there, or if two variables name an origin or a history.
pub(super) fn overruled(
    command: &mut Command,
    matches: &ArgMatches,
) -> Result<Vec<&'static str>, clap::Error> {
    let mut leaf = matches;
    while let Some((_, below)) = leaf.subcommand() {
        leaf = below;
    }
    let mut overruled = Vec::new();
    // Other commands share some of these options, and need several of them at once.
    if has(leaf, ORIGIN) {
        let origins = of(leaf, &ORIGINS, |_| true);
        overruled.extend(origins.one_of_variables(command, "read")?.overruled(command)?);
    }
    if has(leaf, "history_postgres") {
        let histories = of(leaf, &HISTORIES, |id| id == "history_dir" || leaf.get_flag(id));
        overruled.extend(histories.one_of_variables(command, "used")?.overruled(command)?);
    }
    if has(leaf, "raw") {
        overruled.extend(of(leaf, &FORMS, |id| leaf.get_flag(id)).overruled(command)?);
    }
    Ok(overruled)
}

/// Options that are set.
struct Given {
    /// On the command line.
    named: Vec<&'static str>,
    /// By a variable.
    set: Vec<&'static str>,
}

impl Given {
    /// Fails if two are set by variables, and nothing on the command line decides between them.
    fn one_of_variables(self, command: &mut Command, done: &str) -> Result<Self, clap::Error> {
        if let (true, Some((first, second))) = (self.named.is_empty(), two(&self.set)) {
            let text = format!(
                "{} and {} are both set, and only one can be {done}: name it on the command line, or leave one empty",
                variable(first),
                variable(second)
            );
            return Err(command.error(SEVERAL, text));
        }
        Ok(self)
    }

    fn overruled(self, command: &mut Command) -> Result<Vec<&'static str>, clap::Error> {
        if let Some((first, second)) = two(&self.named) {
            let text = format!("{} and {} cannot be used together", option(first), option(second));
            return Err(command.error(SEVERAL, text));
        }
        Ok(if self.named.is_empty() { Vec::new() } else { self.set })
    }
}

fn has(leaf: &ArgMatches, id: &str) -> bool {
    leaf.ids().any(|known| known == id)
}

fn of(leaf: &ArgMatches, ids: &[&'static str], counts: impl Fn(&str) -> bool) -> Given {
    let from = |source| {
        let given = |id: &&str| has(leaf, id) && leaf.value_source(id) == Some(source) && counts(id);
        ids.iter().copied().filter(given).collect()
    };
    Given { named: from(ValueSource::CommandLine), set: from(ValueSource::EnvVariable) }
}

fn two<'a>(ids: &[&'a str]) -> Option<(&'a str, &'a str)> {
    Some((ids.first()?, ids.get(1)?))
}

fn name(id: &str) -> &str {
    if id == ORIGIN { "url" } else { id }
}

fn option(id: &str) -> String {
    format!("--{}", name(id).replace('_', "-"))
}

fn variable(id: &str) -> String {
    format!("KBNT_{}", name(id).to_uppercase())
}
