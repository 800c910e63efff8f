//! Commands for a deployed stack: its status, and the start of runs. They need AWS credentials that may read the state
//! table and invoke the functions, and no HubSpot credential: the functions have it.

mod backfill;
mod follow;
mod replay;
mod status;

use std::path::Path;

use anyhow::bail;
use extract::{FURTHER, FurtherFeeds};
use hubspot::feeds::{FEEDS, Feed};
use lambda::Aws;
use staging::{Bucket, State};

use crate::alike::did_you_mean;

pub(crate) use backfill::{reconcile, run as backfill};
pub(crate) use replay::{load_and_follow, run as replay};
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

/// Opens the state and the bucket of a stack, which writes into the schema. `scratch` is for files in the making.
pub(crate) async fn places(
    name: &str,
    bucket: &str,
    scratch: &Path,
    schema: &str,
) -> anyhow::Result<(State, Bucket)> {
    let Stack { aws, state, .. } = Stack::open(name).await;
    Ok((state, Bucket::open_s3(aws.s3, bucket, scratch, schema)?))
}

/// Opens the state of a stack, or that of a folder.
pub(crate) async fn state(stack: Option<&str>, folder: Option<&Path>) -> anyhow::Result<State> {
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

/// A feed, and the function that reads it.
#[derive(Debug)]
struct Reader {
    feed: &'static dyn Feed,
    function: &'static str,
    /// The feed that the function's event has to name, where it reads many.
    named: Option<String>,
}

impl Stack {
    /// Returns the feed that fills the collection: one of Segment's, or one that the stack's last scheduled run found.
    async fn reader_of(&self, collection: &str) -> anyhow::Result<Reader> {
        let fills = |feed: &&'static dyn Feed| feed.collections().contains(&collection);
        if let Some(feed) = FEEDS.iter().copied().find(fills) {
            return Ok(Reader { feed, function: feed.name(), named: None });
        }
        let further = FurtherFeeds::read(&self.state).await?;
        let mut wanted = further.feeds.keys().filter_map(|name| further.find(name));
        if let Some(feed) = wanted.find(fills) {
            return Ok(Reader { feed, function: FURTHER, named: Some(feed.name().to_owned()) });
        }
        if hubspot::feeds::further().any(|feed| fills(&feed)) {
            bail!(
                "the stack {} does not read {collection}: its parameter Collections has to name it, and the next \
                 schedule of {} reads it",
                self.name,
                self.function(FURTHER)
            );
        }
        if hubspot::feeds::is_shared(collection) {
            bail!(
                "{collection} is filled with the objects that its rows are of: name one of these, such as deals, and \
                 {collection} is read with it"
            );
        }
        let segments = FEEDS.iter().flat_map(|feed| feed.collections()).copied();
        let known: Vec<&str> = segments.chain(further.feeds.keys().map(String::as_str)).collect();
        let meant = did_you_mean(&[collection], &known);
        bail!("unknown collection {collection:?}: {meant}use one of {}", known.join(", "))
    }
}
