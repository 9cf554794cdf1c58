//! The rows of a CSV file, as values for placeholders.

use std::io::Read;

use thiserror::Error;

/// Largest file, bytes: it is held in memory.
const LIMIT: u64 = 256 << 20;

/// Why a file is not a table.
#[derive(Debug, Error)]
pub(crate) enum TableError {
    /// It cannot be read, or its rows have different numbers of columns.
    #[error(transparent)]
    Csv(#[from] csv::Error),
    /// It cannot be opened.
    #[error(transparent)]
    File(#[from] std::io::Error),
    /// It has no rows.
    #[error("it has no rows below its column names")]
    Empty,
    /// It is too large.
    #[error("it is larger than {} MiB", LIMIT >> 20)]
    TooLarge,
    /// Nobody knows which of the columns is meant.
    #[error("it has two columns named '{0}'")]
    Twice(String),
    /// A name of a column is not UTF-8.
    #[error("a column name is not UTF-8")]
    Names,
}

/// A table: names of columns, and rows of values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<Vec<u8>>>,
}

impl Table {
    /// Reads a table in CSV (RFC 4180); its first line holds the names of the columns.
    pub(crate) fn read(source: impl Read) -> Result<Self, TableError> {
        let mut source = source.take(LIMIT + 1);
        let mut reader = csv::Reader::from_reader(&mut source);
        let names = reader.byte_headers()?.iter().map(|name| String::from_utf8(name.to_vec()));
        let columns = names.collect::<Result<Vec<_>, _>>().map_err(|_| TableError::Names)?;
        let twice = columns.iter().enumerate().find(|(at, name)| columns[..*at].contains(name));
        if let Some((_, name)) = twice {
            return Err(TableError::Twice(name.clone()));
        }
        let mut rows = Vec::new();
        for record in reader.byte_records() {
            rows.push(record?.iter().map(<[u8]>::to_vec).collect());
        }
        drop(reader);
        match rows.len() {
            _ if source.limit() == 0 => Err(TableError::TooLarge),
            0 => Err(TableError::Empty),
            _ => Ok(Self { columns, rows }),
        }
    }

    /// The names of the columns.
    pub(crate) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The longest value of a column, bytes.
    pub(super) fn longest(&self, column: usize) -> usize {
        self.rows.iter().filter_map(|row| row.get(column)).map(Vec::len).max().unwrap_or_default()
    }

    /// How many rows there are.
    pub(crate) const fn len(&self) -> usize {
        self.rows.len()
    }

    /// The row of a message; after the last one the first follows.
    pub(crate) fn row(&self, sequence: u64) -> &[Vec<u8>] {
        let number = sequence.checked_rem(self.rows.len() as u64).unwrap_or(0) as usize;
        self.rows.get(number).map_or(&[], Vec::as_slice)
    }
}
