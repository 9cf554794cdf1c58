//! Compares an output as a whole, so that nothing is printed that no test knows.

use snapbox::Assert;

/// `actual` is `expected`, in which `[..]` stands for what varies in a line, and a line `...` for any number of lines.
#[track_caller]
pub fn assert_whole(actual: &str, expected: &str) {
    Assert::new().eq(actual, expected);
}
