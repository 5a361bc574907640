"""The tables, as numbered steps forward. A step that was released is never changed; a database of a newer ledger is refused."""

from slipway_ledger.store.database import Database, Unavailable

STEPS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE stream (id {whole} PRIMARY KEY, namespace TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (namespace, name))",
        "CREATE TABLE measure (id {whole} PRIMARY KEY, stream {whole} NOT NULL, name TEXT NOT NULL, UNIQUE (stream, name))",
        "CREATE TABLE experiment (id {whole} PRIMARY KEY, namespace TEXT NOT NULL, name TEXT NOT NULL, stream {whole} NOT NULL, "
        "definition TEXT NOT NULL, registered_at {whole} NOT NULL, ended_at {whole}, UNIQUE (namespace, name))",
        "CREATE TABLE stratum (experiment {whole} NOT NULL, number {whole} NOT NULL, name TEXT NOT NULL, PRIMARY KEY (experiment, number)) {rowless}",
        "CREATE TABLE closed (experiment {whole} NOT NULL, metric {whole} NOT NULL, until {whole} NOT NULL, "
        "PRIMARY KEY (experiment, metric)) {rowless}",
        "CREATE TABLE sums (experiment {whole} NOT NULL, metric {whole} NOT NULL, arm {whole} NOT NULL, stratum {whole} NOT NULL, "
        "phase {whole} NOT NULL, moments TEXT NOT NULL, PRIMARY KEY (experiment, metric, arm, stratum, phase)) {rowless}",
        "CREATE TABLE count (experiment {whole} NOT NULL, name TEXT NOT NULL, value {whole} NOT NULL, PRIMARY KEY (experiment, name)) {rowless}",
        "CREATE TABLE unit (unit {bytes} NOT NULL, experiment {whole} NOT NULL, arm {whole} NOT NULL, stratum {whole} NOT NULL, "
        "exposed_at {whole} NOT NULL, arms {whole} NOT NULL, cells TEXT NOT NULL, PRIMARY KEY (unit, experiment)) {rowless}",
        "CREATE INDEX unit_exposed ON unit (experiment, exposed_at)",
        "CREATE TABLE outcome (key {bytes} NOT NULL PRIMARY KEY, unit {bytes} NOT NULL, stream {whole} NOT NULL, measure {whole} NOT NULL, "
        "time {whole} NOT NULL, value {whole} NOT NULL) {rowless}",
        "CREATE INDEX outcome_unit ON outcome (unit)",
        "CREATE TABLE request (request {bytes} NOT NULL PRIMARY KEY, stream {whole} NOT NULL, unit {bytes} NOT NULL, "
        "time {whole} NOT NULL) {rowless}",
        "CREATE INDEX request_unit ON request (unit)",
        "CREATE TABLE label (key {bytes} NOT NULL PRIMARY KEY, request {bytes} NOT NULL, stream {whole} NOT NULL, label TEXT NOT NULL, "
        "time {whole} NOT NULL) {rowless}",
        "CREATE INDEX label_request ON label (request)",
        "CREATE TABLE look (experiment {whole} NOT NULL, sequence {whole} NOT NULL, body TEXT NOT NULL, "
        "PRIMARY KEY (experiment, sequence)) {rowless}",
    ),
)


def migrate(database: Database, steps: tuple[tuple[str, ...], ...] = STEPS) -> int:
    """Bring the tables to the newest version, each step in a transaction of its own; the version before. Unavailable: they are newer than that."""
    database.begin()
    database.define("CREATE TABLE IF NOT EXISTS version (number {whole} NOT NULL)")
    [(found,)] = database.execute("SELECT COALESCE(MAX(number), 0) FROM version")
    database.commit()
    before = int(found)
    if before > len(steps):
        raise Unavailable(f"the tables are of version {before} and this ledger knows {len(steps)}: run the ledger that made them, or a newer one")
    for number in range(before + 1, len(steps) + 1):
        database.begin()
        for statement in steps[number - 1]:
            database.define(statement)
        database.execute("INSERT INTO version (number) VALUES ({value})", number)
        database.commit()
    return before
