//! Finds the process that listens on a TCP port of this machine (Linux).

use std::io;

/// The process that listens on a TCP port of this machine.
///
/// # Errors
/// When there is none, or none that this user may look at; always on systems other than Linux.
#[cfg(target_os = "linux")]
pub(crate) fn listener(port: u16) -> io::Result<u32> {
    let sockets: Vec<u64> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| std::fs::read_to_string(table).ok())
        .flat_map(|table| listening_sockets(&table, port))
        .collect();
    let missing = |text: String| io::Error::new(io::ErrorKind::NotFound, text);
    if sockets.is_empty() {
        return Err(missing(format!("no process on this machine listens on port {port}: give its process ID")));
    }
    let processes = std::fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let owns = |pid: &u32| has_socket(*pid, &sockets);
    // The oldest of those that share a socket is the one that opened it.
    processes.filter(owns).min().ok_or_else(|| {
        missing(format!(
            "the process that listens on port {port} belongs to another user: give its process ID, or run as root"
        ))
    })
}

/// Not available on this system.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub(crate) fn listener(_port: u16) -> io::Result<u32> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "only available on Linux"))
}

/// proc_pid_net(5): local address, remote address and state are the second to fourth field, the inode is the tenth.
#[cfg(target_os = "linux")]
fn listening_sockets(table: &str, port: u16) -> Vec<u64> {
    const LISTEN: &str = "0A";
    let socket = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, local_port) = fields.get(1)?.rsplit_once(':')?;
        let is_it = u16::from_str_radix(local_port, 16).ok()? == port && *fields.get(3)? == LISTEN;
        is_it.then(|| fields.get(9)?.parse().ok()).flatten()
    };
    table.lines().skip(1).filter_map(socket).collect()
}

#[cfg(target_os = "linux")]
fn has_socket(pid: u32, sockets: &[u64]) -> bool {
    let Ok(descriptors) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    descriptors.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok()).any(|target| {
        let inode = target.to_str().and_then(|name| name.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
        inode.is_some_and(|inode| sockets.contains(&inode))
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_listener_of_this_process_is_found_and_a_closed_port_is_not() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        assert_eq!(listener(port).unwrap(), std::process::id());
        // The other end of a connection is no listener.
        let connected = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let own = connected.local_addr().unwrap().port();
        assert!(listener(own).unwrap_err().to_string().contains("no process on this machine listens"));
    }

    #[test]
    fn only_listening_sockets_of_the_port_count() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:075B 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0 100\n\
            1: 0100007F:075B 0100007F:C000 01 00000000:00000000 00:00000000 00000000  1000        0 4243 1 0 100\n\
            2: 0100007F:075C 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4244 1 0 100\n\
            3: cut\n";
        assert_eq!(listening_sockets(table, 1883), [4242]);
    }
}
