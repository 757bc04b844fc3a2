//! The command: a server that is killed and comes back, and edits from the shell.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

struct Running {
    child: Child,
    url: String,
}

impl Running {
    fn start(directory: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sheetd"))
            .args(["--listen", "127.0.0.1:0", "--data"])
            .arg(directory.join("data"))
            .arg("--write-key")
            .arg(directory.join("key.json"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("sheetd listening on ").expect("the address").to_owned();
        Self { child, url }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sheetd"));
        command.args(arguments).args(["--server", &self.url]).output().unwrap()
    }

    fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Running {
    /// SIGKILL: nothing is flushed on the way out.
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("sheetd-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}

#[test]
fn edits_survive_a_kill() {
    let directory = directory("kill");
    std::fs::write(directory.join("people.csv"), "id,name\n1,Ünal\n2,\"a, b\"\n").unwrap();
    let server = Running::start(&directory);
    server.done(&["seed", "book", directory.join("people.csv").to_str().unwrap()]);
    server.done(&["set", "book", "people", "C1", "=SUM(A2:A)"]);
    server.done(&["insert-row", "book", "people", "2", "-7", "new"]);
    server.done(&["sort", "book", "people", "A", "--descending"]);
    drop(server);

    let server = Running::start(&directory);
    // The inserted row pushed the open range down, so the sum begins at row 3.
    assert_eq!(server.done(&["get", "book", "people"]), "id\tname\t-6\n2\ta, b\t\n1\tÜnal\t\n-7\tnew\t\n");
    server.done(&["delete-row", "book", "people", "4"]);
    server.done(&["move-row", "book", "people", "3", "2"]);
    assert_eq!(server.done(&["get", "book", "people", "A2:B3"]), "1\tÜnal\n2\ta, b\n");
    server.done(&["undo", "book"]);
    assert_eq!(server.done(&["get", "book", "people", "B2"]), "a, b\n");
    server.done(&["add-tab", "book", "Second"]);
    server.done(&["share", "book", "--email", "a@b.c", "--role", "reader"]);
    assert!(server.done(&["list"]).contains("Second"));
    drop(server);
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn refusals_have_a_reason_and_a_status() {
    let directory = directory("refusals");
    let server = Running::start(&directory);
    let output = server.run(&["get", "nothing", "x"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "sheetd: there is no spreadsheet nothing\n");
    assert_eq!(server.run(&["frobnicate"]).status.code(), Some(2));
    let key: serde_json::Value = serde_json::from_slice(&std::fs::read(directory.join("key.json")).unwrap()).unwrap();
    assert_eq!(key["token_uri"], format!("{}/token", server.url));
    drop(server);
    std::fs::remove_dir_all(directory).unwrap();
}
