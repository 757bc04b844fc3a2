//! Google's JSON front end: request bodies and masks checked against the discovery document
//! (G-STANDIN-6).

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::{Map, Value as Json};

use super::mask::Mask;
use crate::errors::{ApiError, ApiResult};

/// The part of the discovery document that checks need.
pub struct Schemas(HashMap<String, Message>);

pub static SHEETS: LazyLock<Schemas> = LazyLock::new(|| Schemas::read(include_str!("../../data/sheets.v4.json")));

#[derive(Default)]
struct Message {
    members: HashMap<String, Type>,
    /// Of these only one may be set.
    one_of: &'static [&'static str],
}

/// What a member of a message may hold.
enum Type {
    /// By its name.
    Message(String),
    List(Box<Type>),
    ListOfLists,
    Map,
    Any,
    Scalar(Scalar),
}

/// Its JSON kind; an enum has names.
struct Scalar {
    kind: String,
    names: Vec<Json>,
    is_float: bool,
}

impl Type {
    fn read(property: &Json) -> Self {
        if let Some(schema) = property["$ref"].as_str() {
            return Self::Message(schema.to_owned());
        }
        match property["type"].as_str() {
            Some("array") if property["items"]["type"] == "array" => Self::ListOfLists,
            Some("array") => Self::List(Box::new(Self::read(&property["items"]))),
            Some("object") => Self::Map,
            Some(kind) if kind != "any" => Self::Scalar(Scalar {
                kind: kind.to_owned(),
                names: property["enum"].as_array().cloned().unwrap_or_default(),
                is_float: property["format"] == "float",
            }),
            _ => Self::Any,
        }
    }

    /// The message that it is, or is a list of.
    fn message(&self) -> Option<&str> {
        match self {
            Self::Message(schema) => Some(schema),
            Self::List(items) => items.message(),
            _ => None,
        }
    }
}

impl Schemas {
    fn read(document: &str) -> Self {
        let document: Json = serde_json::from_str(document).expect("the discovery document is JSON");
        let schemas = document["schemas"].as_object().expect("it has schemas");
        let message = |(name, schema): (&String, &Json)| {
            let properties = schema["properties"].as_object();
            let members = properties.into_iter().flatten().map(|(name, property)| (name.clone(), Type::read(property)));
            (name.clone(), Message { members: members.collect(), one_of: one_of(name) })
        };
        Self(schemas.iter().map(message).collect())
    }

    fn message(&self, schema: &str) -> &Message {
        static NONE: LazyLock<Message> = LazyLock::new(Message::default);
        self.0.get(schema).unwrap_or(&NONE)
    }

    /// A body in its canonical form: camelCase names, typed numbers, nulls left out; or every
    /// refusal in one answer.
    pub fn body(&self, schema: &str, body: Json, root: &str) -> ApiResult<Json> {
        let mut check = Check { schemas: self, violations: Vec::new() };
        let canonical = match body {
            Json::Object(members) => check.message(schema, members, &Path::Root(root)),
            _ => {
                let text = "Invalid JSON payload received. Unknown name \"\": Root element must be a message.";
                check.violations.push((String::new(), text.to_owned()));
                Json::Null
            }
        };
        check.finish().map(|()| canonical)
    }

    /// A mask whose every path exists in the message; `at` is how a refusal names the parameter.
    pub fn mask(&self, schema: &str, text: &str) -> ApiResult<Mask> {
        let mask = Mask::parse(text).ok_or_else(|| bad_path(text))?;
        match self.unknown_path(schema, &mask) {
            Some(path) => Err(bad_path(&path)),
            None => Ok(mask),
        }
    }

    /// The first path of a mask that names no member.
    pub fn unknown_path(&self, schema: &str, mask: &Mask) -> Option<String> {
        let Mask::Members(members) = mask else {
            return None;
        };
        members.iter().find_map(|(name, inner)| {
            if name == "*" {
                return None;
            }
            let Some(member) = self.member(schema, name) else {
                return Some(name.clone());
            };
            match member.message() {
                Some(target) => self.unknown_path(target, inner),
                None if inner.is_all() || matches!(member, Type::Map) => None,
                None => first_name(inner),
            }
            .map(|path| format!("{name}.{path}"))
        })
    }

    fn member(&self, schema: &str, name: &str) -> Option<&Type> {
        let members = &self.message(schema).members;
        members.get(name).or_else(|| members.get(&camel(name)))
    }
}

fn first_name(mask: &Mask) -> Option<String> {
    match mask {
        Mask::Members(members) => members.first().map(|(n, _)| n.clone()),
        Mask::All => None,
    }
}

/// As recorded for a wrong path (G-ERRORS-2).
fn bad_path(path: &str) -> ApiError {
    let description = format!("Error expanding 'fields' parameter. Cannot find matching fields for path '{path}'.");
    ApiError::bad_request("Request contains an invalid argument.", &[(path.to_owned(), description)])
}

struct Check<'a> {
    schemas: &'a Schemas,
    violations: Vec<(String, String)>,
}

