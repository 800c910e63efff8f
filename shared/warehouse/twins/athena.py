"""Athena, engine version 3: the calls, Hive's statements and Trino's, and the limits of all three. Each statement is a
commit; nothing joins two of them."""

import collections
import os
import re
import uuid

import duckdb
import sqlglot
from sqlglot import exp

from database import ApiError, JsonApi, Refused, check_names, in_duckdb, parsed, read_parquet

MAX_STATEMENT_BYTES = 262_144
MAX_NAME_BYTES = 255
MAX_ARRAY = 254
# MERGE with more than one WHEN fails above some 295 to 321 columns: https://github.com/apache/iceberg/issues/10294,
# https://github.com/trinodb/trino/issues/15848, which is closed by Trino 461. Nobody says which version Athena has.
MAX_MERGED = 295
# An expression of a SELECT's list or of its WHERE becomes one method of the JVM, which has 65,535 bytes at most:
# https://github.com/trinodb/trino/blob/master/core/trino-main/src/main/java/io/trino/sql/gen/PageFunctionCompiler.java
# (QUERY_EXCEEDED_COMPILER_LIMIT), https://github.com/trinodb/trino/issues/21336. Nobody says what an operator, a column
# or a literal takes; one column that is only moved takes some 100 in the MERGE above.
MAX_METHOD_BYTES = 65_535
OPERATOR_BYTES = 40
OPERATORS = (exp.Func, exp.Binary, exp.Unary, exp.Column, exp.Literal)

# What Iceberg tables are made of, by Hive's names, and what that is to DuckDB and to Trino.
TYPES = {
    "string": ("VARCHAR", "varchar"),
    "bigint": ("BIGINT", "bigint"),
    "double": ("DOUBLE", "double"),
    "boolean": ("BOOLEAN", "boolean"),
    "date": ("DATE", "date"),
    "timestamp": ("TIMESTAMP", "timestamp(6)"),
}
# What a column of a Parquet file is to DuckDB where Hive takes it as that type.
IN_PARQUET = {hive: duck for hive, (duck, _) in TYPES.items()} | {"timestamp": "TIMESTAMP WITH TIME ZONE"}
# What Trino makes of a value that is inserted without being asked to.
COERCED = {("INTEGER", "BIGINT"), ("DATE", "TIMESTAMP"), ("TIMESTAMP_S", "TIMESTAMP"), ("TIMESTAMP_MS", "TIMESTAMP")}

COLUMNS = """
CREATE VIEW IF NOT EXISTS wh.main.trino_columns AS
SELECT table_schema, table_name, column_name, ordinal_position,
    CASE data_type WHEN 'TIMESTAMP' THEN 'timestamp(6)' ELSE lower(data_type) END AS data_type
FROM information_schema.columns WHERE table_catalog = 'wh' AND table_schema <> 'main'
"""
TABLES = """
CREATE VIEW IF NOT EXISTS wh.main.trino_tables AS
SELECT table_schema, table_name, table_type FROM information_schema.tables WHERE table_catalog = 'wh' AND table_schema <> 'main'
"""

# Java's text of a double, by which `format('%s', x)` means it; DuckDB has the same digits:
# https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/lang/Double.html#toString(double)
JAVA = """
CREATE OR REPLACE MACRO wh.main.java_mantissa(t) AS split_part(t, 'e', 1);
CREATE OR REPLACE MACRO wh.main.java_whole(t) AS split_part(wh.main.java_mantissa(t), '.', 1);
CREATE OR REPLACE MACRO wh.main.java_fraction(t) AS split_part(wh.main.java_mantissa(t), '.', 2);
CREATE OR REPLACE MACRO wh.main.java_digits(t) AS
    rtrim(ltrim(wh.main.java_whole(t) || wh.main.java_fraction(t), '0'), '0');
CREATE OR REPLACE MACRO wh.main.java_power(t) AS coalesce(TRY_CAST(split_part(t, 'e', 2) AS INTEGER), 0)
    + CASE WHEN wh.main.java_whole(t) = '0'
        THEN length(ltrim(wh.main.java_fraction(t), '0')) - length(wh.main.java_fraction(t)) - 1
        ELSE length(wh.main.java_whole(t)) - 1 END;
CREATE OR REPLACE MACRO wh.main.java_exponential(t) AS left(wh.main.java_digits(t), 1) || '.'
    || coalesce(nullif(substr(wh.main.java_digits(t), 2), ''), '0') || 'E' || CAST(wh.main.java_power(t) AS VARCHAR);
CREATE OR REPLACE MACRO wh.main.java_text(x) AS CASE WHEN x IS NULL THEN NULL
    WHEN x = 0 OR abs(x) BETWEEN 1e-3 AND 9999999.999999998 THEN CAST(x AS VARCHAR)
    ELSE CASE WHEN x < 0 THEN '-' ELSE '' END || CASE abs(x) WHEN 5e-324 THEN '4.9E-324' WHEN 1e-323 THEN '9.9E-324'
        ELSE wh.main.java_exponential(CAST(abs(x) AS VARCHAR)) END END;
"""


