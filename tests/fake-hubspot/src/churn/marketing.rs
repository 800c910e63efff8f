//! Changes besides those of records: people submit forms, open e-mails, change subscriptions and edit lists.

use super::any_of;
use crate::account::{EventType, Processing, SubscriptionChange};
use crate::dice::Dice;
use crate::operation::Operation;
use crate::{Account, ObjectType};

const CONTACTS: ObjectType = ObjectType::Contacts;
/// Greatest delay of an event: most arrive at once, some a while after they happened.
const LATEST_MS: u64 = 20 * 60_000;

pub(super) fn next_operation(account: &Account, dice: &mut Dice) -> Option<Operation> {
    Some(match dice.below(100) {
        0..40 => {
            let event = EventType::ALL[dice.below(EventType::ALL.len() as u64) as usize];
            let recipients = (0..=dice.below(4)).filter_map(|_| recipient(account, dice)).collect();
            let campaign = one_of(&account.campaign_ids(), dice)?;
            Operation::RecordEmailEvents { event, recipients, campaign, milliseconds_ago: delay(dice) }
        }
        40..60 => {
            let changes = changes(&account.subscription_type_ids(), dice);
            let recipient = recipient(account, dice)?;
            Operation::ChangeSubscriptions { recipient, changes, milliseconds_ago: delay(dice) }
        }
        60..75 => Operation::SubmitForm {
            contact: contact(account, dice)?,
            form: one_of(&account.form_ids(), dice)?,
        },
        75..94 => {
            let (list, object) = list(account, dice)?;
            let record = any_of(&account.read().objects[object].live, dice)?;
            if dice.chance(0.6) {
                Operation::AddToList { list, record }
            } else {
                Operation::RemoveFromList { list, record }
            }
        }
        94..97 => {
            let name = format!("renamed {}", dice.below(1_000));
            Operation::RenameList { list: list(account, dice)?.0, name }
        }
        97 => Operation::DeleteList { list: list(account, dice)?.0 },
        98 => Operation::RestoreList { list: one_of(&account.read().lists.deleted_ids(), dice)? },
        _ => {
            let number = dice.below(1_000);
            let object = [CONTACTS, ObjectType::Companies, ObjectType::Deals][number as usize % 3];
            let name = format!("new {number}");
            Operation::CreateList { object, name, processing: Processing::Manual }
        }
    })
}

fn one_of<T: Clone>(choices: &[T], dice: &mut Dice) -> Option<T> {
    choices.get(dice.below(choices.len() as u64) as usize).cloned()
}

fn contact(account: &Account, dice: &mut Dice) -> Option<u64> {
    any_of(&account.read().objects[CONTACTS].live, dice)
}

fn recipient(account: &Account, dice: &mut Dice) -> Option<String> {
    let contact = contact(account, dice)?;
    let email = account.read().email_of(contact).ok().flatten();
    email.filter(|email| !email.is_empty())
}

fn list(account: &Account, dice: &mut Dice) -> Option<(u64, ObjectType)> {
    let state = account.read();
    let lists: Vec<_> = state.lists.current().map(|list| (list.id, list.object)).collect();
    one_of(&lists, dice)
}

fn delay(dice: &mut Dice) -> u64 {
    if dice.chance(0.8) { 0 } else { dice.below(LATEST_MS) }
}

fn changes(types: &[u64], dice: &mut Dice) -> Vec<SubscriptionChange> {
    use SubscriptionChange::{Bounce, Subscribe, SubscribeToPortal, Unsubscribe, UnsubscribeFromPortal};
    let of_type: Vec<_> = one_of(types, dice).into_iter().collect();
    match dice.below(5) {
        0 => vec![Bounce],
        1 | 2 => of_type.into_iter().map(Subscribe).chain([SubscribeToPortal]).collect(),
        3 => of_type.into_iter().map(Unsubscribe).chain([UnsubscribeFromPortal]).collect(),
        _ => of_type.into_iter().map(Unsubscribe).chain([Bounce]).collect(),
    }
}
