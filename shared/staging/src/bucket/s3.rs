//! A bucket in S3.
//!
//! A file of up to one part is put in one request; a larger one goes up in parts, one part in memory at a time, and is
//! there only once all are. Each request carries a CRC32C, which S3 compares with what arrived and keeps. How objects
//! are encrypted is the bucket's own default.
//!
//! A staged file is created, never replaced: `If-None-Match: *` goes with the request that makes it. Where S3 says that
//! there is one, it is either this very file, from a put whose answer was lost, which its bytes show, or another one:
//! an error.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};

use super::{another, gone};
use crate::aws;
use crate::file::ADOPTED;

/// S3 takes parts from 5 MiB on, 10,000 of them
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>).
const PART_BYTES: usize = 5 << 20;
const CHECKSUM: ChecksumAlgorithm = ChecksumAlgorithm::Crc32C;
/// Any object, as `If-None-Match` names it
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>).
const ANY: &str = "*";
/// Tries of a put that meets another request about the same key.
const CONFLICT_ATTEMPTS: u32 = 5;

#[derive(Debug, Clone)]
pub struct S3 {
    client: Client,
    bucket: String,
}

impl S3 {
    pub(super) fn new(client: Client, bucket: &str) -> S3 {
        S3 { client, bucket: bucket.to_owned() }
    }

    pub(super) fn name(&self) -> &str {
        &self.bucket
    }

    pub(super) async fn upload(&self, path: &Path, key: &str, bytes: u64) -> anyhow::Result<()> {
        let mut attempt = 1;
        loop {
            let file = open(path).await?;
            let put = match bytes <= PART_BYTES as u64 {
                true => self.put(file, key).await?,
                false => self.put_in_parts(file, key).await?,
            };
            match put {
                Put::Created => break,
                Put::Exists if self.holds(key, open(path).await?).await? => break,
                Put::Exists => return Err(another(&format!("s3://{}/{key}", self.bucket))),
                Put::Conflict if attempt == CONFLICT_ATTEMPTS => {
                    bail!("{key} is written by another request at the same time: run again")
                }
                Put::Conflict => {
                    tokio::time::sleep(Duration::from_millis(100 << attempt)).await;
                    attempt += 1;
                }
            }
        }
        tokio::fs::remove_file(path).await.with_context(|| format!("{} can't be removed", path.display()))
    }

    /// Puts an object in the place of one that is there.
    pub(super) async fn replace(&self, key: &str, body: Vec<u8>, content_type: &str) -> anyhow::Result<()> {
        let put = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .content_type(content_type)
            .checksum_algorithm(CHECKSUM)
            .body(ByteStream::from(body))
            .send()
            .await;
        put.map(drop).map_err(|error| self.failed("PutObject", error))
    }

    async fn put(&self, mut file: File, key: &str) -> anyhow::Result<Put> {
        let body = next_part(&mut file).await?;
        let put = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .if_none_match(ANY)
            .checksum_algorithm(CHECKSUM)
            .body(ByteStream::from(body))
            .send()
            .await;
        self.created("PutObject", put)
    }

    async fn put_in_parts(&self, mut file: File, key: &str) -> anyhow::Result<Put> {
        let upload = self
            .client
            .create_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .checksum_algorithm(CHECKSUM)
            .send()
            .await
            .map_err(|error| self.failed("CreateMultipartUpload", error))?;
        let id = upload.upload_id().context("S3 gave no id to an upload")?;
        let put = self.put_parts(&mut file, key, id).await;
        if !matches!(put, Ok(Put::Created)) {
            // What is not aborted here, the feed's next run aborts, or the bucket's lifecycle rule.
            if let Err(error) = self.abort(key, id).await {
                tracing::warn!(file.key = key, "an upload is left behind: {error:#}");
            }
        }
        put
    }

    async fn put_parts(&self, file: &mut File, key: &str, id: &str) -> anyhow::Result<Put> {
        let mut parts = Vec::new();
        loop {
            let body = next_part(file).await?;
            if body.is_empty() {
                break;
            }
            let number = i32::try_from(parts.len() + 1)?;
            let part = self
                .client
                .upload_part()
                .bucket(&self.bucket)
                .key(key)
                .upload_id(id)
                .part_number(number)
                .checksum_algorithm(CHECKSUM)
                .body(ByteStream::from(body))
                .send()
                .await
                .map_err(|error| self.failed("UploadPart", error))?;
            parts.push(
                CompletedPart::builder()
                    .part_number(number)
                    .set_e_tag(part.e_tag)
                    .set_checksum_crc32_c(part.checksum_crc32_c)
                    .build(),
            );
        }
        let completed = self
            .client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(id)
            .if_none_match(ANY)
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
            .send()
            .await;
        self.created("CompleteMultipartUpload", completed)
    }

