//! The signals that end a process: the first one at its next step, with a checkpoint, and a second one at once.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Ended at once, by Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Ctrl-C and SIGTERM, which from then on don't end the process by themselves.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// The exit code of a process that SIGTERM has ended, with a checkpoint or at once.
    pub const TERMINATED: u8 = 143;

    pub fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next signal. Returns the exit code of a process that it ends at once.
    pub async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => INTERRUPTED,
            _ = self.terminate.recv() => Signals::TERMINATED,
        }
    }
}

/// A stop that a signal asks for, and what is done then.
#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<Mutex<Asked>>);

#[derive(Default)]
struct Asked {
    /// The code of the signal that came.
    code: Option<u8>,
    acts: Vec<Box<dyn FnOnce() + Send>>,
}

impl Stop {
    fn asked<T>(&self, look: impl FnOnce(&mut Asked) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.code().is_some()
    }

    pub(crate) fn code(&self) -> Option<u8> {
        self.asked(|asked| asked.code)
    }

    /// Does this when a signal comes; at once where one has come.
    pub(crate) fn then(&self, act: impl FnOnce() + Send + 'static) {
        // In one look: a signal between two would find no act, and leave this one undone.
        let late = self.asked(|asked| match asked.code {
            Some(_) => Some(act),
            None => {
                asked.acts.push(Box::new(act));
                None
            }
        });
        if let Some(act) = late {
            act();
        }
    }

    /// Takes the signal's code. `false`: there is nothing that could end by itself.
    pub(crate) fn ask(&self, code: u8) -> bool {
        let acts = self.asked(|asked| {
            asked.code = Some(code);
            std::mem::take(&mut asked.acts)
        });
        let has_acts = !acts.is_empty();
        acts.into_iter().for_each(|act| act());
        has_acts
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Stop({:?})", self.code())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::*;

    #[test]
    fn a_stop_is_told_once_and_to_those_who_come_late() {
        let (stop, told) = (Stop::default(), Arc::new(AtomicU8::new(0)));
        let act = || {
            let told = Arc::clone(&told);
            move || _ = told.fetch_add(1, Ordering::Relaxed)
        };
        stop.then(act());
        assert!(!stop.is_asked() && stop.ask(Signals::TERMINATED));
        stop.then(act());
        assert_eq!((told.load(Ordering::Relaxed), stop.code()), (2, Some(143)));
        assert!(!Stop::default().ask(INTERRUPTED));
    }

    #[test]
    fn an_act_that_comes_together_with_the_signal_is_done() {
        for _ in 0..2_000 {
            let (stop, told) = (Stop::default(), Arc::new(AtomicU8::new(0)));
            let (both, counted) = (std::sync::Barrier::new(2), Arc::clone(&told));
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    both.wait();
                    stop.ask(INTERRUPTED);
                });
                both.wait();
                stop.then(move || _ = counted.fetch_add(1, Ordering::Relaxed));
            });
            assert_eq!(told.load(Ordering::Relaxed), 1);
        }
    }
}
