//! Bodies of answers: complete ones, streams, and those that break off.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep};

pub(crate) enum Payload {
    Whole(Option<Bytes>),
    Stream(mpsc::Receiver<Bytes>),
    /// A first part, a moment to let it reach the client, and the end of the connection.
    Torn {
        part: Option<Bytes>,
        pause: Pin<Box<Sleep>>,
    },
}

impl Payload {
    pub(crate) fn whole(body: impl Into<Bytes>) -> Self {
        Self::Whole(Some(body.into()))
    }

    pub(crate) fn torn(part: Bytes) -> Self {
        Self::Torn { part: Some(part), pause: Box::pin(sleep(Duration::from_millis(20))) }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the answer breaks off on purpose")]
pub(crate) struct BreaksOff;

impl Body for Payload {
    type Data = Bytes;
    type Error = BreaksOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BreaksOff>>> {
        match self.get_mut() {
            Self::Whole(body) => Poll::Ready(body.take().map(|body| Ok(Frame::data(body)))),
            Self::Stream(chunks) => {
                Poll::Ready(ready!(chunks.poll_recv(context)).map(|chunk| Ok(Frame::data(chunk))))
            }
            Self::Torn { part, pause } => {
                if let Some(part) = part.take() {
                    return Poll::Ready(Some(Ok(Frame::data(part))));
                }
                ready!(pause.as_mut().poll(context));
                Poll::Ready(Some(Err(BreaksOff)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => SizeHint::with_exact(body.as_ref().map_or(0, |body| body.len() as u64)),
            Self::Stream(_) | Self::Torn { .. } => SizeHint::default(),
        }
    }
}
