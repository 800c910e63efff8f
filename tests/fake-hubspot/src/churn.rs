//! An account that doesn't hold still: people edit, create, archive, restore, merge and link records all the time.
//! From the same account the same seed makes the same changes, at whatever pace.

mod marketing;
mod metadata;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::account::Label;
use crate::dice::Dice;
use crate::operation::Operation;
use crate::{Account, ObjectType};

/// Slowest pace in changes a second: one a day.
const SLOWEST: f64 = 1.0 / 86_400.0;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Churn {
    /// Changes a second, about.
    pub per_second: f64,
    pub seed: u64,
}

/// People at work on forms, lists, e-mails and subscriptions; apart from [`Churn`], which works on records.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarketingChurn {
    /// Changes a second, about.
    pub per_second: f64,
    pub seed: u64,
}

/// Administrators at work on pipelines, users, teams and rates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetadataChurn {
    pub seed: u64,
}

/// Churn in the background, until it is stopped or dropped.
#[derive(Debug)]
pub struct RunningChurn {
    stop: Sender<()>,
    thread: Option<JoinHandle<Vec<Operation>>>,
}

impl Churn {
    pub fn start(self, account: Arc<Account>) -> RunningChurn {
        start(self.per_second, self.seed, account, next_operation)
    }

    /// The first `count` changes at once. Returns those that could be made.
    pub fn burst(self, account: &Account, count: usize) -> Vec<Operation> {
        burst(self.seed, account, count, next_operation)
    }
}

impl Churn {
    /// The first `count` changes to records of one type at once. Returns those that could be made.
    pub fn burst_of(self, object: ObjectType, account: &Account, count: usize) -> Vec<Operation> {
        burst(self.seed, account, count, move |account, dice| operation_on(object, account, dice))
    }
}

impl MarketingChurn {
    pub fn start(self, account: Arc<Account>) -> RunningChurn {
        start(self.per_second, self.seed, account, marketing::next_operation)
    }

    /// The first `count` changes at once. Returns those that could be made.
    pub fn burst(self, account: &Account, count: usize) -> Vec<Operation> {
        burst(self.seed, account, count, marketing::next_operation)
    }
}

impl MetadataChurn {
    /// The first `count` changes at once. Returns those that could be made.
    pub fn burst(self, account: &Account, count: usize) -> Vec<Operation> {
        burst(self.seed, account, count, metadata::next_operation)
    }
}

/// Makes one change. `None`: there is no record to which it could be made.
trait Next: Fn(&Account, &mut Dice) -> Option<Operation> {}

impl<F: Fn(&Account, &mut Dice) -> Option<Operation>> Next for F {}

fn start(
    per_second: f64,
    seed: u64,
    account: Arc<Account>,
    next: impl Next + Send + 'static,
) -> RunningChurn {
    let (stop, stopped) = channel();
    let pause = Duration::from_secs_f64(1.0 / per_second.max(SLOWEST));
    let thread = thread::spawn(move || run(pause, seed, &account, &next, &stopped));
    RunningChurn { stop, thread: Some(thread) }
}

fn burst(seed: u64, account: &Account, count: usize, next: impl Next) -> Vec<Operation> {
    let mut dice = Dice::new(seed);
    (0..count).filter_map(|_| change_once(account, &next, &mut dice)).collect()
}

fn run(
    pause: Duration,
    seed: u64,
    account: &Account,
    next: &impl Next,
    stopped: &Receiver<()>,
) -> Vec<Operation> {
    let mut dice = Dice::new(seed);
    let mut due = Instant::now();
    let mut done = Vec::new();
    loop {
        due += pause;
        let wait = due.saturating_duration_since(Instant::now());
        if stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
            return done;
        }
        done.extend(change_once(account, next, &mut dice));
    }
}

