//! Accepting connections: limits, protected mode, then off to a worker.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

use super::listen::{Listening, Order};
use super::worker::{Accepted, Workers};
use crate::client::handle::Handle;
use crate::server::{Server, unix_ms};

const PROTECTED: &str = "-DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user. In this mode connections are only accepted from the loopback interface. If you want to connect from external computers to Redis you may adopt one of the following solutions: 1) Just disable protected mode sending the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the same host the server is running, however MAKE SURE Redis is not publicly accessible from internet if you do so. Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just disable the protected mode by editing the Redis configuration file, and setting the protected mode option to 'no', and then restarting the server. 3) If you started the server manually just for testing, restart it with the '--protected-mode no' option. 4) Setup a an authentication password for the default user. NOTE: You only need to do one of the above things in order for the server to start accepting connections from the outside.\r\n";

/// Accepts on the listeners it is sent, until the process ends.
pub async fn run(server: Arc<Server>, workers: Arc<Workers>, mut orders: UnboundedReceiver<Order>) {
    let mut tcp: Vec<JoinHandle<()>> = Vec::new();
    while let Some(order) = orders.recv().await {
        let sockets = match order {
            Order::CloseTcp(wanted, done) => {
                // Whoever asked may have given up waiting, and then they stay.
                if wanted.swap(false, AcqRel) {
                    close(&mut tcp).await;
                    let _ = done.send(());
                }
                continue;
            }
            Order::Listen(sockets) => sockets,
        };
        close(&mut tcp).await;
        for socket in sockets {
            let (server, workers) = (server.clone(), workers.clone());
            match socket {
                Listening::Tcp(socket) => tcp.push(tokio::task::spawn_local(accept_tcp(
                    server, workers, socket,
                ))),
                Listening::Unix(socket, path) => drop(tokio::task::spawn_local(accept_unix(
                    server, workers, socket, path,
                ))),
            }
        }
    }
}

/// Ends these tasks; when this is done, their sockets are closed.
async fn close(tasks: &mut Vec<JoinHandle<()>>) {
    for task in tasks.drain(..) {
        task.abort();
        // It ends because it was told to.
        let _ = task.await;
    }
}

/// After a failed accept: wait a little, so that a lack of descriptors does not spin.
async fn failed(error: &io::Error) {
    if !matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
    ) {
        // A socket that is shut because the process ends is no news.
        if error.kind() != io::ErrorKind::InvalidInput {
            tracing::warn!("Accepting client connection: {error}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn accept_tcp(server: Arc<Server>, workers: Arc<Workers>, socket: std::net::TcpListener) {
    let listener = match tokio::net::TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!("Cannot listen: {error}");
            return;
        }
    };
    loop {
        match listener.accept().await {
            Err(error) => failed(&error).await,
            Ok((stream, peer)) => match stream.into_std() {
                Err(error) => failed(&error).await,
                Ok(stream) => {
                    let local_addr = stream.local_addr().unwrap_or(peer);
                    let local = peer.ip().is_loopback() || v4_mapped_loopback(peer);
                    if let Some(refusal) = refusal(&server, local) {
                        refuse(&stream, refusal);
                        continue;
                    }
                    tune(&server, &stream);
                    let handle = Handle::new(
                        server.clients.next_id(),
                        peer.to_string(),
                        local_addr.to_string(),
                        stream.as_raw_fd(),
                        false,
                        local,
                        unix_ms(),
                    );
                    welcome(&server, &workers, Accepted::Tcp(stream), handle);
                }
            },
        }
    }
}

fn v4_mapped_loopback(peer: SocketAddr) -> bool {
    matches!(peer, SocketAddr::V6(v6) if v6.ip().to_ipv4_mapped().is_some_and(|ip| ip.is_loopback()))
}

async fn accept_unix(
    server: Arc<Server>,
    workers: Arc<Workers>,
    socket: std::os::unix::net::UnixListener,
    path: String,
) {
    let listener = match tokio::net::UnixListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!("Cannot listen: {error}");
            return;
        }
    };
    loop {
        match listener.accept().await {
            Err(error) => failed(&error).await,
            Ok((stream, _)) => match stream.into_std() {
                Err(error) => failed(&error).await,
                Ok(stream) => {
                    if let Some(refusal) = refusal(&server, true) {
                        refuse(&stream, refusal);
                        continue;
                    }
                    let name = format!("{path}:0");
                    let handle = Handle::new(
                        server.clients.next_id(),
                        name.clone(),
                        name,
                        stream.as_raw_fd(),
                        true,
                        true,
                        unix_ms(),
                    );
                    welcome(&server, &workers, Accepted::Unix(stream), handle);
                }
            },
        }
    }
}

/// Options of an accepted TCP socket. A failure leaves the default in force.
fn tune(server: &Server, stream: &std::net::TcpStream) {
    let _ = stream.set_nodelay(true);
    let keepalive = u64::from(server.config.load().tcp_keepalive);
    if keepalive > 0 {
        let interval = Duration::from_secs((keepalive / 3).max(1));
        let settings = TcpKeepalive::new()
            .with_time(Duration::from_secs(keepalive))
            .with_interval(interval)
            .with_retries(3);
        let _ = SockRef::from(stream).set_tcp_keepalive(&settings);
    }
}

/// Why a connection is not let in.
fn refusal(server: &Server, local: bool) -> Option<&'static str> {
    let config = server.config.load();
    if server.clients.len() >= config.maxclients as usize {
        server.stats.rejected_connections.fetch_add(1, Relaxed);
        return Some("-ERR max number of clients reached\r\n");
    }
    let default = server.accounts.default_account();
    if config.protected_mode && !local && default.rules().needs_no_password() {
        server.stats.rejected_connections.fetch_add(1, Relaxed);
        return Some(PROTECTED);
    }
    None
}

/// Tells the reason, if the socket takes it at once; it is closed right after.
fn refuse(mut stream: impl io::Write, text: &str) {
    let _ = stream.write_all(text.as_bytes());
}

fn welcome(server: &Arc<Server>, workers: &Workers, accepted: Accepted, handle: Handle) {
    server.stats.connections_received.fetch_add(1, Relaxed);
    let handle = Arc::new(handle);
    server.clients.add(&handle);
    workers.deal(accepted, handle);
}
