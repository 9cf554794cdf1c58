//! Decisions of a broker with a password file, an access control list, or certificates.

use std::fmt;
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

/// A file that cannot be used.
#[derive(Debug)]
pub(crate) struct AccessFileError {
    /// The file.
    pub file: PathBuf,
    /// Why, with the line where one is to blame.
    pub causes: Vec<String>,
}

/// One line per cause.
impl fmt::Display for AccessFileError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, cause) in self.causes.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(formatter, "{separator}{}{cause}", self.file.display())?;
        }
        Ok(())
    }
}

impl std::error::Error for AccessFileError {}

impl FileAccess {
    /// Reads the files.
    ///
    /// # Errors
    /// The first file that cannot be read or has faults, with all of them.
    pub(crate) fn load(files: &AccessFiles) -> Result<Self, AccessFileError> {
        let passwords = files.password_file.as_deref().map(|path| read(path, PasswordFile::parse)).transpose()?;
        let topics = files.acl_file.as_deref().map(|path| read(path, AccessControlList::parse)).transpose()?;
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

fn read<T>(path: &Path, parse: impl Fn(&str) -> Result<T, Vec<AccessFault>>) -> Result<T, AccessFileError> {
    let text = std::fs::read(path).and_then(|bytes| {
        String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not valid UTF-8"))
    });
    let text = text.map_err(|error| AccessFileError { file: path.to_owned(), causes: vec![format!(": {error}")] })?;
    parse(&text).map_err(|faults| AccessFileError {
        file: path.to_owned(),
        causes: faults.into_iter().map(|AccessFault { line, message }| format!(":{line}: {message}")).collect(),
    })
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
        let load = || FileAccess::load(&AccessFiles { password_file: Some(file.clone()), ..AccessFiles::default() });
        let name = file.display().to_string();
        assert!(load().err().unwrap().to_string().starts_with(&format!("{name}: ")));
        std::fs::write(&file, "a:b\n\nc\n").unwrap();
        let error = load().err().unwrap().to_string();
        let lines: Vec<&str> = error.lines().collect();
        assert!(
            lines[0].starts_with(&format!("{name}:1: ")) && lines[1].starts_with(&format!("{name}:3: ")),
            "{error}"
        );
    }
}