class Athena(JsonApi):
    """One account's workgroups: a database of the twin each, which stands for a catalog."""

    SERVICE = "AmazonAthena"

    def __init__(self, databases):
        self.databases = databases
        self.queries, self.tokens = {}, {}
        self.calls = {
            "StartQueryExecution": self.start,
            "GetQueryExecution": self.describe,
            "GetQueryResults": self.results,
        }

    def opened(self, database, _):
        database.execute(COLUMNS)
        database.execute(TABLES)
        database.execute(JAVA)
        # Tables over manifests, and what `VACUUM` has still to say about a table.
        database.external, database.vacuumed = {}, set()

    def start(self, call):
        token, sql = call.get("ClientRequestToken", ""), call["QueryString"]
        if not 32 <= len(token) <= 128:
            raise ApiError("InvalidRequestException", "a token has from 32 to 128 characters")
        if token in self.tokens:
            id = self.tokens[token]
            if self.queries[id]["call"] != call:
                raise ApiError("InvalidRequestException", "Idempotent parameters do not match")
            return {"QueryExecutionId": id}
        if len(sql.encode()) > MAX_STATEMENT_BYTES:
            raise ApiError("InvalidRequestException", "Query string is too long")
        database = self.databases.get(call.get("WorkGroup"))
        if database is None:
            raise ApiError("InvalidRequestException", f"WorkGroup {call.get('WorkGroup')} is not found.")
        context = call.get("QueryExecutionContext", {})
        query = {"id": str(uuid.uuid4()), "call": call, "polls": 0, "rows": [], "names": []}
        try:
            if context.get("Catalog") != "AwsDataCatalog":
                raise Refused(f"CATALOG_NOT_FOUND: {context.get('Catalog')}")
            fault_for(database, sql)
            query["names"], query["rows"] = Executed(database, context.get("Database")).run(sql)
        except duckdb.ConversionException as error:
            query["failed"] = f"INVALID_CAST_ARGUMENT: {error}"
        except (duckdb.Error, Refused, sqlglot.errors.SqlglotError) as error:
            query["failed"] = str(error) if isinstance(error, Refused) else f"{type(error).__name__}: {error}"
        self.queries[query["id"]] = query
        self.tokens[token] = query["id"]
        return {"QueryExecutionId": query["id"]}

    def known(self, id):
        if id not in self.queries:
            raise ApiError("InvalidRequestException", f"QueryExecution {id} was not found")
        return self.queries[id]

    def describe(self, call):
        query = self.known(call["QueryExecutionId"])
        query["polls"] += 1
        state = "FAILED" if "failed" in query else "SUCCEEDED"
        # Some are not done at once.
        if query["polls"] == 1 and query["id"][0] == "7":
            state = "QUEUED"
        status = {"State": state, "SubmissionDateTime": 1.7e9}
        if state == "FAILED":
            status["StateChangeReason"] = query["failed"]
            status["AthenaError"] = {"ErrorCategory": 2, "ErrorMessage": query["failed"], "Retryable": False}
        return {"QueryExecution": {"QueryExecutionId": query["id"], "Status": status}}

    def results(self, call):
        query = self.known(call["QueryExecutionId"])
        if "failed" in query:
            raise ApiError("InvalidRequestException", "Query did not finish successfully")
        # The names of a SELECT's columns are its first row. Two rows to a page, so that pages are turned.
        rows = ([query["names"]] if query["names"] else []) + query["rows"]
        start = int(call.get("NextToken", 0))
        size = 2 if len(rows) < 10 else 1000
        answer = {
            "ResultSet": {
                "Rows": [{"Data": [datum(value) for value in row]} for row in rows[start : start + size]],
                "ResultSetMetadata": {"ColumnInfo": []},
            }
        }
        if start + size < len(rows):
            answer["NextToken"] = str(start + size)
        return answer


