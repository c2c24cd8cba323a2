//! `kbnt dlq list`.

use std::process::ExitCode;

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{ContentArrangement, Table};
use kbnt_wire::text::rfc3339;
use serde_json::json;

use super::dead_letters::{DeadLetter, DeadLetters};
use crate::cli::ListOptions;
use crate::failure::Failure;
use crate::output::{self, plain};

pub(super) async fn run(options: &ListOptions) -> Result<ExitCode, Failure> {
    let (dead_letters, missing) = super::all(&options.trail).await?;
    show(options, &dead_letters)?;
    Ok(if missing { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn show(options: &ListOptions, dead_letters: &DeadLetters) -> Result<(), Failure> {
    let dead_letters = dead_letters.by_age();
    let open = dead_letters.iter().filter(|dead_letter| dead_letter.is_open()).count();
    let resolved = dead_letters.len() - open;
    let shown: Vec<&DeadLetter> =
        dead_letters.into_iter().filter(|dead_letter| options.all || dead_letter.is_open()).collect();
    if options.json {
        let list: Vec<_> = shown.iter().map(|dead_letter| dead_letter.to_json()).collect();
        return output::json(&json!({"deadLetters": list, "open": open, "resolved": resolved}));
    }
    if !shown.is_empty() {
        output::page(table(&shown))?;
    }
    output::line(&format!("{open} open, {resolved} resolved"))
}

fn table(dead_letters: &[&DeadLetter]) -> Table {
    let mut table = Table::new();
    table
        .load_style(UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(["ID", "STORED", "BYTES", "STATE", "REASON"]);
    for dead_letter in dead_letters {
        table.add_row([
            dead_letter.at.to_string(),
            rfc3339(dead_letter.stored_at),
            dead_letter.stored.value_bytes.to_string(),
            dead_letter.state().to_owned(),
            plain(&dead_letter.stored.reason),
        ]);
    }
    table
}
