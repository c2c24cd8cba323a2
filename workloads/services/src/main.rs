//! The kbnt program: wiring and command line.

fn main() {}
