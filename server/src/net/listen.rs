//! Making listening sockets, and changing them while running (`CONFIG SET port`, `bind`).

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr, ToSocketAddrs};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use parking_lot::Mutex;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::sync::mpsc::UnboundedSender;

use crate::config::Config;

/// A listening socket.
#[derive(Debug)]
pub enum Listening {
    /// TCP.
    Tcp(std::net::TcpListener),
    /// Unix socket.
    Unix(StdUnixListener, String),
}

/// What the acceptor is told.
#[derive(Debug)]
pub enum Order {
    /// Accept on these; TCP listeners replace those in use.
    Listen(Vec<Listening>),
    /// Close the TCP listeners if that is still wanted, then say so.
    CloseTcp(Arc<AtomicBool>, SyncSender<()>),
}

/// How long the acceptor may take to close its listeners.
const CLOSING_TIME: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 5000 });

/// The listeners in use, changed by orders to the acceptor.
#[derive(Default)]
pub struct Listeners {
    acceptor: Mutex<Option<UnboundedSender<Order>>>,
    /// Second handles of the TCP sockets, to close them for good at the end.
    tcp: Mutex<Vec<std::net::TcpListener>>,
    unix_path: Mutex<Option<String>>,
}

impl Listeners {
    /// Connects the acceptor.
    pub fn attach(&self, acceptor: UnboundedSender<Order>) {
        *self.acceptor.lock() = Some(acceptor);
    }

    /// Has the acceptor listen on these, in place of the TCP sockets in use.
    pub fn listen(&self, sockets: Vec<Listening>) {
        if let Some(acceptor) = &*self.acceptor.lock() {
            self.hand_over(acceptor, sockets);
        }
    }

    fn hand_over(&self, acceptor: &UnboundedSender<Order>, sockets: Vec<Listening>) {
        let second = |socket: &Listening| match socket {
            // Without it nothing is amiss but the order in which sockets are closed at the end.
            Listening::Tcp(socket) => socket.try_clone().ok(),
            Listening::Unix(..) => None,
        };
        *self.tcp.lock() = sockets.iter().filter_map(second).collect();
        // A closed channel means that the process is going down.
        let _ = acceptor.send(Order::Listen(sockets));
    }

    /// Nobody can connect any more: whoever sees its connection closed by the end of the process
    /// shall not reach another socket of it that is still open.
    pub fn shut(&self) {
        for socket in self.tcp.lock().drain(..) {
            // At the end of the process it is closed at the latest.
            let _ = SockRef::from(&socket).shutdown(Shutdown::Both);
        }
    }

    /// Replaces the TCP listeners by those of a new configuration. The old ones are closed
    /// after the new ones are bound, unless they are in their way.
    ///
    /// # Errors
    /// What cannot be bound; the listeners of the old configuration then stay.
    pub fn replace_tcp(&self, old: &Config, new: &Config) -> Result<(), String> {
        let acceptor = self.acceptor.lock();
        let Some(acceptor) = &*acceptor else {
            return Ok(());
        };
        if let Ok(sockets) = bind_tcp(new) {
            self.hand_over(acceptor, sockets);
            return Ok(());
        }
        let (done, closed) = sync_channel(1);
        let wanted = Arc::new(AtomicBool::new(true));
        // A closed channel means that the process is going down.
        let _ = acceptor.send(Order::CloseTcp(wanted.clone(), done));
        if closed.recv_timeout(CLOSING_TIME).is_err() && wanted.swap(false, AcqRel) {
            // It has not begun, and will not: the old ones stay open.
            return Err("The listening sockets are not closed in time.".to_owned());
        }
        self.tcp.lock().clear();
        let bound = bind_tcp(new);
        let reason = bound.as_ref().err().cloned();
        match bound.or_else(|_| bind_tcp(old)) {
            Ok(sockets) => self.hand_over(acceptor, sockets),
            Err(lost) => tracing::error!("{lost}"),
        }
        reason.map_or(Ok(()), Err)
    }

