//! The command: the server, and edits of a running one from the shell the way a person would make
//! them in the page.

mod cli;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use sheetd::{Options, Server};

/// A large request and its answer are trees of millions of small pieces, made and dropped: with
/// glibc's allocator that took more than half of all time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A local Google Sheets.
///
/// Without a command it serves the Sheets v4, Drive v3 and token endpoints; with one it edits a
/// running server.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// File that keeps the data over restarts; without it everything is in memory
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Write a service-account key file for this server
    #[arg(long, value_name = "KEY.json")]
    write_key: Option<PathBuf>,
    /// Whether Google's per-minute quotas hold
    #[arg(long, value_enum, default_value = "off")]
    quota: Quota,
    #[command(subcommand)]
    command: Option<cli::Command>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Quota {
    Off,
    Google,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Some(command) => cli::run(command),
        None => serve(&arguments).map_err(|e| e.to_string()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("sheetd: {message}");
            ExitCode::FAILURE
        }
    }
}

fn serve(arguments: &Arguments) -> std::io::Result<()> {
    let quota = arguments.quota == Quota::Google;
    let server = Server::start(Options { listen: arguments.listen, data: arguments.data.clone(), quota })?;
    if let Some(path) = &arguments.write_key {
        server.write_key(path)?;
    }
    println!("sheetd listening on {}", server.url);
    server.wait();
    Ok(())
}
