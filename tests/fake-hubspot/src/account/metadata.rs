//! What gives ids their meaning: pipelines and their stages, owners, users, teams, roles, exchange rates.

mod generate;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

pub(super) use self::generate::generate;
use super::{Account, ChangeError, State};
use crate::ObjectType;

/// All of it, as it is now. What was deleted is not in it: HubSpot keeps no trace.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata {
    pub pipelines: BTreeMap<ObjectType, Vec<Pipeline>>,
    /// By id.
    pub owners: BTreeMap<u64, Owner>,
    /// By id.
    pub users: BTreeMap<u64, User>,
    pub roles: Vec<Role>,
    pub teams: Vec<Team>,
    pub rates: Vec<ExchangeRate>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    pub id: String,
    pub label: String,
    pub stages: Vec<Stage>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// Stays when the stage is renamed.
    pub id: String,
    pub label: String,
    /// Of deals.
    pub probability: Option<&'static str>,
    pub is_closed: bool,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Owner {
    pub email: String,
    pub first_name: String,
    pub last_name: String,
    pub user_id: u64,
    /// HubSpot then tells neither names nor `userId`.
    pub is_archived: bool,
    /// Ids of teams; the first is the primary one.
    pub teams: Vec<u64>,
    pub created_at: DateTime<Utc>,
    /// Stays when the name or a team changes.
    pub updated_at: DateTime<Utc>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct User {
    pub email: String,
    pub role: Option<u64>,
    pub is_super_admin: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Role {
    pub id: u64,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Team {
    pub id: u64,
    pub name: String,
    pub users: Vec<u64>,
    pub secondary_users: Vec<u64>,
}

/// A further one with each change.
#[derive(Debug, Clone, PartialEq)]
pub struct ExchangeRate {
    pub id: u64,
    pub from: String,
    pub rate: String,
    pub effective_at: DateTime<Utc>,
}

impl Account {
    pub fn metadata(&self) -> Metadata {
        self.read().metadata.clone()
    }

    /// Changes the name of a stage. Its id stays.
    pub fn rename_stage(&self, object: ObjectType, stage: &str, label: &str) -> Result<(), ChangeError> {
        let now = self.now();
        let mut state = self.write();
        let stage = state.stage(object, stage)?;
        (stage.label, stage.updated_at) = (label.to_owned(), now);
        Ok(())
    }

    /// Deletes a stage for good. Records that were in it keep its id.
    pub fn delete_stage(&self, object: ObjectType, stage: &str) -> Result<(), ChangeError> {
        let mut state = self.write();
        state.stage(object, stage)?;
        for pipeline in state.metadata.pipelines.entry(object).or_default() {
            pipeline.stages.retain(|other| other.id != stage);
        }
        Ok(())
    }

    /// Deletes a pipeline with its stages, for good.
    pub fn delete_pipeline(&self, object: ObjectType, pipeline: &str) -> Result<(), ChangeError> {
        let mut state = self.write();
        let pipelines = state.metadata.pipelines.entry(object).or_default();
        let before = pipelines.len();
        pipelines.retain(|other| other.id != pipeline);
        if pipelines.len() < before { Ok(()) } else { Err(unknown("pipeline", pipeline)) }
    }

    /// Deactivates the user of an owner.
    pub fn archive_owner(&self, owner: u64) -> Result<(), ChangeError> {
        let now = self.now();
        let mut state = self.write();
        let owner = state.metadata.owners.get_mut(&owner).ok_or_else(|| unknown("owner", owner))?;
        (owner.is_archived, owner.updated_at) = (true, now);
        Ok(())
    }

    /// Changes the name of an owner's user, which does not modify the owner.
    pub fn rename_owner(&self, owner: u64, last_name: &str) -> Result<(), ChangeError> {
        let mut state = self.write();
        let owner = state.metadata.owners.get_mut(&owner).ok_or_else(|| unknown("owner", owner))?;
        owner.last_name = last_name.to_owned();
        Ok(())
    }

    /// Removes a user from the account. HubSpot shows no trace, but that its owner is archived.
    pub fn remove_user(&self, user: u64) -> Result<(), ChangeError> {
        let mut state = self.write();
        state.metadata.users.remove(&user).ok_or_else(|| unknown("user", user))?;
        for team in &mut state.metadata.teams {
            team.users.retain(|other| *other != user);
            team.secondary_users.retain(|other| *other != user);
        }
        Ok(())
    }

    pub fn delete_team(&self, team: u64) -> Result<(), ChangeError> {
        let mut state = self.write();
        let before = state.metadata.teams.len();
        state.metadata.teams.retain(|other| other.id != team);
        for owner in state.metadata.owners.values_mut() {
            owner.teams.retain(|other| *other != team);
        }
        if state.metadata.teams.len() < before { Ok(()) } else { Err(unknown("team", team)) }
    }

    /// Changes the rate of a currency: a further rate from now on.
    pub fn set_exchange_rate(&self, from: &str, rate: &str) {
        let now = self.now();
        let mut state = self.write();
        let id = state.metadata.rates.iter().map(|rate| rate.id).max().unwrap_or(0) + 1;
        state.metadata.rates.push(ExchangeRate {
            id,
            from: from.to_owned(),
            rate: rate.to_owned(),
            effective_at: now,
        });
    }
}

impl State {
    fn stage(&mut self, object: ObjectType, stage: &str) -> Result<&mut Stage, ChangeError> {
        let pipelines = self.metadata.pipelines.entry(object).or_default();
        let mut stages = pipelines.iter_mut().flat_map(|pipeline| &mut pipeline.stages);
        stages.find(|other| other.id == stage).ok_or_else(|| unknown("stage", stage))
    }
}

fn unknown(what: &'static str, id: impl ToString) -> ChangeError {
    ChangeError::Unknown { what, id: id.to_string() }
}
