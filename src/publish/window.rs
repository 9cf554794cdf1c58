//! How many messages are in flight, where a broker does not take what it was asked to take. Pure.

/// The window as losses have made it.
#[derive(Debug)]
pub(super) struct SendWindow {
    most: u16,
    /// One message at a time, until one is acknowledged: the next loss then has one cause.
    is_single: bool,
}

impl SendWindow {
    pub(super) const fn new(most: u16) -> Self {
        Self { most, is_single: false }
    }

    /// A connection was lost on which nothing was acknowledged of `sent` messages. Returns the new window.
    pub(super) fn halve(&mut self, sent: usize) -> u16 {
        let sent = u16::try_from(sent).unwrap_or(u16::MAX).min(self.most);
        self.most = (sent / 2).max(1);
        self.most
    }

    /// Sends one message at a time for now.
    pub(super) const fn narrow(&mut self) {
        self.is_single = true;
    }

    /// Something was acknowledged: whether the window is to be opened again.
    pub(super) const fn widen(&mut self) -> bool {
        std::mem::replace(&mut self.is_single, false)
    }

    pub(super) const fn is_single(&self) -> bool {
        self.is_single
    }

    /// What it is now.
    pub(super) const fn now(&self) -> u16 {
        if self.is_single { 1 } else { self.most }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_halves_down_to_one_message() {
        let mut window = SendWindow::new(20);
        let windows: Vec<u16> = (0..6).map(|_| window.halve(usize::from(window.now()))).collect();
        assert_eq!(windows, [10, 5, 2, 1, 1, 1]);
        // A broker's Receive Maximum was the limit, or there was no more to send.
        assert_eq!(SendWindow::new(1000).halve(16), 8);
        // One message at a time does not make it smaller.
        let mut window = SendWindow::new(20);
        window.narrow();
        assert_eq!((window.now(), window.widen(), window.now(), window.widen()), (1, true, 20, false));
    }
}
