//! What the fuzz target `configuration` does with its bytes: they are read as a mosquitto.conf.

use mqtools::broker::configuration::{Configuration, ConfigurationFault};

fn faults(text: &str) -> Vec<ConfigurationFault> {
    Configuration::parse(text).err().unwrap_or_default()
}

/// Any text is read or refused, with a line and a sentence for each fault; what means nothing changes nothing.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let read = Configuration::parse(text);
    let lines = text.lines().count();
    if let Err(faults) = &read {
        assert!(!faults.is_empty(), "refused for nothing");
        for fault in faults {
            assert!(fault.line <= lines, "{fault} of {lines}");
            assert!(!fault.message.is_empty() && !fault.message.contains('\n'), "{:?}", fault.message);
        }
    }
    // Line ends of Windows, comments, empty lines and blanks around a line.
    assert_eq!(Configuration::parse(&text.replace('\n', "\r\n")), read);
    assert_eq!(Configuration::parse(&format!("{text}\n\n  # listener 1\n\t\n")), read);
    let indented: Vec<String> = text.lines().map(|line| format!(" \t{line} ")).collect();
    // A byte order mark counts in front of the file only.
    if !text.starts_with('\u{feff}') {
        assert_eq!(Configuration::parse(&indented.join("\n")), read);
    }
    // One more fault is one more in the list, whatever else is wrong.
    let wrong = format!("{text}\nno_such_directive 1\n");
    let found = faults(&wrong);
    assert_eq!(found.len(), faults(text).len() + 1);
    assert!(found.iter().any(|fault| fault.message.contains("no_such_directive")));
}
