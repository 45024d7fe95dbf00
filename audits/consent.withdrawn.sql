-- ---
-- id: consent.withdrawn
-- title: Processing after consent was withdrawn
-- severity: high
-- regulation: GDPR Art. 7(3)
-- threshold: 0
-- owner: team:privacy
-- description: >
--   Data was processed, disclosed, sold or shared on the basis of consent although the subject's latest signal for
--   that purpose before it was a withdrawal.
-- ---
-- A withdrawal ends the basis for what comes after it and leaves what came before it lawful (Art. 7(3)).
--
-- Decided: at one instant, processing comes before a withdrawal and after a consent. Of a consent and a withdrawal at
-- one instant the withdrawal counts. Purposes are compared without regard to case. A withdrawal that nothing preceded
-- counts all the same. Rows without subject, purpose or time can't be judged; completeness.mandatory_fields lists them.
WITH events AS (
    SELECT
        subject_id,
        log_id,
        event_time,
        lower(trim(purpose)) AS purpose,
        -- the order of events at one instant
        CASE lower(event_type) WHEN 'consent_given' THEN 0 WHEN 'consent_withdrawn' THEN 2 ELSE 1 END AS turn
    FROM privacy_logs
    WHERE snapshot_date = :snapshot_date
        AND subject_id <> '' AND regexp_like(purpose, '\S') AND event_time IS NOT NULL
        AND (
            lower(event_type) IN ('consent_given', 'consent_withdrawn')
            OR (
                lower(event_type) IN ('processing', 'disclosure', 'sale_or_share')
                AND lower(trim(legal_basis)) IN
                    ('consent', 'explicit_consent', 'parental_consent', 'explicit_parental_consent')
            )
        )
),

history AS (
    SELECT
        subject_id,
        log_id,
        turn,
        max(CASE WHEN turn = 0 THEN event_time END) OVER so_far AS given_at,
        max(CASE WHEN turn = 2 THEN event_time END) OVER so_far AS withdrawn_at
    FROM events
    WINDOW so_far AS (
        PARTITION BY subject_id, purpose ORDER BY event_time, turn
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
)

SELECT DISTINCT
    subject_id AS subject,
    log_id AS row_key,
    'processed on consent after the consent for this purpose was withdrawn' AS reason
FROM history
WHERE turn = 1 AND withdrawn_at IS NOT NULL AND (given_at IS NULL OR given_at <= withdrawn_at)
