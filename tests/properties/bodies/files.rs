//! What the fuzz targets of files do with their bytes: PEM with certificates and keys, and the broker's files of users
//! and of what they may do. `tests/properties/files.rs` runs the same bodies on a stable compiler.

use std::path::{Path, PathBuf};

use mqtools::broker::access::{AccessControlList, PasswordFile, TopicAccess};
use mqtools::mqtt::Secret;
use mqtools::transport::{ClientCertificate, TlsClient, TlsPlan, TlsSetupError, TrustRoots};

const CERTIFICATE: &str = include_str!("../../../src/transport/tls/testdata/v1-ca.pem");
const KEYS: [&str; 5] = [
    include_str!("../../../src/transport/tls/testdata/ec-pkcs8.pem"),
    include_str!("../../../src/transport/tls/testdata/ec-sec1.pem"),
    include_str!("../../../src/transport/tls/testdata/rsa-pkcs1.pem"),
    include_str!("../../../src/transport/tls/testdata/rsa-pkcs8.pem"),
    include_str!("../../../src/transport/tls/testdata/ec-encrypted.pem"),
];

/// A folder of this thread.
fn folder() -> PathBuf {
    let thread = format!("{:?}", std::thread::current().id()).replace(|c: char| !c.is_ascii_alphanumeric(), "");
    let path = std::env::temp_dir().join(format!("mqtools-fuzz-{}-{thread}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{error}"));
    path
}

/// A PEM file with bytes put in. The first byte says which file it is to be, the second where they are put in and how
/// many are taken out. An error names the file, fits on a terminal line and repeats nothing of a key; a file in which
/// text was put before the first block is read as without it.
pub fn pem(data: &[u8]) {
    let [choice, place, data @ ..] = data else { return };
    let key = usize::from(choice % 8).checked_sub(3).and_then(|key| KEYS.get(key));
    let original = key.copied().unwrap_or(CERTIFICATE).as_bytes();
    let at = usize::from(*place) * original.len() / 256;
    let taken = usize::from(choice >> 5).min(original.len() - at);
    let edited = [&original[..at], data, &original[at + taken..]].concat();
    let folder = folder();
    let outcome = load(&folder, &edited, key.is_some(), None);
    if let Err(error) = &outcome {
        check(error, &folder);
    }
    let is_comment = data.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'\n') && data.ends_with(b"\n");
    if at == 0 && taken == 0 && is_comment {
        assert_eq!(outcome, load(&folder, original, key.is_some(), None), "{data:?}");
    }
    if choice % 8 == 7 && data.is_empty() && taken == 0 {
        let with = |password: &str| load(&folder, original, true, Some(password)).map_err(|error| error.cause);
        assert_ne!(with("wrong"), with("secret"), "a wrong password is as good as the right one");
    }
    let _ = std::fs::remove_dir_all(&folder);
}

/// Sets TLS up with this file as the authorities, or as the key of a client certificate.
fn load(folder: &Path, content: &[u8], is_key: bool, password: Option<&str>) -> Result<(), TlsSetupError> {
    let (file, certificate) = (folder.join("edited.pem"), folder.join("certificate.pem"));
    for (path, content) in [(&file, content), (&certificate, CERTIFICATE.as_bytes())] {
        std::fs::write(path, content).unwrap_or_else(|error| panic!("{error}"));
    }
    let authorities = if is_key { certificate.clone() } else { file.clone() };
    let client_certificate =
        ClientCertificate { certificate, key: file, key_password: Some(Secret::new(password.unwrap_or("no"))) };
    let plan = TlsPlan {
        roots: TrustRoots { file: Some(authorities), ..TrustRoots::default() },
        client_certificate: is_key.then_some(client_certificate),
        ..TlsPlan::default()
    };
    TlsClient::new(&plan).map(drop)
}

fn check(error: &TlsSetupError, folder: &Path) {
    let TlsSetupError { path, cause, hint } = error;
    assert!(path.as_ref().is_some_and(|path| path.starts_with(folder)), "{error:?}");
    let text = format!("{cause} {}", hint.as_deref().unwrap_or_default());
    assert!(!cause.is_empty() && text.len() < 1000 && !text.chars().any(char::is_control), "{text:?}");
    let secret = |line: &str| line.len() > 20 && !line.contains("-----") && text.contains(line);
    assert!(!KEYS.iter().flat_map(|key| key.lines()).any(secret), "{text:?}");
}

/// A broker's access list: each fault has a line of the file; what it allows it allows again after a comment was put
/// between its lines, and nobody is allowed anything by an empty one.
pub fn access_list(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lines = text.split('\n').count();
    match AccessControlList::parse(text) {
        Ok(list) => {
            let commented = AccessControlList::parse(&format!("# first\n{}", text.replace('\n', "\n# more\n")));
            let commented = commented.unwrap_or_else(|faults| panic!("{faults:?} in a comment"));
            for access in [TopicAccess::Read, TopicAccess::Write] {
                for topic in ["a", "a/b", "$SYS/x", "me/1"] {
                    for user in [None, Some("me")] {
                        let allows = |list: &AccessControlList| list.allows(access, user, "id", topic);
                        assert_eq!(allows(&list), allows(&commented), "{text:?}");
                        assert!(!allows(&list) || text.contains(topic_word(text)), "{text:?}");
                    }
                }
            }
        }
        Err(faults) => {
            assert!(!faults.is_empty() && faults.iter().all(|fault| (1..=lines).contains(&fault.line)), "{faults:?}");
        }
    }
}

/// Something is allowed by a line of `topic` or `pattern` only.
fn topic_word(text: &str) -> &'static str {
    if text.contains("pattern") { "pattern" } else { "topic" }
}

/// A broker's password file: each fault has a line of the file, and its users are those of a slow reader.
pub fn password_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lines = text.split('\n').count();
    match PasswordFile::parse(text) {
        Ok(file) => {
            let lines = text.split('\n').map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            for line in lines {
                let user = line.split_once(':').map(|(user, _)| user);
                assert!(user.is_some_and(|user| file.has_user(user)), "{line:?} of {text:?}");
            }
            assert!(!file.has_user("# comment") && !file.has_user(""), "{text:?}");
        }
        Err(faults) => {
            assert!(!faults.is_empty() && faults.iter().all(|fault| (1..=lines).contains(&fault.line)), "{faults:?}");
        }
    }
}
