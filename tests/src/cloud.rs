//! A stack without AWS: the built functions, each in a process of its own, under the Lambda runtime emulator; S3,
//! DynamoDB and Secrets Manager by moto; and between them a [`Gateway`] that sees each request, and may act on it.

mod gateway;
mod programs;

use std::collections::HashMap;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, StreamSpecification,
    StreamViewType,
};
use extract::FURTHER;
use hubspot::feeds::FEEDS;
use lambda::Aws;
use serde_json::{Value, json};
use staging::{Bucket, State};

use crate::{CommandOutput, Sandbox};

pub use gateway::{Act, Gateway, Invocation, Moment, Request};
use programs::Program;

/// The stack's name; its resources are named after it as the template names them.
pub const STACK: &str = "hubspot";
const TABLE: &str = "hubspot-state";
pub const BUCKET: &str = "hubspot-staged";
const SECRET: &str = "hubspot-credential";

/// Names, defaults and processes of one stack.
#[derive(Debug)]
pub struct Cloud {
    pub sandbox: Sandbox,
    pub gateway: Arc<Gateway>,
    pub aws: Aws,
    variables: Vec<(String, String)>,
    functions: Mutex<HashMap<String, Child>>,
    moto: Program,
    _runtime: Program,
}

impl Cloud {
    /// Makes a stack that reads the sandbox's account into the sandbox's DuckDB file. No function runs yet.
    pub async fn new(sandbox: Sandbox) -> Cloud {
        // One provider for all TLS of the process; a second call finds the first one's.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let of_feeds = FEEDS.iter().map(|feed| feed.name());
        let functions: Vec<String> = of_feeds.chain([FURTHER, "load"]).map(str::to_owned).collect();
        let names: Vec<String> = functions.iter().map(|name| format!("{STACK}-{name}")).collect();
        let (moto, runtime) = tokio::join!(Program::moto(), Program::runtime(&names));
        let gateway = Gateway::start(&moto.url, &runtime.url, &functions).await;
        let aws = Aws::with(aws_config(&moto.url).await);
        let cloud = Cloud {
            sandbox,
            gateway,
            aws,
            variables: Vec::new(),
            functions: Mutex::new(HashMap::new()),
            moto,
            _runtime: runtime,
        };
        cloud.make_resources().await;
        cloud
    }

    /// Sets or overrides environment variables of the functions.
    pub fn with(mut self, variables: &[(&str, &str)]) -> Cloud {
        self.variables
            .extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self
    }

