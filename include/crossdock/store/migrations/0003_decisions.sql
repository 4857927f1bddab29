-- What people decide about quarantined records and stopped batches: who asked and when, and how it reaches the runs.

ALTER TABLE quarantine ADD COLUMN asked_at timestamptz;

-- new: no run has settled with it yet; withdrawn: the next run takes the source's version again
ALTER TABLE override ADD COLUMN state text NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'in use', 'withdrawn'));
-- the run that knows it in this state
ALTER TABLE override ADD COLUMN run_id bigint;

-- records that the next run is to read, and to judge even if the source's row is known
CREATE VIEW asked AS
SELECT pair, flow, key FROM quarantine WHERE resolved_at IS NULL AND replay
UNION ALL
SELECT pair, flow, key FROM override WHERE state <> 'in use';

CREATE UNIQUE INDEX ON acceptance (pair, flow, says) WHERE run_id IS NULL;
