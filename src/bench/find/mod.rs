//! `mqbench find`: the highest rate at which the path meets a service-level objective.
//!
//! `settings` is what is looked for, `search` decides which rate is tried next and when the answer stands, `probe` judges
//! one rate by its result, `driver` runs them, `text` prints the curve.

mod driver;
mod probe;
mod search;
mod settings;
mod text;

pub(super) use self::driver::find;
pub(super) use self::settings::Settings;
pub(super) use self::text::curve_text;
