//! What is written can be read, at every moment, and what is wrong with a file is named.

use std::fs;
use std::io::{Cursor, Read as _};
use std::path::Path;
use std::process::Command;

use super::*;

const NAMES: [&str; 3] = ["a.ndjson", "a.ndjson.gz", "a.ndjson.zst"];

fn line(number: usize) -> String {
    format!("{{\"topic\":\"sensor/{number}\",\"payload\":\"{}\"}}\n", "x".repeat(number % 50))
}

/// The lines, and what ended them.
fn read(path: &Path) -> (Vec<String>, Option<ReadError>) {
    lines_of(Reader::open(path).unwrap())
}

fn lines_of(mut reader: Reader) -> (Vec<String>, Option<ReadError>) {
    let mut lines = Vec::new();
    loop {
        match reader.next_line() {
            Ok(Some(line)) => lines.push(String::from_utf8(line.to_owned()).unwrap() + "\n"),
            Ok(None) => return (lines, None),
            Err(error) => return (lines, Some(error)),
        }
    }
}

fn lines(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(line).collect()
}

#[test]
fn a_file_is_complete_after_every_flush() {
    let folder = tempfile::tempdir().unwrap();
    for name in NAMES {
        let path = folder.path().join(name);
        let mut writer = Writer::open(&path, Existing::Refuse).unwrap();
        for number in 0..300 {
            writer.write(line(number).as_bytes()).unwrap();
            if number % 7 == 0 {
                writer.flush().unwrap();
                // As after kill -9: the writer has no chance to end anything.
                let (read, error) = read(&path);
                assert!(error.is_none(), "{name}: {error:?}");
                assert_eq!(read, lines(0..number + 1), "{name}");
            }
        }
        writer.flush().unwrap();
        drop(writer);
        assert_eq!(read(&path).0, lines(0..300));
        let program = match name {
            "a.ndjson.gz" => "gzip",
            "a.ndjson.zst" => "zstd",
            _ => continue,
        };
        if let Ok(output) = Command::new(program).arg("-dc").arg(&path).output() {
            assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(String::from_utf8(output.stdout).unwrap(), lines(0..300).concat());
        }
    }
}

#[test]
fn compressed_files_are_smaller() {
    let folder = tempfile::tempdir().unwrap();
    let sizes = NAMES.map(|name| {
        let path = folder.path().join(name);
        let mut writer = Writer::open(&path, Existing::Refuse).unwrap();
        lines(0..2000).iter().for_each(|line| writer.write(line.as_bytes()).unwrap());
        writer.flush().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), writer.size());
        writer.size()
    });
    assert!(sizes[1] * 5 < sizes[0] && sizes[2] * 5 < sizes[0], "{sizes:?}");
}

#[test]
fn what_exists_is_refused_continued_or_replaced() {
    let folder = tempfile::tempdir().unwrap();
    for name in NAMES {
        let path = folder.path().join(name);
        let write = |existing, range| {
            let mut writer = Writer::open(&path, existing)?;
            lines(range).iter().for_each(|line| writer.write(line.as_bytes()).unwrap());
            writer.flush().unwrap();
            Ok::<(), OpenError>(())
        };
        write(Existing::Append, 0..3).unwrap();
        let refused = write(Existing::Refuse, 0..9).unwrap_err();
        assert!(matches!(refused, OpenError::Exists { .. }) && refused.hint().unwrap().contains("--append"));
        write(Existing::Append, 3..5).unwrap();
        assert_eq!(read(&path).0, lines(0..5), "{name}");
        write(Existing::Replace, 7..8).unwrap();
        assert_eq!(read(&path).0, lines(7..8), "{name}");
        let _first = Writer::open(&path, Existing::Append).unwrap();
        assert!(matches!(Writer::open(&path, Existing::Append), Err(OpenError::Locked { .. })));
        assert!(matches!(Writer::open(&path, Existing::Replace), Err(OpenError::Locked { .. })));
        assert_eq!(read(&path).0, lines(7..8), "a file in use is left alone");
    }
    assert!(matches!(Writer::open(Path::new("/dev/null"), Existing::Replace), Err(OpenError::NotRegular { .. })));
}

