//! What a request of the extension is for, told from what is in it.

/// The requests that change a spreadsheet, and those that look for people's edits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// The values of one tab or of several.
    Read,
    /// Anchors are put on rows, which are read back.
    Tag,
    /// Cells of tagged rows are written, under a stamp.
    Write,
    /// New rows, under a stamp.
    Insert,
    /// Rows go, under a stamp.
    Delete,
    /// The header is written, under a stamp.
    Header,
    /// Notes are put on cells.
    Note,
    /// A stamp alone: no batch that carries it can arrive any more.
    Claim,
    /// Anchors that an earlier process left behind are dropped.
    Tidy,
    /// Who writes to the tab from now on is put on it, and nothing else.
    Turn,
}

impl Kind {
    /// Those that change a spreadsheet.
    pub const ALL: [Kind; 8] = [
        Kind::Tag,
        Kind::Write,
        Kind::Insert,
        Kind::Delete,
        Kind::Header,
        Kind::Note,
        Kind::Claim,
        Kind::Tidy,
    ];

    pub(crate) fn fits(self, path: &str, body: &[u8]) -> bool {
        Kind::of(path, &String::from_utf8_lossy(body)) == Some(self)
    }

    fn of(path: &str, body: &str) -> Option<Kind> {
        if path.contains("/values:batchGet") {
            return Some(Kind::Read);
        }
        if !path.contains(":batchUpdate") {
            return None;
        }
        let stamped = body.contains(r#""metadataKey":"sheet_sync","metadataValue""#);
        let tests = [
            (Kind::Insert, body.contains(r#""insertDimension""#)),
            (Kind::Delete, body.contains(r#""deleteDimension""#)),
            (Kind::Note, body.contains(r#""fields":"note""#)),
            (Kind::Write, stamped && body.contains(r#""copyPaste""#)),
            (Kind::Header, stamped && body.contains(r#""updateCells""#)),
            (Kind::Claim, stamped),
            (
                Kind::Turn,
                body.contains(r#""metadataKey":"sheet_sync_writer""#),
            ),
            (Kind::Tag, body.contains(r#""createDeveloperMetadata""#)),
            (Kind::Tidy, body.contains(r#""deleteDeveloperMetadata""#)),
        ];
        tests
            .into_iter()
            .find(|(_, fits)| *fits)
            .map(|(kind, _)| kind)
    }
}
