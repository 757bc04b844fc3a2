//! The one way by which remote text gets into our errors, tables and logs.

/// Longest remote text that is kept, in characters.
const KEPT: usize = 600;

/// `text` without secrets, without control characters, and cut to a length that fits a log line.
///
/// Masked are access and refresh tokens, JWTs, clients' secrets, PEM blocks and whatever follows
/// `Bearer` or the name of a secret parameter. A server (or a proxy in between) may echo any part
/// of a request, so this looks at shapes and not at the secrets we hold.
pub fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len().min(KEPT + 8));
    let mut rest = text;
    let mut kept = 0;
    while let Some(first) = rest.chars().next() {
        if kept == KEPT {
            masked.push('…');
            break;
        }
        let at_word_start = !masked.ends_with(|c: char| c.is_ascii_alphanumeric());
        if let Some((shown, length)) = secret_at(rest).filter(|_| at_word_start) {
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
    if text.starts_with("ya29.")
        || (text.starts_with("eyJ") || text.starts_with("1//")) && token_length(text) > 20
    {
        return Some(("[token]", token_length(text)));
    }
    if text.starts_with("GOCSPX-") {
        return Some(("[secret]", token_length(text)));
    }
    for name in PARAMETERS {
        if !starts_with_ignoring_case(text, name) {
            continue;
        }
        let after = &text[name.len()..];
        let sign = after.find(|c: char| !matches!(c, '"' | '\'' | '\\' | ' '))?;
        if !after[sign..].starts_with(['=', ':']) {
            continue;
        }
        let value = &after[sign + 1..];
        let start = value
            .find(|c: char| !matches!(c, '"' | '\'' | '\\' | ' '))
            .unwrap_or(value.len());
        if secret_at(&value[start..]).is_some() {
            return None;
        }
        let length = name.len() + sign + 1 + start + token_length(&value[start..]);
        return Some(("[secret]", length));
    }
    None
}

fn starts_with_ignoring_case(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn token_length(text: &str) -> usize {
    text.find(|c: char| !(c.is_ascii_alphanumeric() || "-._~+/%=".contains(c)))
        .unwrap_or(text.len())
}
