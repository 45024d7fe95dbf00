-- ---
-- id: optout.gpc_ignored
-- title: Sale or sharing after a Global Privacy Control signal
-- severity: high
-- regulation: CCPA Civ. Code § 1798.135(b), (e); 11 CCR § 7025(c)(1)
-- threshold: 0
-- owner: team:privacy
-- description: >
--   Data was sold or shared after the subject's browser had sent a Global Privacy Control signal that no later opt-in
--   had reversed.
-- ---
-- An opt-out preference signal is a valid request to opt out of sale and sharing (11 CCR § 7025(c)(1)). It is handled by
-- machines when it arrives, so no days of grace are granted here; a request by other means has fifteen business days
-- (optout.sale_after_opt_out).
--
-- Decided: an opt-in that follows the signal is the subject's own, newer word and reverses it; a signal that follows the
-- opt-in stands again. At one instant, a sale comes before a signal and after an opt-in; of an opt-in and a signal at
-- one instant the signal counts. Subjects of every jurisdiction are treated alike: whoever sends the signal means it.
WITH events AS (
    SELECT
        subject_id,
        log_id,
        event_time,
        -- the order of events at one instant
        CASE lower(event_type) WHEN 'opt_in_sale' THEN 0 WHEN 'sale_or_share' THEN 1 ELSE 2 END AS turn
    FROM privacy_logs
    WHERE snapshot_date = :snapshot_date
        AND subject_id <> '' AND event_time IS NOT NULL
        AND lower(event_type) IN ('opt_in_sale', 'sale_or_share', 'gpc_signal')
),

history AS (
    SELECT
        subject_id,
        log_id,
        turn,
        max(CASE WHEN turn = 0 THEN event_time END) OVER so_far AS opted_in_at,
        max(CASE WHEN turn = 2 THEN event_time END) OVER so_far AS signalled_at
    FROM events
    WINDOW so_far AS (
        PARTITION BY subject_id ORDER BY event_time, turn
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
)

SELECT DISTINCT
    subject_id AS subject,
    log_id AS row_key,
    concat('sold or shared after the GPC signal of ', CAST(CAST(signalled_at AS date) AS varchar)) AS reason
FROM history
WHERE turn = 1 AND signalled_at IS NOT NULL AND (opted_in_at IS NULL OR opted_in_at <= signalled_at)
