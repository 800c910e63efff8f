//! Batch reads: many things in one call. A batch that is refused is halved until the one thing is found that it is
//! refused for; where HubSpot takes fewer than were sent, fewer are sent for the rest of the run.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::future::{BoxFuture, FutureExt, try_join_all};

use crate::call::Call;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::json::Body;
use crate::retry::Patience;

/// Things that are refused one by one, while none is answered, before the endpoint itself is taken to fail.
const MAX_REFUSED: usize = 8;

/// One endpoint's batch reads, in one run.
#[derive(Debug)]
pub(super) struct Batches {
    /// Things in one call.
    most: AtomicUsize,
}

/// Answers, each with what it was asked for; and what was refused by itself.
#[derive(Debug)]
pub(super) struct Read<T> {
    pub(super) answers: Vec<(Vec<T>, Body)>,
    pub(super) refused: Vec<(T, Error)>,
}

impl<T> Default for Read<T> {
    fn default() -> Read<T> {
        Read { answers: Vec::new(), refused: Vec::new() }
    }
}

impl<T> Read<T> {
    fn absorb(&mut self, mut other: Read<T>) {
        self.answers.append(&mut other.answers);
        self.refused.append(&mut other.refused);
    }

    fn largest(&self) -> usize {
        self.answers.iter().map(|(asked, _)| asked.len()).max().unwrap_or(0)
    }
}

/// One read under way.
struct Reading<'a, F> {
    client: &'a Client,
    call: &'a F,
    /// Things in the batch.
    whole: usize,
    /// Something was answered, so the endpoint works.
    has_answered: &'a AtomicBool,
}

impl Batches {
    /// `most` things fit into a call by HubSpot's word.
    pub(super) fn new(most: usize) -> Batches {
        Batches { most: AtomicUsize::new(most) }
    }

    /// Asks for all of these. `call` makes the call for some of them.
    ///
    /// # Errors
    /// Those that say nothing of single things; and the last refusal, where everything is refused.
    pub(super) async fn read<T, F>(&self, client: &Client, inputs: &[T], call: F) -> Result<Read<T>>
    where
        T: Clone + Send + Sync,
        F: Fn(&[T]) -> Call + Send + Sync,
    {
        let most = self.most.load(Ordering::Relaxed).max(1);
        let has_answered = AtomicBool::new(false);
        let readings: Vec<(Reading<'_, F>, &[T])> = inputs
            .chunks(most)
            .map(|inputs| {
                (Reading { client, call: &call, whole: inputs.len(), has_answered: &has_answered }, inputs)
            })
            .collect();
        let pieces = readings.iter().map(|(reading, inputs)| self.piece(reading, inputs));
        let mut read = Read::default();
        try_join_all(pieces).await?.into_iter().for_each(|piece| read.absorb(piece));
        Ok(read)
    }

    fn piece<'a, T, F>(
        &'a self,
        reading: &'a Reading<'a, F>,
        inputs: &'a [T],
    ) -> BoxFuture<'a, Result<Read<T>>>
    where
        T: Clone + Send + Sync,
        F: Fn(&[T]) -> Call + Send + Sync,
    {
        async move {
            let patience = match inputs.len() == reading.whole {
                true => Patience::Twice,
                false => Patience::of_part(inputs.len(), reading.whole),
            };
            let refused = match reading.client.send(&(reading.call)(inputs).with(patience)).await {
                Ok(body) => {
                    reading.has_answered.store(true, Ordering::Relaxed);
                    return Ok(Read { answers: vec![(inputs.to_vec(), body)], refused: Vec::new() });
                }
                Err(refused) if !is_of_its_things(&refused) => return Err(refused),
                Err(refused) => refused,
            };
            if let [input] = inputs {
                return Ok(Read { answers: Vec::new(), refused: vec![(input.clone(), refused)] });
            }
            tracing::warn!("a batch of {} is refused, and halved: {refused}", inputs.len());
            let (first, second) = inputs.split_at(inputs.len().div_ceil(2));
            let mut read = self.piece(reading, first).await?;
            if read.refused.len() >= MAX_REFUSED && !reading.has_answered.load(Ordering::Relaxed) {
                return Err(refused);
            }
            read.absorb(self.piece(reading, second).await?);
            // Nothing in it is refused: it was too large.
            if read.refused.is_empty() && refused.kind() != ErrorKind::Server {
                self.most.fetch_min(read.largest(), Ordering::Relaxed);
            }
            Ok(read)
        }
        .boxed()
    }
}

/// The refusal may be for one of the things in the batch, or for their number.
fn is_of_its_things(refused: &Error) -> bool {
    matches!(
        refused.kind(),
        ErrorKind::BadRequest | ErrorKind::UrlTooLong | ErrorKind::Server | ErrorKind::Malformed
    )
}
