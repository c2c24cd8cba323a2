//! A field that is added to what the audit trail vouches for does not compile until `audit/canon.rs` says whether it is hashed.
//!
//! The test adds one to every type that canon.rs takes apart, in a copy of domain and application, and reads what the compiler
//! says. Both are put into one crate there: otherwise it would stop at the domain, which makes these types, and not come to canon.rs.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and this one works on files"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The source files of a copied crate, with their paths.
fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { sources(&path, into) } else { into.push(path) }
    }
}

/// Copies a folder, each file as `change` makes it.
fn copy(from: &Path, to: &Path, change: &dyn Fn(String) -> String) {
    let mut files = Vec::new();
    sources(from, &mut files);
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs")) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(target, change(fs::read_to_string(file).unwrap())).unwrap();
    }
}

/// The lines below `[dependencies]`.
fn dependencies(manifest: &str) -> Vec<&str> {
    let (_, rest) = manifest.split_once("[dependencies]\n").unwrap();
    rest.lines().take_while(|line| !line.is_empty()).collect()
}

/// A workspace in `to` with one crate that is domain and application, and `added` with each type given another field.
fn lay_out(to: &Path, added: &BTreeSet<String>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    let grow = |text: String| {
        added.iter().fold(text, |text, name| {
            text.replace(
                &format!("pub struct {name} {{\n"),
                &format!("pub struct {name} {{ pub added: (),\n"),
            )
            // As the macro has them that declares the events.
            .replace(
                &format!("\n    {name} {{\n        ///"),
                &format!("\n    {name} {{ added: (),\n        ///"),
            )
        })
    };
    let _ = fs::remove_dir_all(to.join("workloads"));
    let domain = to.join("workloads/domain");
    copy(&root.join("workloads/rules"), &to.join("workloads/rules"), &|text| text);
    copy(&root.join("workloads/domain/src"), &domain.join("src"), &grow);
    copy(&root.join("workloads/application/src"), &domain.join("src/application"), &|text| {
        grow(text.replace("crate::", "crate::application::"))
    });
    let application = domain.join("src/application");
    fs::rename(application.join("lib.rs"), application.join("mod.rs")).unwrap();
    let library = fs::read_to_string(domain.join("src/lib.rs")).unwrap();
    fs::write(
        domain.join("src/lib.rs"),
        library + "extern crate self as kbnt_domain;\npub mod application;\n",
    )
    .unwrap();

    let workspace = read("Cargo.toml");
    let (head, rest) = workspace.split_once("members = [").unwrap();
    let (_, rest) = rest.split_once(']').unwrap();
    fs::write(to.join("Cargo.toml"), format!("{head}members = [\"workloads/*\"]{rest}")).unwrap();
    fs::write(to.join("Cargo.lock"), read("Cargo.lock")).unwrap();
    fs::write(to.join("workloads/rules/Cargo.toml"), read("workloads/rules/Cargo.toml")).unwrap();
    let (domain_manifest, application_manifest) =
        (read("workloads/domain/Cargo.toml"), read("workloads/application/Cargo.toml"));
    let mut all: BTreeSet<&str> = dependencies(&domain_manifest).into_iter().collect();
    all.extend(dependencies(&application_manifest));
    all.remove("kbnt-domain.workspace = true");
    let manifest = format!(
        "[package]\nname = \"kbnt-domain\"\nversion.workspace = true\nedition.workspace = true\n\n[dependencies]\n{}\n",
        all.into_iter().collect::<Vec<_>>().join("\n")
    );
    fs::write(domain.join("Cargo.toml"), manifest).unwrap();
}

/// What the compiler says of it: an error in each part, with the lines that it is about.
fn errors(of: &Path) -> Vec<String> {
    let cargo = std::env::var_os("CARGO").unwrap();
    let output = Command::new(cargo)
        .args(["check", "--offline", "--quiet", "--color", "never", "--package", "kbnt-domain"])
        .current_dir(of)
        .env("CARGO_TARGET_DIR", of.join("target"))
        .env("RUSTFLAGS", "-Awarnings")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    said.split("\n\n").filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// The beginnings of the lines in canon.rs that take something apart field by field, each with its type.
fn taken_apart(canon: &str) -> Vec<(String, String)> {
    let name = |text: &str| text.split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned();
    let found = ["put!(out, e: ", "composite!(", "let "].into_iter().flat_map(|before| {
        let named = canon.split(before).skip(1).map(name);
        named.map(move |name| (format!("{before}{name} {{"), name))
    });
    found.filter(|(place, _)| canon.contains(place)).collect()
}

#[test]
fn a_field_that_is_added_does_not_compile_until_the_trail_knows_of_it() {
    let canon = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/audit/canon.rs")).unwrap();
    let places = taken_apart(&canon);
    let types: BTreeSet<String> = places.iter().map(|(_, name)| name.clone()).collect();
    let arms = canon.split("Event::").skip(1).filter_map(|arm| Some(arm.split_once("(e) =>")?.0.to_owned()));
    let events: BTreeSet<String> = arms.collect();
    assert!(events.len() > 25 && events.is_subset(&types), "{events:?} of {types:?}");
    assert!(types.contains("Message") && types.contains("Basket"), "{types:?}");
    let probe = Path::new(env!("CARGO_TARGET_TMPDIR")).join("audit-coverage");
    fs::create_dir_all(&probe).unwrap();
    lay_out(&probe, &BTreeSet::new());
    assert!(errors(&probe).is_empty(), "it does not compile as it is: {:#?}", errors(&probe));

    lay_out(&probe, &types);
    let errors = errors(&probe);
    let refused = |place: &str| {
        errors.iter().any(|error| {
            error.contains("audit/canon.rs") && error.contains("pattern") && error.contains(place)
        })
    };
    let unseen: Vec<_> = places.iter().filter(|(place, _)| !refused(place)).collect();
    assert!(unseen.is_empty(), "canon.rs would leave out a new field of {unseen:?}: {errors:#?}");
}
