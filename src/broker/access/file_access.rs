//! Decisions of a broker with a password file, an access control list, or certificates.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{AccessControlList, AccessFault, PasswordFile, TopicAccess};
use crate::broker::core::{Access, Action, Decision, Identity, Peer};
use crate::mqtt::ReasonCode;
use crate::mqtt::wire::Connect;

/// What may be asked about each CONNECT and each message.
pub(crate) struct FileAccess {
    /// Whether a client needs no user name, by the number of its listener.
    anonymous: Vec<bool>,
    passwords: Option<PasswordFile>,
    topics: Option<AccessControlList>,
}

/// Which files decide.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AccessFiles {
    /// Whether a client needs no user name, by the number of its listener.
    pub anonymous: Vec<bool>,
    /// User names and password hashes.
    pub password_file: Option<PathBuf>,
    /// Which topics each user may read and write.
    pub acl_file: Option<PathBuf>,
}

impl FileAccess {
    /// Reads the files.
    ///
    /// # Errors
    /// All faults of both files: file, line where one is to blame, and cause.
    pub(crate) fn load(files: &AccessFiles) -> Result<Self, Vec<String>> {
        let mut faults = Vec::new();
        let passwords = read("password_file", files.password_file.as_deref(), PasswordFile::parse, &mut faults);
        let topics = read("acl_file", files.acl_file.as_deref(), AccessControlList::parse, &mut faults);
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self { anonymous: files.anonymous.clone(), passwords, topics })
    }

    fn allows_anonymous(&self, peer: &Peer) -> bool {
        self.anonymous.get(peer.listener as usize).copied().unwrap_or(false)
    }

    /// Whether a client that is connected may stay, now that the files were read again.
    pub(crate) fn may_stay(&self, who: &Identity, peer: &Peer) -> bool {
        match (&who.user_name, &self.passwords) {
            (None, _) => self.allows_anonymous(peer),
            (Some(user), _) if peer.certificate_user.as_deref() == Some(user) => true,
            (Some(user), Some(passwords)) => passwords.has_user(user),
            (Some(_), None) => self.allows_anonymous(peer),
        }
    }
}

/// Reads the file that `directive` names, if it does.
fn read<T>(
    directive: &str,
    path: Option<&Path>,
    parse: impl Fn(&str) -> Result<T, Vec<AccessFault>>,
    faults: &mut Vec<String>,
) -> Option<T> {
    let path = path?;
    let file = path.display();
    let text = std::fs::read(path).and_then(|bytes| {
        String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not valid UTF-8"))
    });
    match text {
        Err(error) => faults.push(format!("cannot read the {directive} {file}: {error}")),
        Ok(text) => match parse(&text) {
            Ok(parsed) => return Some(parsed),
            Err(found) => faults.extend(found.iter().map(|fault| format!("{file}:{}: {}", fault.line, fault.message))),
        },
    }
    None
}

impl Access for FileAccess {
    fn connect(&mut self, connect: &Connect, _: &Arc<str>, peer: &Peer) -> Decision {
        // Only a client with a certificate has a user name here; its password does not count then.
        if let Some(user) = &peer.certificate_user {
            return Decision::Accept { user_name: Some((&**user).into()) };
        }
        let user_name: Option<Arc<str>> = connect.user_name.as_deref().map(Into::into);
        let decide = move |accepted| match accepted {
            true => Decision::Accept { user_name },
            false => Decision::Refuse(ReasonCode::NOT_AUTHORIZED),
        };
        let (Some(user), Some(passwords)) = (&connect.user_name, &self.passwords) else {
            return decide(self.allows_anonymous(peer));
        };
        let (Some(hash), Some(password)) = (passwords.hash(user), connect.password.clone()) else {
            return decide(false);
        };
        if hash.is_quick() {
            return decide(hash.matches(password.expose()));
        }
        let hash = Arc::clone(hash);
        Decision::Check(Box::new(move || decide(hash.matches(password.expose()))))
    }

    fn allows(&mut self, who: &Identity, action: Action, topic: &str) -> bool {
        let Some(topics) = &self.topics else { return true };
        let access = match action {
            // As with mosquitto every subscription is granted, and each message is looked at before it is delivered.
            Action::Subscribe => return true,
            Action::Publish => TopicAccess::Write,
            Action::Read => TopicAccess::Read,
        };
        topics.allows(access, who.user_name.as_deref(), &who.client_id, topic)
    }

