//! What the mqbroker process asks of its system: to hold as many sockets as it may.

/// Raises the limit of open files to what the system allows: every client is one. What cannot be raised stays.
pub(super) fn raise_file_limit() {
    #[cfg(unix)]
    {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
            && soft < hard
        {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
        }
    }
}
