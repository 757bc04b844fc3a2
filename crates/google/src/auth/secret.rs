//! Text that nobody gets to see.

use std::fmt;

/// A key, a token, or a file that holds one. Nothing prints it: it has no `Display`, and `Debug`
/// shows a mark in its place.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// For a request, for a cipher, and for what reads a key.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("[secret]")
    }
}