/// Where in a body something stands. Written out only for refusals: a large body has a million
/// places.
enum Path<'a> {
    Root(&'a str),
    /// By its JSON name.
    Member(&'a Path<'a>, &'a str),
    Item(&'a Path<'a>, usize),
}

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Root(name) => f.write_str(name),
            Self::Member(Self::Root(""), name) => f.write_str(&snake(name)),
            Self::Member(parent, name) => write!(f, "{parent}.{}", snake(name)),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

impl Check<'_> {
    fn finish(self) -> ApiResult<()> {
        if self.violations.is_empty() {
            return Ok(());
        }
        let message = self.violations.iter().map(|(_, d)| d.as_str()).collect::<Vec<_>>().join("\n");
        Err(ApiError::bad_request(message, &self.violations))
    }

    fn refuse(&mut self, path: &str, description: String) {
        self.violations.push((path.to_owned(), description));
    }

    fn message(&mut self, schema: &str, mut members: Map<String, Json>, path: &Path) -> Json {
        let message = self.schemas.message(schema);
        let is_canonical = |(name, value): (&String, &Json)| message.members.contains_key(name) && !value.is_null();
        let alternatives = members.keys().filter(|name| message.one_of.contains(&name.as_str())).count();
        // As most clients write it: nothing is renamed, left out or refused here, so a large body
        // stays where it is.
        if alternatives <= 1 && members.iter().all(is_canonical) {
            for (name, value) in &mut members {
                if let Some(member) = message.members.get(name) {
                    *value = self.value(member, value.take(), &Path::Member(path, name)).unwrap_or_default();
                }
            }
            return Json::Object(members);
        }
        let mut out = Map::with_capacity(members.len());
        for (name, value) in members {
            let canonical = if message.members.contains_key(&name) { name.clone() } else { camel(&name) };
            let Some(member) = message.members.get(&canonical) else {
                let path = path.to_string();
                let place = if path.is_empty() { String::new() } else { format!(" at '{path}'") };
                self.refuse(
                    &path,
                    format!("Invalid JSON payload received. Unknown name \"{name}\"{place}: Cannot find field."),
                );
                continue;
            };
            if value.is_null() {
                continue;
            }
            if message.one_of.contains(&canonical.as_str())
                && message.one_of.iter().any(|other| **other != canonical && out.contains_key(*other))
            {
                self.refuse(
                    &path.to_string(),
                    format!(
                        "Invalid value at '{path}' (oneof), oneof field '{}' is already set. Cannot set '{canonical}'",
                        one_of_name(schema)
                    ),
                );
                continue;
            }
            if let Some(value) = self.value(member, value, &Path::Member(path, &canonical)) {
                out.insert(canonical, value);
            }
        }
        Json::Object(out)
    }

    fn value(&mut self, member: &Type, value: Json, path: &Path) -> Option<Json> {
        match member {
            Type::Message(schema) => self.message_value(schema, value, path),
            Type::List(items) => Some(self.list(value, path, |check, value, path| check.value(items, value, path))),
            Type::ListOfLists => Some(self.list(value, path, Self::list_value)),
            Type::Scalar(scalar) => self.scalar(scalar, value, path),
            Type::Map | Type::Any => Some(value),
        }
    }

    fn message_value(&mut self, schema: &str, value: Json, path: &Path) -> Option<Json> {
        match value {
            Json::Object(members) => Some(self.message(schema, members, path)),
            Json::Array(_) => {
                let path = path.to_string();
                let text = format!(
                    "Invalid JSON payload received. Unknown name \"{}\" at '{}': Proto field is not repeating, cannot start list.",
                    last(&path),
                    parent(&path)
                );
                self.refuse(parent(&path), text);
                None
            }
            scalar => {
                let text = format!(
                    "Invalid value at '{path}' (type.googleapis.com/google.apps.sheets.v4.{schema}), {}",
                    shown(&scalar)
                );
                self.refuse(&path.to_string(), text);
                None
            }
        }
    }

    /// One object where a list belongs is a list of one.
    fn list(&mut self, value: Json, path: &Path, item: impl Fn(&mut Self, Json, &Path) -> Option<Json>) -> Json {
        let checked = match value {
            Json::Array(values) => {
                let values = values.into_iter().enumerate();
                values.filter_map(|(i, value)| item(self, value, &Path::Item(path, i))).collect()
            }
            single => item(self, single, path).into_iter().collect(),
        };
        Json::Array(checked)
    }

    fn list_value(&mut self, value: Json, path: &Path) -> Option<Json> {
        if value.is_array() {
            return Some(value);
        }
        let text =
            format!("Invalid value at '{path}' (type.googleapis.com/google.protobuf.ListValue), {}", shown(&value));
        self.refuse(&path.to_string(), text);
        None
    }

    fn scalar(&mut self, scalar: &Scalar, value: Json, path: &Path) -> Option<Json> {
        if value.is_object() || value.is_array() {
            let path = path.to_string();
            let what = if value.is_array() {
                "Proto field is not repeating, cannot start list."
            } else {
                "Starting an object on a scalar field"
            };
            let text = format!(
                "Invalid JSON payload received. Unknown name \"{}\" at '{}': {what}",
                last(&path),
                parent(&path)
            );
            self.refuse(parent(&path), text);
            return None;
        }
        let checked = match scalar.kind.as_str() {
            "integer" => integer(&value),
            "number" => number(&value),
            "boolean" => boolean(&value),
            _ if !scalar.names.is_empty() => member(&scalar.names, &value),
            _ if value.is_string() => return Some(value),
            _ => None,
        };
        if checked.is_none() {
            let path = path.to_string();
            let kind = scalar.type_name(&path);
            self.refuse(&path, format!("Invalid value at '{path}' ({kind}), {}", shown(&value)));
        }
        checked
    }
}

