//! Clients that run scripts: their work is done on a stack of its own, which a slow script
//! leaves now and then, so that the other clients of the thread are told that it is busy, and
//! one of them may kill it.
//!
//! While a script is away from its stack it holds the shards it touched: nothing else on this
//! thread may wait for one. Commands are refused before they lock, and a lock that is asked for
//! nevertheless is not waited for (`keyspace::held`).

use std::cell::RefCell;
use std::sync::Arc;

use basalt_engine::script::STACK_BYTES;
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};

use super::{Client, Work};
use crate::client::caller::Aside;
use crate::server::Server;

/// Stacks that a thread keeps for the next script.
const KEPT: usize = 2;

thread_local! {
    static STACKS: RefCell<Vec<DefaultStack>> = const { RefCell::new(Vec::new()) };
}

impl Aside for Yielder<(), ()> {
    fn step(&self) {
        self.suspend(());
    }
}

type Running = Coroutine<(), (), (Box<Client>, Work), DefaultStack>;

/// Work that is under way on another stack.
struct Stacked {
    running: Option<Running>,
    server: Arc<Server>,
}

impl Stacked {
    /// Goes on with the work until it is done or steps aside.
    fn resume(&mut self) -> Option<(Box<Client>, Work)> {
        let running = self.running.as_mut()?;
        match running.resume(()) {
            CoroutineResult::Yield(()) => None,
            CoroutineResult::Return(done) => {
                if let Some(running) = self.running.take() {
                    STACKS.with_borrow_mut(|stacks| {
                        if stacks.len() < KEPT {
                            stacks.push(running.into_stack());
                        }
                    });
                }
                Some(done)
            }
        }
    }
}

impl Drop for Stacked {
    /// A stack is never thrown away with a script on it.
    fn drop(&mut self) {
        let under_way = |running: &Running| !running.done();
        while self.running.as_ref().is_some_and(under_way) {
            self.server.engine.scripts.running.abandon();
            drop(self.resume());
        }
    }
}

/// Does the work of a client on a stack of its own. `None` when there is no memory for one.
pub(super) async fn on_stack(mut client: Box<Client>) -> Option<(Box<Client>, Work)> {
    let kept = STACKS.with_borrow_mut(Vec::pop);
    let stack = match kept {
        Some(stack) => stack,
        None => match DefaultStack::new(STACK_BYTES) {
            Ok(stack) => stack,
            Err(error) => {
                tracing::warn!("No memory for the stack of a script: {error}");
                return None;
            }
        },
    };
    let server = client.server.clone();
    let running = Coroutine::with_stack(stack, move |yielder: &Yielder<(), ()>, ()| {
        let work = client.work(Some(yielder));
        (client, work)
    });
    let mut stacked = Stacked {
        running: Some(running),
        server,
    };
    loop {
        if let Some(done) = stacked.resume() {
            return Some(done);
        }
        tokio::task::yield_now().await;
    }
}
