//! The exchange of staged files that a table holds for others with the same rows.

use staging::{Replacement, State};
use warehouse::Warehouse;

use crate::kept;

/// Puts files in the place of others: in the state, then in the warehouse's ledger, if that holds all of the old ones.
/// After a crash between the two, the new ones are merged once more, which changes nothing.
///
/// # Errors
/// Of the state, also when a run of the feed is under way ([`crate::is_busy`]), and of the warehouse.
pub(crate) async fn exchange(
    replacement: &Replacement<'_>,
    state: &State,
    warehouse: Option<&dyn Warehouse>,
) -> anyhow::Result<()> {
    let Replacement { collection, old, new, .. } = *replacement;
    state.replace_files(replacement).await?;
    let Some(warehouse) = warehouse else { return Ok(()) };
    let keys: Vec<&str> = old.iter().map(|file| file.key.as_str()).collect();
    let new = new.first();
    if warehouse.replace_in_ledger(collection, &keys, new).await?
        && let Some(new) = new
    {
        kept::set_replaced(collection, &keys, &new.key, state, warehouse).await?;
    }
    Ok(())
}
