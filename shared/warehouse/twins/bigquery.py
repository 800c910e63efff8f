"""BigQuery behind its API: the calls, the tokens, jobs and their ids, uploads, the SQL, and the limits of all of them.

DDL on tables that stay is refused in a transaction, as it is there: https://cloud.google.com/bigquery/docs/transactions.
Two transactions never run at once here; a test says which one is aborted, or which job is late."""

import base64
import functools
import hashlib
import hmac
import json
import os
import time
import urllib.parse
import uuid

import duckdb
import sqlglot
from sqlglot import exp

from database import Failed, Refused, in_duckdb, parsed, read_parquet, with_values, without_values
from snowflake import PublicKey, decoded

# https://cloud.google.com/bigquery/quotas
MAX_QUERY_CHARACTERS = 1_024_000
MAX_COLUMNS = 10_000
MAX_NAME_CHARACTERS = 300
MAX_LOADS_OF_A_TABLE = 1_500
# "Table metadata update operations" of one table: five in ten seconds; here, in one script.
MAX_CHANGES_OF_A_TABLE = 5
# https://cloud.google.com/bigquery/docs/transactions#limitations
MAX_TABLES_OF_A_TRANSACTION = 100
# https://cloud.google.com/bigquery/docs/clustered-tables#limitations
MAX_CLUSTERING = 4
# https://cloud.google.com/bigquery/docs/reference/api-uploads: all parts but the last are multiples of it.
PART_UNIT = 256 << 10
# https://cloud.google.com/bigquery/docs/schemas#column_names
RESERVED_PREFIXES = (
    "_table_",
    "_file_",
    "_partition",
    "_row_timestamp",
    "__root__",
    "_colidentifier",
    "_change_sequence_number",
    "_change_type",
    "_change_timestamp",
)
# https://cloud.google.com/bigquery/docs/reference/standard-sql/lexical#reserved_keywords
RESERVED_WORDS = set(
    "ALL AND ANY ARRAY AS ASC ASSERT_ROWS_MODIFIED AT BETWEEN BY CASE CAST COLLATE CONTAINS CREATE CROSS CUBE CURRENT "
    "DEFAULT DEFINE DESC DISTINCT ELSE END ENUM ESCAPE EXCEPT EXCLUDE EXISTS EXTRACT FALSE FETCH FOLLOWING FOR FROM FULL "
    "GROUP GROUPING GROUPS HASH HAVING IF IGNORE IN INNER INTERSECT INTERVAL INTO IS JOIN LATERAL LEFT LIKE LIMIT LOOKUP "
    "MERGE NATURAL NEW NO NOT NULL NULLS OF ON OR ORDER OUTER OVER PARTITION PRECEDING PROTO QUALIFY RANGE RECURSIVE "
    "RESPECT RIGHT ROLLUP ROWS SELECT SET SOME STRUCT TABLESAMPLE THEN TO TREAT TRUE UNBOUNDED UNION UNNEST USING WHEN "
    "WHERE WINDOW WITH WITHIN".split()
)
LOCATION = "EU"
# DuckDB's types, as the API has them.
TYPES = {
    "VARCHAR": "STRING",
    "BIGINT": "INTEGER",
    "INTEGER": "INTEGER",
    "DOUBLE": "FLOAT",
    "BOOLEAN": "BOOLEAN",
    "DATE": "DATE",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMP",
}
# Types of a schema in a call, as DuckDB has them, and the types of a Parquet file that are loaded into them.
LOADED = {
    "STRING": ("VARCHAR", {"VARCHAR"}),
    "INT64": ("BIGINT", {"BIGINT", "INTEGER"}),
    "FLOAT64": ("DOUBLE", {"DOUBLE"}),
    "BOOL": ("BOOLEAN", {"BOOLEAN"}),
}
MACROS = """
CREATE MACRO IF NOT EXISTS memory.main.farm_fingerprint(x) AS
    CAST(hash(x) % 9223372036854775807 AS BIGINT) - 4611686018427387904;
CREATE MACRO IF NOT EXISTS memory.main.unix_day(x) AS DATE '1970-01-01' + CAST(x AS INTEGER);
"""


