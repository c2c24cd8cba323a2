//! The option that names a place for backups.

use std::ffi::OsStr;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Command, Error};
use kbnt_adapters::objects::Address;

/// Reads the address of a place. What is wrong with it is told without the address: somebody may have put a secret into it.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlaceParser;

impl TypedValueParser for PlaceParser {
    type Value = Address;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<Address, Error> {
        Address::parse(value).map_err(|reason| {
            let option = argument.map_or_else(String::new, |argument| format!("{argument}: "));
            Error::raw(ErrorKind::ValueValidation, format!("{option}{reason}\n")).with_cmd(command)
        })
    }
}
