//! What the client reports while the screen is there: on it, and before that on stderr.

use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::rc::Rc;

use crate::client::{Diagnostics, Reporter};

/// Keeps what is reported for the screen.
#[derive(Clone, Debug)]
pub(super) struct ScreenReporter {
    diagnostics: Diagnostics,
    has_screen: Rc<Cell<bool>>,
    /// Texts, and whether each is bad news. Only the last one is ever shown.
    last: Rc<RefCell<Option<(String, bool)>>>,
}

impl ScreenReporter {
    pub(super) fn new(diagnostics: Diagnostics) -> Self {
        Self { diagnostics, has_screen: Rc::default(), last: Rc::default() }
    }

    /// From now on there is a screen, or none any more.
    pub(super) fn set_screen(&self, has_screen: bool) {
        self.has_screen.set(has_screen);
    }

    /// What was reported last, once.
    pub(super) fn take(&self) -> Option<(String, bool)> {
        self.last.borrow_mut().take()
    }

    fn report(&self, text: &dyn Display, is_bad: bool, elsewhere: impl FnOnce(&dyn Display)) {
        match self.has_screen.get() {
            true => *self.last.borrow_mut() = Some((text.to_string(), is_bad)),
            false => elsewhere(text),
        }
    }
}

impl Reporter for ScreenReporter {
    fn warning(&self, text: &dyn Display) {
        self.report(text, true, |text| self.diagnostics.warning(text));
    }

    fn hint(&self, text: &dyn Display) {
        self.report(text, true, |text| self.diagnostics.hint(text));
    }

    fn note(&self, text: &dyn Display) {
        self.report(text, false, |text| self.diagnostics.note(text));
    }
}
