//! Changes of what gives ids their meaning: stages are renamed and deleted, people leave, rates change.

use super::any_of;
use crate::dice::Dice;
use crate::operation::Operation;
use crate::{Account, ObjectType};

pub(super) fn next_operation(account: &Account, dice: &mut Dice) -> Option<Operation> {
    let metadata = account.metadata();
    let objects: Vec<ObjectType> =
        metadata.pipelines.iter().filter(|(_, pipelines)| !pipelines.is_empty()).map(|(o, _)| *o).collect();
    let object = *objects.get(dice.below(objects.len() as u64) as usize)?;
    let stages: Vec<&str> = metadata.pipelines[&object]
        .iter()
        .flat_map(|pipeline| pipeline.stages.iter().map(|stage| stage.id.as_str()))
        .collect();
    let stage = (*stages.get(dice.below(stages.len() as u64) as usize)?).to_owned();
    Some(match dice.below(10) {
        0..3 => Operation::RenameStage { object, stage, label: format!("renamed {}", dice.below(1_000)) },
        3 => Operation::DeleteStage { object, stage },
        4 => Operation::ArchiveOwner { owner: any_of(&metadata.owners, dice)? },
        5..8 => {
            let last_name = format!("renamed {}", dice.below(1_000));
            Operation::RenameOwner { owner: any_of(&metadata.owners, dice)?, last_name }
        }
        8 => Operation::RemoveUser { user: any_of(&metadata.users, dice)? },
        _ => Operation::SetExchangeRate { from: "EUR".to_owned(), rate: format!("1.{}", 1 + dice.below(99)) },
    })
}