    /// Outcome of the request that makes an object.
    fn created<T, E>(&self, operation: &str, made: Result<T, SdkError<E>>) -> anyhow::Result<Put>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        match made {
            Ok(_) => Ok(Put::Created),
            // The second is what becomes of an upload when it is completed.
            Err(error) if matches!(error.code(), Some("PreconditionFailed" | "NoSuchUpload")) => {
                Ok(Put::Exists)
            }
            Err(error) if matches!(error.code(), Some("ConditionalRequestConflict" | "OperationAborted")) => {
                Ok(Put::Conflict)
            }
            Err(error) => Err(self.failed(operation, error)),
        }
    }

    /// `true`: the object is there, and holds just what the file does.
    async fn holds(&self, key: &str, file: File) -> anyhow::Result<bool> {
        let mut object = match self.client.get_object().bucket(&self.bucket).key(key).send().await {
            Ok(object) => object,
            Err(error) if error.code() == Some("NoSuchKey") => {
                bail!("the upload of {key} was ended by somebody else: run again")
            }
            Err(error) => return Err(self.failed("GetObject", error)),
        };
        let (mut file, mut ours) = (BufReader::new(file), Vec::new());
        while let Some(theirs) = object.body.next().await {
            let theirs = theirs.with_context(|| format!("the staged file {key} breaks off"))?;
            ours.clear();
            (&mut file).take(theirs.len() as u64).read_to_end(&mut ours).await?;
            if ours != theirs {
                return Ok(false);
            }
        }
        Ok(file.read(&mut [0]).await? == 0)
    }

    async fn abort(&self, key: &str, id: &str) -> anyhow::Result<()> {
        let aborted =
            self.client.abort_multipart_upload().bucket(&self.bucket).key(key).upload_id(id).send().await;
        match aborted {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("NoSuchUpload") => Ok(()),
            Err(error) => Err(self.failed("AbortMultipartUpload", error)),
        }
    }

    /// Removes an object. Where the bucket keeps versions, the last one stays as long as its lifecycle rule says.
    pub(super) async fn remove(&self, key: &str) -> anyhow::Result<()> {
        let removed = self.client.delete_object().bucket(&self.bucket).key(key).send().await;
        removed.map(drop).map_err(|error| self.failed("DeleteObject", error))
    }

    /// Aborts the uploads under `prefix`: the runs that began them are dead.
    pub(super) async fn abort_uploads(&self, prefix: &str) -> anyhow::Result<()> {
        let (mut key_marker, mut id_marker) = (None, None);
        loop {
            let page = self
                .client
                .list_multipart_uploads()
                .bucket(&self.bucket)
                .prefix(prefix)
                .set_key_marker(key_marker)
                .set_upload_id_marker(id_marker)
                .send()
                .await
                .map_err(|error| self.failed("ListMultipartUploads", error))?;
            for upload in page.uploads() {
                if let (Some(key), Some(id)) = (upload.key(), upload.upload_id()) {
                    // Of others, which have leases of their own; the bucket's rule ends what they leave.
                    if key.contains(ADOPTED) || key.contains("-compacted-") {
                        continue;
                    }
                    tracing::info!(file.key = key, "an upload of a dead run is aborted");
                    self.abort(key, id).await?;
                }
            }
            if page.is_truncated() != Some(true) {
                return Ok(());
            }
            (key_marker, id_marker) = (page.next_key_marker, page.next_upload_id_marker);
        }
    }

    /// The keys under `prefix`.
    /// Removes all versions of an object, and what marks it as deleted.
    pub(super) async fn destroy(&self, key: &str) -> anyhow::Result<()> {
        let (mut key_marker, mut version_marker) = (None, None);
        loop {
            let listed = self.client.list_object_versions().bucket(&self.bucket).prefix(key);
            let listed = listed.set_key_marker(key_marker).set_version_id_marker(version_marker).send().await;
            let listed = listed.map_err(|error| self.failed("ListObjectVersions", error))?;
            let versions = listed.versions().iter().map(|it| (it.key(), it.version_id()));
            let markers = listed.delete_markers().iter().map(|it| (it.key(), it.version_id()));
            for (_, version) in versions.chain(markers).filter(|(name, _)| *name == Some(key)) {
                let removed = self.client.delete_object().bucket(&self.bucket).key(key);
                let removed = removed.set_version_id(version.map(str::to_owned)).send().await;
                removed.map_err(|error| self.failed("DeleteObject", error))?;
            }
            if listed.is_truncated() != Some(true) {
                return Ok(());
            }
            key_marker = listed.next_key_marker().map(str::to_owned);
            version_marker = listed.next_version_id_marker().map(str::to_owned);
        }
    }

    pub(super) async fn keys(&self, prefix: &str) -> anyhow::Result<Vec<String>> {
        let mut pages =
            self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.failed("ListObjectsV2", error))?;
            keys.extend(page.contents().iter().filter_map(|object| object.key().map(str::to_owned)));
        }
        Ok(keys)
    }

    pub(super) async fn download(&self, key: &str, path: &Path) -> anyhow::Result<()> {
        let got = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(key)
            .checksum_mode(ChecksumMode::Enabled)
            .send()
            .await;
        let mut object = match got {
            Ok(object) => object,
            Err(error) if error.code() == Some("NoSuchKey") => {
                return Err(gone(&format!("s3://{}/{key}", self.bucket)));
            }
            Err(error) => return Err(self.failed("GetObject", error)),
        };
        let unwritten = || format!("the copy {} can't be written (is the disk full?)", path.display());
        let mut file = File::create(path).await.with_context(unwritten)?;
        let mut copied = 0;
        while let Some(chunk) = object.body.next().await {
            let chunk = chunk.with_context(|| format!("the staged file {key} breaks off"))?;
            copied += chunk.len() as i64;
            file.write_all(&chunk).await.with_context(unwritten)?;
        }
        file.flush().await.with_context(unwritten)?;
        match object.content_length {
            Some(length) if length != copied => {
                bail!("the staged file {key} has {length} bytes, {copied} came")
            }
            _ => Ok(()),
        }
    }

    pub(super) fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The last bytes of an object, and how many it has.
    pub(super) async fn tail(&self, key: &str, length: u64) -> anyhow::Result<(Bytes, u64)> {
        let range = format!("bytes=-{length}");
        let got = self.client.get_object().bucket(&self.bucket).key(key).range(range).send().await;
        let object = match got {
            Ok(object) => object,
            Err(error) if error.code() == Some("NoSuchKey") => {
                return Err(gone(&format!("s3://{}/{key}", self.bucket)));
            }
            Err(error) => return Err(self.failed("GetObject", error)),
        };
        // `bytes 100-199/200`
        let range = object.content_range().and_then(|range| range.rsplit_once('/')?.1.parse().ok());
        let whole = object.content_length().and_then(|length| u64::try_from(length).ok());
        let bytes = range.or(whole).with_context(|| format!("S3 does not say how long {key} is"))?;
        let tail =
            object.body.collect().await.with_context(|| format!("the staged file {key} breaks off"))?;
        Ok((tail.into_bytes(), bytes))
    }

    fn failed<E>(&self, operation: &str, error: SdkError<E>) -> anyhow::Error
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let advice = match error.code() {
            Some("NoSuchBucket") => "check the bucket's name",
            Some("AccessDenied") => "allow this role to do it",
            Some("PermanentRedirect") => "the bucket is in another region than AWS_REGION",
            _ => aws::advice_on_the_way(&error),
        };
        anyhow!("{operation} in the bucket {} failed ({}): {advice}", self.bucket, aws::reason(&error))
    }
}

/// Outcome of a request to make an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Put {
    Created,
    /// There is one of this key already.
    Exists,
    /// Another request about the key was under way: to be made once more, from the start.
    Conflict,
}

async fn open(path: &Path) -> anyhow::Result<File> {
    File::open(path).await.with_context(|| format!("{} can't be read", path.display()))
}

/// Up to [`PART_BYTES`] of the file; none at its end.
async fn next_part(file: &mut File) -> anyhow::Result<Bytes> {
    let mut part = BytesMut::with_capacity(PART_BYTES);
    while part.len() < PART_BYTES {
        let left = (PART_BYTES - part.len()) as u64;
        if (&mut *file).take(left).read_buf(&mut part).await? == 0 {
            break;
        }
    }
    Ok(part.freeze())
}
