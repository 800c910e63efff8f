//! Persons who are forgotten may be let back in: by whoever knows an id or an address of theirs.

use std::time::Duration;

use anyhow::bail;
use serde::{Deserialize, Serialize};
use staging::{Forgotten, Person, Shared, State};

use super::{FORGET, UNDER_WAY, UnderWay, removed, wait_for};

/// Report of [`lift`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lifted {
    /// Ids and addresses that were named.
    pub named: u64,
    /// Those of them that were kept out.
    pub lifted: u64,
}

/// Keeps these ids and addresses out no more. What HubSpot shows of them comes with the next comparison or backfill; what
/// was removed does not come back by itself. Twice is once.
///
/// # Errors
/// Of the state, and when they are being forgotten. No message has an id or an address.
pub async fn lift(named: &Person, state: &State, patience: Duration) -> anyhow::Result<Lifted> {
    let lease = wait_for(state, FORGET, patience).await?;
    let lifted = lift_under(named, state).await;
    state.release(lease).await;
    lifted
}

async fn lift_under(named: &Person, state: &State) -> anyhow::Result<Lifted> {
    let under_way: Shared<UnderWay> = state.shared(UNDER_WAY).await?;
    let person = under_way.value.person();
    if !person.ids.is_disjoint(&named.ids) || !person.addresses.is_disjoint(&named.addresses) {
        bail!("they are being forgotten: run forget again until it has ended, then lift it");
    }
    removed::take_out(named, state).await?;
    let lifted = Forgotten::lift(state, named).await?;
    Ok(Lifted { named: (named.ids.len() + named.addresses.len()) as u64, lifted })
}
