//! How many bytes things take in a request, so that what goes into one stays under
//! [`crate::mapping::Mapping::max_request_bytes`].
//!
//! The requests are written by the driver; these are the sizes of Google's JSON for
//! them, at most: the longest ids and row numbers there are. The crate `google` compares them in
//! its tests with what it really sends.

use std::fmt::{self, Write};

use crate::value::Cell;

/// What every request has: its head, the stamp, what is asked of the answer.
pub const ENVELOPE: usize = 12_000;
/// Dropping one piece of metadata.
pub const DROP: usize = 100;
/// Putting an anchor on a row.
pub const TAG: usize = 235;
/// Making a batch depend on where an anchor stands, and dropping it.
pub const GUARD: usize = 520;
/// Keeping the images of a run of rows, before and after.
pub const IMAGES: usize = 600;
/// Deleting a row and keeping its image, made to depend on where its anchor stands.
pub const DELETION: usize = 1_000;
/// Naming the anchor that stays on a row, in its image; and the place of each mapped column.
pub const NAME: usize = 90;
pub const PLACE: usize = 6;
/// Beginning to write cells somewhere.
pub const BLOCK: usize = 130;
/// A row of cells, without the cells.
pub const ROW: usize = 16;

/// One cell's value, however it is written.
pub fn cell(cell: &Cell) -> usize {
    // {"userEnteredValue":{"stringValue":…}},
    const VALUE: usize = 39;
    match cell {
        Cell::Empty => 3,
        Cell::Bool(_) => VALUE + 5,
        Cell::Number(number) => VALUE + digits(*number),
        Cell::Text(text) => VALUE + 2 + text.bytes().map(escaped).sum::<usize>(),
    }
}

/// How JSON writes a byte of a text.
fn escaped(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 8 | 12 => 2,
        0..0x20 => 6,
        _ => 1,
    }
}

/// At most 24, as a double is written.
fn digits(number: f64) -> usize {
    // Most numbers are whole, and then counting is cheaper than writing.
    if number.fract() == 0.0 && number.abs() < 1e15 {
        let whole = number.abs() as u64;
        let sign = usize::from(number.is_sign_negative());
        return sign + 1 + whole.checked_ilog10().unwrap_or(0) as usize + ".0".len();
    }
    struct Count(usize);
    impl Write for Count {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 += text.len();
            Ok(())
        }
    }
    let mut count = Count(0);
    // Counting cannot fail; whole numbers get ".0".
    let _ = write!(count, "{number}");
    (count.0 + 2).min(24)
}