#[test]
fn nothing_is_appended_behind_what_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        (Writer::open(&path, Existing::Append), path)
    };
    assert!(matches!(open("cut", b"{}\n{\"to").0, Err(OpenError::Unreadable(ReadError::CutOff { lines: 1, .. }))));
    assert!(matches!(open("plain.zst", b"{}\n").0, Err(OpenError::OtherCompression { .. })));
    let (writer, path) = open("hand-made", b"{}\n{\"topic\":\"a\"}");
    let mut writer = writer.unwrap();
    writer.write(b"{}\n").unwrap();
    writer.flush().unwrap();
    assert_eq!(fs::read_to_string(path).unwrap(), "{}\n{\"topic\":\"a\"}\n{}\n");
}

#[test]
fn everything_before_a_cut_is_delivered() {
    let folder = tempfile::tempdir().unwrap();
    for name in NAMES {
        let path = folder.path().join(name);
        let mut writer = Writer::open(&path, Existing::Refuse).unwrap();
        for number in 0..40 {
            writer.write(line(number).as_bytes()).unwrap();
            writer.flush().unwrap();
        }
        let content = fs::read(&path).unwrap();
        for length in 1..content.len() {
            let result = Reader::new("it", Cursor::new(content[..length].to_vec()));
            let (read, error) = lines_of(result.unwrap());
            assert_eq!(read, lines(0..read.len()), "{name}, {length} bytes");
            let complete = name == "a.ndjson" && content[length - 1] == b'\n';
            let whole = name == "a.ndjson" && content[length - 1] == b'}';
            assert_eq!(error.is_none(), complete || whole, "{name}, {length} bytes: {error:?}");
            if let Some(error) = error {
                assert!(matches!(error, ReadError::CutOff { lines, .. } if lines == read.len() as u64), "{error:?}");
            }
        }
        // Nearly everything is there when only the end is missing.
        let (read, _) = lines_of(Reader::new("it", Cursor::new(content[..content.len() - 1].to_vec())).unwrap());
        assert!(read.len() >= 39, "{name}: {}", read.len());
    }
}

#[test]
fn damage_is_named_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gz");
    let mut writer = Writer::open(&path, Existing::Refuse).unwrap();
    lines(0..10).iter().for_each(|line| writer.write(line.as_bytes()).unwrap());
    writer.flush().unwrap();
    let mut content = fs::read(&path).unwrap();
    let at = content.len() - 6;
    content[at] ^= 1;
    fs::write(&path, &content).unwrap();
    let error = read(&path).1.unwrap();
    assert!(matches!(error, ReadError::Damaged { line: 10, .. }), "{error:?}");
    let missing = Reader::open(&folder.path().join("none")).unwrap_err().to_string();
    assert!(missing.starts_with("cannot open ") && missing.contains("none"), "{missing}");
    assert!(Reader::open(folder.path()).is_err(), "a folder");
}

#[test]
fn a_line_that_is_too_long_is_passed_over() {
    let text = format!("{{}}\n{}\n{{\"a\":1}}\n{}", "x".repeat(100_000), "y".repeat(100));
    let mut reader = Reader::new("it", Cursor::new(text.into_bytes())).unwrap().with_limit(50);
    assert_eq!(reader.next_line().unwrap(), Some(&b"{}"[..]));
    assert!(matches!(reader.next_line(), Err(ReadError::TooLong { line: 2, .. })));
    assert_eq!(reader.next_line().unwrap(), Some(&b"{\"a\":1}"[..]));
    assert_eq!(reader.line_number(), 3);
    assert!(matches!(reader.next_line(), Err(ReadError::TooLong { line: 4, .. })));
    assert_eq!(reader.next_line().unwrap(), None);
}

/// A small file that holds gigabytes must not take gigabytes of memory.
#[test]
fn a_bomb_does_not_go_off() {
    let mut encoder = zstd::stream::read::Encoder::new(std::io::repeat(b'x').take(300 << 20), 1).unwrap();
    let mut bomb = Vec::new();
    encoder.read_to_end(&mut bomb).unwrap();
    assert!(bomb.len() < 1 << 20);
    let mut reader = Reader::new("bomb", Cursor::new(bomb)).unwrap().with_limit(1 << 20);
    assert!(matches!(reader.next_line(), Err(ReadError::TooLong { line: 1, .. })));
    assert!(reader.line.capacity() <= 4 << 20);
    assert_eq!(reader.next_line().unwrap(), None);
}
