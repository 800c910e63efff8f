//! The lease: who may write, with a version that fences off whoever had it before.

use std::time::Duration;

use uuid::Uuid;

use super::items::{key, n, number, s, text};
use super::{TableState, is_condition_failed, now_ms};
use crate::error::Error;
use crate::state::lease::{Hold, Lease, Renewal, busy};

impl TableState {
    /// Time by which a lease outlives its owner. It is renewed four times as often.
    pub const LEASE_LIFE: Duration = Duration::from_secs(32);

    pub(in crate::state) async fn lease(&self, name: &str) -> Result<Lease, Error> {
        let now_ms = now_ms();
        let owner = Uuid::now_v7().to_string();
        let taken = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key("lease", name)))
            .update_expression(
                "SET revision = if_not_exists(revision, :zero) + :one, free_at_ms = :free, held_by = :owner",
            )
            .condition_expression(
                "attribute_not_exists(free_at_ms) OR free_at_ms < :now OR free_at_ms > :furthest",
            )
            // Beyond what a right clock sets, it is of a clock that was ahead, and would never be renewed or expire.
            .expression_attribute_values(":furthest", n(now_ms + 2 * Self::LEASE_LIFE.as_millis() as i64))
            .expression_attribute_values(":zero", n(0))
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":now", n(now_ms))
            .expression_attribute_values(":free", n(now_ms + Self::LEASE_LIFE.as_millis() as i64))
            .expression_attribute_values(":owner", s(owner.as_str()))
            .return_values(aws_sdk_dynamodb::types::ReturnValue::UpdatedNew)
            .send()
            .await;
        let version = match taken {
            Ok(taken) => number(&taken.attributes.unwrap_or_default(), "revision")?,
            // It may be held by the same call, whose answer was lost.
            Err(error) if is_condition_failed(&error) => match self.get("lease", name).await? {
                Some(held) if text(&held, "held_by")? == owner => number(&held, "revision")?,
                _ => return Err(busy(name)),
            },
            Err(error) => return Err(self.failed("be written", error)),
        };
        let renewal = Renewal(tokio::spawn(self.clone().renew(name.to_owned(), version)));
        Ok(Lease { name: name.to_owned(), version, hold: Hold::Table(renewal) })
    }

    pub(in crate::state) async fn is_leased(&self, name: &str) -> Result<bool, Error> {
        let item = self.get("lease", name).await?;
        let free_at_ms = item.map(|item| number::<i64>(&item, "free_at_ms")).transpose()?;
        Ok(free_at_ms.is_some_and(|free_at_ms| free_at_ms >= now_ms()))
    }

    /// Renews the lease until it is another's. A renewal that fails otherwise is tried again: the lease may live on.
    async fn renew(self, name: String, version: u64) {
        loop {
            tokio::time::sleep(Self::LEASE_LIFE / 4).await;
            match self.set_free_at(&name, version, now_ms() + Self::LEASE_LIFE.as_millis() as i64).await {
                Ok(true) => {}
                Ok(false) => {
                    tracing::warn!(lease.name = name, "the lease was taken over by another run");
                    return;
                }
                Err(error) => tracing::warn!(lease.name = name, "the lease is not renewed: {error:#}"),
            }
        }
    }

    pub(in crate::state) async fn release(&self, lease: &Lease) {
        if let Hold::Table(renewal) = &lease.hold {
            renewal.0.abort();
        }
        if let Err(error) = self.set_free_at(&lease.name, lease.version, 0).await {
            tracing::warn!(lease.name = lease.name, "the lease is not given back, it expires: {error:#}");
        }
    }

    /// False: the lease is another's by now.
    async fn set_free_at(&self, name: &str, version: u64, free_at_ms: i64) -> Result<bool, Error> {
        let updated = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key("lease", name)))
            .update_expression("SET free_at_ms = :free")
            .condition_expression("revision = :version")
            .expression_attribute_values(":free", n(free_at_ms))
            .expression_attribute_values(":version", n(version))
            .send()
            .await;
        match updated {
            Ok(_) => Ok(true),
            Err(error) if is_condition_failed(&error) => Ok(false),
            Err(error) => Err(self.failed("be written", error)),
        }
    }
}