    async fn make_resources(&self) {
        let key = |name: &str, kind| {
            let attribute = AttributeDefinition::builder()
                .attribute_name(name)
                .attribute_type(ScalarAttributeType::S)
                .build()
                .unwrap();
            (attribute, KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap())
        };
        let [(pk, hash), (sk, range)] = [key("pk", KeyType::Hash), key("sk", KeyType::Range)];
        let stream = StreamSpecification::builder().stream_enabled(true);
        let stream = stream.stream_view_type(StreamViewType::KeysOnly).build().unwrap();
        self.aws
            .dynamodb
            .create_table()
            .table_name(TABLE)
            .billing_mode(BillingMode::PayPerRequest)
            .set_attribute_definitions(Some(vec![pk, sk]))
            .set_key_schema(Some(vec![hash, range]))
            .stream_specification(stream)
            .send()
            .await
            .unwrap();
        self.aws.s3.create_bucket().bucket(BUCKET).send().await.unwrap();
        self.aws
            .secrets
            .create_secret()
            .name(SECRET)
            .secret_string(r#"{"token": "pat-na1-fake"}"#)
            .send()
            .await
            .unwrap();
    }

    /// Returns all records of the stream of the state's table, as an event source mapping of Lambda reads them.
    pub async fn stream(&self) -> Vec<Value> {
        let client = reqwest::Client::new();
        let call = async |operation: &str, body: Value| -> Value {
            let sent = client
                .post(&self.moto.url)
                .header("Content-Type", "application/x-amz-json-1.0")
                .header("X-Amz-Target", format!("DynamoDBStreams_20120810.{operation}"))
                .header(
                    "Authorization",
                    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/dynamodb/aws4_request, \
                     SignedHeaders=host, Signature=0",
                )
                .body(body.to_string());
            serde_json::from_str(&sent.send().await.unwrap().text().await.unwrap()).unwrap()
        };
        let streams = call("ListStreams", json!({"TableName": TABLE})).await;
        let arn = streams["Streams"][0]["StreamArn"].clone();
        let described = call("DescribeStream", json!({"StreamArn": arn})).await;
        let mut records = Vec::new();
        for shard in described["StreamDescription"]["Shards"].as_array().unwrap() {
            let from =
                json!({"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"});
            let mut iterator = call("GetShardIterator", from).await["ShardIterator"].clone();
            loop {
                let got = call("GetRecords", json!({"ShardIterator": iterator, "Limit": 1000})).await;
                let page = got["Records"].as_array().unwrap();
                records.extend(page.iter().cloned());
                iterator = got["NextShardIterator"].clone();
                if page.is_empty() || iterator.is_null() {
                    break;
                }
            }
        }
        records
    }

    pub fn state(&self) -> State {
        State::open_table(self.aws.dynamodb.clone(), TABLE)
    }

    /// Returns clients of AWS as the function has them: through the gateway.
    pub async fn aws_of(&self, function: &str) -> Aws {
        Aws::with(aws_config(self.gateway.url(function)).await)
    }

    /// Returns the stack's bucket as the function sees it.
    pub async fn bucket_of(&self, function: &str) -> Bucket {
        let scratch = self.sandbox.path(&format!("scratch-of-{function}"));
        Bucket::open_s3(self.aws_of(function).await.s3, BUCKET, &scratch, "hubspot").unwrap()
    }

    /// Returns the stack's state as the function sees it.
    pub async fn state_of(&self, function: &str) -> State {
        State::open_table(self.aws_of(function).await.dynamodb, TABLE)
    }

    /// Has the bucket keep versions, as that of a stack does.
    pub async fn keep_versions(&self) {
        let enabled = aws_sdk_s3::types::VersioningConfiguration::builder()
            .status(aws_sdk_s3::types::BucketVersioningStatus::Enabled)
            .build();
        let set = self.aws.s3.put_bucket_versioning().bucket(BUCKET).versioning_configuration(enabled);
        set.send().await.unwrap();
    }

    /// Downloads all versions of all objects into a folder. Returns the number of marks of deleted ones.
    pub async fn download_versions(&self, folder: &std::path::Path) -> usize {
        std::fs::create_dir_all(folder).unwrap();
        let listed = self.aws.s3.list_object_versions().bucket(BUCKET).send().await.unwrap();
        assert_ne!(listed.is_truncated(), Some(true), "more than a page of objects");
        for (n, version) in listed.versions().iter().enumerate() {
            let object = self.aws.s3.get_object().bucket(BUCKET).key(version.key().unwrap());
            let object = object.set_version_id(version.version_id().map(str::to_owned)).send().await.unwrap();
            let bytes = object.body.collect().await.unwrap().into_bytes();
            std::fs::write(folder.join(format!("{n}.parquet")), bytes).unwrap();
        }
        listed.delete_markers().len()
    }

    /// Returns all items of the state table, as text.
    pub async fn items(&self) -> Vec<String> {
        let mut pages = self.aws.dynamodb.scan().table_name(TABLE).into_paginator().items().send();
        let mut items = Vec::new();
        while let Some(item) = pages.next().await {
            items.push(format!("{:?}", item.unwrap()));
        }
        items
    }

    pub async fn objects(&self) -> Vec<(String, i64)> {
        let mut pages = self.aws.s3.list_objects_v2().bucket(BUCKET).into_paginator().send();
        let mut objects = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.unwrap();
            objects.extend(
                page.contents()
                    .iter()
                    .map(|object| (object.key().unwrap().to_owned(), object.size().unwrap())),
            );
        }
        objects
    }

    /// Returns an object's content type and its text.
    pub async fn object(&self, key: &str) -> (String, String) {
        let object = self.aws.s3.get_object().bucket(BUCKET).key(key).send().await.unwrap();
        let content_type = object.content_type().unwrap_or_default().to_owned();
        let bytes = object.body.collect().await.unwrap().to_vec();
        (content_type, String::from_utf8(bytes).unwrap())
    }

    /// Deletes all objects of a collection; answers with their number.
    pub async fn delete_objects(&self, collection: &str) -> usize {
        let mut keys: Vec<String> = self.objects().await.into_iter().map(|(key, _)| key).collect();
        keys.retain(|key| key.starts_with(&format!("hubspot/{collection}/")));
        for key in &keys {
            self.aws.s3.delete_object().bucket(BUCKET).key(key).send().await.unwrap();
        }
        keys.len()
    }

    pub async fn unfinished_uploads(&self) -> usize {
        self.aws.s3.list_multipart_uploads().bucket(BUCKET).send().await.unwrap().uploads().len()
    }

