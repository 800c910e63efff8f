"""Databricks behind its SQL Statement Execution API: tokens, statements and their ids, the SQL, and the limits of all of
them. Each statement is a commit; nothing joins two of them.

https://docs.databricks.com/api/workspace/statementexecution"""

import base64
import functools
import json
import os
import re
import urllib.parse
import uuid

import duckdb
import sqlglot
from sqlglot import exp

from database import Refused, in_duckdb, parsed, read_parquet, with_values, without_values

# "The maximum query text size is 16 MiB."
MAX_STATEMENT_BYTES = 16 << 20
# https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-names
MAX_NAME_CHARACTERS = 255
NOT_IN_NAMES = re.compile(r"[. /\x00-\x1f\x7f]")
# Characters of columns that only column mapping allows: https://docs.databricks.com/aws/en/delta/column-mapping
MAPPED = re.compile(r"[ ,;{}()\n\t=]")
CATALOG = "main"
FILE = re.compile(r"parquet\.`((?:[^`]|``)+)`")
PATTERN = re.compile(r"[*?\[\]{}\\]")

# DuckDB's types, as Databricks reports them.
TYPES = {
    "VARCHAR": "string",
    "BIGINT": "bigint",
    "INTEGER": "int",
    "DOUBLE": "double",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIMESTAMP WITH TIME ZONE": "timestamp",
}
# What a value becomes by itself in a column of another type, besides a text:
# https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-ansi-compliance#store-assignment
STORED = {
    ("INTEGER", "BIGINT"),
    ("INTEGER", "DOUBLE"),
    ("BIGINT", "DOUBLE"),
    ("DATE", "TIMESTAMP WITH TIME ZONE"),
}
MACROS = """
CREATE MACRO IF NOT EXISTS wh.main.pmod(a, b) AS ((a % b) + b) % b;
CREATE MACRO IF NOT EXISTS wh.main.unix_day(x) AS DATE '1970-01-01' + CAST(x AS INTEGER);
CREATE MACRO IF NOT EXISTS wh.main.time_of_millis(x) AS timezone('UTC', make_timestamp(x * 1000));
"""
SCHEMA_VIEWS = """
CREATE VIEW IF NOT EXISTS wh.main.unity_columns AS
SELECT table_schema, table_name, column_name, ordinal_position,
    CASE data_type {} ELSE lower(data_type) END AS full_data_type
FROM information_schema.columns WHERE table_catalog = 'wh' AND table_schema <> 'main';
CREATE VIEW IF NOT EXISTS wh.main.unity_tables AS
SELECT table_schema, table_name, CASE table_type WHEN 'BASE TABLE' THEN 'MANAGED' ELSE table_type END AS table_type
FROM information_schema.tables WHERE table_catalog = 'wh' AND table_schema <> 'main';
CREATE VIEW IF NOT EXISTS wh.main.unity_schemata AS
SELECT schema_name FROM information_schema.schemata WHERE catalog_name = 'wh' AND schema_name <> 'main';
""".format(" ".join(f"WHEN '{duck}' THEN '{name}'" for duck, name in TYPES.items()))


class Answer(Exception):
    """Ends a call."""

    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.body = status, {"error_code": code, "message": message}


