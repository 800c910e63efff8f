//! Examples and exit codes below the help of each command.

pub(super) const EXAMPLES: &str = "\
Examples:
  hubspot-source demo
      a fake HubSpot account into ./demo/demo.duckdb, without a HubSpot account

  export HUBSPOT_TOKEN=pat-...
  hubspot-source doctor
      the rights of this credential, and missing scopes; writes nothing

  hubspot-source sync --warehouse duckdb:warehouse.duckdb --state ./state
      everything the first time, changes afterwards; more with sync --help

  hubspot-source init
      writes hubspot-source.toml, for settings; then sync needs no flags

Exit codes:
  0    complete
  1    something failed or is incomplete, as the report says; or HubSpot, the
       warehouse or another run is in the way now
  2    wrong use or configuration; the message names the next step
  130  ended at once, by a second Ctrl-C
  143  ended by SIGTERM, with a checkpoint: the same command goes on from there";

pub(super) const SYNC_EXAMPLES: &str = "\
Examples:
  hubspot-source sync --warehouse duckdb:warehouse.duckdb --state ./state
      everything the first time, changes afterwards; interrupt it at any point,
      and run it again

  hubspot-source sync --warehouse duckdb:warehouse.duckdb --state ./state \\
    --collections deals --report json
      one collection, with a report for machines

  hubspot-source sync --warehouse duckdb:warehouse.duckdb --state ./state \\
    --collections all,-emails
      whatever the account has, custom objects too, but for one-to-one e-mails

  hubspot-source sync --warehouse duckdb:warehouse.duckdb --state ./state \\
    --collections email_events --since 2026-01-01
      e-mail events from further back than the month that a first run reads

  hubspot-source sync --warehouse duckdb:warehouse.duckdb --state ./state \\
    --mode reconcile
      changes; then every record's id is compared with the tables, and differing
      records are read again

  hubspot-source sync --warehouse postgres://loader@db/analytics \\
    --state ./state --collections all --compat fivetran
      with views that Fivetran's dbt_hubspot reads, in the schema
      hubspot_fivetran

  hubspot-source sync --warehouse postgres://loader@db/analytics \\
    --schema hubspot --state ./state --adopt
      into a schema that Segment filled: its tables are put aside, and no row of
      theirs is lost

  hubspot-source sync --warehouse duckdb:warehouse.duckdb --state ./state \\
    --without contact_identity_profiles
      all collections but one, such as one that this credential may not read

Exit codes:
  0    complete
  1    something failed or is incomplete, as the report says; or HubSpot, the
       warehouse or another run is in the way now
  2    wrong use or configuration; the message names the next step
  130  ended at once, by a second Ctrl-C
  143  ended by SIGTERM, with a checkpoint: the same command goes on from there";

pub(super) const DOCTOR_EXAMPLES: &str = "\
Examples:
  export HUBSPOT_TOKEN=pat-...
  hubspot-source doctor
      some twenty small calls

  hubspot-source doctor --collections all
      further objects and custom ones as well, two calls for each

  hubspot-source doctor --report json
      the same for machines

Exit codes:
  0  every collection can be filled, some perhaps not in full; the report names
     the gaps
  1  a collection can't be filled; the report names it, and the scope to add; or
     HubSpot does not answer now
  2  wrong use or configuration; the message names the next step";

pub(super) const COMPACT_EXAMPLES: &str = "\
Examples:
  hubspot-source compact --state ./state --warehouse duckdb:warehouse.duckdb
      one file for each collection, or as few as their sizes and columns allow;
      syncs do it by themselves where there are many

  hubspot-source compact --stack hubspot-source
      the same in the bucket of a stack

Exit codes:
  0  done; files that wait for a load, or of which a run is under way, stay as
     they are
  1  something failed; the report names it
  2  wrong use or configuration; the message names the next step";

pub(super) const PLAN_EXAMPLES: &str = "\
Examples:
  export HUBSPOT_TOKEN=pat-...
  hubspot-source plan
      the first run of a stack, which reads everything, and the further objects
      that are worth it

  hubspot-source plan --collections contacts,deals --since 2026-01-01 \\
    --memory 256
      a smaller backfill, with the memory of its function

Exit codes:
  0  every collection is planned
  1  one can't be planned, as stderr says; or HubSpot does not answer now
  2  wrong use or configuration; the message names the next step";

pub(super) const STATUS_EXAMPLES: &str = "\
Examples:
  hubspot-source status --stack hubspot
      a deployed stack, with the AWS credentials of the environment

  hubspot-source status --state ./state --report json
      the state folder of a sync, for machines

Exit codes:
  0  the last run of every collection ended well, or one is running
  1  one failed, or a collection can't be filled; the report names it
  2  wrong use or configuration; the message names the next step";

pub(super) const BACKFILL_EXAMPLES: &str = "\
Examples:
  hubspot-source backfill contacts --stack hubspot
      everything again; Ctrl-C leaves it running

  hubspot-source backfill contacts --stack hubspot --follow
      follows a backfill that is running

  hubspot-source backfill email_events --stack hubspot --since 2026-01-01 \\
    --until 2026-04-01 --detach
      a quarter of events, started without waiting for it

Exit codes:
  0  complete, or started with --detach
  1  it ended early or failed; the report says why
  2  wrong use or configuration; the message names the next step";

