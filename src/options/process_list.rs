//! Hides secrets of the command line from the process list.

use crate::mqtt::Secret;

/// Overwrites these secrets in this process's argument area with asterisks: `ps` and `/proc/PID/cmdline` show it to
/// every user. What cannot be done is left: the password was visible until now in any case.
#[cfg(target_os = "linux")]
pub(super) fn hide_arguments(secrets: &[&Secret]) {
    let _ = overwrite(secrets);
}

/// Only Linux lets a process without `unsafe` write there.
#[cfg(not(target_os = "linux"))]
pub(super) fn hide_arguments(_secrets: &[&Secret]) {}

#[cfg(target_os = "linux")]
fn overwrite(secrets: &[&Secret]) -> Option<()> {
    use std::os::unix::fs::FileExt;
    /// More than the kernel lets a command line be by default.
    const LONGEST: u64 = 8 << 20;
    // The process's name, in parentheses, may hold anything; the fields behind it are numbered from 3 (proc(5)).
    let status = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = status.rsplit_once(')')?.1.split_ascii_whitespace().skip(48 - 3);
    let start: u64 = fields.next()?.parse().ok()?;
    let end: u64 = fields.next()?.parse().ok()?;
    let length = end.checked_sub(start).filter(|length| *length <= LONGEST)?;
    let memory = std::fs::File::options().read(true).write(true).open("/proc/self/mem").ok()?;
    let mut area = vec![0; usize::try_from(length).ok()?];
    memory.read_exact_at(&mut area, start).ok()?;
    for (place, length) in places(&area, secrets) {
        memory.write_all_at(&b"*".repeat(length), start + place as u64).ok()?;
    }
    Some(())
}

/// Where the secrets are in an argument area, and how long they are: each as an argument behind an option, or at the
/// end of the argument that begins with its option.
#[cfg(any(target_os = "linux", test))]
fn places(area: &[u8], secrets: &[&Secret]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let (mut place, mut is_behind_option) = (0, false);
    for argument in area.split(|byte| *byte == 0) {
        let is_option = argument.starts_with(b"-");
        for secret in secrets.iter().map(|secret| secret.expose()).filter(|secret| !secret.is_empty()) {
            let Some(head) = argument.strip_suffix(secret) else { continue };
            if head.is_empty() && is_behind_option || is_option && !head.is_empty() {
                found.push((place + head.len(), secret.len()));
            }
        }
        place += argument.len() + 1;
        is_behind_option = is_option;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_behind_and_in_options() {
        let area = b"mqpub\0-P\0hunter2\0-t\0hunter2/x\0--pw=hunter2\0-dPhunter2\0-m\0hunter2\0hunter2\0";
        let secret = Secret::new("hunter2");
        let places = places(area, &[&secret, &Secret::new("")]);
        // -m's value too: it is the same text, and nobody else has to see it.
        assert_eq!(places.len(), 4);
        for (place, length) in places {
            assert_eq!(&area[place..place + length], b"hunter2");
        }
    }
}
