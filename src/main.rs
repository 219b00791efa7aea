//! The command line: arguments, logging, and the one place where an error is printed.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
