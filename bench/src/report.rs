//! Figures and how they are shown: lines for people, and the tables of bench/RESULTS.md.

use std::fmt::Write as _;
use std::time::Duration;

#[derive(Default)]
pub struct Report {
    text: String,
    /// Lines of the table of targets.
    targets: String,
}

impl Report {
    pub fn section(&mut self, title: &str, note: &str, columns: &[&str]) {
        println!("\n{title}\n  {note}");
        let _ = write!(
            self.text,
            "\n## {title}\n\n{note}\n\n| {} |\n|{}\n",
            columns.join(" | "),
            "---|".repeat(columns.len())
        );
    }

    pub fn line(&mut self, cells: &[String]) {
        let padded: Vec<String> = cells
            .iter()
            .enumerate()
            .map(|(n, cell)| {
                if n == 0 {
                    format!("{cell:<58}")
                } else {
                    format!("{cell:>16}")
                }
            })
            .collect();
        println!("  {}", padded.join(" "));
        let _ = writeln!(self.text, "| {} |", cells.join(" | "));
    }

    /// What was promised and what came of it; these lines stand together at the head of the
    /// results.
    pub fn target(&mut self, what: &str, figure: &str, target: &str, met: bool) {
        let met = if met { "met" } else { "**not met**" };
        println!(
            "  target: {what}: {figure}; {target}: {}",
            met.trim_matches('*')
        );
        let _ = writeln!(self.targets, "| {what} | {figure} | {target} | {met} |");
    }

    pub fn markdown(&self) -> String {
        format!(
            "\n## Targets\n\n| what | measured | target | |\n|---|---|---|---|\n{}{}",
            self.targets, self.text
        )
    }
}

/// Durations sorted, for percentiles.
pub struct Times(Vec<Duration>);

impl Times {
    pub fn new(mut times: Vec<Duration>) -> Times {
        times.sort();
        Times(times)
    }

    /// The value that `share` percent of the measurements do not exceed.
    pub fn percentile(&self, share: usize) -> Duration {
        self.0[(self.0.len() * share).div_ceil(100).max(1) - 1]
    }

    pub fn median(&self) -> Duration {
        self.percentile(50)
    }
}

pub fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

pub fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

pub fn megabytes(bytes: usize) -> String {
    format!("{:.0} MB", bytes as f64 / 1e6)
}

pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
