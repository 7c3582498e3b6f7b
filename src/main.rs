//! The command; everything is in the library.

fn main() -> std::process::ExitCode {
    julia_bootstrap::cli::main()
}
