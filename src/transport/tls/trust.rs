//! Whom a client trusts: the certificates of the user's files and of the system.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use super::certificate::denies_authority;
use super::explain::error_text;
use super::files;
use super::setup_error::TlsSetupError;
use crate::transport::plan::{TlsPlan, TrustRoots};

/// The certificates of the user's files, each with where they come from.
pub(super) fn user_certificates(
    roots: &TrustRoots,
) -> impl Iterator<Item = (&Path, Result<Vec<CertificateDer<'static>>, TlsSetupError>)> {
    let of_file = roots.file.as_deref().map(|path| (path, files::certificates(path)));
    let of_folder = roots.folder.as_deref().map(|path| (path, files::certificates_in_folder(path)));
    of_file.into_iter().chain(of_folder)
}

/// The system's certificates, if the plan needs them; at least one where nothing else is trusted.
pub(super) fn system_certificates(plan: &TlsPlan, others: bool) -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
    if !plan.roots.uses_system() || plan.insecure {
        return Ok(Vec::new());
    }
    let loaded = rustls_native_certs::load_native_certs();
    if loaded.certs.is_empty() && !others {
        let reason = loaded.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        return Err(TlsSetupError::general(format!("this system has no CA certificates{reason}"))
            .hint("install the package ca-certificates, or give the broker's CA certificate with --cafile"));
    }
    Ok(loaded.certs)
}

/// Certification authorities, and the certificates of the user's files, which count as a server's own too.
pub(super) fn trusted_certificates(
    plan: &TlsPlan,
) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), TlsSetupError> {
    let mut roots = RootCertStore::empty();
    let mut named = Vec::new();
    for (path, found) in user_certificates(&plan.roots) {
        named.extend(add_roots(&mut roots, found?).map_err(|cause| TlsSetupError::of(path, cause))?);
    }
    roots.add_parsable_certificates(system_certificates(plan, !named.is_empty())?);
    Ok((roots, named))
}

/// Makes certificates authorities, except those that state that they are not: webpki does not ask again, and the holder
/// of a server's key must not become able to vouch for other servers. Returns those that can be used; bundles hold odd
/// ones now and then, so it is an error only when none can.
fn add_roots(
    roots: &mut RootCertStore,
    mut found: Vec<CertificateDer<'static>>,
) -> Result<Vec<CertificateDer<'static>>, String> {
    let mut fault = None;
    found.retain(|certificate| {
        let added = if denies_authority(certificate) { Ok(()) } else { roots.add(certificate.clone()) };
        added.map_err(|error| fault = Some(error)).is_ok()
    });
    match fault {
        Some(error) if found.is_empty() => Err(format!("no certificate in it can be used: {}", error_text(&error))),
        _ => Ok(found),
    }
}

/// Where trust comes from, for messages.
pub(super) fn trust_text(roots: &TrustRoots) -> String {
    let mut sources: Vec<_> =
        [&roots.file, &roots.folder].into_iter().flatten().map(|p| p.display().to_string()).collect();
    if roots.uses_system() {
        sources.push("the system's CA certificates".into());
    }
    sources.join(" or ")
}
