//! A cell: what was typed into it, what it shows, and what hangs on it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

/// What a person or a request put into a cell (`userEnteredValue`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum Entered {
    #[default]
    Empty,
    Number(f64),
    Bool(bool),
    Text(Box<str>),
    Formula(Box<Formula>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Formula {
    /// With its leading `=`.
    pub text: String,
    pub result: Computed,
}

/// What a cell evaluates to (`effectiveValue`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum Computed {
    #[default]
    Empty,
    Number(f64),
    Bool(bool),
    Text(String),
    Error(CellError),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellError {
    pub kind: ErrorKind,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorKind {
    Error,
    Null,
    DivideByZero,
    Value,
    Ref,
    Name,
    Num,
    NotAvailable,
    Loading,
}

impl ErrorKind {
    /// The member of the enum `ErrorValue.type` in the discovery document.
    pub fn type_name(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Null => "NULL_VALUE",
            Self::DivideByZero => "DIVIDE_BY_ZERO",
            Self::Value => "VALUE",
            Self::Ref => "REF",
            Self::Name => "NAME",
            Self::Num => "NUM",
            Self::NotAvailable => "N_A",
            Self::Loading => "LOADING",
        }
    }

    /// What the cell shows.
    pub fn shown(self) -> &'static str {
        match self {
            Self::Error => "#ERROR!",
            Self::Null => "#NULL!",
            Self::DivideByZero => "#DIV/0!",
            Self::Value => "#VALUE!",
            Self::Ref => "#REF!",
            Self::Name => "#NAME?",
            Self::Num => "#NUM!",
            Self::NotAvailable => "#N/A",
            Self::Loading => "Loading...",
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    #[serde(default, skip_serializing_if = "Entered::is_empty")]
    pub entered: Entered,
    /// `userEnteredFormat`; shared, since whole columns carry the same one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Arc<Json>>,
    /// Members of `CellData` that few cells have: note, dataValidation, textFormatRuns, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<Box<Map<String, Json>>>,
    /// The computed value that a formula elsewhere spilt into this cell.
    #[serde(skip)]
    pub spilt: Option<Box<Computed>>,
}

/// The members of `CellData` that are kept and given back as they came.
pub const EXTRA_MEMBERS: [&str; 5] = ["note", "dataValidation", "textFormatRuns", "chipRuns", "pivotTable"];

impl Cell {
    pub fn is_blank(&self) -> bool {
        self.entered == Entered::Empty && self.spilt.is_none()
    }

    /// Nothing at all is kept here, not even a format.
    pub fn is_bare(&self) -> bool {
        self.is_blank() && self.format.is_none() && self.extra.is_none()
    }

    pub fn computed(&self) -> Computed {
        match &self.entered {
            Entered::Empty => self.spilt.as_deref().cloned().unwrap_or_default(),
            Entered::Number(n) => Computed::Number(*n),
            Entered::Bool(b) => Computed::Bool(*b),
            Entered::Text(t) => Computed::Text(t.to_string()),
            Entered::Formula(f) => f.result.clone(),
        }
    }

    pub fn formula(&self) -> Option<&str> {
        match &self.entered {
            Entered::Formula(f) => Some(&f.text),
            _ => None,
        }
    }

    pub fn number_format(&self) -> Option<&Json> {
        self.format.as_ref()?.get("numberFormat")
    }

    pub fn note(&self) -> Option<&str> {
        self.extra.as_ref()?.get("note")?.as_str()
    }

    /// Data validation makes it a checkbox, whatever it holds.
    pub fn is_checkbox(&self) -> bool {
        let validation = self.extra.as_ref().and_then(|e| e.get("dataValidation"));
        validation.and_then(|v| v.pointer("/condition/type")) == Some(&Json::from("BOOLEAN"))
    }

    pub fn set_extra(&mut self, name: &str, value: Option<Json>) {
        match value {
            Some(value) => {
                self.extra.get_or_insert_default().insert(name.to_owned(), value);
            }
            None => {
                if let Some(extra) = &mut self.extra {
                    extra.shift_remove(name);
                }
                if self.extra.as_ref().is_some_and(|e| e.is_empty()) {
                    self.extra = None;
                }
            }
        }
    }
}

impl Entered {
    fn is_empty(&self) -> bool {
        *self == Self::Empty
    }

    pub fn formula(text: impl Into<String>) -> Self {
        Self::Formula(Box::new(Formula { text: text.into(), result: Computed::Empty }))
    }

    pub fn text(text: impl Into<Box<str>>) -> Self {
        Self::Text(text.into())
    }

    pub fn chars(&self) -> usize {
        match self {
            Self::Text(t) => t.chars().count(),
            Self::Formula(f) => f.text.chars().count(),
            _ => 0,
        }
    }
}

/// A `google.protobuf.Struct` number the way Google prints it: whole numbers without a fraction.
pub fn json_number(n: f64) -> Json {
    if n.fract() == 0.0 && n.abs() < 9.0e15 {
        Json::from(n as i64)
    } else {
        serde_json::Number::from_f64(n).map_or(Json::Null, Json::Number)
    }
}

/// `ExtendedValue` of an input.
pub fn extended_entered(entered: &Entered) -> Option<Json> {
    Some(match entered {
        Entered::Empty => return None,
        Entered::Number(n) => serde_json::json!({ "numberValue": json_number(*n) }),
        Entered::Bool(b) => serde_json::json!({ "boolValue": b }),
        Entered::Text(t) => serde_json::json!({ "stringValue": t }),
        Entered::Formula(f) => serde_json::json!({ "formulaValue": f.text }),
    })
}

/// `ExtendedValue` of a result.
pub fn extended_computed(computed: &Computed) -> Option<Json> {
    Some(match computed {
        Computed::Empty => return None,
        Computed::Number(n) => serde_json::json!({ "numberValue": json_number(*n) }),
        Computed::Bool(b) => serde_json::json!({ "boolValue": b }),
        Computed::Text(t) => serde_json::json!({ "stringValue": t }),
        Computed::Error(e) => {
            let mut error = serde_json::json!({ "type": e.kind.type_name() });
            if !e.message.is_empty() {
                error["message"] = Json::from(e.message.clone());
            }
            serde_json::json!({ "errorValue": error })
        }
    })
}
