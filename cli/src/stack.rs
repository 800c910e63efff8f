//! Commands for a deployed stack: its status, and the start of runs. They need AWS credentials that may read the state
//! table and invoke the functions, and no HubSpot credential: the functions have it.

mod backfill;
mod follow;
mod replay;
mod status;

use std::path::Path;

use anyhow::bail;
use hubspot::feeds::{FEEDS, Feed};
use lambda::Aws;
use staging::State;

pub(crate) use backfill::{reconcile, run as backfill};
pub(crate) use replay::run as replay;
pub(crate) use status::run as status;

/// A stack, with the names that the template gives.
#[derive(Debug)]
struct Stack {
    name: String,
    aws: Aws,
    state: State,
}

impl Stack {
    async fn open(name: &str) -> Stack {
        let aws = Aws::connect().await;
        let state = State::open_table(aws.dynamodb.clone(), &format!("{name}-state"));
        Stack { name: name.to_owned(), aws, state }
    }

    fn function(&self, name: &str) -> String {
        format!("{}-{name}", self.name)
    }
}

/// Opens the state of a stack, or that of a folder.
async fn state(stack: Option<&str>, folder: Option<&Path>) -> anyhow::Result<State> {
    match (stack, folder) {
        (Some(name), _) => Ok(Stack::open(name).await.state),
        (None, Some(folder)) if !folder.exists() => {
            bail!("there is no folder {}: give the --state of a sync", folder.display())
        }
        (None, Some(folder)) => Ok(State::open_folder(folder)?),
        (None, None) => {
            bail!("name a state: --stack NAME for a deployed stack, or --state DIR for the folder of a sync")
        }
    }
}

/// Returns the feed that fills the collection.
fn feed_of(collection: &str) -> anyhow::Result<&'static dyn Feed> {
    let fills = |feed: &&&'static dyn Feed| feed.collections().contains(&collection);
    match FEEDS.iter().find(fills) {
        Some(feed) => Ok(*feed),
        None => {
            let known: Vec<&str> = FEEDS.iter().flat_map(|feed| feed.collections()).copied().collect();
            bail!("unknown collection {collection:?}: use one of {}", known.join(", "))
        }
    }
}
