"""Snowflake behind its SQL API: the calls, the tokens, the SQL, and the limits of all three.

DDL commits, so here it is refused in a transaction: who writes it there is mistaken about what can be taken back."""

import base64
import hashlib
import json
import os
import re
import time
import urllib.parse
import uuid

import duckdb
import sqlglot
from sqlglot import exp

from database import Failed, Refused, in_duckdb, parsed, read_parquet

MAX_TEXT_BYTES = 1_000_000
MAX_NAME_CHARACTERS = 255
MAX_FILES = 1_000
STAGE = '@"RAW"."PUBLIC"."STAGED"'
INTEGRATION = "S3_READER"
WAREHOUSE = "LOADING"
ROLE = "LOADER"
# https://docs.snowflake.com/en/sql-reference/reserved-keywords
RESERVED = set(
    "ACCOUNT ALL ALTER AND ANY AS BETWEEN BY CASE CAST CHECK COLUMN CONNECT CONNECTION CONSTRAINT CREATE CROSS CURRENT "
    "DATABASE DELETE DISTINCT DROP ELSE EXISTS FALSE FOLLOWING FOR FROM FULL GRANT GROUP GSCLUSTER HAVING ILIKE IN "
    "INCREMENT INNER INSERT INTERSECT INTO IS ISSUE JOIN LATERAL LEFT LIKE LOCALTIME LOCALTIMESTAMP MINUS NATURAL NOT "
    "NULL OF ON OR ORDER ORGANIZATION QUALIFY REGEXP REVOKE RIGHT RLIKE ROW ROWS SAMPLE SCHEMA SELECT SET SOME START "
    "TABLE TABLESAMPLE THEN TO TRIGGER TRUE TRY_CAST UNION UNIQUE UPDATE USING VALUES VIEW WHEN WHENEVER WHERE "
    "WITH".split()
)
SETTINGS = {
    # "Must be set to TRUE per query or statement level": https://docs.snowflake.com/en/developer-guide/sql-api/intro
    "AUTOCOMMIT": "TRUE",
    "TIMEZONE": "'UTC'",
    "TRANSACTION_ABORT_ON_ERROR": "TRUE",
    "LOCK_TIMEOUT": "60",
    "QUOTED_IDENTIFIERS_IGNORE_CASE": "FALSE",
}

VIEWS = """
CREATE TABLE IF NOT EXISTS wh.main.transient (table_schema VARCHAR, table_name VARCHAR, created TIMESTAMPTZ);
CREATE VIEW IF NOT EXISTS wh.main.columns AS
SELECT table_schema AS "TABLE_SCHEMA", table_name AS "TABLE_NAME", column_name AS "COLUMN_NAME",
    ordinal_position AS "ORDINAL_POSITION",
    CASE data_type WHEN 'VARCHAR' THEN 'TEXT' WHEN 'DOUBLE' THEN 'FLOAT' WHEN 'BIGINT' THEN 'NUMBER'
        WHEN 'INTEGER' THEN 'NUMBER' WHEN 'TIMESTAMP WITH TIME ZONE' THEN 'TIMESTAMP_TZ'
        WHEN 'TIMESTAMP' THEN 'TIMESTAMP_NTZ' ELSE data_type END AS "DATA_TYPE",
    CASE WHEN data_type = 'VARCHAR' THEN 16777216 END AS "CHARACTER_MAXIMUM_LENGTH",
    CASE WHEN data_type IN ('BIGINT', 'INTEGER') THEN 38 END AS "NUMERIC_PRECISION",
    CASE WHEN data_type IN ('BIGINT', 'INTEGER') THEN 0 END AS "NUMERIC_SCALE"
FROM information_schema.columns WHERE table_catalog = 'wh' AND table_schema <> 'main';
CREATE VIEW IF NOT EXISTS wh.main.tables AS
SELECT t.schema_name AS "TABLE_SCHEMA", t.table_name AS "TABLE_NAME",
    CASE WHEN s.created IS NULL THEN 'NO' ELSE 'YES' END AS "IS_TRANSIENT", s.created AS "CREATED",
    'BASE TABLE' AS "TABLE_TYPE"
FROM duckdb_tables() AS t LEFT JOIN wh.main.transient AS s
    ON s.table_schema = t.schema_name AND s.table_name = t.table_name
WHERE t.database_name = 'wh' AND t.schema_name <> 'main'
UNION ALL SELECT schema_name, view_name, 'NO', NULL, 'VIEW' FROM duckdb_views()
WHERE database_name = 'wh' AND schema_name <> 'main' AND NOT internal
"""