    /// Remembers the Unix socket's path, to remove it at the end.
    pub fn set_unix_path(&self, path: Option<String>) {
        *self.unix_path.lock() = path;
    }

    /// Removes the Unix socket's file.
    pub fn remove_unix_socket(&self) {
        if let Some(path) = self.unix_path.lock().take() {
            // It may be gone already.
            let _ = fs::remove_file(path);
        }
    }
}

/// Binds the TCP sockets of a configuration.
///
/// # Errors
/// The address that cannot be bound and why. Addresses with a leading `-` may be missing.
pub fn bind_tcp(config: &Config) -> Result<Vec<Listening>, String> {
    let mut sockets = Vec::new();
    if config.port == 0 {
        return Ok(sockets);
    }
    let backlog = i32::try_from(config.tcp_backlog).unwrap_or(511);
    // Without an address there is no TCP socket.
    for address in &config.bind.0 {
        let (optional, address) = match address.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, address.as_str()),
        };
        match bind_one(address, config.port, backlog) {
            Ok(socket) => sockets.push(Listening::Tcp(socket)),
            Err(error) if optional && skippable(&error) => {}
            Err(error) => {
                tracing::warn!(
                    "Warning: Could not create server TCP listening socket {address}:{}: {}",
                    config.port,
                    crate::config::text::os_reason(&error)
                );
                return Err(format!(
                    "Failed listening on port {} (tcp), aborting.",
                    config.port
                ));
            }
        }
    }
    Ok(sockets)
}

/// Errors that mean that the machine has no such address.
fn skippable(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::Unsupported
            | io::ErrorKind::NotFound
            | io::ErrorKind::InvalidInput
    ) || matches!(error.raw_os_error(), Some(92..=97))
}

fn bind_one(address: &str, port: u16, backlog: i32) -> io::Result<std::net::TcpListener> {
    let target: SocketAddr = match address {
        "*" => SocketAddr::new(IpAddr::from([0, 0, 0, 0]), port),
        "::*" => SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port),
        name => match name.parse::<IpAddr>() {
            Ok(ip) => SocketAddr::new(ip, port),
            Err(_) => (name, port)
                .to_socket_addrs()?
                .next()
                .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?,
        },
    };
    let socket = Socket::new(
        Domain::for_address(target),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if target.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&target.into())?;
    socket.listen(backlog)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Binds the Unix socket. Its permissions are set before it listens, so nobody can connect
/// while they are wider than configured.
///
/// # Errors
/// What cannot be bound and why.
pub fn bind_unix(config: &Config) -> Result<Option<Listening>, String> {
    let Some(path) = config.unixsocket.as_deref().filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    let fail = |error: io::Error| {
        format!(
            "Failed opening Unix socket: bind: {}",
            crate::config::text::os_reason(&error)
        )
    };
    if fs::symlink_metadata(path).is_ok() {
        fs::remove_file(path).map_err(fail)?;
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(fail)?;
    socket
        .bind(&socket2::SockAddr::unix(Path::new(path)).map_err(fail)?)
        .map_err(fail)?;
    if config.unixsocketperm != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(config.unixsocketperm))
            .map_err(fail)?;
    }
    socket
        .listen(i32::try_from(config.tcp_backlog).unwrap_or(511))
        .map_err(fail)?;
    socket.set_nonblocking(true).map_err(fail)?;
    Ok(Some(Listening::Unix(socket.into(), path.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_that_are_not_closed_in_time_stay() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = taken.local_addr().expect("its address").port();
        let config = Config {
            port,
            ..Config::default()
        };
        let (sender, mut orders) = tokio::sync::mpsc::unbounded_channel();
        let listeners = Listeners::default();
        listeners.attach(sender);
        let refused = listeners.replace_tcp(&config, &config);
        assert!(refused.is_err());
        let Ok(Order::CloseTcp(wanted, _)) = orders.try_recv() else {
            panic!("it was to close them");
        };
        assert!(!wanted.swap(false, AcqRel), "nobody waits for it any more");
        assert!(orders.try_recv().is_err(), "nothing else to listen on");
    }
}