    /// Returns the command of a function's process, as the Lambda service would start it.
    pub fn command(&self, function: &str) -> Command {
        let program = if function == "load" { "load" } else { "extract" };
        let name = format!("{STACK}-{function}");
        let mut command = Command::new(crate::sandbox::binary(program));
        command.env_clear();
        let gateway = self.gateway.url(function);
        let scratch = self.sandbox.path(&format!("tmp-{function}"));
        std::fs::create_dir_all(&scratch).unwrap();
        let segment: Vec<&str> = FEEDS.iter().flat_map(|feed| feed.collections()).copied().collect();
        let metadata = hubspot::feeds::further().find(|feed| feed.name() == "metadata").unwrap();
        let persons: Vec<String> = hubspot::feeds::person_columns().iter().map(ToString::to_string).collect();
        let warehouse = format!("duckdb:{}", self.sandbox.path("warehouse.duckdb").display());
        for (name, value) in [
            ("AWS_LAMBDA_RUNTIME_API", format!("{gateway}/.rt/{name}")),
            ("AWS_LAMBDA_FUNCTION_NAME", name.clone()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1".to_owned()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}")),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "1".to_owned()),
            ("AWS_ENDPOINT_URL", gateway.to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("STACK", STACK.to_owned()),
            ("FEED", function.to_owned()),
            ("STATE_TABLE", TABLE.to_owned()),
            ("BUCKET", BUCKET.to_owned()),
            ("SCHEMA", "hubspot".to_owned()),
            ("HUBSPOT_SECRET_ARN", SECRET.to_owned()),
            ("HUBSPOT_URL", self.sandbox.server.url().to_owned()),
            ("WAREHOUSE_URL", warehouse),
            ("SEGMENT_COLLECTIONS", segment.join(",")),
            ("METADATA_COLLECTIONS", metadata.collections().join(",")),
            ("PERSON_COLUMNS", persons.join(", ")),
            ("TMPDIR", scratch.display().to_string()),
            ("RUST_LOG", "info".to_owned()),
        ] {
            command.env(name, value);
        }
        for (name, value) in &self.variables {
            command.env(name, value);
        }
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.sandbox.path(&format!("{function}.log")))
            .unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        command
    }

    /// Returns the command of a function's program as a container runs it: without Lambda, with the event as an argument.
    pub fn command_alone(&self, function: &str, arguments: &[&str]) -> Command {
        let mut command = self.command(function);
        let names: Vec<_> = command.get_envs().map(|(name, _)| name.to_owned()).collect();
        for name in names.iter().filter(|name| name.to_string_lossy().starts_with("AWS_LAMBDA_")) {
            command.env_remove(name);
        }
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a function's program without Lambda.
    pub async fn run_alone(&self, function: &str, arguments: &[&str]) -> CommandOutput {
        crate::ended(self.command_alone(function, arguments)).await
    }

    /// Runs `hubspot-source` with this stack, as from a laptop.
    pub async fn cli(&self, arguments: &[&str]) -> CommandOutput {
        let mut command = Command::new(crate::sandbox::binary("hubspot-source"));
        command.env_clear().args(arguments).args(["--stack", STACK]);
        for (name, value) in [
            ("AWS_ENDPOINT_URL", self.gateway.url("load")),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ] {
            command.env(name, value);
        }
        command.env("HOME", self.sandbox.path("home"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        crate::ended(command).await
    }

    /// Starts the function's process, unless it runs.
    pub fn start(&self, function: &str) {
        let mut functions = self.functions.lock().unwrap();
        let is_running = functions.get_mut(function).is_some_and(|child| child.try_wait().unwrap().is_none());
        if !is_running {
            functions.insert(function.to_owned(), self.command(function).spawn().unwrap());
        }
    }

    /// Kills the function's process, without a signal that it could act on.
    pub fn kill(&self, function: &str) {
        if let Some(mut child) = self.functions.lock().unwrap().remove(function) {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Returns the peak memory of the function's process, in bytes.
    pub fn peak_memory(&self, function: &str) -> u64 {
        let process = self.functions.lock().unwrap()[function].id();
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() << 10
    }

    /// Invokes the function and waits for its answer.
    pub async fn invoke(&self, function: &str, event: &Value) -> Invocation {
        self.start(function);
        self.gateway.invoke(&format!("{STACK}-{function}"), event).await
    }

    /// Waits until all invocations that functions asked for have ended; each of the functions must have a process.
    pub async fn settle(&self) {
        let began = Instant::now();
        while self.gateway.is_under_way() {
            assert!(began.elapsed() < Duration::from_secs(1800), "invocations follow each other without end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Returns the log of the function's processes so far.
    pub fn log(&self, function: &str) -> String {
        std::fs::read_to_string(self.sandbox.path(&format!("{function}.log"))).unwrap_or_default()
    }

    /// Returns the lines of the log that tell of invocations, with their metrics and fields.
    pub fn metrics(&self, function: &str) -> Vec<Value> {
        let lines = self.log(function);
        let parsed = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        parsed.filter(|line| line.get("Stack").is_some()).collect()
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        let functions: Vec<String> = self.functions.lock().unwrap().keys().cloned().collect();
        for function in functions {
            self.kill(&function);
        }
    }
}

async fn aws_config(endpoint: &str) -> aws_config::SdkConfig {
    let credentials = aws_sdk_s3::config::Credentials::new("test", "test", None, None, "test");
    aws_config::defaults(aws_config::BehaviorVersion::latest())
        .http_client(lambda::http_client())
        .region("us-east-1")
        .credentials_provider(credentials)
        .endpoint_url(endpoint)
        .load()
        .await
}
