//! The one place that forwards reads and writes of an enum of streams to the stream inside.

/// Implements `AsyncRead` for a type by calling the same method of the stream in the variant at hand:
/// `forward_read!(Type, value => expression of the enum, Enum { Variant, … })`.
macro_rules! forward_read {
    ($type:ty, $value:ident => $inner:expr, $enum:ident { $($(#[$condition:meta])* $variant:ident),+ $(,)? }) => {
        impl AsyncRead for $type {
            fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
                let $value = self.get_mut();
                match &mut $inner {
                    $($(#[$condition])* $enum::$variant(stream) => Pin::new(stream).poll_read(cx, buffer),)+
                }
            }
        }
    };
}

/// Implements `AsyncWrite` in the same way.
macro_rules! forward_write {
    ($type:ty, $value:ident => $inner:expr, $enum:ident { $($(#[$condition:meta])* $variant:ident),+ $(,)? }) => {
        impl AsyncWrite for $type {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
                let $value = self.get_mut();
                match &mut $inner {
                    $($(#[$condition])* $enum::$variant(stream) => Pin::new(stream).poll_write(cx, bytes),)+
                }
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                let $value = self.get_mut();
                match &mut $inner {
                    $($(#[$condition])* $enum::$variant(stream) => Pin::new(stream).poll_flush(cx),)+
                }
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                let $value = self.get_mut();
                match &mut $inner {
                    $($(#[$condition])* $enum::$variant(stream) => Pin::new(stream).poll_shutdown(cx),)+
                }
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                slices: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                let $value = self.get_mut();
                match &mut $inner {
                    $($(#[$condition])* $enum::$variant(stream) => Pin::new(stream).poll_write_vectored(cx, slices),)+
                }
            }

            fn is_write_vectored(&self) -> bool {
                let $value = self;
                match &$inner {
                    $($(#[$condition])* $enum::$variant(stream) => stream.is_write_vectored(),)+
                }
            }
        }
    };
}