def datum(value):
    if value is None:
        return {}
    if isinstance(value, bool):
        return {"VarCharValue": str(value).lower()}
    return {"VarCharValue": str(value)}


def fault_for(database, sql):
    trouble = database.trouble(sql)
    if trouble == "gone":
        raise Refused("GENERIC_INTERNAL_ERROR: whoever asked is gone")
    if trouble == "conflict":
        raise Refused("ICEBERG_COMMIT_ERROR: Failed to commit Iceberg update to table")


class Executed:
    """A statement."""

    def __init__(self, database, schema):
        self.database, self.schema = database, schema

    def run(self, sql):
        """Names and rows of what it answers."""
        tree = parsed(sql, "athena")
        bare = re.sub(r"'(?:[^']|'')*'", "''", sql)
        is_hive = isinstance(tree, (exp.Create, exp.Alter, exp.Drop)) or bare.startswith("VACUUM")
        if ('"' if is_hive else "`") in bare:
            raise Refused("FAILED: ParseException: a name is quoted as in the other dialect")
        check_names(tree, MAX_NAME_BYTES)
        for name in tree.find_all(exp.Identifier):
            name.set("this", name.this.lower())
            name.set("quoted", True)
        for array in tree.find_all(exp.Array):
            if len(array.expressions) > MAX_ARRAY:
                raise Refused("TOO_MANY_ARGUMENTS: Too many arguments for array constructor")
        for cast in tree.find_all(exp.Cast):
            check_time(cast)
        for select in tree.find_all(exp.Select):
            check_methods(select)
        check = getattr(self, "check_" + type(tree).__name__.lower(), None)
        if check is None:
            raise Refused(f"mismatched input: the twin knows no {type(tree).__name__}")
        return check(tree, sql) or ([], [])

    def meant(self, tree):
        for table in list(tree.find_all(exp.Table)):
            self.replace(table)
        for call in list(tree.find_all(exp.Anonymous)):
            if call.name.upper() == "FORMAT_DATETIME":
                if call.expressions[1].name != "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'":
                    raise Refused("the twin knows one format of times")
                meant = sqlglot.parse_one("strftime(x, '%Y-%m-%dT%H:%M:%S.%gZ')", read="duckdb")
                meant.find(exp.Column).replace(call.expressions[0])
                call.replace(meant)
        for call in list(tree.find_all(exp.Format)):
            call.replace(java_text(call))
        return in_duckdb(tree)

    def replace(self, table):
        """What Trino calls otherwise than DuckDB, or reads from files."""
        if table.db == "information_schema":
            view = {"columns": "trino_columns", "tables": "trino_tables"}[table.name]
            table.replace(sqlglot.parse_one(f"SELECT * FROM wh.main.{view}", read="duckdb").subquery(table.name))
        elif (external := self.database.external.get((table.db, table.name))) is not None:
            select = sqlglot.parse_one(self.files(*external), read="duckdb")
            table.replace(select.subquery(table.alias_or_name))

    def files(self, columns, folder, is_by_place):
        """The rows of the files that the manifests in a folder list, with the path of each."""
        selects = []
        for url in self.listed(folder):
            path = self.path(url)
            if not os.path.exists(path):
                raise Refused(f"HIVE_CANNOT_OPEN_SPLIT: Error opening Hive split {url}: key does not exist")
            try:
                present = self.database.parquet_columns(path)
            except Refused as error:
                raise Refused(f"HIVE_BAD_DATA: {url} is not a valid Parquet file: {error}") from error
            values = [f"'{url}' AS \"$path\""]
            for place, (name, hive) in enumerate(columns):
                found = present[place : place + 1] if is_by_place else [it for it in present if it[0].lower() == name]
                if not found:
                    values.append(f'CAST(NULL AS {TYPES[hive][0]}) AS "{name}"')
                    continue
                [(other, kind)] = found
                if kind != IN_PARQUET[hive]:
                    raise Refused(f"HIVE_BAD_DATA: Field {other}'s type {kind} in parquet file {url} is not {hive}")
                other = other.replace('"', '""')
                values.append(f'CAST("{other}" AS {TYPES[hive][0]}) AS "{name}"')
            selects.append(f"SELECT {', '.join(values)} FROM {read_parquet(path)}")
        return " UNION ALL ".join(selects)

    def listed(self, folder):
        found = self.database.objects(folder)
        return [line for path in found for line in open(path).read().split("\n") if line]

    def path(self, url):
        bucket, _, key = url.removeprefix("s3://").partition("/")
        if bucket not in self.database.buckets:
            raise Refused(f"HIVE_CANNOT_OPEN_SPLIT: there is no bucket {bucket}")
        return os.path.join(self.database.buckets[bucket], key)

    def check_select(self, tree, _):
        return self.database.named(self.meant(tree))

    def check_insert(self, tree, _):
        into = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
        wanted = dict(self.database.columns(into.sql(dialect="duckdb")))
        if isinstance(tree.this, exp.Schema):
            wanted = {name.name: wanted[name.name] for name in tree.this.expressions}
        if isinstance(tree.expression, exp.Values):
            # Rows without names.
            values = ", ".join(in_duckdb(value) for value in tree.expression.expressions[0].expressions)
            given = self.database.columns(f"SELECT {values}")
        else:
            given = self.database.columns(self.meant(tree.expression))
        if len(given) != len(wanted):
            raise Refused("TYPE_MISMATCH: Insert query has mismatched column types")
        for (_, kind), (name, type_name) in zip(given, wanted.items()):
            if kind not in (type_name, '"NULL"') and (kind, type_name) not in COERCED:
                raise Refused(f"TYPE_MISMATCH: {name} is {type_name}, and the query brings {kind}")
        self.database.execute(self.meant(tree))

    def check_delete(self, tree, _):
        self.database.execute(self.meant(tree))

    def check_update(self, tree, _):
        if tree.args.get("from_") or tree.args.get("from"):
            raise Refused("mismatched input 'FROM'")
        self.database.execute(self.meant(tree))

    def check_merge(self, tree, _):
        columns = self.database.columns(tree.this.sql(dialect="duckdb"))
        if len(tree.args["whens"].expressions) > 1 and len(columns) > MAX_MERGED:
            raise Refused(f"GENERIC_INTERNAL_ERROR: MERGE with several WHEN clauses into {len(columns)} columns")
        self.database.execute(self.meant(tree))

    def check_create(self, tree, sql):
        if tree.kind in ("SCHEMA", "DATABASE"):
            self.database.execute(f"CREATE SCHEMA IF NOT EXISTS {tree.this.sql(dialect='duckdb')}")
            return
        if tree.kind != "TABLE" or not isinstance(tree.this, exp.Schema):
            raise Refused(f"the twin creates no {tree.kind}")
        columns = [defined(column) for column in tree.this.expressions]
        properties = tree.args["properties"]
        folder = properties.find(exp.LocationProperty).this.name
        if not re.fullmatch(r"s3://[^/]+/.+/", folder):
            raise Refused("a LOCATION is a folder in a bucket")
        if tree.find(exp.ExternalProperty):
            table = tree.this.this
            if "SymlinkTextInputFormat" not in sql or "ParquetHiveSerDe" not in sql:
                raise Refused("the twin reads Parquet files that a manifest lists, and nothing else")
            is_by_place = "'parquet.column.index.access'='true'" in sql
            self.database.external[(table.db, table.name)] = (columns, folder, is_by_place)
            return
        if "'table_type'='ICEBERG'" not in sql:
            raise Refused("FAILED: a table is external, or of the table_type ICEBERG")
        columns = ", ".join(f'"{name}" {TYPES[hive][0]}' for name, hive in columns)
        exists = "IF NOT EXISTS " if tree.args.get("exists") else ""
        self.database.execute(f"CREATE TABLE {exists}{tree.this.this.sql(dialect='duckdb')} ({columns})")

    def check_drop(self, tree, _):
        table = tree.find(exp.Table)
        if self.database.external.pop((table.db, table.name), None) is None:
            self.database.execute(in_duckdb(tree))

    def check_alter(self, tree, _):
        table = tree.this.sql(dialect="duckdb")
        actions = tree.args["actions"]
        if len(actions) != 1:
            raise Refused("FAILED: ParseException: one action at a time")
        [action] = actions
        if isinstance(action, exp.Schema):
            added = [defined(column) for column in action.expressions]
            present = {name for name, _ in self.database.columns(table)}
            if taken := [name for name, _ in added if name in present]:
                raise Refused(f"FAILED: column {taken[0]} already exists")
            for name, hive in added:
                self.database.execute(f'ALTER TABLE {table} ADD COLUMN "{name}" {TYPES[hive][0]}')
        elif isinstance(action, exp.Drop):
            self.database.execute(in_duckdb(tree))
        elif isinstance(action, exp.AlterColumn) and action.args.get("rename_to"):
            hive = action.args["dtype"].sql(dialect="hive").lower()
            present = dict(self.database.columns(table))
            if present[action.this.name] != TYPES[hive][0]:
                raise Refused(f"FAILED: Cannot change column type: {present[action.this.name]} -> {hive}")
            new = action.args["rename_to"].name
            self.database.execute(f'ALTER TABLE {table} RENAME COLUMN "{action.this.name}" TO "{new}"')
        else:
            raise Refused("FAILED: ParseException: the twin knows no such ALTER")

    def check_command(self, _, sql):
        """What sqlglot does not parse."""
        if found := re.fullmatch(r'OPTIMIZE ("\w+"\."\w+") REWRITE DATA USING BIN_PACK', sql):
            self.database.columns(found.group(1))
        elif found := re.fullmatch(r"VACUUM `(\w+)`", sql):
            self.database.columns(f'"{self.schema}"."{found.group(1)}"')
            # The first run is not enough.
            if found.group(1) not in self.database.vacuumed:
                self.database.vacuumed.add(found.group(1))
                raise Refused("ICEBERG_VACUUM_MORE_RUNS_NEEDED: Removed 1000 files in this round of vacuum")
        else:
            raise Refused(f"mismatched input: {sql.split()[0]}")
        self.database.executed.append(sql)


