//! What differs in a snapshot from what was last settled: by hash, row by row.

use crate::cycle::compare::diff::{
    Diff, Row, Trust, Typed, Unknown, Unreadable, UnreadableRow, typed_key,
};

use crate::codec::{CellsHash, hash_bytes, hash_cells};
use crate::cycle::compare::totals::{AMONG, Footers, LAST, Tail, unclear_total};
use crate::cycle::read::grid::parse;
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::effect::Snapshot;
use crate::tab::Layout;
use crate::value::Cell;

/// A row with content and without (all of) its key.
struct Keyless {
    at: u32,
    hash: CellsHash,
    cells: Vec<Cell>,
    /// The first key column without a value.
    column: usize,
    /// A blank row stands between it and the last row with a key above it.
    apart: bool,
}

/// The rows of a reading, by what is known of their keys.
#[derive(Default)]
struct Scan {
    /// Rows of known keys, by the keys' places in memory.
    seen: Vec<(usize, Row)>,
    /// Rows of keys that are not known.
    unknown: Vec<Unknown>,
    keyless: Vec<Keyless>,
    hashes: Vec<CellsHash>,
    /// The row below the last record.
    end: u32,
    /// The last record that is known.
    last_known: Option<u32>,
    /// There is a row with a key, and a blank row follows the last one.
    apart: bool,
}

impl Scan {
    fn note_record(&mut self, at: u32) {
        self.end = at + 1;
        self.apart = false;
    }

    fn note_seen(&mut self, index: usize, row: Row) {
        self.note_record(row.at);
        self.last_known = Some(row.at);
        self.seen.push((index, row));
    }

    fn is_below_known(&self, at: u32) -> bool {
        self.last_known.is_none_or(|last| at > last)
    }

    fn has_records(&self, header_row: u32) -> bool {
        self.end > header_row
    }
}

impl Cycle {
    pub(crate) async fn diff(
        &mut self,
        snapshot: &Snapshot,
        layout: &Layout,
        trust: Trust,
    ) -> Result<Diff, Stop> {
        let mut diff = Diff::default();
        let footer = self.footer(snapshot, layout)?;
        let mut scan = self.scan(&mut diff, snapshot, layout, trust, footer)?;
        let footers = self
            .tell_totals(&mut diff, &mut scan, snapshot, layout)
            .await?;
        self.place_keyless(&mut diff, &mut scan, &footers);
        let Scan {
            mut seen,
            unknown,
            hashes,
            end,
            ..
        } = scan;
        self.tab.note_rows(hashes.into_iter(), end);
        let unknown = self.look_at_keys(&mut diff, unknown, layout).await?;
        self.name_rows(&mut diff, unknown, &mut seen).await?;
        let above = seen.iter().map(|(index, _)| *index);
        self.below_footer(&mut diff, snapshot, layout, (footer, above))?;
        self.classify(&mut diff, seen, trust, snapshot.sent_at);
        Ok(diff)
    }

    /// Goes through the rows down to the footer. One whose bytes are as they were is not parsed.
    fn scan(
        &mut self,
        diff: &mut Diff,
        snapshot: &Snapshot,
        layout: &Layout,
        trust: Trust,
        footer: Option<u32>,
    ) -> Result<Scan, Stop> {
        let header_row = self.mapping.header_row;
        let mut scan = Scan {
            hashes: Vec::with_capacity(snapshot.rows.len()),
            end: header_row,
            ..Scan::default()
        };
        let by_row = self.known_by_row(snapshot.rows.len());
        let below_data = footer.unwrap_or(u32::MAX);
        let rows = (0..below_data).zip(&snapshot.rows);
        for (at, raw_row) in rows.skip(header_row as usize) {
            let bytes = hash_bytes(raw_row.get().as_bytes());
            let index = by_row.get(at as usize).copied().unwrap_or(usize::MAX);
            if let Some((_, known)) = self.memory.rows.get_index(index)
                && trust.bytes
                && known.bytes == Some(bytes)
                && let Some(cells) = known.cells
                && known.is_certain(&self.mapping)
            {
                scan.hashes.push(cells);
                scan.note_seen(index, Row { at, bytes, cells });
                continue;
            }
            let cells = layout.mapped(&parse(snapshot, at)?);
            let hash = hash_cells(&cells);
            let row = Row {
                at,
                bytes,
                cells: hash,
            };
            scan.hashes.push(hash);
            match typed_key(&self.mapping, &cells) {
                Typed::Blank => scan.apart |= scan.has_records(header_row),
                Typed::Whole(typed) => match self.known_key(&typed, &cells, hash) {
                    Some(key) => scan.note_seen(self.index_of(key), row),
                    None => {
                        scan.note_record(at);
                        let unknown = self.unknown(row, typed, &cells);
                        scan.unknown.push(unknown);
                    }
                },
                Typed::Error(column) => match self.key_of_error(&cells) {
                    // The table has a row whose key reads like an error.
                    Some(key) => scan.note_seen(self.index_of(key), row),
                    None => {
                        scan.note_record(at);
                        diff.problems.push(self.error_key(&cells, at, column));
                        diff.unreadable.push(UnreadableRow {
                            at,
                            why: Unreadable::Error,
                            cells: hash,
                        });
                    }
                },
                Typed::Missing(column) => {
                    let apart = scan.apart;
                    scan.keyless.push(Keyless {
                        at,
                        hash,
                        cells,
                        column,
                        apart,
                    });
                }
            }
        }
        Ok(scan)
    }

