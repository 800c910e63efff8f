# Written by `make generate` from the template of the stack: change that, not this file.

variable "warehouse_url" {
  type        = string
  description = "URL of the warehouse, without a password, such as postgres://loader@db.example.com/analytics; or none, which stages files only."
  nullable    = false
}

variable "warehouse_secret_arn" {
  type        = string
  default     = ""
  description = "ARN of the secret with the warehouse's password (of Databricks, a service principal's secret or a token), bare or as JSON with \"password\", or with Snowflake's private key, or with Google's credential for BigQuery; empty if it has none."
  nullable    = false
}

variable "warehouse_policy_arn" {
  type        = string
  default     = ""
  description = "ARN of the managed policy with what the load function needs of a warehouse that is called by AWS credentials (Redshift, Athena), such as docs/policies has them; empty for the others."
  nullable    = false
}

variable "schema" {
  type        = string
  default     = "hubspot"
  description = "Schema of the tables, and the first part of the staged files' keys."
  nullable    = false
}

variable "hard_delete" {
  type        = string
  default     = ""
  description = "Collections whose deleted records leave the table, or all; those of the others stay, with is_deleted."
  nullable    = false
}

variable "forget_deleted" {
  type        = string
  default     = "auto"
  description = "Whether contacts that HubSpot shows nowhere any more are forgotten, with all that the warehouse, the staged files and the state hold of them. auto does it where HardDelete has contacts; on and auto wait for 7 days."
  nullable    = false
}

variable "pseudonymise" {
  type        = string
  default     = "false"
  description = "true keeps e-mail events of persons who are forgotten: with a pseudonym in the place of the address, and without details that may tell who it is. false deletes them."
  nullable    = false

  validation {
    condition     = contains(["true", "false"], var.pseudonymise)
    error_message = "One of true, false."
  }
}

variable "history" {
  type        = string
  default     = ""
  description = "Collections with a table of all versions of their records beside them, named <collection>_history."
  nullable    = false
}

variable "compat" {
  type        = string
  default     = ""
  description = "fivetran keeps views beside the tables, in the schema <Schema>_fivetran, with the names and columns that the dbt package dbt_hubspot reads; a load that has merged something brings them up to date. Not for Athena."
  nullable    = false

  validation {
    condition     = contains(["", "fivetran"], var.compat)
    error_message = "One of nothing, fivetran."
  }
}

variable "staged_days" {
  type        = number
  default     = 0
  description = "Days after which merged staged files are removed; 0 keeps them, for replays. Compaction makes them few in any case."
  nullable    = false
}

variable "load_schedule" {
  type        = string
  default     = "rate(1 hour)"
  description = "When staged files are merged, a rate(...) or cron(...) of EventBridge Scheduler."
  nullable    = false
}

variable "load_subnet_ids" {
  type        = list(string)
  default     = []
  description = "Subnets for the load function, if the warehouse is reached from a VPC only; empty if not."
  nullable    = false
}

variable "load_security_group_ids" {
  type        = list(string)
  default     = []
  description = "Security groups of the load function; needed with LoadSubnetIds."
  nullable    = false
}

variable "freshness" {
  type        = string
  default     = "3 hours"
  description = "How often changes are read. Less than 3 hours also starts the load a minute after something was staged; lists, campaigns and metadata, which are read as a whole, stay at 3 hours. hubspot-source plan says what it costs."
  nullable    = false

  validation {
    condition     = contains(["3 hours", "1 hour", "15 minutes", "5 minutes"], var.freshness)
    error_message = "One of 3 hours, 1 hour, 15 minutes, 5 minutes."
  }
}

variable "extract_schedule" {
  type        = string
  default     = ""
  description = "When HubSpot is read, a rate(...) or cron(...) of EventBridge Scheduler, for all feeds; each starts within 15 minutes of it. Empty, and the former default rate(3 hours), mean as often as Freshness says."
  nullable    = false
}

variable "reconcile_schedule" {
  type        = string
  default     = "cron(20 1 * * ? *)"
  description = "When the ids of all contacts, companies, deals and objects are compared with the tables, one call for each hundred; off for never."
  nullable    = false
}

variable "refresh_schedule" {
  type        = string
  default     = "cron(20 13 ? * SUN *)"
  description = "When calculated properties, associations and list memberships are compared as well, which change without a new modified date; off for never. One that meets the other schedule takes the place of its next time."
  nullable    = false
}

