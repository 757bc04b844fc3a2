//! Arguments, ranges, masking: no server needed.

use google::argument::ArgumentError;
use google::{Spreadsheet, mask, range, resolve_spreadsheet};
use proptest::prelude::*;

const ID: &str = "1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms";

#[test]
fn a_spreadsheet_is_named_by_id_or_by_any_address_of_it() {
    let cases = [
        (ID.to_owned(), None),
        (format!("  {ID}\n"), None),
        (
            format!("https://docs.google.com/spreadsheets/d/{ID}/edit#gid=0"),
            Some(0),
        ),
        (
            format!("https://docs.google.com/spreadsheets/d/{ID}/edit?gid=123456789#gid=123456789"),
            Some(123_456_789),
        ),
        (
            format!("https://docs.google.com/spreadsheets/d/{ID}/edit?gid=1#gid=2"),
            Some(2),
        ),
        (
            format!("https://docs.google.com/spreadsheets/d/{ID}/edit?usp=sharing"),
            None,
        ),
        (
            format!("https://docs.google.com/spreadsheets/d/{ID}/edit?usp=sharing&gid=7"),
            Some(7),
        ),
        (
            format!("https://docs.google.com/spreadsheets/d/{ID}/edit#gid=5&range=A1:B2"),
            Some(5),
        ),
        (
            format!("https://docs.google.com/spreadsheets/u/0/d/{ID}/edit#gid=9"),
            Some(9),
        ),
        (
            format!("https://docs.google.com/a/example.org/spreadsheets/d/{ID}/edit"),
            None,
        ),
        (format!("docs.google.com/spreadsheets/d/{ID}"), None),
        (
            format!("https://docs.google.com/spreadsheets/d/{ID}?x=1"),
            None,
        ),
        (
            format!("https://docs.google.com/spreadsheets/d/{ID}#gid=4"),
            Some(4),
        ),
        (
            format!("http://127.0.0.1:8080/spreadsheets/d/{ID}/edit#gid=3"),
            Some(3),
        ),
    ];
    for (argument, gid) in cases {
        assert_eq!(
            resolve_spreadsheet(&argument),
            Ok(Spreadsheet { id: ID.into(), gid }),
            "{argument}"
        );
    }
}

#[test]
fn what_is_not_a_spreadsheet_is_refused_with_a_reason() {
    assert_eq!(resolve_spreadsheet(" "), Err(ArgumentError::Empty));
    for argument in [
        "products",
        "https://example.org/",
        "https://docs.google.com/document/d/1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms/edit",
        "https://docs.google.com/spreadsheets/d/",
        "https://docs.google.com/spreadsheets/d/a b/edit",
        "https://docs.google.com/spreadsheets/u/0",
    ] {
        assert!(
            matches!(
                resolve_spreadsheet(argument),
                Err(ArgumentError::NotASpreadsheet(_))
            ),
            "{argument}"
        );
    }
    let published = "https://docs.google.com/spreadsheets/d/e/2PACX-1vQ/pubhtml";
    assert!(matches!(
        resolve_spreadsheet(published),
        Err(ArgumentError::Published(_))
    ));
    for gid in ["x", "-1", "99999999999", ""] {
        let argument = format!("https://docs.google.com/spreadsheets/d/{ID}/edit#gid={gid}");
        assert!(
            matches!(
                resolve_spreadsheet(&argument),
                Err(ArgumentError::BadGid(_))
            ),
            "{gid}"
        );
    }
}

#[test]
fn echoed_ranges_are_read() {
    let echo = |text: &str| {
        let echo = range::parse(text)?;
        Some((
            echo.title,
            echo.first_row,
            echo.first_column,
            echo.end_row,
            echo.end_column,
        ))
    };
    assert_eq!(
        echo("Sheet1!A1:Z1000"),
        Some(("Sheet1".into(), 0, 0, Some(1000), Some(26)))
    );
    assert_eq!(
        echo("'Bob''s'!B7"),
        Some(("Bob's".into(), 6, 1, Some(7), Some(2)))
    );
    assert_eq!(
        echo("'has!bang'!AA10:AB11"),
        Some(("has!bang".into(), 9, 26, Some(11), Some(28)))
    );
    assert_eq!(echo("T!A:C"), Some(("T".into(), 0, 0, None, Some(3))));
    assert_eq!(echo("T!2:5"), Some(("T".into(), 1, 0, Some(5), None)));
    for nonsense in [
        "#REF!", "", "Sheet1", "T!", "T!A0", "T!a1", "T!A1:", "T!ABCDE1",
    ] {
        assert_eq!(echo(nonsense), None, "{nonsense}");
    }
}

#[test]
fn secrets_do_not_survive_masking() {
    let jwt = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJyb2JvdEBhIn0.c2lnbmF0dXJlLXNpZ25hdHVyZQ";
    for secret_text in [
        "Authorization: Bearer ya29.a0AfH6SMBx-secret_secret".to_owned(),
        "bad token ya29.c.secret_secret here".to_owned(),
        format!("assertion={jwt}&grant_type=x secret"),
        format!("the jwt {jwt} is not right secret"),
        r#"{"access_token":"abc.secret","expires_in":3599}"#.to_owned(),
        r#"{\"private_key\": \"secretsecret\"}"#.to_owned(),
        "-----BEGIN PRIVATE KEY-----\nMIIEsecret\nsecret==\n-----END PRIVATE KEY-----\nafter"
            .to_owned(),
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEsecret".to_owned(),
    ] {
        let masked = mask(&secret_text)
            .replace("here", "")
            .replace("is not right secret", "")
            .replace("x secret", "");
        assert!(
            !masked.contains("secret")
                || masked.matches("secret").count() == masked.matches("[secret]").count(),
            "{masked}"
        );
        assert!(!masked.contains("c2lnbmF0dXJl"), "{masked}");
    }
    let plain = "Unable to parse range: 'Bearings'!A1 for robot@a.iam.gserviceaccount.com";
    assert_eq!(mask(plain), plain);
    assert!(mask(&"x".repeat(5000)).chars().count() <= 601);
    // Secrets within secrets, as many as an answer has room for.
    assert!(mask(&"access_token=".repeat(1_000_000)).chars().count() <= 601);
}

proptest! {
    #[test]
    fn titles_survive_quoting(title in "\\PC{1,30}", first in 0u32..100_000, more in 1u32..1000) {
        let echo = range::parse(&range::rows(&title, first, first + more));
        let echo = echo.map(|echo| (echo.title, echo.first_row, echo.end_row));
        prop_assert_eq!(echo, Some((title, first, Some(first + more))));
    }

    #[test]
    fn nothing_makes_the_parsers_panic(text in ".{0,80}") {
        let _ = resolve_spreadsheet(&text);
        let _ = resolve_spreadsheet(&format!("https://docs.google.com/spreadsheets/d/{text}"));
        let _ = range::parse(&text);
        let _ = mask(&text);
    }
}
