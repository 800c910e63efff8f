//! TLS by rustls, checked as far as the url's `sslmode` says.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::url::{Roots, Target, Verify};
use crate::error::{Error, Kind, Result};

pub(super) fn client_config(target: &Target) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let unsupported =
        |source| Error::new(Kind::Unsupported, "TLS can't be set up for postgres").because(source);
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(unsupported)?;
    if target.verify == Verify::Host {
        return Ok(builder.with_root_certificates(roots(&target.roots)?).with_no_client_auth());
    }
    let authorities = match target.verify {
        Verify::Nothing => None,
        Verify::Authority | Verify::Host => {
            let roots = Arc::new(roots(&target.roots)?);
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
            Some(verifier.map_err(|source| {
                Error::new(Kind::Unsupported, "the authorities for postgres can't be used").because(source)
            })?)
        }
    };
    let verifier = Arc::new(AnyHost { authorities, provider });
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

fn roots(roots: &Roots) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::File(path) => {
            for certificate in certificates(path)? {
                store.add(certificate).map_err(|source| unreadable(path).because(source))?;
            }
            if store.is_empty() {
                return Err(unreadable(path));
            }
        }
        Roots::System => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if store.is_empty() {
                let message = "this machine has no certificates of authorities to check the postgres server by: name \
                               a PEM file with sslrootcert=PATH, or install them (ca-certificates)";
                return Err(Error::new(Kind::Unsupported, message));
            }
        }
    }
    Ok(store)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = || -> Result<Vec<_>, pem::Error> { CertificateDer::pem_file_iter(path)?.collect() };
    read().map_err(|source| unreadable(path).because(source.to_string()))
}

fn unreadable(path: &Path) -> Error {
    let message = format!("sslrootcert {path:?} is not a PEM file with certificates: correct the path");
    Error::new(Kind::Unsupported, message)
}

/// Takes any name in a certificate, and, without authorities, any certificate. That the server has its key is checked.
#[derive(Debug)]
struct AnyHost {
    authorities: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyHost {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        use CertificateError::{NotValidForName, NotValidForNameContext};
        let Some(authorities) = &self.authorities else { return Ok(ServerCertVerified::assertion()) };
        match authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name comes last: all else was right.
            Err(rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. })) => {
                Ok(ServerCertVerified::assertion())
            }
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
