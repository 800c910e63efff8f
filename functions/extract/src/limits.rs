//! The account's rate limits, shared by all processes with the same state.

use std::sync::Arc;

use async_trait::async_trait;
use hubspot::{Allowance, SharedAllowance};
use staging::{Shared, State};

/// Name of the shared document in the state.
const DOCUMENT: &str = "limits";

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The document of a state by which processes share the account's rate limits, for [`hubspot::Budget::shared`].
#[derive(Debug)]
pub struct StateAllowance(Arc<State>);

impl StateAllowance {
    /// Returns the document of this state.
    pub fn of(state: &Arc<State>) -> Arc<StateAllowance> {
        Arc::new(StateAllowance(Arc::clone(state)))
    }
}

#[async_trait]
impl SharedAllowance for StateAllowance {
    async fn read(&self) -> Result<Shared<Allowance>, BoxError> {
        Ok(self.0.shared(DOCUMENT).await?)
    }

    async fn replace(&self, next: &Shared<Allowance>) -> Result<bool, BoxError> {
        Ok(self.0.swap_shared(DOCUMENT, next).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_read_the_document_before_another_wrote_it_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let document = StateAllowance::of(&Arc::new(State::open_folder(folder.path()).unwrap()));
        let (one, other) = (document.read().await.unwrap(), document.read().await.unwrap());
        assert!(document.replace(&one).await.unwrap());
        assert!(!document.replace(&other).await.unwrap());
        assert_eq!(document.read().await.unwrap().version, 1);
    }
}
