//! `make bench`: ratios and counts measured in one run, against the installed extension and sheetd. Fails on nothing.
//!
//! `bench [capture|reconcile|latency|requests]…` runs some; without arguments all, and bench/RESULTS.md is written anew.

mod capture;
mod latency;
mod reconcile;
mod report;
mod requests;

use report::Report;

type Part = fn(&mut Report);

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let mut report = Report::default();
    let all: [(&str, Part); 4] = [
        ("capture", capture::run),
        ("reconcile", reconcile::run),
        ("latency", latency::run),
        ("requests", requests::run),
    ];
    for (name, run) in all {
        if asked.is_empty() || asked.iter().any(|wanted| wanted == name) {
            run(&mut report);
        }
    }
    if asked.is_empty() {
        let text = format!(
            "# Results\n\nWritten by `make bench`: one run, release builds, everything on one machine.\n{}",
            report.markdown()
        );
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/RESULTS.md");
        std::fs::write(path, text).expect("bench/RESULTS.md can be written");
        println!("\nWritten to bench/RESULTS.md.");
    }
}