class Databricks:
    """The workspaces' SQL warehouses: a database each, which stands for a catalog. Each lets one principal and one token
    in."""

    def __init__(self, databases):
        self.databases = databases
        self.principals, self.tokens = {}, set()
        self.statements = {}
        # Words of a statement that is to be executed later than its caller waits, by warehouse.
        self.lateness = {}

    def opened(self, database, call):
        from athena import JAVA

        for sql in (MACROS, SCHEMA_VIEWS, JAVA):
            database.execute(sql)
        # Tables with column mapping, and how often the metadata of a table has changed.
        database.mapped, database.metadata = set(), {}
        if "client_id" in call:
            self.principals[call["client_id"]] = call["secret"]
        database.token = call.get("token")

    def by_hand(self, sql):
        return sql

    def delay(self, warehouse, words):
        self.lateness[warehouse] = words

    def late_jobs(self, warehouse):
        return [it for it in self.statements.values() if it["late"] and it["warehouse"] == warehouse]

    def end_late(self, warehouse):
        """Executes the statements that were late; answers with what they failed of."""
        late = self.late_jobs(warehouse)
        for statement in late:
            self.finish(statement)
        return [statement["status"].get("error", {}).get("message") for statement in late]

    def serve(self, method, path, headers, text):
        """Status and body."""
        try:
            if path == "/oidc/v1/token":
                return self.grant(headers, dict(urllib.parse.parse_qsl(text)))
            token = (headers.get("Authorization") or "").removeprefix("Bearer ")
            parts = path.removeprefix("/api/2.0/sql/statements").strip("/").split("/")
            if not path.startswith("/api/2.0/sql/statements"):
                raise Answer(404, "ENDPOINT_NOT_FOUND", f"No API found for '{method} {path}'")
            call = json.loads(text) if text else {}
            warehouse = self.known(parts[0])["warehouse"] if parts[0] else call["warehouse_id"]
            database = self.databases.get(warehouse)
            if token not in self.tokens and (database is None or token != database.token):
                raise Answer(403, 403, "Invalid access token.")
            if database is None:
                raise Answer(404, "RESOURCE_DOES_NOT_EXIST", f"SQL warehouse {warehouse} does not exist")
            match method, parts:
                case "POST", [""]:
                    return 200, self.execute(database, call)
                case "GET", [id]:
                    return 200, self.told(self.known(id))
                case "GET", [id, "result", "chunks", n]:
                    return 200, chunk(self.known(id), int(n))
                case "POST", [id, "cancel"]:
                    return 200, self.cancel(self.known(id))
            raise Answer(404, "ENDPOINT_NOT_FOUND", f"No API found for '{method} {path}'")
        except Answer as answer:
            return answer.status, answer.body

    def grant(self, headers, form):
        """https://docs.databricks.com/aws/en/dev-tools/auth/oauth-m2m"""
        scheme, _, encoded = (headers.get("Authorization") or "").partition(" ")
        client_id, _, secret = base64.b64decode(encoded).decode().partition(":")
        if scheme != "Basic" or self.principals.get(client_id) != secret:
            return 401, {"error": "invalid_client", "error_description": "Client authentication failed"}
        if form != {"grant_type": "client_credentials", "scope": "all-apis"}:
            return 400, {"error": "invalid_request", "error_description": f"{form}"}
        token = f"eyJ{uuid.uuid4().hex}"
        self.tokens.add(token)
        return 200, {"access_token": token, "scope": "all-apis", "token_type": "Bearer", "expires_in": 3600}

    def known(self, id):
        if id not in self.statements:
            raise Answer(404, "NOT_FOUND", f"The statement {id} was not found")
        return self.statements[id]

    def execute(self, database, call):
        wanted = {"statement", "warehouse_id", "catalog", "wait_timeout", "on_wait_timeout", "disposition", "format"}
        if call.keys() != wanted or (call["disposition"], call["format"]) != ("INLINE", "JSON_ARRAY"):
            raise Answer(400, "INVALID_PARAMETER_VALUE", f"the twin knows other fields than {call.keys()}")
        wait = int(call["wait_timeout"].removesuffix("s"))
        if not (wait == 0 or 5 <= wait <= 50) or call["on_wait_timeout"] != "CONTINUE":
            raise Answer(400, "INVALID_PARAMETER_VALUE", "wait_timeout must be 0 seconds, or between 5 and 50 seconds")
        sql = call["statement"]
        if len(sql.encode()) > MAX_STATEMENT_BYTES:
            raise Answer(400, "INVALID_PARAMETER_VALUE", "The query text is longer than 16 MiB")
        id = str(uuid.uuid4())
        statement = self.statements[id] = {
            "statement_id": id,
            "warehouse": call["warehouse_id"],
            "status": {"state": "PENDING"},
            "rows": [],
            "late": False,
            "run": lambda: self.run(database, call["catalog"], sql),
            "metadata": (changed_table(sql), database.metadata.get(changed_table(sql), 0)),
            "database": database,
        }
        late = self.lateness.get(statement["warehouse"])
        if late is not None and late in sql.replace("`", '"'):
            del self.lateness[statement["warehouse"]]
            statement["late"] = True
        else:
            self.finish(statement)
        # Some are not done at once, however long it is waited for.
        is_done = wait > 0 and not statement["late"] and id[0] != "7"
        return self.told(statement) if is_done else {"statement_id": id, "status": {"state": "PENDING"}}

    def finish(self, statement):
        statement["late"] = False
        table, metadata = statement["metadata"]
        try:
            if statement["database"].metadata.get(table, 0) != metadata:
                raise Refused("[DELTA_METADATA_CHANGED] MetadataChangedException: The metadata has been changed")
            statement["rows"] = statement["run"]() or []
            statement["status"] = {"state": "SUCCEEDED"}
        except (duckdb.Error, Refused, sqlglot.errors.SqlglotError) as error:
            failed = {"error_code": "BAD_REQUEST", "message": explained(error)}
            statement["status"] = {"state": "FAILED", "error": failed}

    def cancel(self, statement):
        if statement["late"]:
            statement.update(late=False, status={"state": "CANCELED"})
        return {}

    def told(self, statement):
        answer = {"statement_id": statement["statement_id"], "status": statement["status"]}
        if statement["status"]["state"] == "SUCCEEDED":
            answer["manifest"] = {"format": "JSON_ARRAY", "total_row_count": len(statement["rows"])}
            answer["result"] = chunk(statement, 0)
        return answer

    def run(self, database, catalog, sql):
        """The rows of what it answers."""
        trouble = database.trouble(sql.replace("`", '"'))
        if trouble == "gone":
            raise Refused("[INTERNAL_ERROR] whoever asked is gone")
        if trouble == "conflict":
            raise Refused("[DELTA_CONCURRENT_APPEND.WITHOUT_HINT] Transaction conflict detected.")
        if catalog != CATALOG:
            raise Refused(f"[NO_SUCH_CATALOG_EXCEPTION] Catalog '{catalog}' was not found.")
        return Executed(database).run(sql)


