//! The operator's program.

fn main() -> std::process::ExitCode {
    kbnt_operator::process::main()
}
