//! `make bench`: figures measured in one run, against the installed extension and sheetd, beside their targets. Fails on no figure.
//!
//! `bench [capture|reconcile|latency|requests|load|quota]…` runs some; without arguments all, and bench/RESULTS.md is written anew.

mod capture;
mod latency;
mod load;
mod quota;
mod reconcile;
mod report;
mod requests;
mod simple;
mod traffic;
mod wide;

use report::Report;

type Part = fn(&mut Report);

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let mut report = Report::default();
    let load = machine();
    let all: [(&str, Part); 6] = [
        ("capture", capture::run),
        ("reconcile", reconcile::run),
        ("latency", latency::run),
        ("requests", requests::run),
        ("load", load::run),
        ("quota", quota::run),
    ];
    for (name, run) in all {
        if asked.is_empty() || asked.iter().any(|wanted| wanted == name) {
            run(&mut report);
        }
    }
    if asked.is_empty() {
        let text = format!(
            "# Results\n\nWritten by `make bench`: one run, release builds, everything on one machine{load}.\n{}",
            report.markdown()
        );
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/RESULTS.md");
        std::fs::write(path, text).expect("bench/RESULTS.md can be written");
        println!("\nWritten to bench/RESULTS.md.");
    }
}

/// How large the machine is and how busy it was before: where others compute too, times are longer than they need be.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    match load.split_whitespace().next() {
        Some(load) => format!(" of {cores} cores, whose load average before the run was {load}"),
        None => format!(" of {cores} cores"),
    }
}
