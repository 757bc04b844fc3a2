//! A connection to Postgres, for tests: statements must succeed unless one says otherwise, and
//! values come as text.

use postgres::SimpleQueryMessage;
use postgres::error::DbError;
use std::fmt;

pub struct Db(postgres::Client);

pub type Row = Vec<Option<String>>;

/// What Postgres said when it refused.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    pub sqlstate: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.sqlstate, self.message)?;
        if let Some(detail) = &self.detail {
            write!(f, "\nDETAIL: {detail}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nHINT: {hint}")?;
        }
        Ok(())
    }
}

impl From<&DbError> for Refusal {
    fn from(error: &DbError) -> Refusal {
        Refusal {
            sqlstate: error.code().code().to_owned(),
            message: error.message().to_owned(),
            detail: error.detail().map(str::to_owned),
            hint: error.hint().map(str::to_owned),
        }
    }
}

impl Db {
    pub fn new(client: postgres::Client) -> Db {
        Db(client)
    }

    fn query(&mut self, sql: &str) -> Result<Vec<Row>, postgres::Error> {
        let mut rows = Vec::new();
        for message in self.0.simple_query(sql)? {
            if let SimpleQueryMessage::Row(row) = message {
                rows.push(
                    (0..row.len())
                        .map(|column| row.get(column).map(str::to_owned))
                        .collect(),
                );
            }
        }
        Ok(rows)
    }

    /// Runs statements that must succeed.
    #[track_caller]
    pub fn run(&mut self, sql: &str) {
        self.rows(sql);
    }

    #[track_caller]
    pub fn rows(&mut self, sql: &str) -> Vec<Row> {
        match self.query(sql) {
            Ok(rows) => rows,
            Err(error) => match error.as_db_error() {
                Some(refused) => panic!("{sql}\n{}", Refusal::from(refused)),
                None => panic!("{sql}\n{error}"),
            },
        }
    }

    /// Rows as texts, NULL as "∅": what tests compare with.
    #[track_caller]
    pub fn table(&mut self, sql: &str) -> Vec<Vec<String>> {
        let text = |value: Option<String>| value.unwrap_or_else(|| "∅".to_owned());
        self.rows(sql)
            .into_iter()
            .map(|row| row.into_iter().map(text).collect())
            .collect()
    }

    /// The first column of the first row.
    #[track_caller]
    pub fn maybe(&mut self, sql: &str) -> Option<String> {
        self.rows(sql)
            .into_iter()
            .next()
            .and_then(|row| row.into_iter().next().flatten())
    }

    #[track_caller]
    pub fn one(&mut self, sql: &str) -> String {
        self.maybe(sql)
            .unwrap_or_else(|| panic!("no value from: {sql}"))
    }

    #[track_caller]
    pub fn count(&mut self, sql: &str) -> i64 {
        self.one(sql)
            .parse()
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Runs what must be refused.
    #[track_caller]
    pub fn refused(&mut self, sql: &str) -> Refusal {
        match self.query(sql) {
            Ok(rows) => panic!("should have been refused: {sql}\n{rows:?}"),
            Err(error) => error
                .as_db_error()
                .map(Refusal::from)
                .unwrap_or_else(|| panic!("{sql}\n{error}")),
        }
    }

    /// Runs what may be refused, or may lose its connection.
    pub fn attempt(&mut self, sql: &str) -> Result<Vec<Row>, String> {
        self.query(sql).map_err(|error| match error.as_db_error() {
            Some(refused) => Refusal::from(refused).to_string(),
            None => error.to_string(),
        })
    }

    /// Sends rows by COPY.
    #[track_caller]
    pub fn copy(&mut self, statement: &str, lines: &str) {
        use std::io::Write;
        let mut writer = self.0.copy_in(statement).expect("COPY starts");
        writer
            .write_all(lines.as_bytes())
            .expect("COPY takes lines");
        writer.finish().expect("COPY ends");
    }
}

/// A text as an SQL literal.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
