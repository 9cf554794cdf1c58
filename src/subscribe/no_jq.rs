//! In place of `jq.rs` where the crate is built without the feature `jq`.

/// Nothing needs more stack than there is.
pub(super) const STACK: usize = 8 << 20;

/// There is none.
#[derive(Clone, Debug)]
pub(super) enum Program {}

/// What a program would be asked about.
pub(super) type Value = ();

impl Program {
    /// # Errors
    /// Always.
    pub(super) fn check(_: &str) -> Result<(), String> {
        Self::compile("").map(drop)
    }

    /// # Errors
    /// Always.
    pub(super) fn compile(_: &str) -> Result<Self, String> {
        Err("this mqsub was built without jq expressions (the cargo feature jq): use /REGEX/ or =TEXT".into())
    }

    pub(super) fn is_true(&self, (): &Value) -> Result<bool, String> {
        match *self {}
    }
}

pub(super) const fn value(_: &[u8]) -> Value {}