class Answer(Exception):
    """Ends a call."""

    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.body = status, {"code": code, "message": message}


class Snowflake:
    """One account: a database each, and the users' public keys."""

    def __init__(self, databases):
        self.databases = databases
        self.keys, self.requests, self.statements = {}, {}, {}
        self.polls = 0

    def opened(self, database, call):
        self.keys[call["subject"]] = PublicKey(base64.b64decode(call["key"]))
        database.execute(VIEWS)

    def by_hand(self, sql):
        """What a user would have to write."""
        return in_duckdb(meant(sql))

    def serve(self, method, path, headers, text):
        """Status and body."""
        try:
            url = urllib.parse.urlparse(path)
            query = dict(urllib.parse.parse_qsl(url.query))
            self.check_token(headers)
            handle = url.path.removeprefix("/api/v2/statements").strip("/")
            if method == "POST" and not handle:
                return self.submit(query, json.loads(text))
            if method == "GET" and handle in self.statements:
                return self.result(handle, query)
            raise Answer(404, "390000", "there is no such thing")
        except Answer as answer:
            return answer.status, answer.body

    def check_token(self, headers):
        token = (headers.get("Authorization") or "").removeprefix("Bearer ")
        try:
            header, claims, signature = token.split(".")
            claims_read = json.loads(decoded(claims))
            key, now = self.keys[claims_read["sub"]], time.time()
            assert headers.get("X-Snowflake-Authorization-Token-Type") == "KEYPAIR_JWT"
            assert json.loads(decoded(header))["alg"] == "RS256"
            assert claims_read["iss"] == f"{claims_read['sub']}.SHA256:{key.fingerprint}"
            assert claims_read["iat"] <= now + 60 and now < claims_read["exp"] <= claims_read["iat"] + 3600
            key.verify(f"{header}.{claims}".encode(), decoded(signature))
        except (ValueError, KeyError, AssertionError) as wrong:
            raise Answer(401, "390144", "JWT token is invalid.") from wrong

    def submit(self, query, call):
        known = self.requests.get(query["requestId"])
        if known is not None:
            if query.get("retry") != "true":
                raise Answer(400, "391903", "a request with this id is there already")
            return self.told(known)
        for parameter in call.keys() - {"statement", "timeout", "database", "warehouse", "role", "parameters"}:
            raise Answer(400, "391911", f"unknown field {parameter}")
        if len(call["statement"].encode()) > MAX_TEXT_BYTES:
            raise Answer(422, "000000", "SQL text is too long")
        database = self.databases.get(call["database"])
        texts = split(call["statement"])
        handle = self.requests[query["requestId"]] = str(uuid.uuid4())
        statement = self.statements[handle] = {"statementHandle": handle, "waits": handle[0] in "0123"}
        count = int(call["parameters"].get("MULTI_STATEMENT_COUNT", "1"))
        if count != len(texts):
            words = f"Actual statement count {len(texts)} did not match the desired statement count {count}."
            statement["failed"] = {"code": "000008", "message": words}
        elif database is None or call.get("role", ROLE) != ROLE:
            words = "SQL compilation error: Database or role does not exist or not authorized."
            statement["failed"] = {"code": "002043", "message": words}
        elif call["warehouse"] != WAREHOUSE:
            words = "No active warehouse selected in the current session. Select an active warehouse with USE."
            statement["failed"] = {"code": "000606", "message": words}
        else:
            self.execute(database, texts, statement)
        return self.told(handle)

    def execute(self, database, texts, statement):
        sqls = [sql for _, sql in texts]
        try:
            answers = Session(database, call_fault=database.fault_for(sqls)).run(sqls)
        except Failed as failed:
            line, sql = texts[failed.position]
            words = failed.words
            if len(texts) > 1:
                words = (
                    "JavaScript execution error: Uncaught Execution of multiple statements failed on statement "
                    f'"{sql[:40]}..." (at line {line}, position 0).\n{words} in SYSTEM$MULTISTMT'
                )
            statement["failed"] = {"code": "100132", "message": words, "sqlState": "P0000"}
            return
        if len(texts) == 1:
            statement["rows"] = answers[0]
            return
        handles = [str(uuid.uuid4()) for _ in answers]
        for of_one, rows in zip(handles, answers):
            self.statements[of_one] = {"statementHandle": of_one, "waits": False, "rows": rows}
        statement.update(rows=[["Multiple statements executed successfully."]], statementHandles=handles)

    def told(self, handle):
        statement = self.statements[handle]
        if statement["waits"]:
            # Some are not done at once.
            statement["waits"] = False
            return 202, {
                "code": "333334",
                "message": "Asynchronous execution in progress. Use provided query id to perform query monitoring.",
                "statementHandle": handle,
                "statementStatusUrl": f"/api/v2/statements/{handle}",
            }
        if "failed" in statement:
            return 422, {**statement["failed"], "statementHandle": handle}
        rows = statement["rows"]
        answer = {
            "code": "090001",
            "message": "Statement executed successfully.",
            "statementHandle": handle,
            "resultSetMetaData": {
                "numRows": len(rows),
                "format": "jsonv2",
                "partitionInfo": [{"rowCount": len(part)} for part in partitions(rows)],
            },
            "data": partitions(rows)[0],
        }
        if "statementHandles" in statement:
            answer["statementHandles"] = statement["statementHandles"]
        return 200, answer

    def result(self, handle, query):
        if "partition" in query and "rows" in self.statements[handle]:
            return 200, {"data": partitions(self.statements[handle]["rows"])[int(query["partition"])]}
        return self.told(handle)


