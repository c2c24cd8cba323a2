//! The list of planted bugs fits the code that they are planted in.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Mutant {
    name: String,
    file: String,
    search: String,
    replace: String,
}

#[test]
fn each_bug_has_one_place_to_be_planted_at() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = std::fs::read_to_string(here.join("mutants/list.yaml")).unwrap();
    let mutants: Vec<Mutant> = serde_yaml::from_str(&list).unwrap();
    assert!(mutants.len() >= 20);
    let names: BTreeSet<_> = mutants.iter().map(|mutant| &mutant.name).collect();
    assert_eq!(names.len(), mutants.len());
    for mutant in mutants {
        let source = std::fs::read_to_string(here.join("../..").join(&mutant.file)).unwrap();
        assert_eq!(source.matches(&mutant.search).count(), 1, "{}", mutant.name);
        assert_ne!(mutant.search, mutant.replace, "{}", mutant.name);
    }
}
