//! Worker threads: each runs the tasks of its connections on a runtime of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::LocalSet;

use super::stream::Stream;
use crate::client::handle::Handle;
use crate::client::task::Client;
use crate::persist::aof::pass;
use crate::server::Server;
use crate::stats::WorkerStats;

/// A socket on its way to a worker.
#[derive(Debug)]
pub enum Accepted {
    /// TCP.
    Tcp(std::net::TcpStream),
    /// Unix.
    Unix(std::os::unix::net::UnixStream),
}

type Delivery = (Accepted, Arc<Handle>);

/// The workers of a process.
pub struct Workers {
    inboxes: Vec<UnboundedSender<Delivery>>,
    next: AtomicUsize,
}

impl Workers {
    /// Starts `count` threads.
    ///
    /// # Errors
    /// When the system gives no thread or no event queue.
    pub fn start(server: &Arc<Server>, count: usize) -> std::io::Result<Workers> {
        let mut inboxes = Vec::with_capacity(count);
        for index in 0..count {
            let (send, receive) = unbounded_channel();
            let server = server.clone();
            let stats = server.stats.add_worker(server.engine.registry.all().len());
            let runtime = Builder::new_current_thread()
                .enable_all()
                .event_interval(127)
                .build()?;
            std::thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || {
                    crate::sched::answer();
                    LocalSet::new().block_on(&runtime, work(server, stats, receive));
                })?;
            inboxes.push(send);
        }
        Ok(Workers {
            inboxes,
            next: AtomicUsize::new(0),
        })
    }

    /// Gives a connection to the next worker in turn.
    pub fn deal(&self, accepted: Accepted, handle: Arc<Handle>) {
        let turn = self.next.fetch_add(1, Relaxed) % self.inboxes.len().max(1);
        if let Some(inbox) = self.inboxes.get(turn) {
            // A worker only ends with the process.
            let _ = inbox.send((accepted, handle));
        }
    }
}

async fn work(
    server: Arc<Server>,
    stats: Arc<WorkerStats>,
    mut inbox: UnboundedReceiver<Delivery>,
) {
    tokio::task::spawn_local(pass::run(server.clone()));
    while let Some((accepted, handle)) = inbox.recv().await {
        let stream = match accepted {
            Accepted::Tcp(stream) => TcpStream::from_std(stream).map(Stream::Tcp),
            Accepted::Unix(stream) => UnixStream::from_std(stream).map(Stream::Unix),
        };
        match stream {
            Ok(stream) => {
                let client = Client::new(stream, server.clone(), handle, stats.clone());
                tokio::task::spawn_local(client.run());
            }
            Err(error) => {
                tracing::warn!("Registering client socket: {error}");
                server.clients.remove(handle.id);
            }
        }
    }
}
