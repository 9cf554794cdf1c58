//! How a run ended.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Measured, and valid.
    #[default]
    Ok,
    /// Interrupted, and valid for the time that it lasted; or some clients of many failed, and the rest is valid.
    Partial,
    /// Measured, but what was measured is not what was asked.
    Invalid,
    /// Could not be measured to its end.
    Failed,
}

impl Status {
    /// Whether the figures are those of what was asked for.
    pub const fn has_figures(self) -> bool {
        matches!(self, Self::Ok | Self::Partial)
    }

    /// The higher, the less there is to rely on.
    pub const fn severity(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Partial => 1,
            Self::Invalid => 2,
            Self::Failed => 3,
        }
    }
}