    fn checks_reads(&self) -> bool {
        self.topics.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::access::set_password;
    use crate::mqtt::{Properties, ProtocolVersion, Secret};

    fn peer(listener: u32, certificate_user: Option<&str>) -> Peer {
        let certificate_user = certificate_user.map(Into::into);
        Peer { address: "127.0.0.1".into(), port: 1, listener, certificate_user }
    }

    fn connect(user: Option<&str>, password: Option<&str>) -> Connect {
        Connect {
            version: ProtocolVersion::V5,
            client_id: "c".into(),
            clean_start: true,
            keep_alive: 0,
            user_name: user.map(str::to_owned),
            password: password.map(Secret::new),
            will: None,
            properties: Properties::new(),
        }
    }

    fn accepts(access: &mut FileAccess, connect: &Connect, peer: &Peer) -> bool {
        let decision = match access.connect(connect, &"c".into(), peer) {
            Decision::Check(check) => check(),
            other => other,
        };
        matches!(decision, Decision::Accept { .. })
    }

    #[test]
    fn passwords_certificates_and_listeners_decide() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("passwords");
        std::fs::write(&file, set_password("", "ann", &Secret::new("secret")).unwrap()).unwrap();
        let files = AccessFiles { anonymous: vec![false, true], password_file: Some(file), acl_file: None };
        let mut access = FileAccess::load(&files).unwrap();
        for (user, password, listener, certificate, accepted) in [
            (Some("ann"), Some("secret"), 0, None, true),
            (Some("ann"), Some("wrong"), 1, None, false),
            (Some("ann"), None, 1, None, false),
            (Some("eve"), Some("secret"), 1, None, false),
            (None, None, 0, None, false),
            (None, None, 1, None, true),
            (None, None, 9, None, false),
            (None, None, 0, Some("device"), true),
            (Some("ann"), Some("wrong"), 0, Some("device"), true),
        ] {
            let connect = connect(user, password);
            assert_eq!(accepts(&mut access, &connect, &peer(listener, certificate)), accepted, "{user:?} {listener}");
        }
        let mut open = FileAccess::load(&AccessFiles { anonymous: vec![true], ..AccessFiles::default() }).unwrap();
        assert!(accepts(&mut open, &connect(Some("anybody"), None), &peer(0, None)));
        let who = |user: Option<&str>| Identity { client_id: "c".into(), user_name: user.map(Into::into) };
        assert!(access.may_stay(&who(Some("ann")), &peer(0, None)));
        assert!(!access.may_stay(&who(Some("eve")), &peer(1, None)) && !access.may_stay(&who(None), &peer(0, None)));
    }

    #[test]
    fn an_access_list_decides_about_topics() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("acl");
        std::fs::write(&file, "topic read open/#\n").unwrap();
        let files = AccessFiles { anonymous: vec![true], password_file: None, acl_file: Some(file) };
        let mut access = FileAccess::load(&files).unwrap();
        let who = Identity { client_id: "c".into(), user_name: None };
        assert!(access.checks_reads() && access.allows(&who, Action::Subscribe, "#"));
        assert!(access.allows(&who, Action::Read, "open/a") && !access.allows(&who, Action::Publish, "open/a"));
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named_with_its_lines() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("passwords");
        let acl = folder.path().join("acl");
        let load = || {
            let (password_file, acl_file) = (Some(file.clone()), Some(acl.clone()));
            FileAccess::load(&AccessFiles { password_file, acl_file, ..AccessFiles::default() }).err().unwrap()
        };
        let (passwords, topics) = (file.display().to_string(), acl.display().to_string());
        let faults = load();
        assert!(faults[0].starts_with(&format!("cannot read the password_file {passwords}: ")), "{faults:?}");
        assert!(faults[1].starts_with(&format!("cannot read the acl_file {topics}: ")), "{faults:?}");
        std::fs::write(&file, "a:b\n\nc\n").unwrap();
        let faults = load();
        assert_eq!(faults.len(), 3);
        assert!(faults[0].starts_with(&format!("{passwords}:1: ")), "{faults:?}");
        assert!(faults[1].starts_with(&format!("{passwords}:3: ")), "{faults:?}");
    }
}
