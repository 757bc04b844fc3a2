//! How a locale writes numbers and dates, as far as typing and showing differ.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Locale {
    pub decimal: char,
    pub group: char,
    pub order: Order,
    /// Names of months are known in English only.
    pub english: bool,
}

/// In which order the parts of a date of digits stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    MonthFirst,
    DayFirst,
    YearFirst,
}

impl Default for Locale {
    fn default() -> Self {
        Self::of("en_US")
    }
}

impl Locale {
    pub fn of(name: &str) -> Self {
        let (language, country) = name.split_once('_').unwrap_or((name, ""));
        let order = match (language, country) {
            ("" | "en", "" | "US") => Order::MonthFirst,
            ("ja" | "zh" | "ko" | "hu" | "lt" | "sv" | "mn", _) | ("en" | "fr", "CA") => Order::YearFirst,
            _ => Order::DayFirst,
        };
        let (decimal, group) = match (language, country) {
            ("de", "CH" | "LI") => ('.', '\u{2019}'),
            ("es", "MX" | "GT" | "HN" | "NI" | "PA" | "PE" | "PR" | "SV") => ('.', ','),
            ("fr", _) => (',', '\u{202f}'),
            ("pl" | "ru" | "cs" | "fi" | "nb" | "no" | "sv" | "hu" | "uk" | "sk" | "bg" | "lt" | "lv" | "et", _) => {
                (',', '\u{a0}')
            }
            (
                "de" | "it" | "es" | "pt" | "nl" | "tr" | "da" | "el" | "ro" | "vi" | "id" | "sl" | "hr" | "is" | "ca"
                | "gl" | "sr",
                _,
            ) => (',', '.'),
            _ => ('.', ','),
        };
        Self { decimal, group, order, english: matches!(language, "" | "en") }
    }

    /// Whether a typed character stands between groups of three digits; people type a plain blank
    /// for a narrow one.
    pub fn groups(&self, c: char) -> bool {
        c == self.group || self.group.is_whitespace() && matches!(c, ' ' | '\u{a0}' | '\u{202f}')
    }

    /// A number in English notation as it is shown here.
    pub fn shown(&self, english: &str) -> String {
        let mark = |c| match c {
            '.' => self.decimal,
            ',' => self.group,
            c => c,
        };
        english.chars().map(mark).collect()
    }
}