def changed_table(sql):
    found = re.match(r"(?:INSERT INTO|MERGE INTO|DELETE FROM|UPDATE|ALTER TABLE) (\S+)", sql)
    return found and found[1]


def chunk(statement, n):
    """Two rows in each, so that chunks are fetched."""
    rows = statement["rows"]
    size = 2 if len(rows) < 10 else 1000
    part = {"chunk_index": n, "data_array": [[text(value) for value in row] for row in rows[n * size : (n + 1) * size]]}
    if (n + 1) * size < len(rows):
        part["next_chunk_index"] = n + 1
        part["next_chunk_internal_link"] = f"/api/2.0/sql/statements/{statement['statement_id']}/result/chunks/{n + 1}"
    return part


def text(value):
    if value is None or isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


class Executed:
    """A statement."""

    def __init__(self, database):
        self.database = database

    def run(self, sql):
        if sql.startswith(("OPTIMIZE ", "VACUUM ")):
            return self.tidy(sql)
        paths = [self.path(url.replace("``", "`")) for url in FILE.findall(sql)]
        numbers = iter(range(len(paths)))
        sql = FILE.sub(lambda _: f"parquet.`f{next(numbers)}`", sql)
        template, values = without_values(sql)
        meaning = {field: with_values(value, values) if value else value for field, value in understood(template).items()}
        for n, path in enumerate(paths):
            meaning["select"] = meaning["select"].replace(f'"parquet"."f{n}"', read_parquet(path), 1)
        return getattr(self, meaning["kind"])(meaning)

    def select(self, meaning):
        return self.database.execute(meaning["sql"])

    def write(self, meaning):
        self.database.execute(meaning["sql"])

    delete = update = merge = write

    def insert(self, meaning):
        """Values are stored as the columns' types have them, or not at all."""
        select = meaning["select"]
        wanted = dict(self.database.columns(meaning["target"]))
        names = meaning["names"] or list(wanted)
        given = self.database.columns(select)
        if len(given) != len(names):
            raise Refused("[INSERT_COLUMN_ARITY_MISMATCH] Cannot write to the table")
        for (_, kind), name in zip(given, names):
            is_stored = kind in (wanted[name], '"NULL"') or wanted[name] == "VARCHAR" or (kind, wanted[name]) in STORED
            if not is_stored:
                raise Refused(
                    f"[INCOMPATIBLE_DATA_FOR_TABLE.CANNOT_SAFELY_CAST] Cannot safely cast `{name}` {kind} to {wanted[name]}"
                )
        listed = "({})".format(", ".join(quoted(name) for name in names))
        self.database.execute(f"INSERT INTO {meaning['target']} {listed} {select}")

    def path(self, url):
        bucket, _, key = url.removeprefix("s3://").partition("/")
        if bucket not in self.database.buckets or not url.startswith("s3://"):
            raise Refused(f"[INSUFFICIENT_PERMISSIONS] Insufficient privileges: no external location covers {url}")
        if PATTERN.search(key):
            raise Refused(f"the twin reads no patterns: {url}")
        path = os.path.join(self.database.buckets[bucket], key)
        if not os.path.exists(path):
            raise Refused(f"[PATH_NOT_FOUND] Path does not exist: {url}.")
        try:
            self.database.parquet_columns(path)
        except Refused as error:
            raise Refused(f"[CANNOT_READ_FILE_FOOTER] Could not read footer for file: {url}: {error}") from error
        return path

    def create(self, meaning):
        self.database.execute(meaning["sql"])
        if meaning.get("mapped"):
            self.database.mapped.add(meaning["target"])

    def alter(self, meaning):
        table = meaning["target"]
        self.database.metadata[meaning["spelled"]] = self.database.metadata.get(meaning["spelled"], 0) + 1
        if meaning["needs_mapping"] and table not in self.database.mapped:
            raise Refused("[DELTA_UNSUPPORTED_DROP_COLUMN] column mapping is not enabled")
        present = {name for name, _ in self.database.columns(table)}
        if taken := [name for name in meaning["added"] if name in present]:
            raise Refused(f"[FIELDS_ALREADY_EXISTS] Cannot add column, because {taken[0]} already exists")
        for sql in meaning["sqls"]:
            self.database.execute(sql)
        if meaning["renamed"] and table in self.database.mapped:
            self.database.mapped.add(meaning["renamed"])

    def drop(self, meaning):
        self.database.execute(meaning["sql"])

    def tidy(self, sql):
        found = re.fullmatch(r"(?:OPTIMIZE|VACUUM) (`[^`]+`\.`[^`]+`)", sql)
        if not found:
            raise Refused("[PARSE_SYNTAX_ERROR] Syntax error")
        self.database.columns(found[1].replace("`", '"'))
        self.database.executed.append(sql)


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


