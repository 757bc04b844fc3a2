//! What passes between a client and sheetd: requests and bytes at the gate, heads included; cells
//! by sheetd's own log.

use e2e::{Google, Office, Passed};
use serde_json::Value;

#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    pub reads: usize,
    pub writes: usize,
    /// Bytes from the client.
    pub sent: usize,
    /// Bytes to the client. sheetd does not compress.
    pub received: usize,
    /// Cells that requests carried to be written.
    pub cells: usize,
}

impl Traffic {
    pub fn requests(&self) -> usize {
        self.reads + self.writes
    }

    pub fn bytes(&self) -> usize {
        self.sent + self.received
    }
}

/// Counts from where it was made.
pub struct Counter {
    office: Office,
    passed: usize,
    logged: u64,
}

impl Counter {
    pub fn start(google: &Google) -> Counter {
        let office = Office::new(&google.direct_url());
        Counter {
            passed: google.gate().passed().len(),
            logged: log(&office, 0).iter().map(number).max().unwrap_or(0),
            office,
        }
    }

    /// What has passed so far, token requests left out.
    pub fn taken(&self, google: &Google) -> Traffic {
        let passed = google.gate().passed().split_off(self.passed);
        let mut traffic = Traffic::default();
        for passed in passed.iter().filter(|passed| !passed.is_token()) {
            traffic.count(passed);
        }
        traffic.cells = log(&self.office, self.logged)
            .iter()
            .filter_map(|line| line["cells"].as_u64())
            .sum::<u64>() as usize;
        traffic
    }
}

impl Traffic {
    fn count(&mut self, passed: &Passed) {
        if passed.is_write() {
            self.writes += 1;
        } else {
            self.reads += 1;
        }
        self.sent += passed.request_bytes;
        self.received += passed.answer_bytes;
    }
}

fn log(office: &Office, since: u64) -> Vec<Value> {
    let mut log = office.get(&format!("requests?since={since}"));
    match log["requests"].take() {
        Value::Array(lines) => lines,
        other => panic!("sheetd's log: {other}"),
    }
}

fn number(line: &Value) -> u64 {
    line["n"].as_u64().expect("lines are numbered")
}
