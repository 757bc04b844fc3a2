//! Who writes to a tab. An entry of ours on the tab (developer metadata) says which database does,
//! and which turn was its last; the database counts its turns too, and stores each before it is
//! sent. So a copy of a database, one that was restored, and a spreadsheet that was put back are
//! known before anything is read from them or written to them. How the entry gets there is in
//! `turn.rs`.

use engine::effect::Reason;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

pub const WRITER_KEY: &str = "sheet_sync_writer";

/// One database of one cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Home {
    /// Postgres's system identifier.
    pub cluster: u64,
    pub database: u32,
}

impl fmt::Display for Home {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}/{}", self.cluster, self.database)
    }
}

impl FromStr for Home {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (cluster, database) = text.split_once('/').unwrap_or((text, ""));
        Ok(Self {
            cluster: cluster.parse()?,
            database: database.parse()?,
        })
    }
}

/// What a database knows of its own writing to a tab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    pub home: Home,
    /// Where the mapping was before somebody said that it goes on here.
    pub moved_from: Option<Home>,
    /// When the mapping was made, in milliseconds. Of two mappings that one database has had of a
    /// tab, the later one counts.
    pub made_at: i64,
    pub time_line: u32,
    /// The last turn that was begun.
    pub turn: i64,
    /// Tells it from a turn of this number that a copy of the database has begun.
    pub mark: u32,
    /// The last one of the time line before, or of the former home.
    pub forked_at: i64,
    /// The last one that is known to have arrived.
    pub arrived: Option<i64>,
    /// Somebody said that the tab is this database's from now on, whoever wrote to it before.
    pub takes_over: bool,
    /// It only follows the sheet, and is in nobody's way: what another database writes there is
    /// none of its business.
    pub only_reads: bool,
}

/// Why a database may not go on with a tab.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.message())]
pub enum NotOurs {
    /// Another database writes to it; what is known of that one.
    Taken(String),
    /// It knows later writes of this database than the database itself does.
    IsAhead,
    /// It knows fewer of our writes than have arrived.
    PutBack,
}

/// What stands on the tab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    home: Home,
    /// Of the spreadsheet's id: what was copied along with a whole spreadsheet says nothing of the
    /// copy.
    book: u32,
    made_at: i64,
    time_line: u32,
    turn: i64,
    mark: u32,
}

impl Entry {
    /// Every character counts against the 30,000 that a tab has for metadata, and travels with
    /// every write.
    pub(super) fn text(&self) -> String {
        format!(
            "{:x}/{:x}/{:x}/{:x}/{:x}/{:x}/{:x}",
            self.home.cluster,
            self.home.database,
            self.book,
            self.made_at,
            self.time_line,
            self.turn,
            self.mark
        )
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let mut next = || parts.next();
        let entry = Self {
            home: Home {
                cluster: u64::from_str_radix(next()?, 16).ok()?,
                database: u32::from_str_radix(next()?, 16).ok()?,
            },
            book: u32::from_str_radix(next()?, 16).ok()?,
            made_at: i64::from_str_radix(next()?, 16).ok()?,
            time_line: u32::from_str_radix(next()?, 16).ok()?,
            turn: i64::from_str_radix(next()?, 16).ok()?,
            mark: u32::from_str_radix(next()?, 16).ok()?,
        };
        next().is_none().then_some(entry)
    }
}

impl Writer {
    pub(super) fn entry(&self, spreadsheet_id: &str) -> Entry {
        Entry {
            home: self.home,
            book: book(spreadsheet_id),
            made_at: self.made_at,
            time_line: self.time_line,
            turn: self.turn,
            mark: self.mark,
        }
    }

    /// Whether this database may go on, by what stands on the tab.
    pub fn judge(&self, spreadsheet_id: &str, standing: Option<&str>) -> Result<(), NotOurs> {
        if self.takes_over {
            return Ok(());
        }
        let entry = match standing.map(Entry::parse) {
            // Nobody knows who that is.
            Some(None) => return Err(NotOurs::Taken("an unknown one".to_owned())),
            Some(Some(entry)) if entry.book == book(spreadsheet_id) => entry,
            // Nobody has written to it: it is new, or came with a copy of another spreadsheet.
            _ => return self.missed(),
        };
        let of_another = || NotOurs::Taken(format!("database {}", entry.home));
        let known = match entry.home {
            home if home == self.home => match entry.made_at.cmp(&self.made_at) {
                // A former mapping of this database, which has ended.
                Ordering::Less => return self.missed(),
                Ordering::Greater => return Err(NotOurs::IsAhead),
                Ordering::Equal => match entry.time_line.cmp(&self.time_line) {
                    Ordering::Less => self.forked_at,
                    Ordering::Equal => self.turn,
                    Ordering::Greater => return Err(NotOurs::IsAhead),
                },
            },
            home if Some(home) == self.moved_from && entry.made_at == self.made_at => {
                self.forked_at
            }
            _ => return Err(of_another()),
        };
        let is_of_a_copy =
            entry.home == self.home && entry.turn == self.turn && entry.mark != self.mark;
        if entry.turn > known || is_of_a_copy {
            return Err(NotOurs::IsAhead);
        }
        match self.arrived {
            Some(arrived) if entry.turn < arrived => Err(NotOurs::PutBack),
            _ => Ok(()),
        }
    }