def partitions(rows):
    """Two rows in each, so that parts are fetched."""
    size = 2 if len(rows) < 10 else 1000
    texts = [[text(value) for value in row] for row in rows]
    return [texts[start : start + size] for start in range(0, len(texts), size)] or [[]]


def text(value):
    if value is None or isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


def split(script):
    """Each statement with the line in which it begins."""
    statements, tokens = [], []
    for token in sqlglot.tokenize(script, read="snowflake"):
        if token.token_type == sqlglot.TokenType.SEMICOLON:
            statements, tokens = statements + [tokens], []
        else:
            tokens.append(token)
    return [
        (tokens[0].line, script[tokens[0].start : tokens[-1].end + 1]) for tokens in statements + [tokens] if tokens
    ]


def meant(sql):
    """The statement, with every name as Snowflake understands it."""
    tree = parsed(sql, "snowflake")
    for name in tree.find_all(exp.Identifier):
        if len(name.this) > MAX_NAME_CHARACTERS:
            raise Refused(f"name of {len(name.this)} characters, {MAX_NAME_CHARACTERS} are allowed")
        if not name.quoted:
            if name.this.upper() in RESERVED:
                raise Refused(f"SQL compilation error: syntax error unexpected '{name.this}'.")
            name.set("this", name.this.upper())
        name.set("quoted", True)
    for kind in tree.find_all(exp.DataType):
        if kind.this == exp.DataType.Type.DECIMAL and [part.name for part in kind.expressions] == ["38", "0"]:
            kind.replace(exp.DataType.build("BIGINT"))
    for call in tree.find_all(exp.TimeToStr):
        format = call.args["format"]
        format.set("this", format.this.replace('"', ""))
    for table in tree.find_all(exp.Table):
        if table.db == "INFORMATION_SCHEMA":
            table.replace(exp.to_table(f"wh.main.{table.name.lower()}"))
    return tree


