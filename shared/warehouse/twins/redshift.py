"""Redshift behind its Data API: the calls, the SQL, and the limits of both."""

import traceback
import uuid

import duckdb
import sqlglot
from sqlglot import exp

from database import ApiError, Failed, JsonApi, Refused, check_names, in_duckdb, parsed, read_parquet

MAX_STATEMENTS = 40
MAX_STATEMENT_BYTES = 100_000
MAX_COLUMNS = 1_600
MAX_NAME_BYTES = 127
MAX_TEXT_BYTES = 65_535
# "The combined length of columns processed in the SQL statement exceeded the query-processing limit":
# https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_TABLE_usage.html, "Wide tables". Columns of a fixed width count
# as such; texts count for less than they are declared, and the page does not say for how much: here, for what they hold.
# Rows are processed whole where they are sorted, which is what window functions do.
MAX_PROCESSED = 65_535
FIXED_WIDTH = 8

# What COPY takes from a Parquet file, by DuckDB's names of its types, and into what.
COPIED = {
    "VARCHAR": "VARCHAR",
    "BIGINT": "BIGINT",
    "DOUBLE": "DOUBLE",
    "BOOLEAN": "BOOLEAN",
    "DATE": "DATE",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMP",
}

SVV_COLUMNS = """
CREATE VIEW IF NOT EXISTS wh.main.svv_columns AS
SELECT table_schema, table_name, column_name, ordinal_position,
    CASE data_type WHEN 'VARCHAR' THEN 'character varying' WHEN 'DOUBLE' THEN 'double precision'
        WHEN 'TIMESTAMP WITH TIME ZONE' THEN 'timestamp with time zone'
        WHEN 'TIMESTAMP' THEN 'timestamp without time zone' ELSE lower(data_type) END AS data_type,
    CASE WHEN data_type = 'VARCHAR' THEN 65535 END AS character_maximum_length
FROM information_schema.columns WHERE table_catalog = 'wh'
"""
SVV_TABLES = """
CREATE VIEW IF NOT EXISTS wh.main.svv_tables AS
SELECT table_schema, table_name, table_type FROM information_schema.tables WHERE table_catalog = 'wh'
"""


