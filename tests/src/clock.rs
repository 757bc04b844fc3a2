//! A server whose clock is wrong, and is set while it runs.

use crate::cluster::{Options, own};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;

pub struct Clock {
    directory: PathBuf,
    seconds_off: File,
}

impl Clock {
    /// Of the server that is started with these options.
    pub fn of(options: &mut Options) -> Clock {
        let directory = options.directory.with_extension("clock");
        std::fs::create_dir_all(&directory).expect("a directory can be made");
        let [source, library, off_by] =
            ["clock.c", "clock.so", "off_by"].map(|name| directory.join(name));
        std::fs::write(&source, include_str!("clock.c")).expect("a file can be written");
        // What Rust links with.
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&library, &source])
            .output()
            .expect("cc can be run");
        assert!(
            compiled.status.success(),
            "{}",
            String::from_utf8_lossy(&compiled.stderr)
        );
        let seconds_off = File::create(&off_by).expect("a file can be made");
        for path in [&directory, &library, &off_by] {
            own(path);
        }
        for (name, path) in [("LD_PRELOAD", library), ("CLOCK_OFF_BY", off_by)] {
            let path = path.to_string_lossy().into_owned();
            options.environment.push((name.to_owned(), path));
        }
        let clock = Clock {
            directory,
            seconds_off,
        };
        clock.is_off_by(0);
        clock
    }

    /// From now on, in all of the server's processes.
    pub fn is_off_by(&self, seconds: i64) {
        self.seconds_off
            .write_all_at(&seconds.to_ne_bytes(), 0)
            .expect("the file can be written");
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
