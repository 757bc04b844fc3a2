//! The one way by which remote text gets into our errors, tables and logs.

use crate::auth::Secret;

/// Longest remote text that is kept, in characters.
const KEPT: usize = 600;

/// How much of a text is looked at, in bytes: an answer may have many millions, and a secret is
/// looked for within another one.
const LOOKED_AT: usize = 16 * 1024;

/// How much of a secret must be there for it to be known: an echo may have been cut.
const KNOWN_BY: usize = 12;

/// Shows no secret: neither what went out with a request, since a server (or a proxy in between)
/// may echo any part of it, nor what has the shape of one.
#[derive(Clone, Default)]
pub struct Mask {
    sent: Vec<Secret>,
}

/// See [`Mask::text`]; where no secret is known.
pub fn mask(text: &str) -> String {
    Mask::default().text(text)
}

impl Mask {
    pub(crate) fn of(sent: Vec<Secret>) -> Self {
        Self { sent }
    }

    /// `text` without secrets, without control characters, and cut to a length that fits a log
    /// line.
    ///
    /// Masked are the secrets that were sent, however they are escaped, access and refresh tokens,
    /// JWTs, clients' secrets, PEM blocks, and whatever follows `Bearer` or the name of a secret
    /// parameter.
    pub fn text(&self, text: &str) -> String {
        let mut masked = String::with_capacity(text.len().min(KEPT + 8));
        let is_end = |at: &usize| text.is_char_boundary(*at);
        let end = (0..=LOOKED_AT.min(text.len())).rev().find(is_end);
        let mut rest = &text[..end.unwrap_or_default()];
        let mut kept = 0;
        while let Some(first) = rest.chars().next() {
            if kept == KEPT {
                masked.push('…');
                break;
            }
            let at_word_start = !masked.ends_with(|c: char| c.is_ascii_alphanumeric());
            let by_shape = secret_at(rest).filter(|_| at_word_start);
            let found = [self.sent_at(rest), by_shape].into_iter().flatten();
            if let Some((shown, length)) = found.max_by_key(|(_, length)| *length) {
                masked.push_str(shown);
                kept = (kept + shown.len()).min(KEPT);
                rest = &rest[length..];
                continue;
            }
            masked.push(if first.is_control() { ' ' } else { first });
            kept += 1;
            rest = &rest[first.len_utf8()..];
        }
        masked
    }

    fn sent_at(&self, text: &str) -> Option<(&'static str, usize)> {
        let lengths = self.sent.iter().filter_map(|one| length_of(one, text));
        lengths.max().map(|length| ("[secret]", length))
    }
}

/// How many bytes the secret has where `text` begins with it, or with enough of it.
fn length_of(secret: &Secret, text: &str) -> Option<usize> {
    let (mut matched, mut length) = (0, 0);
    for wanted in secret.reveal().chars() {
        let Some(next) = spelled(wanted, &text[length..]) else {
            break;
        };
        matched += 1;
        length += next;
    }
    let whole = secret.reveal().chars().count();
    (matched > 0 && matched >= whole.min(KNOWN_BY)).then_some(length)
}

/// How many bytes `text` spells this character with, if it begins with it: as it is, or escaped as
/// in an address (`%2F`, also twice), in JSON (`\/`, `\u002f`) or in HTML (`&#x2F;`, `&#47;`).
fn spelled(wanted: char, text: &str) -> Option<usize> {
    if text.starts_with(wanted) {
        return Some(wanted.len_utf8());
    }
    let is_wanted = |digits: Option<&str>, radix| {
        digits.and_then(|digits| u32::from_str_radix(digits, radix).ok()) == Some(wanted as u32)
    };
    if let Some(mut rest) = text.strip_prefix('%') {
        loop {
            if is_wanted(rest.get(..2), 16) {
                return Some(text.len() - rest.len() + 2);
            }
            rest = rest.strip_prefix("25")?;
        }
    }
    if text.starts_with('\\') {
        let rest = text.trim_start_matches('\\');
        let before = text.len() - rest.len();
        if rest.starts_with(wanted) {
            return Some(before + wanted.len_utf8());
        }
        let digits = rest.strip_prefix('u')?.get(..4);
        return is_wanted(digits, 16).then_some(before + 5);
    }
    let (code, _) = text.strip_prefix("&#")?.split_once(';')?;
    let is_it = match code.strip_prefix(['x', 'X']) {
        Some(digits) => is_wanted(Some(digits), 16),
        None => is_wanted(Some(code), 10),
    };
    is_it.then_some("&#".len() + code.len() + 1)
}

const PARAMETERS: [&str; 8] = [
    "access_token",
    "id_token",
    "refresh_token",
    "client_secret",
    "assertion",
    "private_key",
    "oauth_token",
    "authorization",
];

/// What to show instead of the secret that `text` begins with, and how many bytes it has.
fn secret_at(text: &str) -> Option<(&'static str, usize)> {
    if let Some(secret) = known_by_shape(text) {
        return Some(secret);
    }
    let start = value_of_parameter(text)?;
    let value = &text[start..];
    // It is shown as what it is, when its turn comes.
    if known_by_shape(value).is_some() || value_of_parameter(value).is_some() {
        return None;
    }
    Some(("[secret]", start + token_length(value)))
}

fn known_by_shape(text: &str) -> Option<(&'static str, usize)> {
    if text.starts_with("-----BEGIN") {
        let end = text.find("-----END").map_or(text.len(), |end| {
            let tail = &text[end + "-----END".len()..];
            tail.find("-----")
                .map_or(text.len(), |close| text.len() - tail.len() + close + 5)
        });
        return Some(("[key]", end));
    }
    if starts_with_ignoring_case(text, "bearer ") {
        return Some(("Bearer [token]", 7 + token_length(&text[7..])));
    }
    // The beginnings of access tokens, JWTs, refresh tokens and OAuth clients' secrets.
    for (beginning, shown, least) in [
        ("ya29.", "[token]", 0),
        ("eyJ", "[token]", 20),
        ("1//", "[token]", 20),
        ("GOCSPX-", "[secret]", 0),
    ] {
        let after = beginning.chars().try_fold(text, |rest, wanted| {
            spelled(wanted, rest).map(|length| &rest[length..])
        });
        let length = after.map(|rest| text.len() - rest.len() + token_length(rest));
        if let Some(length) = length.filter(|length| *length > least) {
            return Some((shown, length));
        }
    }
    None
}

/// Where the value begins, in bytes, of the secret parameter with whose name `text` begins.
fn value_of_parameter(text: &str) -> Option<usize> {
    let mut names = PARAMETERS.iter();
    let name = names.find(|name| starts_with_ignoring_case(text, name))?;
    let is_value = |c: char| !matches!(c, '"' | '\'' | '\\' | ' ');
    let after = &text[name.len()..];
    let sign = after.find(is_value)?;
    let is_given = |one| spelled(one, &after[sign..]);
    let given = is_given('=').or_else(|| is_given(':'))?;
    let value = &after[sign + given..];
    let start = value.find(is_value).unwrap_or(value.len());
    Some(name.len() + sign + given + start)
}

fn starts_with_ignoring_case(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// How far the token goes on, with its escapes.
fn token_length(text: &str) -> usize {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-._~+/%=".contains(c);
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(is_part);
        let parts = ('!'..='~').filter(|c| is_part(*c));
        match parts.into_iter().find_map(|part| spelled(part, rest)) {
            Some(escape) => rest = &rest[escape..],
            None => return text.len() - rest.len(),
        }
    }
}
