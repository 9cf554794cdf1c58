//! What the fuzz targets of the options do with their bytes: URLs of `-L`, options files, and the words of `-D`, each
//! the way from argv on. `tests/properties/options.rs` runs the same bodies on a stable compiler.

use std::ffi::OsString;

use mqtools::client::{ConnectPlan, Policy};
use mqtools::mqtt::wire::{MAX_PACKET_SIZE, Packet, Publish, Scan, scan};
use mqtools::mqtt::{Message, ProtocolVersion};
use mqtools::options::{
    ClientGroups, ConnectDefaults, Environment, PUBLISH, PublishOptions, Reading, UsageError, connect_plan,
};
use mqtools::transport::Address;

fn argv<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Vec<OsString> {
    std::iter::once("mqpub").chain(arguments).map(OsString::from).collect()
}

fn read(environment: &Environment, arguments: &[&str]) -> Result<Box<PublishOptions>, UsageError> {
    match PublishOptions::read(environment, argv(arguments.iter().copied()))? {
        Reading::Options(options) => Ok(options),
        Reading::Answer(_) => panic!("an answer to {arguments:?}"),
    }
}

fn plan(environment: &Environment, options: &PublishOptions) -> Result<ConnectPlan, UsageError> {
    let defaults = ConnectDefaults {
        tool: &PUBLISH,
        environment,
        policy: Policy::OWN,
        window: 20,
        no_delay: false,
        names_clients: false,
    };
    let ClientGroups { connection, tls, will, properties, .. } = &options.client;
    connect_plan(connection, tls, will, properties, defaults)
}

/// A text as `-L`: it is a place to connect to or an error, which never repeats what may be a password.
pub fn broker_url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if text.contains('\0') {
        return; // no argument of a process has one
    }
    let environment = Environment::fixed([], []);
    let url = format!("--url={text}");
    let outcome =
        read(&environment, &["-V", "5", "-t", "t", "-n", &url]).and_then(|options| plan(&environment, &options));
    match outcome {
        Ok(plan) => {
            let is_unix = text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("unix:"));
            match plan.transport.address {
                Address::Unix(path) => assert!(is_unix && !path.as_os_str().is_empty(), "{text:?}"),
                Address::Tcp { host, port } => {
                    assert!(!is_unix && !host.is_empty() && port > 0, "{text:?}");
                    assert!(!host.contains(['/', '@', ' ']) && !host.chars().any(char::is_control), "{host:?}");
                }
            }
            if let Some(web_socket) = plan.transport.web_socket {
                let sound = |c: char| c.is_ascii_graphic();
                assert!(web_socket.path.starts_with('/') && web_socket.path.chars().all(sound), "{text:?}");
            }
            assert!(plan.topic_of_url.is_none_or(|topic| !topic.is_empty() && !topic.contains('\0')), "{text:?}");
        }
        Err(error) => {
            assert!(!error.faults().is_empty());
            if let Some(password) = password_of(text).filter(|password| password.len() > 3) {
                assert!(!error.to_string().contains(password), "{error}");
            }
        }
    }
}

/// What stands between the first `:` and the last `@` behind the scheme.
fn password_of(url: &str) -> Option<&str> {
    let authority = url.split_once("://")?.1.split('/').next()?;
    Some(authority.rsplit_once('@')?.0.split_once(':')?.1)
}

/// Bytes as an options file: its options are those of the same words in argv, and each fault has a line of the file,
/// the first one first.
pub fn options_file(data: &[u8]) {
    // The topic stands in the file: one of the command line would replace those of the file.
    let file = [data, b"\n-t t"].concat();
    let lines = file.split(|byte| *byte == b'\n').count();
    let environment = Environment::fixed([], [("/file", file.clone())]);
    match read(&environment, &["-n", "-o", "/file"]) {
        Ok(options) => assert_same_as_typed(&file, &options),
        Err(error) => {
            let numbers: Vec<usize> = error.faults().iter().filter_map(|fault| line_of(fault)).collect();
            assert!(numbers.iter().all(|number| (1..=lines).contains(number)), "{error}");
            assert!(numbers.is_sorted(), "{error}");
        }
    }
}

fn line_of(fault: &str) -> Option<usize> {
    fault.strip_prefix("/file:")?.split(':').next()?.parse().ok()
}

/// Reads the lines as a person would type them, where that is plain: an option, a blank, its value.
fn assert_same_as_typed(data: &[u8], from_file: &PublishOptions) {
    let text = std::str::from_utf8(data).unwrap_or_else(|error| panic!("{error} was read: {data:?}"));
    let mut typed: Vec<String> = Vec::new();
    for line in text.trim_start_matches('\u{feff}').split('\n').map(|line| line.trim_end_matches('\r')) {
        let words = line.trim_start_matches(' ');
        if words.is_empty() || line.starts_with('#') {
            continue;
        }
        let (option, value) = words.split_once(' ').map_or((words, None), |(option, value)| (option, Some(value)));
        if ["-D", "--prop"].iter().any(|start| option.starts_with(start)) {
            return; // its words are not for this simple reader
        }
        typed.push(option.to_owned());
        typed.extend(value.map(str::to_owned));
    }
    let arguments: Vec<&str> = typed.iter().map(String::as_str).chain(["-n"]).collect();
    let environment = Environment::fixed([], []);
    match read(&environment, &arguments) {
        Ok(mut options) => {
            options.general.options_file.clone_from(&from_file.general.options_file);
            let shown = |options: &PublishOptions| {
                format!("{:?}", (&options.message, &options.client.tls, &options.client.will))
            };
            assert_eq!(shown(from_file), shown(&options), "{text:?}");
        }
        Err(error) => panic!("{error} is no fault in the file {text:?}"),
    }
}

/// Words behind `-D`, a line each: what is accepted can be sent, is read as the same by the receiver, and mosquitto's
/// rules accept it too.
pub fn property(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if text.contains('\0') {
        return; // no argument of a process has one
    }
    let words: Vec<&str> = text.split('\n').collect();
    let environment = Environment::fixed([], []);
    let arguments = |first: &'static [&'static str]| [first, &["-t", "t", "-n", "-D"], &words[..]].concat();
    let Ok(options) = read(&environment, &arguments(&["-V", "5", "--will-topic", "w"])) else { return };
    let Ok(commands) = options.client.properties.by_command() else { return };
    let message = Message { topic: "t".into(), properties: commands.publish.clone(), ..Message::default() };
    let mut bytes = Vec::new();
    let encoded = Packet::Publish(Publish::of(&message, 0, false)).encode(ProtocolVersion::V5, &mut bytes);
    assert_eq!(encoded, Ok(()), "{words:?} cannot be sent");
    let Ok(Scan::Frame(frame)) = scan(&bytes, MAX_PACKET_SIZE) else { panic!("{words:?} is no packet") };
    let Ok(Packet::Publish(read_back)) = Packet::decode(frame, ProtocolVersion::V5) else {
        panic!("{words:?} cannot be received")
    };
    assert_eq!(read_back.to_message(), message);
    if words.len() < 5 {
        let compat = read(&environment, &arguments(&["--compat", "-V", "5", "--will-topic", "w"]));
        if let Err(error) = compat {
            panic!("{words:?} is accepted under our name and not under mosquitto's: {error}");
        }
    }
}
