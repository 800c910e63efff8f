//! Tokens that are signed with an RSA key: JWTs of the one kind that the warehouses take (RS256), so that `ring`, which
//! does all TLS here, is the only cryptography.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::RSA_PKCS1_SHA256;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use secrecy::SecretString;
use serde_json::Value;

/// Reads a private key from PEM, which may be in one line, as some variables and files have to be.
///
/// # Errors
/// When the text is no RSA key that is in the clear: what it is instead. Nothing of it is shown.
pub(crate) fn key_pair(pem: &str) -> Result<KeyPair, String> {
    let pem = pem.replace("\\n", "\n");
    if pem.contains("ENCRYPTED") {
        return Err(
            "it is encrypted: decrypt it (openssl pkcs8 -in key.p8 -out key.pem), and keep it as a secret"
                .to_owned(),
        );
    }
    let pair = match PrivateKeyDer::from_pem_slice(pem.as_bytes()) {
        Ok(PrivateKeyDer::Pkcs8(der)) => KeyPair::from_pkcs8(der.secret_pkcs8_der()),
        Ok(PrivateKeyDer::Pkcs1(der)) => KeyPair::from_der(der.secret_pkcs1_der()),
        _ => return Err("this is none: it begins with -----BEGIN PRIVATE KEY-----".to_owned()),
    };
    pair.map_err(|refusal| {
        format!("this is none that can be used: it needs RSA, 2,048 bits or more ({refusal})")
    })
}

/// `None`: the key does not sign.
pub(crate) fn signed(pair: &KeyPair, header: &Value, claims: &Value) -> Option<SecretString> {
    let encoded = |part: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(part);
    let text =
        format!("{}.{}", encoded(header.to_string().as_bytes()), encoded(claims.to_string().as_bytes()));
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).ok()?;
    Some(format!("{text}.{}", encoded(&signature)).into())
}
