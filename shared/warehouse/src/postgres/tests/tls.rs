//! Checks of certificates and passwords: by TCP, on a server of our own with a certificate made here.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use secrecy::SecretString;
use tempfile::TempDir;

use super::server::{PASSWORD, Server};
use crate::{Kind, Result, Warehouse, connect};

/// A certificate authority, and a server whose certificate is for `localhost`.
struct Tls {
    server: Server,
    folder: TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

impl Tls {
    fn start() -> Option<Tls> {
        let authority = authority("an authority");
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        let only_tls = "hostssl all all all scram-sha-256\nlocal all all trust\n";
        let server = Server::start(&[
            ("server.crt", &certificate.pem()),
            ("server.key", &key.serialize_pem()),
            ("more.conf", "ssl = on\n"),
            ("pg_hba.conf", only_tls),
        ])?;
        Some(Tls { server, folder: TempDir::new().unwrap(), authority })
    }

    fn roots(&self, name: &str, authority: &CertifiedIssuer<'static, KeyPair>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, authority.pem()).unwrap();
        path
    }

    async fn connect(&self, host: &str, query: &str) -> Result<Box<dyn Warehouse>> {
        let password = Some(SecretString::from(PASSWORD));
        connect(&self.server.tcp_url(host, query), "hubspot", password, None).await
    }
}

/// Returns the messages of an error and its sources.
fn words(error: &crate::Error) -> String {
    let mut words = format!("{error:?} {error}");
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        words = format!("{words}: {error}");
        source = error.source();
    }
    words
}

#[tokio::test(flavor = "multi_thread")]
async fn sslmode_decides_which_servers_are_believed() {
    let Some(tls) = Tls::start() else { return };
    let ours = tls.roots("ours.pem", &tls.authority).display().to_string();
    let others = tls.roots("others.pem", &authority("another authority")).display().to_string();

    for (host, query) in [
        ("localhost", format!("sslmode=verify-full&sslrootcert={ours}")),
        ("127.0.0.1", format!("sslmode=verify-ca&sslrootcert={ours}")),
        ("127.0.0.1", "sslmode=require".to_owned()),
        ("127.0.0.1", "sslmode=prefer".to_owned()),
        ("127.0.0.1", String::new()),
    ] {
        let warehouse = tls.connect(host, &query).await.unwrap_or_else(|error| panic!("{query}: {error:?}"));
        assert_eq!(warehouse.account().await.unwrap(), None, "{query}");
    }

    for (host, query, why) in [
        ("127.0.0.1", format!("sslmode=verify-full&sslrootcert={ours}"), "not valid for name"),
        ("localhost", format!("sslmode=verify-full&sslrootcert={others}"), "invalid peer certificate"),
        ("localhost", format!("sslmode=verify-ca&sslrootcert={others}"), "invalid peer certificate"),
        ("localhost", format!("sslmode=require&sslrootcert={others}"), "invalid peer certificate"),
        ("localhost", "sslmode=verify-full&sslrootcert=system".to_owned(), "certificate"),
        // Version 13 says "SSL off", later ones "no encryption".
        ("localhost", "sslmode=disable".to_owned(), "no pg_hba.conf entry"),
    ] {
        let error = tls.connect(host, &query).await.expect_err(&query);
        assert!(words(&error).contains(why), "{query}: {}", words(&error));
    }
    let error = tls.connect("localhost", "sslmode=verify-full&sslrootcert=/none.pem").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_are_checked_and_not_told() {
    let Some(server) = Server::shared() else { return };
    let url = server.tcp_url("127.0.0.1", "sslmode=disable");
    connect(&url, "hubspot", Some(SecretString::from(PASSWORD)), None).await.unwrap();
    connect(&url.replace("postgres@", "postgres:p%40ss%2Fword@"), "hubspot", None, None).await.unwrap();

    let wrong = "not the word";
    for (url, password) in [
        (url.clone(), Some(SecretString::from(wrong))),
        (url.replace("postgres@", "postgres:not%20the%20word@"), None),
        (url.replace("127.0.0.1", "127.0.0.1:1/"), Some(SecretString::from(wrong))),
    ] {
        let error = connect(&url, "hubspot", password, None).await.unwrap_err();
        assert!(!words(&error).contains("the word") && !words(&error).contains("%20"), "{}", words(&error));
    }
    let error = connect(&url, "hubspot", None, None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
    let warehouse = connect(&url, "hubspot", Some(SecretString::from(PASSWORD)), None).await.unwrap();
    assert!(!format!("{warehouse:?}").contains("ss/word"), "{warehouse:?}");
}
