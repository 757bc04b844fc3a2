//! The HTTP shell: what Google's front end does before and after a method.

pub mod answer;
pub mod call;
pub mod data_filters;
pub mod drive;
pub mod export;
pub mod login;
pub mod machine;
pub mod metadata;
pub mod quota;
pub mod route;
pub mod search;
pub mod serve;
pub mod spreadsheets;
pub mod token;
pub mod values;
