-- ---
-- id: volume.anomaly
-- title: Unusual number of events
-- severity: low
-- regulation: GDPR Art. 5(2), 32(1)(d)
-- threshold: 0
-- owner: team:privacy
-- description: >
--   A type of event occurred on the snapshot's day far more often, or far less, than in the seven days before it:
--   logging may be broken, or data may be leaving.
-- ---
-- An audit of logs is worth what the logs are worth. For each event_type the day's count is compared with those of the
-- trailing week. It is anomalous when it lies both
--   * beyond the week's second highest or second lowest day, so that neither the weekend nor a single odd day in the
--     past decides, and
--   * further from the week's median than every one of: 3 robust standard deviations (1.4826 × the median absolute
--     deviation), 4 × the square root of the median (the noise of rare events), 30 % of the median, and 10 events.
--
-- Decided: a day without events counts as 0. Days are UTC days. While the log doesn't reach back seven days there is
-- nothing to compare with and nothing is reported. A violation belongs to no subject; its row_key is the event_type.
WITH counts AS (
    SELECT
        coalesce(nullif(lower(event_type), ''), '(none)') AS event_type,
        count(CASE WHEN CAST(event_time AS date) = :snapshot_date THEN 1 END) AS today,
        array_sort(ARRAY[
            count(CASE WHEN CAST(event_time AS date) = date_add('day', -1, :snapshot_date) THEN 1 END),
            count(CASE WHEN CAST(event_time AS date) = date_add('day', -2, :snapshot_date) THEN 1 END),
            count(CASE WHEN CAST(event_time AS date) = date_add('day', -3, :snapshot_date) THEN 1 END),
            count(CASE WHEN CAST(event_time AS date) = date_add('day', -4, :snapshot_date) THEN 1 END),
            count(CASE WHEN CAST(event_time AS date) = date_add('day', -5, :snapshot_date) THEN 1 END),
            count(CASE WHEN CAST(event_time AS date) = date_add('day', -6, :snapshot_date) THEN 1 END),
            count(CASE WHEN CAST(event_time AS date) = date_add('day', -7, :snapshot_date) THEN 1 END)
        ]) AS week,
        min(min(event_time)) OVER () AS log_begins_at
    FROM privacy_logs
    WHERE snapshot_date = :snapshot_date
    GROUP BY coalesce(nullif(lower(event_type), ''), '(none)')
),

medians AS (
    SELECT event_type, today, week, week[4] AS median
    FROM counts
    WHERE CAST(log_begins_at AS date) <= date_add('day', -7, :snapshot_date)
),

deviations AS (
    SELECT
        event_type,
        today,
        median,
        today < week[2] OR today > week[6] AS beyond_the_week,
        array_sort(ARRAY[
            abs(week[1] - median), abs(week[2] - median), abs(week[3] - median), abs(week[4] - median),
            abs(week[5] - median), abs(week[6] - median), abs(week[7] - median)
        ])[4] AS deviation
    FROM medians
)

SELECT
    CAST(NULL AS varchar) AS subject,
    event_type AS row_key,
    concat(
        CAST(today AS varchar), ' events of this type on the day, where the week before had a median of ',
        CAST(median AS varchar)
    ) AS reason
FROM deviations
WHERE beyond_the_week
    AND abs(today - median) > greatest(3 * 1.4826e0 * deviation, 4 * sqrt(median), 0.3e0 * median, 10e0)