    /// The same for one that reads: who only reads is in nobody's way.
    pub(super) fn judge_reading(
        &self,
        spreadsheet_id: &str,
        standing: Option<&str>,
    ) -> Result<(), NotOurs> {
        match self.judge(spreadsheet_id, standing) {
            Err(NotOurs::Taken(_)) if self.only_reads => Ok(()),
            judged => judged,
        }
    }

    /// None of our turns stands there.
    fn missed(&self) -> Result<(), NotOurs> {
        match self.arrived {
            Some(_) => Err(NotOurs::PutBack),
            None => Ok(()),
        }
    }

    /// Whether it is this very writer whose turn stands there: the same mapping, of the same
    /// database and time line.
    pub(super) fn wrote(&self, spreadsheet_id: &str, standing: Option<&str>) -> bool {
        let own = self.entry(spreadsheet_id);
        let entry = standing.and_then(Entry::parse);
        entry.is_some_and(|entry| {
            Entry {
                turn: own.turn,
                mark: own.mark,
                ..entry
            } == own
        })
    }
}

impl NotOurs {
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Taken(_) => Reason::TabTaken,
            Self::IsAhead => Reason::SheetIsAhead,
            Self::PutBack => Reason::SheetPutBack,
        }
    }

    pub(crate) fn message(&self) -> String {
        match self {
            Self::Taken(other) => format!("another database writes to this tab ({other})"),
            Self::IsAhead => "the sheet knows later writes of this database than the database itself: it was restored from a backup, or another copy of it writes to the sheet".to_owned(),
            Self::PutBack => "the spreadsheet knows fewer writes of this database than it has had: it was put back to an older version".to_owned(),
        }
    }

    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Taken(_) => {
                "If this database is to write to it from now on, call sheet_sync.take_over() with the table and the winner ('database', 'sheet' or 'merge'); the other one stops at its next turn. Otherwise end the mapping with sheet_sync.unregister_table()."
            }
            Self::IsAhead => {
                "If this database is the one that goes on, say whose rows count: sheet_sync.take_over() with the table and the winner ('database': the sheet becomes as the table is; 'sheet': the table becomes as the sheet is; 'merge': as register_table() merges). If it is a copy, end the mapping with sheet_sync.unregister_table()."
            }
            Self::PutBack => {
                "Say whose rows count: sheet_sync.take_over() with the table and the winner ('database': the sheet becomes as the table is; 'sheet': the table becomes as the sheet is; 'merge': as register_table() merges). Or bring the newer version back in Google Sheets (File > Version history)."
            }
        }
    }
}