variable "reserve_percent" {
  type        = number
  default     = 10
  description = "Share of HubSpot's limits, in percent, that is left to the account's other apps."
  nullable    = false
}

variable "staged_codec" {
  type        = string
  default     = "zstd"
  description = "Compression of new staged files; snappy for a warehouse that does not read zstd in Parquet. Files of both can be merged, at any time."
  nullable    = false

  validation {
    condition     = contains(["zstd", "snappy"], var.staged_codec)
    error_message = "One of zstd, snappy."
  }
}

variable "hubspot_url" {
  type        = string
  default     = "https://api.hubapi.com"
  description = "HubSpot's API, or a stand-in for it."
  nullable    = false
}

variable "contacts" {
  type        = string
  default     = "on"
  description = "Whether contacts runs on schedule; it fills contacts, contact_identity_profiles, contact_identities, form_submissions."
  nullable    = false

  validation {
    condition     = contains(["on", "off"], var.contacts)
    error_message = "One of on, off."
  }
}

variable "companies" {
  type        = string
  default     = "on"
  description = "Whether companies runs on schedule; it fills companies."
  nullable    = false

  validation {
    condition     = contains(["on", "off"], var.companies)
    error_message = "One of on, off."
  }
}

variable "deals" {
  type        = string
  default     = "on"
  description = "Whether deals runs on schedule; it fills deals."
  nullable    = false

  validation {
    condition     = contains(["on", "off"], var.deals)
    error_message = "One of on, off."
  }
}

variable "contact_lists" {
  type        = string
  default     = "on"
  description = "Whether contact_lists runs on schedule; it fills contact_lists."
  nullable    = false

  validation {
    condition     = contains(["on", "off"], var.contact_lists)
    error_message = "One of on, off."
  }
}

variable "email_campaigns" {
  type        = string
  default     = "on"
  description = "Whether email_campaigns runs on schedule; it fills email_campaigns."
  nullable    = false

  validation {
    condition     = contains(["on", "off"], var.email_campaigns)
    error_message = "One of on, off."
  }
}

variable "email_events" {
  type        = string
  default     = "on"
  description = "Whether email_events runs on schedule; it fills email_events."
  nullable    = false

  validation {
    condition     = contains(["on", "off"], var.email_events)
    error_message = "One of on, off."
  }
}

variable "subscription_timeline" {
  type        = string
  default     = "on"
  description = "Whether subscription_timeline runs on schedule; it fills email_subscription_event_changes, email_subscriptions."
  nullable    = false

  validation {
    condition     = contains(["on", "off"], var.subscription_timeline)
    error_message = "One of on, off."
  }
}

variable "objects" {
  type        = string
  default     = "on"
  description = "Whether objects runs on schedule; it fills further objects and metadata, as far as Collections names them."
  nullable    = false

  validation {
    condition     = contains(["on", "off"], var.objects)
    error_message = "One of on, off."
  }
}

variable "collections" {
  type        = string
  default     = "segment"
  description = "The collections to read and load, separated by commas: their names, segment for those of Segment's source, metadata for the tables that give ids their meaning, all for whatever the account has; a name with a minus sign is left out. Empty means segment."
  nullable    = false
}

variable "property_history" {
  type        = string
  default     = ""
  description = "The properties whose past values go to the table property_history, by object, as in deals:dealstage,amount;contacts:lifecyclestage; only if Collections names property_history. Empty means stages, owners, amounts and close dates."
  nullable    = false
}

variable "kms_key_arn" {
  type        = string
  default     = ""
  description = "Key with which the bucket, the state table, the HubSpot secret and the dead-letter queue are encrypted. Empty means the keys that AWS keeps for each of them."
  nullable    = false
}

variable "alarm_email" {
  type        = string
  default     = ""
  description = "Where alarms are sent; AWS asks for a confirmation first. Empty sends no mail."
  nullable    = false
}

variable "alarm_lag_hours" {
  type        = number
  default     = 8
  description = "Hours that the data may be behind before an alarm; more than the interval of both schedules."
  nullable    = false
}

variable "alarm_reconcile_hours" {
  type        = number
  default     = 72
  description = "Hours after which a table that was not found equal to HubSpot's records alarms."
  nullable    = false
}

variable "alarm_refresh_hours" {
  type        = number
  default     = 216
  description = "Hours after which a table whose calculated values and associations were not found equal alarms."
  nullable    = false
}

