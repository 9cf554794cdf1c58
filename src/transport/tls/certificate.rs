//! The contents of a certificate, for errors and for the check of a certificate that the user gave.

use std::net::IpAddr;
use std::time::Duration;

use chrono::DateTime;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, SubjectAltName};
use x509_cert::name::Name;

use crate::transport::error::printable;

/// id-kp-serverAuth and anyExtendedKeyUsage (RFC 5280 §4.2.1.12).
const FOR_SERVERS: [ObjectIdentifier; 2] =
    [ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1"), ObjectIdentifier::new_unwrap("2.5.29.37.0")];

/// The parts of a certificate that we read ourselves. Its strings have no control characters.
#[derive(Clone, Debug)]
pub struct CertificateFacts {
    pub(super) subject: String,
    pub(super) issuer: String,
    /// Subject and issuer are the same.
    pub(super) self_issued: bool,
    pub(super) common_name: Option<String>,
    /// Host names and addresses of the subjectAltName; none when it has no such extension.
    pub(super) alternative_names: Option<Vec<String>>,
    /// Since the Unix epoch.
    pub(super) not_before: Duration,
    /// Since the Unix epoch.
    pub(super) not_after: Duration,
    /// May be shown by a server: there is no extended key usage, or it names servers.
    pub(super) for_servers: bool,
}

impl CertificateFacts {
    /// Reads a certificate; none when it is not one.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let certificate = Certificate::from_der(der).ok()?;
        let content = certificate.tbs_certificate();
        let usage = content.get_extension::<ExtendedKeyUsage>().ok()?;
        let common_name = content.subject().common_name().ok().flatten();
        Some(Self {
            subject: name_text(content.subject()),
            issuer: name_text(content.issuer()),
            self_issued: content.subject() == content.issuer(),
            common_name: common_name.map(|name| printable(&name.value())),
            alternative_names: content.get_extension::<SubjectAltName>().ok()?.map(|(_, names)| host_names(&names.0)),
            not_before: content.validity().not_before.to_unix_duration(),
            not_after: content.validity().not_after.to_unix_duration(),
            for_servers: usage.is_none_or(|(_, usage)| usage.0.iter().any(|purpose| FOR_SERVERS.contains(purpose))),
        })
    }
}

impl CertificateFacts {
    /// Its subject.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Its issuer.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Host names and addresses that it is for.
    pub fn names(&self) -> &[String] {
        self.alternative_names.as_deref().unwrap_or_default()
    }

    /// Until when it is valid, since the Unix epoch.
    pub fn not_after(&self) -> Duration {
        self.not_after
    }

    /// Until when it is valid, as text.
    pub fn not_after_text(&self) -> String {
        date_text(self.not_after)
    }

    /// Whether the certificate has this very text among its host names or, where it has no subjectAltName, as its
    /// common name: no wildcards.
    pub(super) fn names_literally(&self, host: &str) -> bool {
        match &self.alternative_names {
            Some(names) => names.iter().any(|name| name.eq_ignore_ascii_case(host)),
            None => self.common_name.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(host)),
        }
    }
}

/// Whether a certificate names its host in the common name only.
pub(super) fn has_common_name_only(der: &[u8]) -> bool {
    CertificateFacts::read(der).is_some_and(|facts| facts.alternative_names.is_none() && facts.common_name.is_some())
}

/// Whether a certificate is marked as not a CA's (basicConstraints with CA:FALSE).
pub(super) fn denies_authority(der: &[u8]) -> bool {
    let Ok(certificate) = Certificate::from_der(der) else { return false };
    let constraints = certificate.tbs_certificate().get_extension::<BasicConstraints>();
    matches!(constraints, Ok(Some((_, BasicConstraints { ca: false, .. }))))
}

fn name_text(name: &Name) -> String {
    if name.is_empty() { "(no name)".into() } else { printable(&name.to_string()) }
}

fn host_names(names: &[GeneralName]) -> Vec<String> {
    names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DnsName(name) => Some(printable(name.as_str())),
            GeneralName::IpAddress(bytes) => match *bytes.as_bytes() {
                [a, b, c, d] => Some(IpAddr::from([a, b, c, d]).to_string()),
                ref bytes => <[u8; 16]>::try_from(bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
            },
            _ => None,
        })
        .collect()
}

/// A date of a certificate.
pub(super) fn date_text(since_epoch: Duration) -> String {
    let date = i64::try_from(since_epoch.as_secs()).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    match date {
        Some(date) => date.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
        None => format!("second {} since 1970", since_epoch.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_purposes_of_a_certificate_are_read() {
        let mut params =
            rcgen::CertificateParams::new(["broker.test".into(), "127.0.0.1".into(), "::1".into()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, "the\u{1b}broker");
        params.not_before = rcgen::date_time_ymd(2020, 1, 2);
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let facts = CertificateFacts::read(certificate.der()).unwrap();
        assert_eq!(facts.common_name.as_deref(), Some("the\\u{1b}broker"));
        assert_eq!(facts.alternative_names.unwrap(), ["broker.test", "127.0.0.1", "::1"]);
        assert_eq!(date_text(facts.not_before), "2020-01-02 00:00:00 UTC");
        assert!(facts.self_issued && !facts.for_servers);
        assert!(!facts.subject.contains('\u{1b}'));
        assert!(CertificateFacts::read(b"no certificate").is_none());
    }
}