def java_text(call):
    if call.this.name != "%s" or len(call.expressions) != 1:
        raise Refused("the twin knows one format of numbers")
    return exp.Anonymous(this="wh.main.java_text", expressions=call.expressions)


def defined(column):
    """The name and Hive's type of a column's definition."""
    hive = column.args["kind"].sql(dialect="hive").lower()
    if hive not in TYPES or column.args.get("constraints"):
        raise Refused(f"FAILED: ParseException: a column of the type {hive}")
    return column.name, hive


def check_methods(select):
    """Each expression of a SELECT is one method."""
    for size in method_bytes(select).values():
        if size > MAX_METHOD_BYTES:
            raise Refused(
                "QUERY_EXCEEDED_COMPILER_LIMIT: Failed to execute query; there may be too many columns used or "
                f"expressions are too complex: a method of some {size} bytes"
            )


def method_bytes(select):
    """The size of each expression of a SELECT, by its name or place. A column of a subquery that is read once is put in
    its place:
    https://github.com/trinodb/trino/blob/master/core/trino-main/src/main/java/io/trino/sql/planner/iterative/rule/InlineProjections.java
    """
    inner = only_source(select)
    computed = method_bytes(inner) if inner else {}
    expressions = dict(enumerate(select.expressions))
    if where := select.args.get("where"):
        expressions["WHERE"] = where
    nodes = {place: list(within(expression)) for place, expression in expressions.items()}
    reads = collections.Counter(
        node.name for of_one in nodes.values() for node in of_one if isinstance(node, exp.Column)
    )
    sizes = {}
    for place, of_one in nodes.items():
        size = sum(OPERATOR_BYTES for node in of_one if isinstance(node, OPERATORS))
        read_once = (node.name for node in of_one if isinstance(node, exp.Column) and reads[node.name] == 1)
        sizes[expressions[place].alias or place] = size + sum(computed.get(name, 0) for name in read_once)
    return sizes


def only_source(select):
    """The subquery that a SELECT reads, if it reads nothing else."""
    source = select.args.get("from_") or select.args.get("from")
    if source is None or not isinstance(source.this, exp.Subquery) or select.args.get("joins"):
        return None
    inner = source.this.this
    is_computed_first = inner.args.get("distinct") or inner.args.get("group")
    return inner if isinstance(inner, exp.Select) and not is_computed_first else None


def within(expression):
    """The parts of an expression, without those of queries in it, which are computed before."""
    return expression.walk(prune=lambda node: isinstance(node, (exp.Subquery, exp.Exists)))


def check_time(cast):
    is_time = cast.to.this in (exp.DataType.Type.TIMESTAMP, exp.DataType.Type.TIMESTAMPNTZ)
    if is_time and isinstance(cast.this, exp.Literal):
        if not re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?", cast.this.name):
            raise Refused(f"INVALID_CAST_ARGUMENT: Value cannot be cast to timestamp: {cast.this.name}")
