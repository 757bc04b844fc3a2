use crate::postgres::errors::refuse;
use google::{Credential, Secret, resolve_spreadsheet};
use pgrx::prelude::*;
use pgrx::{JsonB, PgSqlErrorCode};

use super::{as_owner, required};
use crate::postgres::fields::Fields;
use crate::worker::OF_THE_FILE;
use crate::{seal, settings};

#[pg_extern(sql = false)]
fn set_credential(name: Option<String>, key: Option<JsonB>) {
    let name = required(name, "name");
    if name.trim().is_empty() {
        refuse(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "a credential needs a name",
            "Name it 'default' to have it used where no other is named.",
        );
    }
    let key = required(key, "key");
    let parsed = match Credential::from_value(&key.0) {
        Ok(parsed) => parsed,
        Err(error) => refuse(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("{error}"),
            error.hint(),
        ),
    };
    let Some(sealed) = sealed(&name, &Secret::new(key.0.to_string())) else {
        refuse(
            PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            "the key could not be encrypted",
            "The materialized view sheet_sync._seal must have one line. REFRESH MATERIALIZED VIEW sheet_sync._seal makes it anew; set every credential again after that.",
        );
    };
    let (what, hint) = for_superusers(&parsed).unzip();
    as_owner(
        "SELECT sheet_sync._set_credential($1, $2, $3, $4, $5, $6)",
        vec![
            name.into(),
            sealed.into(),
            parsed.account().into(),
            what.into(),
            hint.into(),
        ],
    );
}

/// What only a superuser may do with such a credential, and what others can do instead. Whoever
/// brings a key of Google's has it already, and gains nothing by storing it here.
fn for_superusers(credential: &Credential) -> Option<(String, String)> {
    let (what, instead) = match credential.token_uri() {
        None => (
            "use the service account of the machine that the server runs on",
            "Give the JSON key of a service account.",
        ),
        Some(uri) if !uri.is_googles() => (
            "have tokens asked for at a token_uri that is not Google's",
            "Give the JSON key of a service account as Google made it (\"token_uri\": \"https://oauth2.googleapis.com/token\").",
        ),
        Some(_) => return None,
    };
    Some((what.to_owned(), instead.to_owned()))
}

fn sealed(name: &str, key: &Secret) -> Option<String> {
    let secret = as_owner(
        "SELECT pg_catalog.encode(s.secret, 'hex') FROM sheet_sync._seal s, (SELECT $1::pg_catalog.oid) caller",
        Vec::new(),
    );
    let secret = seal::from_hex(&Fields::of(secret.into_iter().next()?).text())?;
    let sealed = seal::seal(&secret, name, key.reveal()).ok()?;
    Some(seal::to_hex(&sealed))
}

#[pg_extern(sql = false)]
fn drop_credential(name: Option<String>) -> bool {
    let name = required(name, "name");
    let file_takes_over = name == OF_THE_FILE && settings::credentials_file().is_some();
    let rows = as_owner(
        "SELECT sheet_sync._drop_credential($2, $3) FROM (SELECT $1::pg_catalog.oid) caller",
        vec![name.into(), file_takes_over.into()],
    );
    rows.into_iter().flatten().flatten().next().as_deref() == Some("t")
}

#[pg_extern(sql = false)]
fn grant_credential(
    name: Option<String>,
    role: Option<String>,
    spreadsheets: Option<Vec<Option<String>>>,
) {
    let ids: Option<Vec<String>> = spreadsheets.map(|all| {
        if all.is_empty() {
            refuse(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                "argument spreadsheets is empty",
                "Name at least one, or leave the argument out for all that the account can open.",
            );
        }
        let ids = all
            .into_iter()
            .map(|one| id(&required(one, "spreadsheets")));
        ids.collect()
    });
    as_owner(
        "SELECT sheet_sync._grant_credential($1, $2, $3, $4)",
        vec![
            required(name, "name").into(),
            required(role, "role").into(),
            ids.into(),
        ],
    );
}

fn id(named: &str) -> String {
    match resolve_spreadsheet(named) {
        Ok(spreadsheet) => spreadsheet.id,
        Err(error) => refuse(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            error.to_string(),
            error.hint(),
        ),
    }
}

#[pg_extern(sql = false)]
fn revoke_credential(name: Option<String>, role: Option<String>) -> bool {
    let rows = as_owner(
        "SELECT sheet_sync._revoke_credential($1, $2, $3)",
        vec![required(name, "name").into(), required(role, "role").into()],
    );
    rows.into_iter().flatten().flatten().next().as_deref() == Some("t")
}