@functools.lru_cache(maxsize=10_000)
def understood(sql):
    """What a statement does, and what it is in DuckDB's SQL."""
    tree = parsed(sql, "databricks")
    check_words(sql)
    is_of_files = "parquet.`" in sql
    for name in tree.find_all(exp.Identifier):
        name.set("quoted", True)
        if len(name.this) > MAX_NAME_CHARACTERS:
            raise Refused(f"a name of {len(name.this)} characters")
        # Names are the same in upper and lower case; those in files are as the program has them from there.
        if not is_of_files:
            name.set("this", name.this.lower())
    kind = type(tree).__name__.lower()
    if kind in ("update", "delete") and (tree.args.get("from_") or tree.args.get("from") or tree.args.get("using")):
        raise Refused("[PARSE_SYNTAX_ERROR] Syntax error at or near 'FROM'")
    if kind == "insert":
        into = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
        names = [name.name for name in tree.this.expressions] if isinstance(tree.this, exp.Schema) else None
        select = in_duckdb(meant(tree.expression))
        return {"kind": kind, "target": in_duckdb(into.copy()), "names": names, "select": select}
    if kind in ("select", "merge", "update", "delete"):
        return {"kind": kind, "sql": in_duckdb(meant(tree))}
    if kind == "create":
        return created(tree)
    if kind == "alter":
        return altered(tree)
    if kind == "drop" and tree.args["kind"] == "TABLE" and tree.args.get("exists"):
        return {"kind": kind, "sql": in_duckdb(tree)}
    raise Refused(f"[PARSE_SYNTAX_ERROR] the twin knows no such {kind}")


def created(tree):
    name = tree.find(exp.Table)
    for part in (name.db, name.name):
        if NOT_IN_NAMES.search(part):
            raise Refused(f"[INVALID_PARAMETER_VALUE] {part!r} is not a valid name")
    if tree.kind == "SCHEMA" or tree.kind == "VIEW" and tree.args.get("replace"):
        return {"kind": "create", "sql": in_duckdb(meant(tree))}
    if tree.kind != "TABLE" or not tree.args.get("exists"):
        raise Refused(f"the twin creates no such {tree.kind}")
    given = {item.name.strip("'"): item.args["value"].name for item in tree.find_all(exp.Property) if item.args.get("value")}
    is_mapped = given.get("delta.columnMapping.mode") == "name"
    check_columns([column.name for column in tree.find_all(exp.ColumnDef)], is_mapped)
    tree.set("properties", None)
    return {
        "kind": "create",
        "target": in_duckdb(name.copy()),
        "mapped": "yes" if is_mapped else "",
        "sql": in_duckdb(tree),
    }