    /// Of each row the place in memory of the key that stood there; `usize::MAX` where none did.
    fn known_by_row(&self, rows: usize) -> Vec<usize> {
        let mut by_row = vec![usize::MAX; rows];
        for (index, known) in self.memory.rows.values().enumerate() {
            let slot = known.row().and_then(|row| by_row.get_mut(row as usize));
            if let Some(slot) = slot {
                *slot = index;
            }
        }
        by_row
    }

    /// What stands apart below the last row with a key, or sums up the rows above it, is no record.
    async fn tell_totals(
        &mut self,
        diff: &mut Diff,
        scan: &mut Scan,
        snapshot: &Snapshot,
        layout: &Layout,
    ) -> Result<Footers, Stop> {
        let end = scan.end;
        scan.keyless.retain(|row| !row.apart || row.at < end);
        let tail = tail_of(scan, snapshot, layout)?;
        let footers = self.footers(tail, layout).await?;
        let last_known = scan.last_known;
        scan.keyless
            .retain(|row| match last_known.is_none_or(|last| row.at > last) {
                true => !footers.hold(row.at, &row.cells),
                false => !footers.rows.contains(&row.at),
            });
        scan.unknown
            .retain(|one| !footers.rows.contains(&one.row.at));
        let is_unclear = |one: &mut Unknown| footers.unclear.contains(&one.row.at);
        for one in scan.unknown.extract_if(.., is_unclear) {
            diff.problems.push(unclear_total(one.row.at, true));
            diff.unreadable.push(one.row.refused());
        }
        if !footers.rows.is_empty() {
            let records = scan.seen.iter().map(|(_, row)| row.at);
            let records = records.chain(scan.unknown.iter().map(|one| one.row.at));
            let records = records.chain(diff.unreadable.iter().map(|row| row.at));
            scan.end = records
                .max()
                .map_or(self.mapping.header_row, |last| last + 1);
        }
        Ok(footers)
    }

    /// Rows that are to get a key, or whose problem is that they have none.
    fn place_keyless(&mut self, diff: &mut Diff, scan: &mut Scan, footers: &Footers) {
        let refused_keys = std::mem::take(&mut self.memory.problems.refused_keys);
        for row in &scan.keyless {
            scan.end = scan.end.max(row.at + 1);
            match refused_keys.get(&row.hash) {
                _ if footers.unclear.contains(&row.at) => {
                    diff.problems.push(unclear_total(row.at, false));
                    diff.unreadable.push(UnreadableRow {
                        at: row.at,
                        why: Unreadable::Blank,
                        cells: row.hash,
                    });
                }
                Some(refused) => self.keyless_still(diff, row.hash, row.at, refused),
                None => {
                    let why = self.keyless_row(diff, &row.cells, row.at, row.column);
                    diff.unreadable.push(UnreadableRow {
                        at: row.at,
                        why,
                        cells: row.hash,
                    });
                }
            }
        }
    }
}

/// The rows among which totals are looked for: the last ones, and some without a key above them.
fn tail_of(scan: &Scan, snapshot: &Snapshot, layout: &Layout) -> Result<Vec<Tail>, Stop> {
    let without = scan.keyless.iter().map(|row| (row.at, row.hash, false));
    let with = scan.unknown.iter();
    let with = with.map(|one| (one.row.at, one.row.cells, true));
    let (mut last, among): (Vec<_>, Vec<_>) = without
        .chain(with)
        .partition(|row| scan.is_below_known(row.0));
    last.sort_unstable_by_key(|row| std::cmp::Reverse(row.0));
    last.truncate(LAST);
    let among = among.into_iter().filter(|row| !row.2).take(AMONG);
    let rows = last.into_iter().chain(among);
    let tail = rows.map(|(at, hash, keyed)| {
        Ok(Tail {
            at,
            hash,
            cells: layout.mapped(&parse(snapshot, at)?),
            keyed,
            among: !scan.is_below_known(at),
        })
    });
    tail.collect()
}
