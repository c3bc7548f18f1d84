//! Which call fails, and how.

use std::io;

use super::super::DiskOp;

/// `EIO`, `ENOSPC` as Linux numbers them: the errors then read as the real ones do.
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// With an I/O error and without effect; a sync loses what it was to make durable.
    Eio,
    /// For want of room, without effect; a sync loses what it was to make durable.
    NoSpace,
    /// An append writes a part of its bytes, and then has no room. Other calls: as `NoSpace`.
    Short,
    /// The power goes while the call runs, so it may have had its effect, or a part of it. All
    /// calls fail from then on, until [`crash`](super::SimDisk::crash) or
    /// [`kill`](super::SimDisk::kill).
    PowerCut,
}

/// A fault that is to come.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// The call that is to fail; none for any of those that change something, or open a file to.
    pub op: Option<DiskOp>,
    /// The how manieth of them from now on; the next one is 1.
    pub nth: u64,
    /// How it fails.
    pub kind: FaultKind,
    /// Whether all of them fail from then on.
    pub repeat: bool,
}

impl Fault {
    /// The `nth` call of a kind from now on fails.
    pub fn on(op: DiskOp, nth: u64, kind: FaultKind) -> Self {
        Fault {
            op: Some(op),
            nth,
            kind,
            repeat: false,
        }
    }

    /// The `nth` call from now on that changes anything fails, whatever it is: for a loop over
    /// all of them.
    pub fn nth(nth: u64, kind: FaultKind) -> Self {
        Fault {
            op: None,
            nth,
            kind,
            repeat: false,
        }
    }

    /// The same, and all those behind it.
    #[must_use]
    pub fn onwards(self) -> Self {
        Fault {
            repeat: true,
            ..self
        }
    }
}

pub(super) fn changes(op: DiskOp) -> bool {
    !matches!(
        op,
        DiskOp::Read | DiskOp::Stat | DiskOp::List | DiskOp::FailPoint
    )
}

/// The faults to come.
#[derive(Default)]
pub(super) struct Faults {
    waiting: Vec<Fault>,
}

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.waiting.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.iter().filter(|fault| fault.nth > 0).count()
    }

    /// Counts a call, and says how it fails if it does.
    pub(super) fn due(&mut self, op: DiskOp) -> Option<FaultKind> {
        let mut due = None;
        self.waiting.retain_mut(|fault| {
            if !fault.op.map_or(changes(op), |of| of == op) {
                return true;
            }
            fault.nth = fault.nth.saturating_sub(1);
            if fault.nth > 0 {
                return true;
            }
            due = due.or(Some(fault.kind));
            fault.repeat
        });
        due
    }
}

impl FaultKind {
    pub(super) fn error(self) -> io::Error {
        match self {
            FaultKind::Eio => io::Error::from_raw_os_error(EIO),
            FaultKind::NoSpace | FaultKind::Short => io::Error::from_raw_os_error(ENOSPC),
            FaultKind::PowerCut => io::Error::other("the power is off"),
        }
    }
}