class Answer(Exception):
    """Ends a call."""

    def __init__(self, status, reason, message):
        super().__init__(message)
        error = {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}
        self.status, self.body = status, {"error": error}


class BigQuery:
    """The projects: a database each, with all its datasets. A project's service account is its loader."""

    def __init__(self, databases):
        self.databases = databases
        self.key, self.tokens = None, set()
        self.jobs, self.uploads, self.late = {}, {}, {}
        # Words of a job that is to be executed later than its caller waits, by project.
        self.lateness = {}

    def opened(self, database, call):
        database.execute(MACROS)
        database.clustering, database.loads = {}, {}
        if "key" in call:
            self.key = PublicKey(base64.b64decode(call["key"]))

    def by_hand(self, sql):
        return sql

    def delay(self, project, words):
        self.lateness[project] = words

    def late_jobs(self, project):
        return [key for key in self.late if key[0] == project]

    def end_late(self, project):
        """Executes the jobs that were late; answers with what they failed of."""
        return [self.finish(self.late.pop(key)) for key in self.late_jobs(project)]

    def serve(self, method, path, headers, text):
        """Status and body, and headers where there are any."""
        try:
            url = urllib.parse.urlparse(path)
            if url.path == "/token":
                return self.grant(dict(urllib.parse.parse_qsl(text)))
            if url.path == "/sts":
                return self.exchange(dict(urllib.parse.parse_qsl(text)))
            if url.path.startswith("/impersonate/"):
                return self.impersonate(headers, json.loads(text))
            self.check_token(headers)
            is_upload = url.path.startswith("/upload/")
            parts = url.path.removeprefix("/upload").strip("/").split("/")
            if parts[:3] != ["bigquery", "v2", "projects"]:
                raise Answer(404, "notFound", f"there is nothing at {url.path}")
            project, rest = urllib.parse.unquote(parts[3]), parts[4:]
            if project not in self.databases:
                raise Answer(404, "notFound", f"Not found: Project {project}")
            query = dict(urllib.parse.parse_qsl(url.query))
            if query.get("location", LOCATION) != LOCATION:
                raise Answer(404, "notFound", f"Not found: Job in location {query['location']}")
            call = json.loads(text) if text else {}
            project = Project(self, project, self.databases[project])
            match method, rest:
                case "POST", ["jobs"] if is_upload:
                    return project.begin_upload(query, headers, call)
                case "POST", ["jobs"]:
                    return project.insert(call)
                case "GET", ["jobs", id]:
                    return 200, project.told(id)
                case "GET", ["queries", id]:
                    return 200, project.results(id, query)
                case "GET", ["datasets", dataset]:
                    return 200, project.dataset(dataset)
                case "POST", ["datasets"]:
                    return 200, project.create_dataset(call)
                case "POST", ["datasets", dataset, "tables"]:
                    return 200, project.create_table(dataset, call)
                case "GET", ["datasets", dataset, "tables", table]:
                    return 200, project.table(dataset, table)
                case "DELETE", ["datasets", dataset, "tables", table]:
                    return 204, project.delete_table(dataset, table)
            raise Answer(404, "notFound", f"there is nothing at {method} {url.path}")
        except Answer as answer:
            return answer.status, answer.body

    def check_token(self, headers):
        token = (headers.get("Authorization") or "").removeprefix("Bearer ")
        if self.key is not None and token not in self.tokens:
            raise Answer(401, "authError", "Request had invalid authentication credentials.")

    def token(self):
        token = f"ya29.{uuid.uuid4().hex}"
        self.tokens.add(token)
        return token

    def grant(self, form):
        """https://developers.google.com/identity/protocols/oauth2/service-account#authorizingrequests"""
        if form.get("grant_type") == "refresh_token":
            if (form["client_id"], form["client_secret"], form["refresh_token"]) != ("client", "hush", "1//refresh"):
                return 400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
            return 200, {"access_token": self.token(), "expires_in": 3599, "token_type": "Bearer"}
        try:
            assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
            header, claims, signature = form["assertion"].split(".")
            self.key.verify(f"{header}.{claims}".encode(), decoded(signature))
            head, said, now = json.loads(decoded(header)), json.loads(decoded(claims)), time.time()
            assert head == {"alg": "RS256", "typ": "JWT", "kid": "key-1"}
            assert said["iss"] == "loader@project.iam.gserviceaccount.com" and said["aud"].endswith("/token")
            assert said["scope"] == "https://www.googleapis.com/auth/bigquery"
            assert said["iat"] <= now + 60 and now < said["exp"] <= said["iat"] + 3600
        except (ValueError, KeyError, AssertionError, AttributeError):
            return 400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
        return 200, {"access_token": self.token(), "expires_in": 3599, "token_type": "Bearer"}

    def exchange(self, form):
        """https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token"""
        try:
            assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:token-exchange"
            assert form["requested_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
            assert form["subject_token_type"] == "urn:ietf:params:aws:token-type:aws4_request"
            assert form["scope"] == "https://www.googleapis.com/auth/cloud-platform"
            subject = json.loads(urllib.parse.unquote(form["subject_token"]))
            assert subject["method"] == "POST" and "Action=GetCallerIdentity" in subject["url"]
            headers = {header["key"].lower(): header["value"] for header in subject["headers"]}
            assert headers["x-goog-cloud-target-resource"] == form["audience"]
            assert headers["host"] == urllib.parse.urlparse(subject["url"]).netloc
            check_signature(subject["url"], headers)
        except (ValueError, KeyError, AssertionError) as wrong:
            return 400, {"error": "invalid_grant", "error_description": f"Invalid subject token {wrong!r}"}
        return 200, {"access_token": self.token(), "expires_in": 3599, "issued_token_type": form["requested_token_type"]}

    def impersonate(self, headers, call):
        """https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken"""
        self.check_token(headers)
        assert call["scope"] and call["lifetime"] == "3600s"
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        return 200, {"accessToken": self.token(), "expireTime": until}

    def put(self, path, headers, body):
        """A part of an upload."""
        url = urllib.parse.urlparse(path)
        upload = self.uploads.get(dict(urllib.parse.parse_qsl(url.query)).get("upload_id"))
        if upload is None:
            return 404, Answer(404, "notFound", "there is no such upload").body
        return upload.take(headers, body)

    def finish(self, job):
        """Executes a job; answers with what it failed of."""
        job["status"] = {"state": "DONE"}
        try:
            job["execute"]()
        except Answer as answer:
            error = answer.body["error"]
            failed = {"reason": error["errors"][0]["reason"], "message": error["message"]}
            job["status"].update(errorResult=failed, errors=[failed])
        return job["status"].get("errorResult", {}).get("message")


SECRETS = {"AKIDEXAMPLE": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}


def check_signature(url, headers):
    """As AWS checks it: https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html."""
    algorithm, _, fields = headers["authorization"].partition(" ")
    fields = dict(field.strip().split("=", 1) for field in fields.split(","))
    id, day, region, service, _ = fields["Credential"].split("/")
    assert algorithm == "AWS4-HMAC-SHA256" and service == "sts"
    names = fields["SignedHeaders"].split(";")
    assert names == sorted(names) and {"host", "x-amz-date", "x-goog-cloud-target-resource"} <= set(names)
    parsed_url = urllib.parse.urlparse(url)
    lines = "".join(f"{name}:{headers[name]}\n" for name in names)
    empty = hashlib.sha256(b"").hexdigest()
    request = f"POST\n{parsed_url.path or '/'}\n{parsed_url.query}\n{lines}\n{';'.join(names)}\n{empty}"
    scope = f"{day}/{region}/sts/aws4_request"
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = f"{algorithm}\n{headers['x-amz-date']}\n{scope}\n{digest}"
    key = f"AWS4{SECRETS[id]}".encode()
    for part in (day, region, "sts", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    assert hmac.digest(key, text.encode(), "sha256").hex() == fields["Signature"], "the signature is another one"


class Project:
    def __init__(self, service, name, database):
        self.service, self.name, self.database = service, name, database

    def insert(self, call):
        sql = call["configuration"]["query"]["query"]
        if len(sql) > MAX_QUERY_CHARACTERS:
            raise Answer(400, "invalid", f"The query is too large: {len(sql)} characters")
        return 200, self.add(call, lambda job: self.query(job, call["configuration"]["query"]), sql)

    def add(self, call, execute, words):
        """Makes a job; one that has waited is executed when it is asked for."""
        reference = call["jobReference"]
        if reference["projectId"] != self.name or reference.get("location", LOCATION) != LOCATION:
            raise Answer(404, "notFound", f"Not found: Dataset in location {reference.get('location')}")
        key = (self.name, reference["jobId"])
        if key in self.service.jobs:
            raise Answer(409, "duplicate", f"Already Exists: Job {self.name}:{LOCATION}.{reference['jobId']}")
        job = self.service.jobs[key] = {"reference": {**reference, "location": LOCATION}, "status": {"state": "PENDING"}}
        job["execute"] = lambda: execute(job)
        late = self.service.lateness.get(self.name)
        if late is not None and late in words:
            del self.service.lateness[self.name]
            self.service.late[key] = job
        elif not reference["jobId"].endswith(("0", "1", "2", "3")):
            self.service.finish(job)
        # The others are not done at once.
        return self.shown(job)

    def known(self, id):
        job = self.service.jobs.get((self.name, id))
        if job is None:
            raise Answer(404, "notFound", f"Not found: Job {self.name}:{id}")
        return job

    def told(self, id):
        job = self.known(id)
        shown = self.shown(job)
        if job["status"]["state"] == "PENDING" and (self.name, id) not in self.service.late:
            self.service.finish(job)
        return shown

    def shown(self, job):
        return {"kind": "bigquery#job", "jobReference": job["reference"], "status": dict(job["status"])}

    def results(self, id, query):
        job = self.known(id)
        rows = job.get("rows", [])
        # Two rows to a page, so that pages are turned.
        start, size = int(query.get("pageToken", 0)), 2 if len(rows) < 10 else 1000
        page = rows[start : start + size]
        answer = {"jobComplete": True, "totalRows": str(len(rows))}
        if page:
            answer["rows"] = [{"f": [{"v": text(value)} for value in row]} for row in page]
        if start + size < len(rows):
            answer["pageToken"] = str(start + size)
        return answer

    def query(self, job, query):
        if query["useLegacySql"]:
            raise Answer(400, "invalidQuery", "the twin knows GoogleSQL alone")
        script = Script(self.database)
        try:
            job["rows"] = script.run(query["query"])
        except Failed as failed:
            raise Answer(400, *explained(failed.words)) from failed
        finally:
            script.end()

    def has_dataset(self, name):
        return self.database.execute(f"SELECT 1 FROM duckdb_schemas() WHERE schema_name = {quoted(name)}")

    def dataset(self, name):
        """https://cloud.google.com/bigquery/docs/reference/rest/v2/datasets#Dataset"""
        if not self.has_dataset(name):
            raise Answer(404, "notFound", f"Not found: Dataset {self.name}:{name}")
        return {"datasetReference": {"projectId": self.name, "datasetId": name}, "location": LOCATION}

    def create_dataset(self, call):
        reference = call["datasetReference"]
        if reference["projectId"] != self.name or call.get("location", LOCATION) != LOCATION:
            raise Answer(404, "notFound", "Not found: another project or location")
        name = reference["datasetId"]
        check_dataset(name)
        if self.has_dataset(name):
            raise Answer(409, "duplicate", f"Already Exists: Dataset {self.name}:{name}")
        self.database.execute(f'CREATE SCHEMA "{name}"')
        return call

    def columns(self, dataset, table):
        """Empty if there is no such table."""
        try:
            return self.database.columns(f'"{dataset}"."{table}"')
        except duckdb.CatalogException:
            return []

    def table(self, dataset, table):
        columns = self.columns(dataset, table)
        if not columns:
            raise Answer(404, "notFound", f"Not found: Table {self.name}:{dataset}.{table}")
        is_view = self.database.execute(
            f"SELECT 1 FROM duckdb_views() WHERE schema_name = {quoted(dataset)} AND view_name = {quoted(table)}"
        )
        answer = {"type": "VIEW" if is_view else "TABLE"}
        answer |= {"schema": {"fields": [{"name": name, "type": TYPES[is_], "mode": "NULLABLE"} for name, is_ in columns]}}
        if clustering := self.database.clustering.get((dataset, table)):
            answer["clustering"] = {"fields": clustering}
        return answer

    def create_table(self, dataset, call):
        name = call["tableReference"]["tableId"]
        if self.columns(dataset, name):
            raise Answer(409, "duplicate", f"Already Exists: Table {self.name}:{dataset}.{name}")
        if int(call["expirationTime"]) < time.time() * 1000:
            raise Answer(400, "invalid", "the table has expired already")
        fields = call["schema"]["fields"]
        if len(fields) > MAX_COLUMNS:
            raise Answer(400, "invalid", f"Too many columns: {len(fields)}")
        columns = ", ".join(f'"{field["name"]}" {LOADED[field["type"]][0]}' for field in fields)
        try:
            self.database.execute(f'CREATE TABLE "{dataset}"."{name}" ({columns})')
        except duckdb.Error as error:
            raise Answer(404, "notFound", f"Not found: Dataset {self.name}:{dataset}: {error}") from error
        return call

    def delete_table(self, dataset, table):
        try:
            self.database.execute(f'DROP TABLE "{dataset}"."{table}"')
        except duckdb.CatalogException as error:
            raise Answer(404, "notFound", f"Not found: Table {self.name}:{dataset}.{table}") from error
        return {}

    def begin_upload(self, query, headers, call):
        if query.get("uploadType") != "resumable":
            raise Answer(400, "invalid", "the twin takes resumable uploads")
        load = call["configuration"]["load"]
        key = (self.name, call["jobReference"]["jobId"])
        if key in self.service.jobs:
            raise Answer(409, "duplicate", f"Already Exists: Job {key}")
        id = uuid.uuid4().hex
        total = int(headers["X-Upload-Content-Length"])
        self.service.uploads[id] = Upload(total, lambda body: self.add(call, lambda _: self.load(load, body), str(call)))
        host = headers["Host"]
        address = f"http://{host}/upload/bigquery/v2/projects/{self.name}/jobs?uploadType=resumable&upload_id={id}"
        return 200, {}, {"Location": address}

    def load(self, load, body):
        """https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-parquet: columns go by name."""
        if load["sourceFormat"] != "PARQUET" or load["writeDisposition"] != "WRITE_EMPTY":
            raise Answer(400, "invalid", "the twin loads Parquet into empty tables")
        target = load["destinationTable"]
        dataset, table = target["datasetId"], target["tableId"]
        present = self.columns(dataset, table)
        if not present:
            raise Answer(404, "notFound", f"Not found: Table {self.name}:{dataset}.{table}")
        name = f'"{dataset}"."{table}"'
        loads = self.database.loads[name] = self.database.loads.get(name, 0) + 1
        if loads > MAX_LOADS_OF_A_TABLE:
            raise Answer(403, "quotaExceeded", "Quota exceeded: Your table exceeded quota for imports per table")
        if self.database.execute(f"SELECT 1 FROM {name} LIMIT 1"):
            raise Answer(409, "duplicate", f"Already Exists: Table {name}")
        path = f"{self.database.path}.upload"
        with open(path, "wb") as file:
            file.write(body)
        try:
            found = dict(self.database.parquet_columns(path))
            for field in load["schema"]["fields"]:
                if found.get(field["name"]) not in LOADED[field["type"]][1]:
                    raise Answer(400, "invalid", f"Field {field['name']} has type {found.get(field['name'])}")
            columns = ", ".join(f'"{column}"' for column, _ in present)
            self.database.execute(f"INSERT INTO {name} SELECT {columns} FROM {read_parquet(path)}")
        except (Refused, duckdb.Error) as error:
            raise Answer(400, "invalid", f"Error while reading data, error message: {error}") from error
        finally:
            os.remove(path)


class Upload:
    def __init__(self, total, end):
        self.total, self.end, self.body, self.answer = total, end, b"", None
        self.is_cut = False

    def take(self, headers, body):
        """Of the first part that is long enough only half is kept, as happens to a connection that breaks."""
        if self.answer is not None:
            return self.answer
        unit, _, range = headers["Content-Range"].partition(" ")
        span, _, total = range.partition("/")
        assert unit == "bytes" and int(total) == self.total
        if span != "*":
            begin, _, last = span.partition("-")
            assert int(begin) == len(self.body) and int(last) - int(begin) + 1 == len(body), headers["Content-Range"]
            assert int(last) + 1 == self.total or len(body) % PART_UNIT == 0, len(body)
            if not self.is_cut and len(body) >= 2 * PART_UNIT:
                self.is_cut, body = True, body[: len(body) // 2 // PART_UNIT * PART_UNIT]
            self.body += body
        if len(self.body) < self.total:
            there = {"Range": f"bytes=0-{len(self.body) - 1}"} if self.body else {}
            return 308, {}, there
        try:
            self.answer = 200, self.end(self.body)
        except Answer as answer:
            self.answer = answer.status, answer.body
        return self.answer


class Script:
    """The statements of one query. Functions live as long as it does."""

    def __init__(self, database):
        self.database, self.functions, self.changes = database, [], {}
        self.is_in_transaction, self.written = False, set()

    def run(self, sql):
        """Answers with the rows of the last statement."""
        sqls, position, rows = split(sql), 0, []
        # Whoever asks for a fault names tables as DuckDB does.
        fault = self.database.fault_for([sql.replace("`", '"') for sql in sqls])

        def step(n):
            if n == fault:
                raise Refused("the machine was restarted")
            self.count_down(sqls[n])
            return self.one(sqls[n])

        while position < len(sqls):
            if sqls[position] != "BEGIN TRANSACTION":
                rows = self.alone(lambda n=position: step(n), position)
                position += 1
                continue
            end = next((n for n, sql in enumerate(sqls) if n > position and sql == "COMMIT TRANSACTION"), None)
            if end is None:
                raise Failed(position, "the twin knows transactions that end")
            self.is_in_transaction, self.written = True, set()
            self.database.transaction([lambda n=n: step(n) for n in range(position, end + 1)])
            self.is_in_transaction, rows = False, []
            position = end + 1
        return rows

    def count_down(self, sql):
        words, times = self.database.conflicts
        if times and words in sql:
            self.database.conflicts = (words, times - 1)
            raise Refused("Transaction is aborted due to concurrent update against table. Transaction ID: 1")

    def alone(self, statement, position):
        try:
            return statement()
        except (duckdb.Error, Refused, sqlglot.errors.SqlglotError) as error:
            raise Failed(position, f"{type(error).__name__}: {error}") from error

    def end(self):
        for name in self.functions:
            self.database.execute(f"DROP MACRO IF EXISTS memory.main.{name}")

    def one(self, sql):
        if sql in ("BEGIN TRANSACTION", "COMMIT TRANSACTION"):
            return []
        template, values = without_values(sql)
        meaning = understood(template)
        check = getattr(self, "run_" + meaning["kind"], None)
        if check is None:
            raise Refused(f"the twin knows no {meaning['kind']}")
        return check({field: with_values(value, values) for field, value in meaning.items()})

    def run_function(self, meaning):
        self.database.execute(meaning["sql"])
        self.functions.append(meaning["name"])
        return []

    def run_select(self, meaning):
        return self.database.execute(meaning["sql"])

    def write(self, meaning):
        self.written.add(meaning["target"])
        if self.is_in_transaction and len(self.written) > MAX_TABLES_OF_A_TRANSACTION:
            raise Refused("Transaction exceeds the limit of 100 tables")
        return self.database.execute(meaning["sql"])

    run_insert = run_merge = run_update = run_delete = write

    def changes_table(self, meaning):
        if self.is_in_transaction:
            raise Refused("Query failed: DDL is not supported in a transaction except for temporary tables")
        table = meaning["target"]
        self.changes[table] = self.changes.get(table, 0) + 1
        if self.changes[table] > MAX_CHANGES_OF_A_TABLE:
            raise Refused("Exceeded rate limits: too many table update operations for this table")

    def run_alter(self, meaning):
        self.changes_table(meaning)
        if "sql" in meaning:
            return self.database.execute(meaning["sql"])
        table, columns = meaning["target"], meaning["columns"]
        if len(self.database.columns(table)) + len(columns) > MAX_COLUMNS:
            raise Refused("Too many columns")
        # All or none: what could fail would be a name that is there.
        for column in columns:
            self.database.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
        return []

    def run_drop(self, meaning):
        self.changes_table(meaning)
        return self.database.execute(meaning["sql"])

    run_schema = run_view = run_select

    def run_create(self, meaning):
        self.changes_table(meaning)
        clustering = meaning["clustering"]
        rows = self.database.execute(meaning["sql"])
        found = dict(self.database.columns(meaning["target"])) if clustering else {}
        if any(found[column] == "DOUBLE" for column in clustering):
            raise Refused("CLUSTER BY expression must be groupable, but type is FLOAT64")
        self.database.clustering[tuple(meaning["key"])] = clustering
        return rows


@functools.lru_cache(maxsize=10_000)
def understood(sql):
    """What a statement does, and what it is in DuckDB's SQL."""
    tree = parsed(sql, "bigquery")
    check_words(sql, tree)
    kind = type(tree).__name__.lower()
    if kind in ("update", "delete") and tree.args.get("where") is None:
        raise Refused(f"{kind.upper()} must have a WHERE clause")
    if kind in ("insert", "merge", "update", "delete"):
        target = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
        return {"kind": kind, "target": in_duckdb(target.copy()), "sql": in_duckdb(meant(tree))}
    if kind == "alter":
        return altered(tree)
    if kind == "drop" and (tree.args["kind"] != "TABLE" or not tree.args.get("exists")):
        raise Refused("the twin drops tables, if they are there")
    if kind == "drop":
        return {"kind": kind, "target": in_duckdb(tree.find(exp.Table).copy()), "sql": in_duckdb(tree)}
    if kind == "create":
        return created(tree)
    return {"kind": kind, "sql": in_duckdb(meant(tree))}


def altered(tree):
    actions = tree.args["actions"]
    if len(actions) == 1 and isinstance(actions[0], exp.AlterRename):
        # https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language#alter_table_rename_to_statement
        if actions[0].this.db:
            raise Refused("the new name of a table has no dataset")
        return {"kind": "alter", "target": in_duckdb(tree.this.copy()), "sql": in_duckdb(tree)}
    if not all(isinstance(action, exp.ColumnDef) for action in actions):
        raise Refused("the twin adds columns, and does nothing else to a table")
    check_columns([action.name for action in actions])
    return {"kind": "alter", "target": in_duckdb(tree.this), "columns": [in_duckdb(action) for action in actions]}


def created(tree):
    if tree.kind == "FUNCTION":
        name, arguments = tree.this.this.name, [argument.name for argument in tree.this.expressions]
        body = in_duckdb(meant(tree.expression))
        sql = f"CREATE OR REPLACE MACRO memory.main.{name}({', '.join(arguments)}) AS ({body})"
        return {"kind": "function", "name": name, "sql": sql}
    if tree.kind == "SCHEMA":
        check_dataset(tree.this.db or tree.this.name)
        return {"kind": "schema", "sql": in_duckdb(tree)}
    if tree.kind == "VIEW":
        return viewed(tree)
    if tree.kind != "TABLE":
        raise Refused(f"the twin creates no {tree.kind}")
    name = tree.find(exp.Table)
    clustering = [column.name for it in tree.find_all(exp.Cluster) for column in it.expressions]
    defined = [column.name for column in tree.find_all(exp.ColumnDef)]
    check_columns(defined)
    if len(defined) > MAX_COLUMNS or len(clustering) > MAX_CLUSTERING:
        raise Refused("Too many columns")
    tree.set("properties", None)
    target = in_duckdb(name.copy())
    sql = in_duckdb(meant(tree))
    return {"kind": "create", "target": target, "key": [name.db, name.name], "clustering": clustering, "sql": sql}


def viewed(tree):
    """ "A reference inside of a view must be qualified with a dataset":
    https://cloud.google.com/bigquery/docs/views#view_limitations"""
    for table in tree.expression.find_all(exp.Table):
        if not table.db or not table.catalog:
            raise Refused("the twin makes views of tables that are named with project and dataset")
        table.set("catalog", None)
    return {"kind": "view", "sql": in_duckdb(meant(tree))}


def check_dataset(name):
    if not all(c.isascii() and (c.isalnum() or c == "_") for c in name):
        raise Refused(f"Invalid dataset ID {name}")


def check_columns(names):
    for name in names:
        if len(name) > MAX_NAME_CHARACTERS or name.lower().startswith(RESERVED_PREFIXES):
            raise Refused(f"Invalid field name {name}")
        if not all(c.isascii() and (c.isalnum() or c == "_") for c in name) or name[0].isdigit():
            raise Refused(f"the twin allows plain names alone, and not {name}")
    if len({name.lower() for name in names}) < len(names):
        raise Refused("Duplicate column name")


def check_words(sql, tree):
    """A name without backticks must be none of the reserved words, and none has double quotes."""
    for token in sqlglot.tokenize(sql, read="bigquery"):
        if token.token_type == sqlglot.TokenType.STRING and sql[token.start] == '"':
            raise Refused("a literal in double quotes, which was meant as a name")
    for name in tree.find_all(exp.Identifier):
        if not name.quoted and name.this.upper() in RESERVED_WORDS:
            raise Refused(f"Syntax error: Unexpected keyword {name.this.upper()}")


def meant(tree):
    """The statement, with functions that DuckDB has by other names or not at all."""

    # Inner ones first.
    for node in reversed(list(tree.walk())):
        if isinstance(node, exp.Anonymous) and node.name.startswith("_"):
            node.set("this", f"memory.main.{node.name}")
            continue
        if isinstance(node, exp.Format):
            other = exp.func("printf", node.this, *node.expressions, dialect="duckdb")
        elif isinstance(node, exp.FarmFingerprint):
            other = exp.Anonymous(this="memory.main.farm_fingerprint", expressions=node.expressions)
        elif isinstance(node, exp.DateFromUnixDate):
            other = exp.Anonymous(this="memory.main.unix_day", expressions=[node.this])
        else:
            continue
        if node is tree:
            tree = other
        else:
            node.replace(other)
    return tree


def split(script):
    """The statements. A line's end in a literal is written as one (`\\n`), so these are between them."""
    return script.split(";\n")


def text(value):
    if value is None or isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def explained(words):
    """Reason and message, as BigQuery has them."""
    if "already exists" in words:
        return "duplicate", f"Already Exists: {words}"
    if "does not exist" in words:
        return "notFound", f"Not found: {words}"
    return "invalidQuery", f"{words} at [1:1]"