pub(super) const RECONCILE_EXAMPLES: &str = "\
Examples:
  hubspot-source reconcile contacts --stack hubspot
      a snapshot of all ids; the next load compares it with the table, and the
      next run reads differing records again

  hubspot-source reconcile deals --stack hubspot --refresh
      the same with calculated properties and associations

  hubspot-source sync --warehouse duckdb:warehouse.duckdb --state ./state \\
    --mode reconcile
      without a stack, and to its end

Exit codes:
  0  the snapshot is staged, or was started with --detach
  1  it ended early or failed; the report says why
  2  wrong use or configuration; the message names the next step";

pub(super) const REPLAY_EXAMPLES: &str = "\
Examples:
  hubspot-source replay --stack hubspot
      fills every table that lacks staged rows; drop a table first to have it
      made anew

  hubspot-source replay --stack hubspot --collections deals
      one table

Exit codes:
  0  every table holds what is staged
  1  a load ended early or failed; the report says why
  2  wrong use or configuration; the message names the next step";

pub(super) const DEMO_EXAMPLES: &str = "\
Examples:
  hubspot-source demo
      2,000 contacts into ./demo/demo.duckdb, which takes some seconds

  hubspot-source demo --contacts 100000 --folder large
      a larger account

Exit codes:
  0  both syncs were complete
  1  one was not; the report says why
  2  wrong use, such as a folder with other files; the message names the next
     step";

pub(super) const DICTIONARY_EXAMPLES: &str = "\
Examples:
  hubspot-source dictionary > dictionary.md

Exit codes:
  0  printed
  2  wrong use; the message names the next step";

pub(super) const GENERATE_EXAMPLES: &str = "\
Exit codes:
  0  the files are written
  2  the folder is no checkout, or can't be written; the message names it";

pub(super) const INIT_EXAMPLES: &str = "\
Examples:
  hubspot-source init
      ./hubspot-source.toml and ./.env.example; then sync needs no flags

  HUBSPOT_TOKEN=pat-... hubspot-source init --force
      both anew, with what this credential can't read

Exit codes:
  0  the files are written
  1  they are written, but HubSpot could not be asked; stderr says why
  2  wrong use, or files that are there; the message names the next step";

pub(super) const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  hubspot-source completions bash \\
    > ~/.local/share/bash-completion/completions/hubspot-source

  hubspot-source completions zsh > ~/.zfunc/_hubspot-source
      with fpath+=~/.zfunc before compinit in ~/.zshrc

  hubspot-source completions fish \\
    > ~/.config/fish/completions/hubspot-source.fish

Exit codes:
  0  printed
  2  wrong use; the message names the next step";

pub(super) const MAN_EXAMPLES: &str = "\
Examples:
  hubspot-source man | man -l -
      the page of the program

  hubspot-source man --dir ~/.local/share/man/man1
      a page for each command too: man hubspot-source-sync

Exit codes:
  0  printed, or written
  2  wrong use, or a folder that can't be written; the message names it";

pub(super) const FORGET_EXAMPLES: &str = "\
Examples:
  hubspot-source forget --email ada@example.com \\
    --warehouse duckdb:warehouse.duckdb --state ./state --dry-run
      the person's rows and files by table, with all their addresses and merged
      contacts; removes nothing

  hubspot-source forget --email ada@example.com \\
    --warehouse duckdb:warehouse.duckdb --state ./state
      asks, and removes them; after a crash, the same command goes on

  hubspot-source forget --contact 1234567 --yes --vacuum-full \\
    --warehouse postgres://loader@db/analytics --state ./state
      by the id of a contact, without asking, and without a trace in
      PostgreSQL's own files

  hubspot-source forget --email ada@example.com --stack hubspot
      in the warehouse, the bucket and the state table of a stack

  hubspot-source forget --lift --email ada@example.com --contact 1234567 \\
    --state ./state
      a mistake, or a contact again: what HubSpot shows of them is not left out
      any more

Exit codes:
  0  nothing of the person is left, or --dry-run has counted it
  1  a part is left: a run or a load is under way, or a place does not answer;
     the same command goes on
  2  wrong use or configuration; the message names the next step";

pub(super) const ADOPT_EXAMPLES: &str = "\
Examples:
  hubspot-source adopt --warehouse postgres://loader@db/analytics \\
    --schema hubspot
      before the first load of a stack: Segment's tables become NAME_of_segment,
      and the load makes ours

  hubspot-source adopt --warehouse postgres://loader@db/analytics \\
    --schema hubspot --stack hubspot --bucket hubspot-staged
      after the first complete run of the stack: the rows that HubSpot shows no
      more are staged in its bucket, and its next load brings them into ours

  hubspot-source sync --warehouse postgres://loader@db/analytics \\
    --schema hubspot --state ./state --adopt
      both, and the sync between them, without a stack

Exit codes:
  0  the tables are put aside; the report says what is in them, and how to drop
     them
  1  the warehouse does not answer, or is locked; the same command goes on
  2  wrong use or configuration, and nothing is changed; the message names the
     next step";

pub(super) const DBT_EXAMPLES: &str = "\
Examples:
  hubspot-source dbt --warehouse duckdb:warehouse.duckdb
      a project in ./dbt, over the tables that are there; again after new
      properties or collections

  hubspot-source dbt transform/hubspot --schema crm \\
    --warehouse postgres://loader@db/analytics
      in another folder, with the password in WAREHOUSE_PASSWORD

  hubspot-source dbt --warehouse duckdb:warehouse.duckdb --dialect snowflake
      SQL for another warehouse with the same tables

Exit codes:
  0  the project is written; views without a collection of theirs are named
  1  the warehouse does not answer, or is locked
  2  wrong use or configuration; the message names the next step";
