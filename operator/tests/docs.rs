//! The documentation names every reason that a condition can have.

use std::collections::BTreeSet;
use std::path::Path;

/// Concatenates all source files below a folder, without their tests.
fn sources(folder: &Path, into: &mut String) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, into)?;
        } else {
            let text = std::fs::read_to_string(&path)?;
            into.push_str(text.split("#[cfg(test)]").next().unwrap_or_default());
        }
    }
    Ok(())
}

/// The second argument of each call of `Finding::yes`, `no` and `unknown`, where it is a literal.
fn reasons_of_findings(source: &str) -> BTreeSet<String> {
    let calls = ["Finding::yes(", "Finding::no(", "Finding::unknown("];
    let arguments = calls.iter().flat_map(|call| source.split(call).skip(1));
    arguments
        .filter_map(|text| {
            Some(text.split_once(',')?.1.trim_start().strip_prefix('"')?.split_once('"')?.0.to_owned())
        })
        .collect()
}

/// The reasons of conditions in `error.rs`.
fn reasons_of_errors(source: &str) -> BTreeSet<String> {
    let bodies = source.split("pub fn reason(&self)").skip(1).filter_map(|rest| rest.split_once("\n    }"));
    let arms = bodies.flat_map(|(body, _)| body.split("=> \"").skip(1));
    arms.filter_map(|text| Some(text.split_once('"')?.0.to_owned())).collect()
}

#[test]
fn every_reason_is_explained() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_to_string(root.join("../docs/operator.md")).unwrap();
    let mut source = String::new();
    sources(&root.join("src"), &mut source).unwrap();
    let mut reasons = reasons_of_findings(&source);
    reasons.extend(reasons_of_errors(&source));
    assert!(
        reasons.len() > 20 && reasons.contains("WriteOffRefused") && reasons.contains("Forbidden"),
        "{reasons:?}"
    );
    // A failed declaration has its own reason, whatever the error.
    reasons.remove("ServiceError");
    let missing: Vec<_> = reasons.iter().filter(|reason| !docs.contains(reason.as_str())).collect();
    assert!(missing.is_empty(), "docs/operator.md does not explain {missing:?}");
}
