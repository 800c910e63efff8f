#![doc = include_str!("../README.md")]

mod account;
mod behaviour;
mod churn;
mod dice;
mod endpoints;
mod http;
mod json;
mod object_type;
mod operation;
mod settings;
mod time;

pub use self::account::{
    Account, ChangeError, EmailEventId, EventType, ExchangeRate, Flow, FormType, Kind, Label, MarketingEvent,
    MarketingTools, Membership, Metadata, Owner, Pipeline, Processing, Role, Sensitivity, Stage,
    SubscriptionChange, Team, ToolCampaign, Truth, TruthAssociations, TruthCampaign, TruthDefinition,
    TruthEmail, TruthEmailEvent, TruthForm, TruthIdentity, TruthLink, TruthList, TruthMembership,
    TruthPastValue, TruthProfile, TruthRecord, TruthSubmission, TruthSubscription, TruthSubscriptionChange,
    TruthV1Contact, User,
};
pub use self::behaviour::{Behaviour, Faults, IndexLag, Limits, V1Contacts};
pub use self::churn::{Churn, MarketingChurn, MetadataChurn, RunningChurn};
pub use self::endpoints::endpoint_of;
pub use self::http::counters::{BucketCounters, Counters, LoggedRequest};
pub use self::http::parts::{InPart, Lack, PagingWords, RefusedBatches};
pub use self::http::poison::{Poison, PoisonEffect};
pub use self::http::server::{Omission, Server};
pub use self::object_type::{ObjectType, PerType, UnknownObjectType};
pub use self::operation::{Operation, Touched};
pub use self::settings::{Further, Marketing, OauthApp, Settings};
