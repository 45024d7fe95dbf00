-- ---
-- id: retention.expired
-- title: Rows kept beyond their retention
-- severity: medium
-- regulation: GDPR Art. 5(1)(e)
-- threshold: 0
-- owner: team:privacy
-- description: A row was still in the snapshot although its own retention had ended before the snapshot was taken.
-- ---
-- Storage limitation (Art. 5(1)(e)): what has served its time goes. The row itself says until when it may stay.
--
-- Decided: a row may stay through the instant of its retention_until; only what ended before the snapshot's instant
-- counts. A row without retention_until states no limit and isn't judged here.
SELECT DISTINCT
    subject_id AS subject,
    log_id AS row_key,
    concat(
        'retention ended on ', CAST(CAST(retention_until AS date) AS varchar), ', ',
        CAST(date_diff('day', retention_until, :as_of) AS varchar), ' full days before the snapshot'
    ) AS reason
FROM privacy_logs
WHERE snapshot_date = :snapshot_date
    AND retention_until < :as_of
