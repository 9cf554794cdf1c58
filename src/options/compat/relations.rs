//! What mosquitto's clients check once all arguments are read, in their order.

use std::ffi::OsString;

use super::given::{Given, GivenTls, V5};
use super::grammar::Flag;
use super::payload;
use super::property::{self, GivenProperty};
use super::refusal::Refusal;
use super::text::valid_text;
use crate::client::mosquitto::MosquittoClient;
use crate::mqtt::{PropertyContext, PropertyName};
use crate::options::Environment;

/// The first thing that is wrong.
pub(super) fn check(client: MosquittoClient, given: &Given, environment: &Environment) -> Result<(), Refusal> {
    check_will_and_tls(given)?;
    check_session(given)?;
    if client == MosquittoClient::Subscribe && given.topics.is_empty() && given.unsubscribe.is_empty() {
        let text = "Error: You must specify a topic to subscribe to (-t) or unsubscribe from (-U).";
        return Err(Refusal::tight(text));
    }
    property::check_together(&given.properties, given.session_expiry_property())?;
    check_message(client, given)
        .and_then(|()| payload::check_name(given))
        .and_then(|()| check_settings(client, given))
        .map_err(|refusal| payload::refusal(given, environment).unwrap_or(refusal))
}

/// What a client checks after it has loaded the message.
fn check_message(client: MosquittoClient, given: &Given) -> Result<(), Refusal> {
    match client {
        MosquittoClient::Publish if given.payload.is_none() || given.topics.is_empty() => {
            return Err(Refusal::with_usage("Error: Both topic and message must be supplied."));
        }
        MosquittoClient::Subscribe if given.flags.has(Flag::NoRetained) && given.flags.has(Flag::RetainedOnly) => {
            return Err(Refusal::alone("\nError: Combining '-R' and '--retained-only' makes no sense."));
        }
        MosquittoClient::Request
            if given.payload.is_none() || given.topics.is_empty() || given.response_topic.is_none() =>
        {
            let text = "Error: All of topic, message, and response topic must be supplied.";
            return Err(Refusal::tight(text));
        }
        // It adds the response topic itself.
        MosquittoClient::Request if given.properties.iter().any(is_response_topic) => {
            return Err(Refusal::setting("Error in PUBLISH properties: Duplicate response topic."));
        }
        MosquittoClient::Publish | MosquittoClient::Subscribe | MosquittoClient::Request => {}
    }
    Ok(())
}

fn is_response_topic(property: &GivenProperty) -> bool {
    property.context == PropertyContext::Publish && property.name == PropertyName::ResponseTopic
}

fn check_will_and_tls(given: &Given) -> Result<(), Refusal> {
    let tls = &given.tls;
    let will = given.will_topic.is_some();
    let psk = tls.psk.is_some();
    let faults = [
        (!will && given.will_payload.is_some(), "Error: Will payload given, but no will topic given."),
        (!will && given.flags.has(Flag::WillRetain), "Error: Will retain given, but no will topic given."),
        (
            tls.cert.is_some() != tls.key.is_some(),
            "Error: Both certfile and keyfile must be provided if one of them is set.",
        ),
        (tls.keyform.is_some() && tls.key.is_none(), "Error: If keyform is set, keyfile must be also specified."),
        (
            tls.engine_kpass.is_some() && (tls.engine.is_none() || tls.keyform.is_none()),
            "Error: when using tls-engine-kpass-sha1, both tls-engine and keyform must also be provided.",
        ),
        (
            psk && (tls.cafile.is_some() || tls.capath.is_some()),
            "Error: Only one of --psk or --cafile/--capath may be used at once.",
        ),
        (psk && tls.psk_identity.is_none(), "Error: --psk-identity required if --psk used."),
    ];
    match faults.into_iter().find(|(wrong, _)| *wrong) {
        Some((_, text)) => Err(Refusal::tight(text)),
        None => Ok(()),
    }
}

/// A session that is kept needs a name; a prefix does not count.
fn check_session(given: &Given) -> Result<(), Refusal> {
    let kept = given.flags.has(Flag::DisableCleanSession);
    if given.id.is_some() {
        return Ok(());
    }
    if given.version == Some(V5) {
        if given.session_expiry_property() == Some(u32::MAX) {
            let text = "Error: You must provide a client id if you are using an infinite session expiry interval.";
            return Err(Refusal::tight(text));
        }
    } else if kept {
        return Err(Refusal::tight("Error: You must provide a client id if you are using the -c option."));
    }
    Ok(())
}

/// What shows only when the client is set up: no pointer to `--help`.
fn check_settings(client: MosquittoClient, given: &Given) -> Result<(), Refusal> {
    // Without one the server makes one up, but for a session that is kept.
    let named = given.id.is_some() || given.id_prefix.is_some();
    let is_malformed = |text: &Option<OsString>| text.as_ref().is_some_and(|text| valid_text(text).is_none());
    let is_empty = given.id.as_ref().is_some_and(|id| id.is_empty());
    let unfit = is_empty || is_malformed(&given.id) || is_malformed(&given.id_prefix);
    if unfit || (!named && given.flags.has(Flag::DisableCleanSession)) {
        return Err(Refusal::setting(match client {
            MosquittoClient::Publish => "Error: Invalid id.",
            MosquittoClient::Subscribe | MosquittoClient::Request => "Error: Invalid id and/or clean_session.",
        }));
    }
    let bad_user = given.username.as_ref().is_some_and(|user| user.len() > 65_535 || valid_text(user).is_none());
    let bad_password = given.password.is_some() && given.username.is_none() && given.version != Some(V5);
    if bad_user || bad_password {
        return Err(Refusal::setting("Error: Problem setting username and/or password."));
    }
    let keyform = given.tls.keyform.as_ref().filter(|_| !given.flags.has(Flag::NoTls));
    if keyform.is_some_and(|form| form != "pem" && form != "engine") {
        return Err(Refusal::setting("Error: Problem setting key form, it must be one of 'pem' or 'engine'."));
    }
    let GivenTls { cafile, capath, cert, key, .. } = &given.tls;
    let unnamed = [cafile, capath, cert, key].into_iter().flatten().any(|path| path.is_empty());
    if unnamed && !given.flags.has(Flag::NoTls) {
        return Err(Refusal::setting("Error: Problem setting TLS options: File not found."));
    }
    let version = given.tls.version.as_ref().filter(|_| !given.flags.has(Flag::NoTls));
    if version.is_some_and(|version| version != "tlsv1.2" && version != "tlsv1.3") {
        return Err(Refusal::setting("Error: Problem setting TLS options, check the options are valid."));
    }
    // Only connecting shows it.
    if given.host.as_ref().is_some_and(|host| host.is_empty()) {
        return Err(Refusal::setting("Unable to connect (Lookup error.)."));
    }
    Ok(())
}
