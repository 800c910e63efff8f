//! The conformance suite on Athena itself: `WAREHOUSE_TEST_URL=athena://...`, with AWS credentials in the environment.

use std::path::Path;

use async_trait::async_trait;
use aws_config::{BehaviorVersion, SdkConfig};
use staging::ColumnType;
use tempfile::TempDir;
use uuid::Uuid;

use super::super::Athena;
use super::super::api::Api;
use super::super::dialect::{ATHENA, identifier, in_ddl};
use super::super::url::{Folder, target};
use crate::conformance::{Bench, Cell, Row};
use crate::sql_over_http::Engine;
use crate::twin::{self, cell};
use crate::{LocatedFile, Location, Warehouse, connect, quote_identifier};

/// A database of its own, and a folder for staged files below the url's location.
pub(super) struct AccountBench {
    url: String,
    aws: SdkConfig,
    athena: Athena,
    schema: String,
    staged: TempDir,
}

impl AccountBench {
    /// `None` if there is no account to test with.
    pub(super) async fn new() -> Option<AccountBench> {
        let url = std::env::var("WAREHOUSE_TEST_URL").ok().filter(|url| url.starts_with("athena:"))?;
        let aws = aws_config::defaults(BehaviorVersion::latest()).http_client(twin::http_client());
        let aws = aws.load().await;
        let target = target(&url).unwrap();
        let location = target.location.clone();
        let athena = Athena { api: Api::new(&aws, target), s3: aws_sdk_s3::Client::new(&aws), location };
        let schema = format!("warehouse_test_{}", Uuid::now_v7().simple());
        Some(AccountBench { url, aws, athena, schema, staged: TempDir::new().unwrap() })
    }

    /// Staged files and their manifests are left for a rule of the bucket.
    pub(super) async fn close(self) {
        let drop = format!("DROP DATABASE IF EXISTS `{}` CASCADE", self.schema);
        self.athena.api.execute(&drop, None).await.unwrap();
    }
}

#[async_trait]
impl Bench for AccountBench {
    async fn warehouse(&self) -> Box<dyn Warehouse> {
        connect(&self.url, &self.schema, None, Some(&self.aws)).await.unwrap()
    }

    async fn rows(&self, table: &str) -> Vec<Row> {
        let name = identifier(table);
        let columns = self.athena.columns(&self.schema, &[&name]).await.unwrap().remove(&name).unwrap();
        let value = |name: &str, column_type: ColumnType| match column_type {
            ColumnType::Timestamp => {
                format!("date_diff('millisecond', TIMESTAMP '1970-01-01 00:00:00', {name})")
            }
            ColumnType::Date => format!("date_diff('day', DATE '1970-01-01', {name})"),
            _ => name.to_owned(),
        };
        let values: Vec<String> = columns
            .iter()
            .map(|column| value(&quote_identifier(&column.name), (ATHENA.column_type)(&column.type_name)))
            .collect();
        let sql = format!("SELECT {} FROM {}", values.join(", "), self.quoted(table));
        let rows = self.athena.query(&sql).await.unwrap();
        let named = |row: Vec<Option<String>>| {
            let cells = columns.iter().zip(row).map(|(column, text)| {
                let type_name = column.type_name.split('(').next().unwrap_or_default();
                let cell = text.map_or(Cell::Null, |text| cell(type_name, text));
                (column.name.clone(), cell)
            });
            cells.collect()
        };
        rows.into_iter().map(named).collect()
    }

    async fn has_table(&self, table: &str) -> bool {
        !self.athena.columns(&self.schema, &[&identifier(table)]).await.unwrap().is_empty()
    }

    async fn execute(&self, sql: &str) {
        let is_hive = ["ALTER", "DROP"].iter().any(|word| sql.starts_with(word));
        let sql = if is_hive { in_ddl(sql) } else { sql.to_owned() };
        self.athena.api.execute(&sql, None).await.unwrap();
    }

    fn quoted(&self, table: &str) -> String {
        format!("{}.{}", quote_identifier(&self.schema), quote_identifier(&identifier(table)))
    }

    fn folder(&self) -> &Path {
        self.staged.path()
    }

    fn located(&self, file: LocatedFile) -> LocatedFile {
        let path = file.path().unwrap().to_owned();
        let Folder { bucket, prefix } = &self.athena.location;
        let key = format!("{prefix}_staged/{}/{}", self.schema, path.file_name().unwrap().to_str().unwrap());
        let body = std::fs::read(&path).unwrap();
        let bytes = body.len() as u64;
        let put = self.athena.s3.put_object().bucket(bucket).key(&key).body(body.into()).send();
        tokio::task::block_in_place(|| drop(tokio::runtime::Handle::current().block_on(put).unwrap()));
        let location = Location::S3 { bucket: bucket.clone(), key, bytes };
        LocatedFile { location, ..file }
    }

    fn column(&self, name: &str) -> String {
        (ATHENA.column_name)(name)
    }
}