fn integer(value: &Json) -> Option<Json> {
    let n = match value {
        Json::Number(n) => n.as_f64()?,
        Json::String(text) => text.trim_start_matches('+').parse::<f64>().ok()?,
        _ => return None,
    };
    (n.fract() == 0.0 && (-2_147_483_648.0..=2_147_483_647.0).contains(&n)).then(|| Json::from(n as i64))
}

fn number(value: &Json) -> Option<Json> {
    match value {
        Json::Number(_) => Some(value.clone()),
        Json::String(text) => serde_json::Number::from_f64(text.parse().ok()?).map(Json::Number),
        _ => None,
    }
}

/// The spellings that Google takes for a boolean, in bodies and queries.
pub fn boolean(value: &Json) -> Option<Json> {
    match value {
        Json::Bool(b) => Some(Json::Bool(*b)),
        Json::Number(n) if n.as_f64() == Some(1.0) => Some(Json::Bool(true)),
        Json::Number(n) if n.as_f64() == Some(0.0) => Some(Json::Bool(false)),
        Json::String(text) => match text.to_ascii_lowercase().as_str() {
            "1" | "t" | "y" | "yes" | "true" => Some(Json::Bool(true)),
            "0" | "f" | "n" | "no" | "false" => Some(Json::Bool(false)),
            _ => None,
        },
        _ => None,
    }
}

/// An enum by name in any case with `-` for `_`, or by number.
pub fn member(names: &[Json], value: &Json) -> Option<Json> {
    match value {
        Json::String(text) => {
            let wanted = text.to_ascii_uppercase().replace('-', "_");
            let by_number = || text.parse::<usize>().ok().and_then(|n| names.get(n));
            names.iter().find(|n| n.as_str() == Some(&wanted)).or_else(by_number).cloned()
        }
        Json::Number(n) => names.get(n.as_u64()? as usize).cloned(),
        _ => None,
    }
}

impl Scalar {
    fn type_name(&self, path: &str) -> String {
        match self.kind.as_str() {
            "integer" => "TYPE_INT32".to_owned(),
            "number" => if self.is_float { "TYPE_FLOAT" } else { "TYPE_DOUBLE" }.to_owned(),
            "boolean" => "TYPE_BOOL".to_owned(),
            _ if !self.names.is_empty() => {
                format!("type.googleapis.com/google.apps.sheets.v4.{}", enum_name(last(path)))
            }
            _ => "TYPE_STRING".to_owned(),
        }
    }
}

/// The proto name of an enum; the discovery document only has its members.
pub fn enum_name(field: &str) -> String {
    static NAMES: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| {
        HashMap::from([
            ("major_dimension", "Dimension"),
            ("shift_dimension", "Dimension"),
            ("value_render_option", "ValueRenderOption"),
            ("response_value_render_option", "ValueRenderOption"),
            ("response_date_time_render_option", "DateTimeRenderOption"),
        ])
    });
    NAMES.get(field).map_or_else(
        || {
            let camel = camel(field);
            camel[..1].to_uppercase() + &camel[1..]
        },
        |n| (*n).to_owned(),
    )
}

/// Members of which only one may be set.
fn one_of(schema: &str) -> &'static [&'static str] {
    match schema {
        "DataFilter" => &["developerMetadataLookup", "a1Range", "gridRange"],
        "DeveloperMetadataLocation" => &["spreadsheet", "sheetId", "dimensionRange"],
        "ExtendedValue" => &["numberValue", "stringValue", "boolValue", "formulaValue", "errorValue"],
        "UpdateCellsRequest" => &["start", "range"],
        _ => &[],
    }
}

fn one_of_name(schema: &str) -> &'static str {
    match schema {
        "DataFilter" => "filter",
        "DeveloperMetadataLocation" => "location",
        "ExtendedValue" => "value",
        _ => "area",
    }
}

fn shown(value: &Json) -> String {
    match value {
        Json::String(text) => format!("\"{text}\""),
        other => other.to_string(),
    }
}

fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

fn parent(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(p, _)| p)
}

pub fn snake(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

pub fn camel(name: &str) -> String {
    let mut out = String::new();
    let mut upper = false;
    for c in name.chars() {
        if c == '_' {
            upper = true;
        } else if upper {
            out.push(c.to_ascii_uppercase());
            upper = false;
        } else {
            out.push(c);
        }
    }
    out
}