def altered(tree):
    if tree.args["kind"] == "VIEW":
        [query] = tree.args["actions"]
        view = exp.Create(this=tree.this, kind="VIEW", replace=True, expression=query)
        return {"kind": "create", "sql": in_duckdb(meant(view))}
    table, actions = in_duckdb(tree.this.copy()), tree.args["actions"]
    meaning = {
        "kind": "alter",
        "target": table,
        "spelled": tree.this.sql(dialect="databricks"),
        "needs_mapping": "",
        "added": [],
        "renamed": "",
        "sqls": [],
    }
    [action] = actions
    if isinstance(action, exp.AlterSet):
        return meaning
    if isinstance(action, exp.Schema):
        columns = action.expressions
        meaning["added"] = [column.name for column in columns]
        check_columns(meaning["added"], True)
        meaning["sqls"] = [f"ALTER TABLE {table} ADD COLUMN {in_duckdb(column)}" for column in columns]
        return meaning
    if isinstance(action, exp.AlterRename):
        if action.this.db != tree.this.db:
            raise Refused("the twin renames tables within their schema")
        meaning["renamed"] = in_duckdb(action.this.copy())
        meaning["sqls"] = [in_duckdb(tree)]
        return meaning
    if isinstance(action, (exp.Drop, exp.RenameColumn)):
        return {**meaning, "needs_mapping": "yes", "sqls": [in_duckdb(tree)]}
    raise Refused("[PARSE_SYNTAX_ERROR] the twin knows no such ALTER")


def check_columns(names, is_mapped):
    for name in names:
        if not is_mapped and MAPPED.search(name):
            raise Refused(f"[DELTA_INVALID_CHARACTERS_IN_COLUMN_NAMES] {name!r}")
    if len(set(names)) < len(names):
        raise Refused("[COLUMN_ALREADY_EXISTS] The column already exists")


def check_words(sql):
    """Names are in backticks; a text in double quotes, or in two literals that stand together, was meant otherwise."""
    before = None
    for token in sqlglot.tokenize(sql, read="databricks"):
        is_text = token.token_type == sqlglot.TokenType.STRING
        if is_text and (sql[token.start] == '"' or "''" in sql[token.start + 1 : token.end]):
            raise Refused(f"[PARSE_SYNTAX_ERROR] a literal that means something else: {token.text}")
        if is_text and before == sqlglot.TokenType.STRING:
            raise Refused("[PARSE_SYNTAX_ERROR] two literals that are one")
        before = token.token_type


def meant(tree):
    """The statement, with functions that DuckDB has by other names or not at all."""

    # Inner ones first.
    for node in reversed(list(tree.walk())):
        name = node.name.lower() if isinstance(node, exp.Anonymous) else ""
        if isinstance(node, exp.Table) and node.db == "information_schema":
            other = exp.to_table(f"wh.main.unity_{node.name}", alias=node.alias or None)
        elif isinstance(node, exp.DateFromUnixDate):
            other = exp.Anonymous(this="wh.main.unix_day", expressions=[node.this])
        elif name == "raise_error":
            other = exp.Anonymous(this="error", expressions=node.expressions)
        elif name == "monotonically_increasing_id":
            other = exp.maybe_parse("row_number() OVER ()", dialect="duckdb")
        elif name == "pmod":
            other = exp.Anonymous(this="wh.main.pmod", expressions=node.expressions)
        elif name == "timestamp_millis":
            other = exp.Anonymous(this="wh.main.time_of_millis", expressions=node.expressions)
        elif isinstance(node, exp.UnixToTime) and str(node.args.get("scale")) == "3":
            other = exp.Anonymous(this="wh.main.time_of_millis", expressions=[node.this])
        elif is_text_of_double(node):
            other = exp.Anonymous(this="wh.main.java_text", expressions=[node.this])
        else:
            continue
        if node is tree:
            tree = other
        else:
            node.replace(other)
    return tree


def is_text_of_double(node):
    return isinstance(node, exp.Cast) and isinstance(node.this, exp.Abs) and node.to.is_type("text", "varchar")


def explained(error):
    """As Databricks says it."""
    words = str(error)
    if isinstance(error, Refused):
        return words
    if isinstance(error, duckdb.InvalidInputException):
        return f"[USER_RAISED_EXCEPTION] {words} SQLSTATE: P0001"
    if isinstance(error, duckdb.ConversionException):
        return f"[CAST_INVALID_INPUT] {words}"
    if isinstance(error, duckdb.BinderException) and "not found in FROM clause" in words:
        return f"[UNRESOLVED_COLUMN.WITH_SUGGESTION] {words}"
    if "already exists" in words:
        return f"[TABLE_OR_VIEW_ALREADY_EXISTS] {words}"
    if "does not exist" in words:
        return f"[TABLE_OR_VIEW_NOT_FOUND] {words}"
    return f"[INTERNAL_ERROR] {type(error).__name__}: {words}"
