//! The command: the server, and edits of a running one from the shell.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use sheetd::{Options, Server};

/// A local Google Sheets: serves the Sheets v4, Drive v3 and token endpoints.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// File or directory that keeps the data over restarts
    #[arg(long)]
    data: Option<PathBuf>,
    /// Write a service-account key file for this server
    #[arg(long, value_name = "KEY.json")]
    write_key: Option<PathBuf>,
    /// Quota: `google` for the real per-minute limits
    #[arg(long, default_value = "off")]
    quota: String,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let options = Options { listen: arguments.listen, data: arguments.data, quota: arguments.quota == "google" };
    let started = Server::start(options).and_then(|server| {
        if let Some(path) = &arguments.write_key {
            server.write_key(path)?;
        }
        Ok(server)
    });
    match started {
        Ok(server) => {
            println!("sheetd listening on {}", server.url);
            server.wait();
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("sheetd: {error}");
            ExitCode::FAILURE
        }
    }
}
