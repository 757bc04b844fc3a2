//! `make bench`: figures measured in one run, against the installed extension and sheetd, beside
//! their targets. Fails on no figure.
//!
//! `bench [capture|reconcile|latency|requests|load|quota]…` runs some; without arguments all, and
//! bench/RESULTS.md is written anew.

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
    let before = load_average();
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
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let text = format!(
            "# Results\n\nWritten by `make bench`: one run, release builds, everything on one machine of {cores} cores. Its load average was {before} before the run and {} after it: what was above the number of cores then made times longer than they need be.\n{}",
            load_average(),
            report.markdown()
        );
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/RESULTS.md");
        std::fs::write(path, text).expect("bench/RESULTS.md can be written");
        println!("\nWritten to bench/RESULTS.md.");
    }
}

/// How many processes wanted to compute in the last minute.
fn load_average() -> String {
    let averages = std::fs::read_to_string("/proc/loadavg").expect("Linux has it");
    let last_minute = averages.split_whitespace().next();
    last_minute.unwrap_or("unknown").to_owned()
}