class Session:
    """The statements of one request."""

    def __init__(self, database, call_fault):
        self.database, self.fault, self.stages = database, call_fault, {}
        self.is_set, self.is_in_transaction = False, False

    def run(self, sqls):
        answers, position = [], 0
        while position < len(sqls):
            if not sqls[position].startswith("BEGIN"):
                answers.append(self.alone(position, sqls[position]))
                position += 1
                continue
            end = next((n for n, sql in enumerate(sqls) if n > position and sql == "COMMIT"), None)
            if end is None or not self.is_set:
                raise Failed(position, "the twin knows transactions that end, in sessions with settings")
            steps = range(position, end + 1)
            runs = [lambda n=n: [] if n in (position, end) and self.stays(n) else self.one(n, sqls[n]) for n in steps]
            self.is_in_transaction = True
            try:
                answers += self.database.transaction(runs)
            except Failed as failed:
                raise Failed(position + failed.position, explained(failed.words)) from failed
            self.is_in_transaction = False
            position = end + 1
        return answers

    def stays(self, position):
        if position == self.fault:
            raise Refused("the node was restarted")
        return True

    def alone(self, position, sql):
        try:
            return self.one(position, sql)
        except (duckdb.Error, Refused, sqlglot.errors.SqlglotError) as error:
            raise Failed(position, explained(f"{type(error).__name__}: {error}")) from error

    def one(self, position, sql):
        self.stays(position)
        if sql.startswith("ALTER SESSION SET "):
            return self.set(sql.removeprefix("ALTER SESSION SET "))
        tree = meant(sql)
        if self.is_in_transaction and isinstance(tree, (exp.Create, exp.Alter, exp.Drop)):
            raise Refused("the twin has no DDL in a transaction, which it would commit")
        check = getattr(self, "check_" + type(tree).__name__.lower(), None)
        if check is None:
            raise Refused(f"the twin knows no {type(tree).__name__}")
        return check(tree)

    def set(self, settings):
        if dict(setting.split(" = ") for setting in settings.split(", ")) != SETTINGS:
            raise Refused(f"the twin knows other settings than {settings}")
        self.is_set = True
        return []

    def executed(self, tree):
        return self.database.execute(in_duckdb(tree))

    check_select = check_insert = check_delete = check_update = check_merge = executed

    def check_alter(self, tree):
        [action] = tree.args["actions"]
        if isinstance(action, exp.AlterRename):
            if action.this.db != tree.this.db:
                raise Refused("SQL compilation error: the twin moves no table to another schema")
            # DuckDB takes the new name without a schema.
            action.set("this", exp.to_table(action.this.name, quoted=True))
            return self.executed(tree)
        if not isinstance(action, exp.ColumnDef):
            raise Refused("SQL compilation error: cannot change column from one type to another")
        return self.executed(tree)

    def check_drop(self, tree):
        if tree.args["kind"] != "TABLE" or not tree.args.get("exists"):
            raise Refused("the twin drops tables, if they are there")
        name = tree.find(exp.Table)
        self.database.execute(
            f"DELETE FROM wh.main.transient WHERE table_schema = {quoted(name.db)} AND table_name = {quoted(name.name)}"
        )
        return self.executed(tree)

    def check_create(self, tree):
        if tree.kind == "STAGE":
            return self.create_stage(tree)
        if tree.kind not in ("TABLE", "SCHEMA", "VIEW"):
            raise Refused(f"the twin creates no {tree.kind}")
        for column in tree.find_all(exp.ColumnDef):
            # DuckDB would find such a column all the same.
            if re.fullmatch("[a-z_][a-z0-9_]*", column.name):
                raise Refused(f"the column {column.name} is another one than all statements mean that do not quote it")
        name = tree.find(exp.Table)
        if tree.find(exp.TransientProperty):
            self.database.execute(
                f"INSERT INTO wh.main.transient VALUES ({quoted(name.db)}, {quoted(name.name)}, current_timestamp)"
            )
        if tree.kind != "SCHEMA" and tree.args.get("replace") and not tree.find(exp.CopyGrantsProperty):
            raise Refused("the twin makes nothing anew that would lose its grants")
        tree.set("properties", None)
        return self.executed(tree)

    def create_stage(self, tree):
        given = {item.this.name: item.args["value"].name for item in tree.find_all(exp.Property) if item.this}
        if not tree.find(exp.TemporaryProperty) or given.keys() != {"URL", "STORAGE_INTEGRATION"}:
            raise Refused("the twin makes temporary stages for an integration, and no others")
        if given["STORAGE_INTEGRATION"] != INTEGRATION:
            raise Refused("SQL compilation error: Integration does not exist or not authorized.")
        self.stages["@" + tree.find(exp.Table).sql(dialect="snowflake")] = given["URL"]
        return []

    def check_copy(self, tree):
        """By name: a column that a file lacks is NULL."""
        parameters = {parameter.name: parameter for parameter in tree.args["params"]}
        wanted = {"FILES", "FILE_FORMAT", "ON_ERROR"}
        format = {item.name: item.args["value"].sql() for item in parameters["FILE_FORMAT"].expressions}
        if parameters.keys() != wanted or format != {"TYPE": "PARQUET", "USE_LOGICAL_TYPE": "TRUE", "NULL_IF": "()"}:
            raise Refused(f"the twin copies Parquet, and nothing else: {format}")
        if parameters["ON_ERROR"].expression.name != "ABORT_STATEMENT":
            raise Refused("the twin copies all or nothing")
        keys = [literal.this for literal in parameters["FILES"].expression.find_all(exp.Literal)]
        if len(keys) > MAX_FILES:
            raise Refused(f"{len(keys)} files, {MAX_FILES} are allowed")
        [source] = tree.args["files"]
        select = source.this
        stage = select.find(exp.From).this.sql(dialect="snowflake")
        if stage != STAGE and stage not in self.stages:
            raise Refused(f"SQL compilation error: Stage '{stage}' does not exist or not authorized.")
        [bucket] = self.database.buckets
        if self.stages.get(stage, f"s3://{bucket}/") != f"s3://{bucket}/":
            raise Refused("Failure using stage area. Cause: [Access Denied (Status Code: 403; Error Code: AccessDenied)]")
        table = tree.this.sql(dialect="duckdb")
        if len(self.database.columns(table)) != len(select.expressions):
            raise Refused("Insert value list does not match column list")
        selects = [self.copied(select, f"s3://{bucket}/{key}", key) for key in keys]
        # In one statement, so that it is all or nothing.
        self.database.execute(f"INSERT INTO {table} {' UNION ALL '.join(selects)}")
        return []

    def copied(self, select, url, key):
        [bucket] = self.database.buckets
        path = os.path.join(self.database.buckets[bucket], key)
        if not os.path.exists(path):
            raise Refused(f"Remote file '{url}' was not found. There are several potential causes.")
        present = {name for name, _ in self.database.parquet_columns(path)}

        def value(node):
            if isinstance(node, exp.Column) and node.name == "METADATA$FILENAME":
                return exp.Literal.string(key)
            if isinstance(node, exp.Column) and node.name == "METADATA$FILE_ROW_NUMBER":
                return exp.maybe_parse("row_number() OVER ()", dialect="duckdb")
            if isinstance(node, (exp.GetExtract, exp.JSONExtract)):
                name = node.expression.this
                return exp.column(exp.to_identifier(name, quoted=True)) if name in present else exp.Null()
            if isinstance(node, exp.Parameter):
                raise Refused("the twin reads columns by get($1, name)")
            return node

        values = [in_duckdb(expression.transform(value)) for expression in select.expressions]
        return f"SELECT {', '.join(values)} FROM {read_parquet(path)}"


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def explained(words):
    """As Snowflake says it."""
    number = re.search(r"Could not convert string '(.*?)' to INT64", words)
    if number:
        return f"Numeric value '{number[1]}' is not recognized"
    table = re.search(r'Table with name "(.*?)" already exists', words)
    return f"SQL compilation error: Object '{table[1]}' already exists." if table else words


def decoded(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


class PublicKey:
    """RSA, as X.509 has it."""

    def __init__(self, der):
        self.fingerprint = base64.b64encode(hashlib.sha256(der).digest()).decode()
        (_, info), _ = element(der)
        (_, _), rest = element(info)
        (_, bits), _ = element(rest)
        (_, numbers), _ = element(bits[1:])
        (_, modulus), rest = element(numbers)
        (_, exponent), _ = element(rest)
        self.modulus, self.exponent = int.from_bytes(modulus), int.from_bytes(exponent)

    def verify(self, message, signature):
        """RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, 8.2.2)."""
        size = (self.modulus.bit_length() + 7) // 8
        digest = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(message).digest()
        expected = b"\x00\x01" + b"\xff" * (size - len(digest) - 3) + b"\x00" + digest
        assert pow(int.from_bytes(signature), self.exponent, self.modulus).to_bytes(size) == expected


def element(der):
    """The first element's tag and content, and what follows it."""
    tag, length, start = der[0], der[1], 2
    if length >= 0x80:
        start += length - 0x80
        length = int.from_bytes(der[2:start])
    return (tag, der[start : start + length]), der[start + length :]