class Redshift(JsonApi):
    """One account's workgroups: a database each."""

    SERVICE = "RedshiftData"

    def __init__(self, databases):
        self.databases = databases
        self.batches, self.tokens, self.sessions = {}, {}, {}
        self.calls = {
            "BatchExecuteStatement": self.batch,
            "ExecuteStatement": lambda call: self.batch({**call, "Sqls": [call["Sql"]]}),
            "DescribeStatement": self.describe,
            "GetStatementResult": self.result,
        }

    def opened(self, database, _):
        database.execute(SVV_COLUMNS)
        database.execute(SVV_TABLES)

    def batch(self, call):
        token = call.get("ClientToken")
        if token in self.tokens:
            return self.submitted(self.tokens[token])
        sqls = call["Sqls"]
        if not 1 <= len(sqls) <= MAX_STATEMENTS:
            raise ApiError("ValidationException", f"{len(sqls)} statements in a batch")
        if any(len(sql.encode()) > MAX_STATEMENT_BYTES for sql in sqls):
            raise ApiError("ValidationException", "a statement is too long")
        session, database = self.session(call)
        batch = {"Id": str(uuid.uuid4()), "sqls": sqls, "session": session, "polls": 0}
        self.batches[batch["Id"]] = batch
        if token:
            self.tokens[token] = batch["Id"]
        temporary = self.sessions.setdefault(session, {"database": call.get("Database"), "tables": []})["tables"]
        statement = Executed(database, temporary)
        fault = database.fault_for(sqls)
        runs = [lambda sql=sql, n=n: statement.run(sql, fails=n == fault) for n, sql in enumerate(sqls)]
        try:
            batch["answers"] = database.transaction(runs)
        except Failed as failed:
            batch["failed"] = failed
        except Exception:
            # A fault of the twin's: asked again, it must not look done.
            traceback.print_exc()
            self.tokens.pop(token, None)
            raise
        if not call.get("SessionKeepAliveSeconds"):
            for table in self.sessions.pop(session)["tables"]:
                database.execute(f"DROP TABLE IF EXISTS {table}")
        return self.submitted(batch["Id"])

    def session(self, call):
        if session := call.get("SessionId"):
            if call.get("Database") or call.get("WorkgroupName") or call.get("ClusterIdentifier"):
                raise ApiError("ValidationException", "a session has its database already")
            if session not in self.sessions:
                raise ApiError("ValidationException", f"there is no session {session}")
            return session, self.databases[self.sessions[session]["database"]]
        if bool(call.get("WorkgroupName")) == bool(call.get("ClusterIdentifier")):
            raise ApiError("ValidationException", "either WorkgroupName or ClusterIdentifier")
        if call.get("Database") not in self.databases:
            raise ApiError("DatabaseConnectionException", f"there is no database {call.get('Database')}")
        return str(uuid.uuid4()), self.databases[call["Database"]]

    def submitted(self, id):
        return {"Id": id, "CreatedAt": 1.7e9, "SessionId": self.batches[id]["session"]}

    def known(self, id):
        batch = self.batches.get(id.partition(":")[0])
        if batch is None:
            raise ApiError("ResourceNotFoundException", f"there is no statement {id}")
        return batch

    def describe(self, call):
        batch = self.known(call["Id"])
        batch["polls"] += 1
        # Some are not done at once.
        if batch["polls"] == 1 and batch["Id"][0] == "7":
            return {"Id": batch["Id"], "Status": "STARTED"}
        failed = batch.get("failed")
        statements = []
        for n, sql in enumerate(batch["sqls"]):
            status = "FINISHED" if failed is None or n < failed.position else "ABORTED"
            statement = {"Id": f"{batch['Id']}:{n + 1}", "QueryString": sql, "Status": status}
            if failed and n == failed.position:
                statement.update(Status="FAILED", Error=f"ERROR: {failed.words}")
            statements.append(statement)
        answer = {"Id": batch["Id"], "Status": "FAILED" if failed else "FINISHED", "SubStatements": statements}
        if failed:
            answer["Error"] = f"Query #{failed.position + 1} failed with ERROR: {failed.words}"
        return answer

    def result(self, call):
        batch, (_, _, number) = self.known(call["Id"]), call["Id"].partition(":")
        rows = batch["answers"][int(number) - 1]
        # Two rows to a page, so that pages are turned.
        start = int(call.get("NextToken", 0))
        size = 2 if len(rows) < 10 else 1000
        answer = {"Records": [[field(value) for value in row] for row in rows[start : start + size]]}
        if start + size < len(rows):
            answer["NextToken"] = str(start + size)
        return answer


def field(value):
    if value is None:
        return {"isNull": True}
    if isinstance(value, bool):
        return {"booleanValue": value}
    if isinstance(value, int):
        return {"longValue": value}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"stringValue": str(value)}


