BEGIN TRANSACTION;
CREATE TABLE visits (name TEXT PRIMARY KEY, count INTEGER NOT NULL);
INSERT INTO "visits" VALUES('Ann',2);
INSERT INTO "visits" VALUES('Bob',1);
COMMIT;
PRAGMA journal_mode = wal;
PRAGMA application_id = 0;
PRAGMA user_version = 0;