/// FNV-1a: the same in every version and on every machine.
fn book(spreadsheet_id: &str) -> u32 {
    let fold = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    spreadsheet_id.bytes().fold(0x811c_9dc5, fold)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOK: &str = "1AbC";
    const HERE: Home = Home {
        cluster: 7_312_345_678_901_234_567,
        database: 16_384,
    };
    const ELSEWHERE: Home = Home {
        database: 16_999,
        ..HERE
    };

    /// In its tenth turn, which has arrived.
    fn writer() -> Writer {
        Writer {
            home: HERE,
            moved_from: None,
            made_at: 1_700_000_000_000,
            time_line: 2,
            turn: 10,
            mark: 0xfeed,
            forked_at: 7,
            arrived: Some(10),
            takes_over: false,
            only_reads: false,
        }
    }

    fn judged(writer: &Writer, change: impl FnOnce(&mut Entry)) -> Result<(), NotOurs> {
        let mut entry = super::Writer {
            turn: 10,
            ..self::writer()
        }
        .entry(BOOK);
        change(&mut entry);
        writer.judge(BOOK, Some(&entry.text()))
    }

    fn taken() -> Result<(), NotOurs> {
        Err(NotOurs::Taken(format!("database {ELSEWHERE}")))
    }

    #[test]
    fn what_it_wrote_last_stands_there() {
        assert_eq!(judged(&writer(), |_| ()), Ok(()));
        let begun = Writer {
            turn: 11,
            mark: 0xbee,
            ..writer()
        };
        let of_a_copy = judged(&begun, |entry| entry.turn = 11);
        assert_eq!(
            of_a_copy,
            Err(NotOurs::IsAhead),
            "a turn of the same number"
        );
        assert_eq!(judged(&begun, |_| ()), Ok(()), "the answer is still owed");
        assert_eq!(
            judged(&begun, |entry| {
                entry.turn = 11;
                entry.mark = 0xbee;
            }),
            Ok(()),
            "it was lost"
        );
    }

    #[test]
    fn a_later_turn_than_it_knows_of_stops_it() {
        assert_eq!(
            judged(&writer(), |entry| entry.turn = 11),
            Err(NotOurs::IsAhead)
        );
        let fresh = Writer {
            turn: 0,
            arrived: None,
            ..writer()
        };
        assert_eq!(judged(&fresh, |_| ()), Err(NotOurs::IsAhead));
        assert_eq!(
            judged(&writer(), |entry| entry.made_at += 1),
            Err(NotOurs::IsAhead),
            "a later mapping of this database"
        );
    }

    #[test]
    fn an_earlier_turn_than_has_arrived_stops_it() {
        assert_eq!(
            judged(&writer(), |entry| entry.turn = 9),
            Err(NotOurs::PutBack)
        );
        assert_eq!(writer().judge(BOOK, None), Err(NotOurs::PutBack));
        assert_eq!(
            judged(&writer(), |entry| entry.made_at -= 1),
            Err(NotOurs::PutBack)
        );
    }

    #[test]
    fn a_new_mapping_takes_what_nobody_has_or_its_own_database_had() {
        let new = Writer {
            turn: 0,
            arrived: None,
            ..writer()
        };
        assert_eq!(new.judge(BOOK, None), Ok(()));
        assert_eq!(judged(&new, |entry| entry.made_at -= 1), Ok(()));
        assert_eq!(
            judged(&new, |entry| {
                entry.home = ELSEWHERE;
                entry.book = book("another spreadsheet, of which this is a copy");
            }),
            Ok(())
        );
        assert_eq!(judged(&new, |entry| entry.home = ELSEWHERE), taken());
        let unknown = NotOurs::Taken("an unknown one".to_owned());
        assert_eq!(new.judge(BOOK, Some("of a later version")), Err(unknown));
    }

    #[test]
    fn a_promoted_standby_goes_on_where_it_has_all_and_the_old_primary_does_not() {
        let standby = Writer {
            turn: 7,
            arrived: Some(7),
            ..writer()
        };
        let of_primary = |turn| {
            move |entry: &mut Entry| {
                entry.time_line = 1;
                entry.turn = turn;
            }
        };
        assert_eq!(judged(&standby, of_primary(7)), Ok(()));
        assert_eq!(judged(&standby, of_primary(8)), Err(NotOurs::IsAhead));
        let further_on = Writer {
            turn: 9,
            arrived: Some(7),
            ..writer()
        };
        assert_eq!(
            judged(&further_on, of_primary(8)),
            Err(NotOurs::IsAhead),
            "the primary took a turn of its own after the standby was promoted"
        );
        let old = Writer {
            time_line: 1,
            turn: 20,
            arrived: Some(8),
            ..writer()
        };
        assert_eq!(judged(&old, |_| ()), Err(NotOurs::IsAhead));
    }

    #[test]
    fn a_database_that_was_moved_goes_on_where_it_has_all() {
        let moved = Writer {
            home: ELSEWHERE,
            moved_from: Some(HERE),
            time_line: 1,
            turn: 11,
            forked_at: 10,
            arrived: None,
            ..writer()
        };
        assert_eq!(judged(&moved, |_| ()), Ok(()));
        assert_eq!(
            judged(&moved, |entry| entry.turn = 11),
            Err(NotOurs::IsAhead)
        );
        let not_said = Writer {
            moved_from: None,
            ..moved
        };
        assert!(matches!(judged(&not_said, |_| ()), Err(NotOurs::Taken(_))));
    }

    #[test]
    fn whoever_takes_over_asks_nobody() {
        let takes = Writer {
            takes_over: true,
            ..writer()
        };
        assert_eq!(judged(&takes, |entry| entry.home = ELSEWHERE), Ok(()));
        assert_eq!(judged(&takes, |entry| entry.turn = 99), Ok(()));
        assert_eq!(takes.judge(BOOK, None), Ok(()));
    }

    #[test]
    fn an_entry_reads_as_it_was_written() {
        let entry = writer().entry(BOOK);
        assert_eq!(Entry::parse(&entry.text()), Some(entry));
        assert!(entry.text().len() < 60, "{}", entry.text());
        assert_eq!(HERE.to_string().parse(), Ok(HERE));
    }
}
