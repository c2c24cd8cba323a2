//! The copy of the core that bugs are planted in.

use std::fs;
use std::io;
use std::path::Path;

use crate::Failure;
use crate::list::root;

/// The crates that the bugs are planted in, and what runs them.
const CRATES: [&str; 4] = ["rules", "domain", "application", "simulation"];

/// A workspace of the core alone, with a profile that compiles quickly.
pub(crate) fn copy_core(scratch: &Path) -> Result<(), Failure> {
    let root = root();
    for name in CRATES {
        let (from, to) = (root.join("workloads").join(name), scratch.join("workloads").join(name));
        copy_changed(&from, &to)?;
    }
    for name in ["Cargo.lock", "rust-toolchain.toml"] {
        copy_file(&root.join(name), &scratch.join(name))?;
    }
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    let (start, rest) = manifest.split_once("members = [").ok_or("no members in Cargo.toml")?;
    let (_, rest) = rest.split_once(']').ok_or("no end of the members in Cargo.toml")?;
    let (rest, _) = rest.split_once("[profile.").unwrap_or((rest, ""));
    let members: Vec<String> = CRATES.iter().map(|name| format!("\"workloads/{name}\"")).collect();
    let profile = "[profile.release]\nopt-level = 1\noverflow-checks = true\nincremental = true\n";
    let manifest = format!("{start}members = [{}]{rest}{profile}", members.join(", "));
    let path = scratch.join("Cargo.toml");
    if fs::read_to_string(&path).ok().as_deref() != Some(&manifest) {
        fs::write(path, manifest)?;
    }
    Ok(())
}

/// Copies a folder; files that are the same keep their times, so that they are not compiled again.
fn copy_changed(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        if !from.join(entry.file_name()).exists() {
            let gone = entry.path();
            if gone.is_dir() { fs::remove_dir_all(gone)? } else { fs::remove_file(gone)? }
        }
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_changed(&entry.path(), &target)?;
        } else {
            copy_file(&entry.path(), &target)?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let content = fs::read(from)?;
    if fs::read(to).ok().as_ref() == Some(&content) { Ok(()) } else { fs::write(to, content) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_has_all_of_ours_that_it_depends_on() {
        for name in CRATES {
            let manifest = root().join("workloads").join(name).join("Cargo.toml");
            for line in fs::read_to_string(&manifest).unwrap().lines() {
                if let Some((needed, _)) = line.strip_prefix("kbnt-").and_then(|rest| rest.split_once('.')) {
                    assert!(CRATES.contains(&needed), "{name} needs {needed}");
                }
            }
        }
    }
}