impl RunningChurn {
    /// Stops the churn. Returns the changes it made, in order.
    pub fn stop(mut self) -> Vec<Operation> {
        let _ = self.stop.send(());
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

fn change_once(account: &Account, next: &impl Next, dice: &mut Dice) -> Option<Operation> {
    let operation = next(account, dice)?;
    operation.apply(account).ok().map(|_| operation)
}

fn next_operation(account: &Account, dice: &mut Dice) -> Option<Operation> {
    operation_on(ObjectType::CORE[dice.below(3) as usize], account, dice)
}

fn operation_on(object: ObjectType, account: &Account, dice: &mut Dice) -> Option<Operation> {
    let live = |dice: &mut Dice| any_of(&account.read().objects[object].live, dice);
    Some(match dice.below(100) {
        0..55 => {
            let values = BTreeMap::from([edit(account, object, dice)]);
            Operation::Update { object, id: live(dice)?, values }
        }
        55..67 => {
            let values = (0..4).map(|_| edit(account, object, dice)).collect();
            Operation::Create { object, values }
        }
        67..75 => Operation::Archive { object, id: live(dice)? },
        75..80 => {
            let id = any_of(&account.read().objects[object].archived, dice)?;
            Operation::Restore { object, id }
        }
        80..82 => Operation::Purge { object, id: live(dice)? },
        82..86 => Operation::Merge { object, primary: live(dice)?, merged: live(dice)? },
        86..93 if !ObjectType::CORE.contains(&object) => {
            let (from, to) = further_and_other(object, account, dice)?;
            let label = if dice.chance(0.3) { Label::DecisionMaker } else { Label::Unlabeled };
            Operation::Associate { from, to, label }
        }
        86..93 => {
            let (from, to) = deal_and_other(account, dice)?;
            let label = if to.0 == ObjectType::Companies { Label::Primary } else { Label::Unlabeled };
            Operation::Associate { from, to, label }
        }
        93..97 => {
            let (from, to) = linked_pair(object, account, dice)?;
            Operation::Dissociate { from, to }
        }
        _ => {
            let (name, id) = (calculated(object).to_owned(), live(dice)?);
            Operation::SetCalculated { object, id, name, value: Some(dice.below(100).to_string()) }
        }
    })
}

fn edit(account: &Account, object: ObjectType, dice: &mut Dice) -> (String, Option<String>) {
    let (name, value) = account.plausible_value(object, dice);
    (name, (!dice.chance(0.05)).then_some(value))
}

fn calculated(object: ObjectType) -> &'static str {
    match object {
        ObjectType::Contacts => "hubspotscore",
        ObjectType::Companies => "num_associated_contacts",
        ObjectType::Deals => "hs_acv",
        _ => "hs_num_recalculations",
    }
}

fn deal_and_other(account: &Account, dice: &mut Dice) -> Option<((ObjectType, u64), (ObjectType, u64))> {
    let state = account.read();
    let other = if dice.chance(0.5) { ObjectType::Contacts } else { ObjectType::Companies };
    let deal = any_of(&state.objects[ObjectType::Deals].live, dice)?;
    Some(((ObjectType::Deals, deal), (other, any_of(&state.objects[other].live, dice)?)))
}

/// Chooses a record of a further type, and one that it may be linked with.
fn further_and_other(
    object: ObjectType,
    account: &Account,
    dice: &mut Dice,
) -> Option<((ObjectType, u64), (ObjectType, u64))> {
    let state = account.read();
    let types: Vec<ObjectType> =
        state.types().into_iter().filter(|other| object.can_be_linked(*other)).collect();
    let other = *types.get(dice.below(types.len().max(1) as u64) as usize)?;
    let from = (object, any_of(&state.objects[object].live, dice)?);
    let to = (other, any_of(&state.objects[other].live, dice)?);
    (from != to).then_some((from, to))
}

fn linked_pair(
    object: ObjectType,
    account: &Account,
    dice: &mut Dice,
) -> Option<((ObjectType, u64), (ObjectType, u64))> {
    let state = account.read();
    let object = if ObjectType::CORE.contains(&object) { ObjectType::Deals } else { object };
    let from = any_of(&state.objects[object].live, dice)?;
    let link = state.links(object, from, ObjectType::Contacts).next()?;
    Some(((object, from), (ObjectType::Contacts, link.to)))
}

/// Chooses a record. A record after a hole in the ids is chosen more often, as records are edited unevenly, too.
fn any_of<T>(records: &BTreeMap<u64, T>, dice: &mut Dice) -> Option<u64> {
    let (first, _) = records.first_key_value()?;
    let (last, _) = records.last_key_value()?;
    let from = first + dice.below(last - first + 1);
    let further = dice.below(64) as usize;
    records.range(from..).chain(records).nth(further % records.len()).map(|(id, _)| *id)
}