variable "report_page" {
  type        = string
  default     = "off"
  description = "Whether the bucket has a page about all runs of the last 90 days, report/index.html, which is written once a day."
  nullable    = false

  validation {
    condition     = contains(["on", "off"], var.report_page)
    error_message = "One of on, off."
  }
}

variable "cloud_watch_dashboard" {
  type        = string
  default     = "off"
  description = "Whether CloudWatch has a dashboard of the stack, which costs 3 dollars a month where the account has three others. The saved queries of Logs Insights show the same, and cost nothing until they are run."
  nullable    = false

  validation {
    condition     = contains(["on", "off"], var.cloud_watch_dashboard)
    error_message = "One of on, off."
  }
}

variable "log_retention_days" {
  type        = number
  default     = 30
  description = "Days that logs are kept."
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "One of 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653."
  }
}

variable "log_level" {
  type        = string
  default     = "info"
  description = "What is logged, as RUST_LOG says it, such as info or debug."
  nullable    = false
}

variable "otlp_endpoint" {
  type        = string
  default     = ""
  description = "Collector of OpenTelemetry that takes spans and metrics of the functions, as OTLP over HTTP, such as http://localhost:4318 for that of OtlpLayerArn; empty sends none."
  nullable    = false
}

variable "otlp_layer_arn" {
  type        = string
  default     = ""
  description = "Layer with a collector of OpenTelemetry that runs beside each function; empty for a collector elsewhere, or none."
  nullable    = false
}

variable "contacts_memory" {
  type        = number
  default     = 256
  description = "Megabytes of the contacts function, which reads the most."
  nullable    = false
}

variable "extract_memory" {
  type        = number
  default     = 128
  description = "Megabytes of each other function that reads HubSpot."
  nullable    = false
}

variable "load_memory" {
  type        = number
  default     = 512
  description = "Megabytes of the load function."
  nullable    = false
}

variable "load_storage" {
  type        = number
  default     = 2048
  description = "Megabytes of /tmp of the load function."
  nullable    = false
}

variable "max_continuations" {
  type        = number
  default     = 100
  description = "How often a run that reaches Lambda's 15 minutes may go on in a new invocation."
  nullable    = false
}

locals {
  parameters = {
    WarehouseUrl         = var.warehouse_url
    WarehouseSecretArn   = var.warehouse_secret_arn
    WarehousePolicyArn   = var.warehouse_policy_arn
    Schema               = var.schema
    HardDelete           = var.hard_delete
    ForgetDeleted        = var.forget_deleted
    Pseudonymise         = var.pseudonymise
    History              = var.history
    Compat               = var.compat
    StagedDays           = tostring(var.staged_days)
    LoadSchedule         = var.load_schedule
    LoadSubnetIds        = join(",", var.load_subnet_ids)
    LoadSecurityGroupIds = join(",", var.load_security_group_ids)
    Freshness            = var.freshness
    ExtractSchedule      = var.extract_schedule
    ReconcileSchedule    = var.reconcile_schedule
    RefreshSchedule      = var.refresh_schedule
    ReservePercent       = tostring(var.reserve_percent)
    StagedCodec          = var.staged_codec
    HubSpotUrl           = var.hubspot_url
    Contacts             = var.contacts
    Companies            = var.companies
    Deals                = var.deals
    ContactLists         = var.contact_lists
    EmailCampaigns       = var.email_campaigns
    EmailEvents          = var.email_events
    SubscriptionTimeline = var.subscription_timeline
    Objects              = var.objects
    Collections          = var.collections
    PropertyHistory      = var.property_history
    KmsKeyArn            = var.kms_key_arn
    AlarmEmail           = var.alarm_email
    AlarmLagHours        = tostring(var.alarm_lag_hours)
    AlarmReconcileHours  = tostring(var.alarm_reconcile_hours)
    AlarmRefreshHours    = tostring(var.alarm_refresh_hours)
    ReportPage           = var.report_page
    CloudWatchDashboard  = var.cloud_watch_dashboard
    LogRetentionDays     = tostring(var.log_retention_days)
    LogLevel             = var.log_level
    OtlpEndpoint         = var.otlp_endpoint
    OtlpLayerArn         = var.otlp_layer_arn
    ContactsMemory       = tostring(var.contacts_memory)
    ExtractMemory        = tostring(var.extract_memory)
    LoadMemory           = tostring(var.load_memory)
    LoadStorage          = tostring(var.load_storage)
    MaxContinuations     = tostring(var.max_continuations)
  }
}
