//! Options that are given as variables.

use std::any::TypeId;

use clap::builder::{BoolishValueParser, Resettable};
use clap::{Arg, Command};

/// `command` with variables as people set them: an empty one is as good as none, and what is true or false may also be
/// written `1`, `yes`, `on`, `0`, `no` and `off`.
pub(super) fn lenient(command: Command) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let command = command.mut_args(argument);
    names.into_iter().fold(command, |command, name| command.mut_subcommand(name, lenient))
}

/// `command` without the variables of these options.
pub(super) fn without(command: Command, options: &[&str]) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let command = command.mut_args(|argument| {
        if options.contains(&argument.get_id().as_str()) { argument.env(Resettable::Reset) } else { argument }
    });
    names
        .into_iter()
        .fold(command, |command, name| command.mut_subcommand(name, |command| without(command, options)))
}

fn argument(argument: Arg) -> Arg {
    let is_empty =
        argument.get_env().is_some_and(|name| std::env::var_os(name).is_some_and(|value| value.is_empty()));
    let argument = if is_empty { argument.env(Resettable::Reset) } else { argument };
    if argument.get_value_parser().type_id() == TypeId::of::<bool>() {
        argument.value_parser(BoolishValueParser::new())
    } else {
        argument
    }
}
