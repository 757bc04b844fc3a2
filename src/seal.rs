//! Keys at rest: encrypted with AES-256-GCM, under a secret of the database.
//!
//! A publication for all tables sends the rows of `_credential` to every subscriber. The secret is
//! in a materialized view, which is on disk, in base backups and on standbys as tables are, and in
//! no publication and no dump.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::error::Unspecified;
use ring::rand::{SecureRandom, SystemRandom};

/// Binds the text to the credential's name: a row under another name does not open.
fn bound_to(name: &str) -> Aad<&[u8]> {
    Aad::from(name.as_bytes())
}

fn cipher(secret: &[u8]) -> Result<LessSafeKey, Unspecified> {
    UnboundKey::new(&AES_256_GCM, secret).map(LessSafeKey::new)
}

/// A new nonce, and the encrypted text behind it.
pub fn seal(secret: &[u8], name: &str, text: &str) -> Result<Vec<u8>, Unspecified> {
    let mut nonce = [0; NONCE_LEN];
    SystemRandom::new().fill(&mut nonce)?;
    let mut body = text.as_bytes().to_vec();
    cipher(secret)?.seal_in_place_append_tag(
        Nonce::assume_unique_for_key(nonce),
        bound_to(name),
        &mut body,
    )?;
    Ok([&nonce[..], &body].concat())
}

/// The text again; an error where it was sealed under another secret or name, or was changed.
pub fn open(secret: &[u8], name: &str, sealed: &[u8]) -> Result<String, Unspecified> {
    let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or(Unspecified)?;
    let mut body = body.to_vec();
    let text = cipher(secret)?.open_in_place(
        Nonce::try_assume_unique_for_key(nonce)?,
        bound_to(name),
        &mut body,
    )?;
    String::from_utf8(text.to_vec()).map_err(|_| Unspecified)
}

/// Bytes as SQL's `encode(…, 'hex')` has them.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let pairs = digits?;
    pairs
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from(high * 16 + low).ok(),
            _ => None,
        })
        .collect()
}
