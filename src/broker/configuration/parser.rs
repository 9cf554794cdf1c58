//! Lines to directives, over the file and those it includes, collecting every fault.

use std::io;
use std::path::{Path, PathBuf};

use super::directives::{self, Scope};
use super::{BindTo, Configuration, ConfigurationFault, ListenerConfiguration};
use crate::broker::ListenProtocol;

/// Finds the `.conf` files of a folder, with their texts.
pub(super) type FolderReader = dyn Fn(&Path) -> io::Result<Vec<(PathBuf, String)>>;

pub(super) struct Parser<'a> {
    folder_reader: &'a FolderReader,
    configuration: Configuration,
    /// Where `port` or `bind_address` makes the default listener one of the file's.
    default_listener_is_used: bool,
    /// A listener's directive above the first `listener`.
    before_listeners: Option<Position>,
    /// Where each listener of the configuration begins.
    listener_positions: Vec<Position>,
    is_included: bool,
    faults: Vec<ConfigurationFault>,
}

#[derive(Clone)]
struct Position {
    file: PathBuf,
    line: usize,
}

impl Position {
    fn fault(&self, message: String) -> ConfigurationFault {
        ConfigurationFault { file: self.file.clone(), line: self.line, message }
    }
}

impl<'a> Parser<'a> {
    pub(super) fn new(folder_reader: &'a FolderReader) -> Self {
        Self {
            folder_reader,
            configuration: Configuration::default(),
            default_listener_is_used: false,
            before_listeners: None,
            listener_positions: Vec::new(),
            is_included: false,
            faults: Vec::new(),
        }
    }

    pub(super) fn parse(&mut self, file: &Path, text: &str) {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let position = Position { file: file.to_owned(), line: index + 1 };
            let (directive, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            if let Err(message) = self.apply(directive, value.trim(), &position) {
                self.faults.push(position.fault(message));
            }
        }
    }

    fn apply(&mut self, directive: &str, value: &str, position: &Position) -> Result<(), String> {
        if directive == "include_dir" {
            return self.include(value, position).map_err(|message| format!("include_dir: {message}"));
        }
        let scope = directives::scope(directive).ok_or_else(|| directives::refusal(directive))?;
        let applied = match scope {
            Scope::Global => directives::apply_global(&mut self.configuration, directive, value),
            Scope::NewListener => directives::new_listener(value).map(|listener| {
                self.configuration.listeners.push(listener);
                self.listener_positions.push(position.clone());
            }),
            Scope::DefaultListener => {
                self.default_listener_is_used = true;
                directives::apply_listener(&mut self.configuration.default_listener, directive, value)
            }
            Scope::Listener => {
                let listener = match self.configuration.listeners.last_mut() {
                    Some(listener) => listener,
                    None => {
                        self.before_listeners.get_or_insert_with(|| position.clone());
                        &mut self.configuration.default_listener
                    }
                };
                directives::apply_listener(listener, directive, value)
            }
        };
        applied.map_err(|message| format!("{directive}: {message}"))
    }

    fn include(&mut self, folder: &str, position: &Position) -> Result<(), String> {
        if folder.is_empty() {
            return Err("a value is missing".to_owned());
        }
        // As with mosquitto, only the main file includes; that also ends a folder that includes itself.
        if self.is_included {
            return Err("only the main configuration file may include a folder".to_owned());
        }
        let files =
            (self.folder_reader)(Path::new(folder)).map_err(|error| format!("cannot read {folder:?}: {error}"))?;
        if let Some((file, _)) = files.iter().find(|(file, _)| *file == position.file) {
            return Err(format!("the folder contains the main configuration file {}", file.display()));
        }
        self.is_included = true;
        for (file, text) in files {
            self.parse(&file, &text);
        }
        self.is_included = false;
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Configuration, Vec<ConfigurationFault>> {
        let unused = !self.default_listener_is_used && !self.listener_positions.is_empty();
        if let Some(position) = self.before_listeners.clone().filter(|_| unused) {
            let message = "a listener's setting belongs below its listener line, or needs a port line".to_owned();
            self.faults.push(position.fault(message));
        }
        let first = Position { file: PathBuf::new(), line: 0 };
        let default_position = self.before_listeners.clone().unwrap_or(first);
        let named = self.listener_positions.iter().zip(&self.configuration.listeners);
        let all = named.chain([(&default_position, &self.configuration.default_listener)]);
        let relations: Vec<_> = all
            .flat_map(|(position, listener)| relation_faults(listener).into_iter().map(|text| position.fault(text)))
            .collect();
        self.faults.extend(relations);
        self.report_doubles();
        if !self.faults.is_empty() {
            return Err(self.faults);
        }
        if self.default_listener_is_used {
            self.configuration.listeners.push(self.configuration.default_listener.clone());
        }
        for listener in self.configuration.listeners.iter_mut().chain([&mut self.configuration.default_listener]) {
            // TLS settings without a certificate are nothing to listen with; a fault was reported where they matter.
            listener.tls = listener.tls.take().filter(|tls| !tls.certfile.as_os_str().is_empty());
        }
        Ok(self.configuration)
    }

    /// Listeners that ask for the address of one above them: the system would report it as in use, by whom it does not
    /// know. Addresses that only look different are left to the system.
    fn report_doubles(&mut self) {
        let place = |listener: &ListenerConfiguration| match &listener.bind_to {
            BindTo::Unix(_) => (0, listener.bind_to.clone(), None),
            bind_to => (listener.port, bind_to.clone(), listener.socket_domain),
        };
        let named: Vec<_> = self.listener_positions.iter().zip(&self.configuration.listeners).collect();
        for (index, (position, listener)) in named.iter().enumerate() {
            // Port 0 is another free one each time.
            let is_free = listener.port == 0 && !matches!(listener.bind_to, BindTo::Unix(_));
            let mut above = named[..index].iter().filter(|(_, other)| !is_free && place(other) == place(listener));
            if let Some((other, _)) = above.next() {
                let message = format!("listener: {}:{} listens there already", other.file.display(), other.line);
                self.faults.push(position.fault(message));
            }
        }
    }
}

/// What does not fit together in a listener.
fn relation_faults(listener: &ListenerConfiguration) -> Vec<String> {
    let mut faults = Vec::new();
    let Some(tls) = &listener.tls else {
        if !listener.websockets_origins.is_empty() && listener.protocol != ListenProtocol::WebSocket {
            faults.push("websockets_origin needs \"protocol websockets\" at this listener".to_owned());
        }
        return faults;
    };
    let has = |path: &Path| !path.as_os_str().is_empty();
    match (has(&tls.certfile), has(&tls.keyfile)) {
        (true, true) => {}
        (true, false) => faults.push("certfile needs a keyfile at this listener".to_owned()),
        (false, true) => faults.push("keyfile needs a certfile at this listener".to_owned()),
        (false, false) => faults.push("TLS settings need certfile and keyfile at this listener".to_owned()),
    }
    let wants_clients =
        tls.require_certificate || tls.use_identity_as_username || tls.use_subject_as_username || tls.crlfile.is_some();
    if wants_clients && tls.cafile.is_none() && tls.capath.is_none() {
        faults.push("client certificates need cafile or capath at this listener, to verify them".to_owned());
    }
    if (tls.use_identity_as_username || tls.use_subject_as_username) && !tls.require_certificate {
        faults.push("user names from certificates need \"require_certificate true\" at this listener".to_owned());
    }
    if tls.use_identity_as_username && tls.use_subject_as_username {
        faults.push("use_identity_as_username and use_subject_as_username exclude each other".to_owned());
    }
    faults
}