class Executed:
    """Statements of one batch in one session."""

    def __init__(self, database, temporary):
        self.database, self.temporary = database, temporary

    def run(self, sql, fails=False):
        if fails:
            raise Refused("the node was restarted")
        tree = parsed(sql, "redshift")
        check_names(tree, MAX_NAME_BYTES)
        for name in tree.find_all(exp.Identifier):
            # Names are folded, quoted ones too.
            name.set("this", name.this.lower())
            name.set("quoted", True)
        if next(tree.find_all(exp.Filter), None):
            raise Refused("syntax error at or near FILTER")
        for select in tree.find_all(exp.Select):
            if any(window.find_ancestor(exp.Select) is select for window in select.find_all(exp.Window)):
                self.check_width(select)
        check = getattr(self, "check_" + type(tree).__name__.lower(), None)
        if check is None:
            raise Refused(f"the twin knows no {type(tree).__name__}")
        return check(tree, sql)

    def meant(self, tree):
        for call in tree.find_all(exp.TimeToStr):
            format = call.args["format"]
            format.set("this", format.this.replace('"', "").replace("MS", "%g"))
        return self.database.execute(in_duckdb(tree))

    def check_width(self, select):
        """Of the columns that are sorted, those of the tables below included."""
        named = {column.name for column in select.find_all(exp.Column)}
        # Named queries are read where they are.
        queries = {query.alias for query in select.root().find_all(exp.CTE)}
        tables = {
            exp.table_(table.this.copy(), db=table.args.get("db"), quoted=True).sql(dialect="duckdb")
            for table in select.find_all(exp.Table)
            if table.db or table.name not in queries
        }
        width = 0
        for table in tables:
            columns = [(name, kind) for name, kind in self.database.columns(table) if name in named]
            texts = [name.replace('"', '""') for name, kind in columns if kind == "VARCHAR"]
            width += FIXED_WIDTH * (len(columns) - len(texts))
            if texts:
                lengths = ", ".join(f'max(octet_length(encode("{name}")))' for name in texts)
                width += sum(length or 0 for length in self.database.execute(f"SELECT {lengths} FROM {table}")[0])
        if width > MAX_PROCESSED:
            raise Refused(
                "8001 DETAIL: The combined length of columns processed in the SQL statement exceeded the "
                "query-processing limit of 65535 characters (pid:7627)"
            )

    def check_select(self, tree, _):
        return self.meant(tree)

    def check_insert(self, tree, _):
        return self.meant(tree)

    def check_delete(self, tree, _):
        return self.meant(tree)

    def check_update(self, tree, _):
        # It is of the type unknown, which not every type takes: https://github.com/gurmeetsaran/sqltesting/pull/55
        if any(isinstance(value, exp.EQ) and isinstance(value.expression, exp.Null) for value in tree.expressions):
            raise Refused("cannot convert type unknown: a NULL without a type")
        return self.meant(tree)

    def check_analyze(self, tree, _):
        for table in tree.args["tables"]:
            self.database.columns(table.sql(dialect="duckdb"))
        return []

    def check_create(self, tree, _):
        if tree.kind == "TABLE":
            columns = list(tree.find_all(exp.ColumnDef))
            if len(columns) > MAX_COLUMNS:
                raise Refused("tables can have at most 1600 columns")
            for column in columns:
                self.check_type(column)
                self.number(column)
            tree.set("properties", self.check_properties(tree))
            if tree.find(exp.TemporaryProperty):
                self.temporary.append(tree.find(exp.Table).sql(dialect="duckdb"))
        elif tree.kind == "VIEW":
            return self.check_view(tree)
        elif tree.kind != "SCHEMA":
            raise Refused(f"the twin creates no {tree.kind}")
        return self.meant(tree)

    def check_view(self, tree):
        """ "You can only replace a view with a new query that generates the identical set of columns, using the same column
        names and data types": https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_VIEW.html"""
        if not tree.args.get("replace") or not tree.args.get("no_schema_binding"):
            raise Refused("the twin makes views that are replaced, and bound to no table")
        if not all(table.db for table in tree.expression.find_all(exp.Table)):
            raise Refused("All the relation names inside should be qualified when creating VIEW WITH NO SCHEMA BINDING")
        tree.set("no_schema_binding", None)
        try:
            present = self.database.columns(tree.this.sql(dialect="duckdb"))
        except duckdb.Error:
            present = None
        if present is not None and present != self.database.columns(in_duckdb(tree.expression.copy())):
            raise Refused("cannot change the columns of a view that is there")
        return self.meant(tree)

    def number(self, column):
        """An identity column counts the rows that are inserted."""
        for constraint in column.args.get("constraints") or []:
            if isinstance(constraint.kind, exp.GeneratedAsIdentityColumnConstraint):
                self.database.sequences = getattr(self.database, "sequences", 0) + 1
                sequence = f"wh.main.identity_{self.database.sequences}"
                self.database.execute(f"CREATE SEQUENCE IF NOT EXISTS {sequence} MINVALUE 0 START 0")
                default = sqlglot.parse_one(f"CREATE TABLE t (c BIGINT DEFAULT nextval('{sequence}'))", read="duckdb")
                constraint.replace(default.find(exp.ColumnConstraint))

    def check_properties(self, tree):
        """Keys of distribution and order are columns of the table: one, and 400 at the most."""
        names = {column.name for column in tree.find_all(exp.ColumnDef)}
        rest = []
        for item in tree.args["properties"].expressions if tree.args.get("properties") else []:
            if isinstance(item, (exp.DistKeyProperty, exp.SortKeyProperty)):
                keys = [name.name for name in item.find_all(exp.Identifier)]
                if not set(keys) <= names or not 1 <= len(keys) <= 400:
                    raise Refused(f"column {keys} named in key does not exist")
            else:
                rest.append(item)
        return exp.Properties(expressions=rest) if rest else None

    def check_drop(self, tree, _):
        answer = self.meant(tree)
        # DuckDB can't read a CASCADE from its log, which a transaction that is put back would need.
        self.database.execute("CHECKPOINT wh")
        return answer

    def check_type(self, column):
        kind = column.args["kind"]
        if kind.this in (exp.DataType.Type.TEXT, exp.DataType.Type.VARCHAR):
            length = int(kind.expressions[0].name) if kind.expressions else 256
            if length > MAX_TEXT_BYTES:
                raise Refused("length for type character varying cannot exceed 65535")

    def check_alter(self, tree, sql):
        if len(tree.args["actions"]) != 1:
            raise Refused("syntax error: one action at a time")
        action = tree.args["actions"][0]
        if isinstance(action, exp.AlterColumn):
            raise Refused("target data type is not supported")
        if isinstance(action, exp.ColumnDef):
            self.check_type(action)
            if len(self.database.columns(tree.this.sql(dialect="duckdb"))) >= MAX_COLUMNS:
                raise Refused("tables can have at most 1600 columns")
        return self.meant(tree)

    def check_merge(self, tree, _):
        if tree.this.alias:
            raise Refused("syntax error at or near AS")
        if not isinstance(tree.args["using"], exp.Table):
            raise Refused("MERGE takes a table as its source, and no view or subquery")
        # "Specifies equal predicates between the source table column and target table column":
        # https://docs.aws.amazon.com/redshift/latest/dg/r_MERGE.html
        for predicate in tree.args["on"].flatten() if isinstance(tree.args["on"], exp.And) else [tree.args["on"]]:
            sides = [predicate.this, predicate.expression] if isinstance(predicate, exp.EQ) else []
            tables = {side.table for side in sides if isinstance(side, exp.Column)}
            if len(tables) != 2 or tree.args["using"].alias not in tables:
                raise Refused("MERGE matches by columns of both tables that are equal, and by nothing else")
        if len(tree.args["whens"].expressions) != 2:
            raise Refused("syntax error: MERGE has a clause for rows that match, and one for those that do not")
        return self.meant(tree)

    def check_set(self, tree, _):
        """Nobody else reads a view of the twin's."""
        [item] = tree.expressions
        if item.this.this.name != "statement_timeout" or not item.this.expression.is_int:
            raise Refused("syntax error at or near SET")
        return []

    def check_command(self, tree, sql):
        """What sqlglot does not parse."""
        if tree.this.upper() != "LOCK":
            raise Refused(f"syntax error at or near {tree.this}")
        table = sqlglot.parse_one(sql.removeprefix("LOCK TABLE"), into=exp.Table, read="redshift")
        return self.database.columns(table.sql(dialect="duckdb")) and []

    def check_copy(self, tree, _):
        """By position, not by name, and only what fits."""
        parameters = {parameter.name: parameter.expression.name for parameter in tree.args["params"]}
        if parameters != {"FORMAT": "PARQUET"} or not tree.args["credentials"].args.get("iam_role"):
            raise Refused("the twin copies Parquet with a role, and nothing else")
        table = tree.this.sql(dialect="duckdb")
        columns = self.database.columns(table)
        for path in self.database.objects(tree.args["files"][0].name):
            present = self.database.parquet_columns(path)
            if len(present) != len(columns):
                raise Refused(
                    f"Unmatched number of columns between table and file. Table columns: {len(columns)}, "
                    f"Data columns: {len(present)}, File name: {path}"
                )
            for (name, wanted), (other, copied) in zip(columns, present):
                if COPIED.get(copied) != wanted:
                    raise Refused(f"File '{path}' has an incompatible Parquet schema for column '{other}' of {name}")
            self.check_lengths(path, [name for name, kind in present if kind == "VARCHAR"])
            self.database.execute(f"INSERT INTO {table} SELECT * FROM {read_parquet(path)}")
        return []

    def check_lengths(self, path, texts):
        lengths = ['max(octet_length(encode("{}")))'.format(name.replace('"', '""')) for name in texts]
        if not lengths:
            return
        [found] = self.database.execute(f"SELECT {', '.join(lengths)} FROM {read_parquet(path)}")
        longest = max(length or 0 for length in found)
        if longest > MAX_TEXT_BYTES:
            raise Refused(
                "The length of the data column is longer than the length defined in the table. "
                f"Table: {MAX_TEXT_BYTES}, Data: {longest}"
            )
