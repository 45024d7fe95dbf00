-- ---
-- id: consent.missing
-- title: Processing on consent that was never given
-- severity: high
-- regulation: GDPR Art. 6(1)(a), 7(1)
-- threshold: 0
-- owner: team:privacy
-- description: >
--   Data was processed, disclosed, sold or shared on the basis of consent, and the subject had not given any for that
--   purpose by then.
-- ---
-- The controller must be able to show the consent (Art. 7(1)), for the very purpose (Art. 6(1)(a)). Processing is
-- every use, disclosure and sale of data (Art. 4(2)); a row claims consent by its legal_basis, and the claim is checked.
--
-- Decided: a consent given at the very instant of the processing counts as given before. Purposes are compared
-- without regard to case. Rows without subject, purpose or time can't be judged; completeness.mandatory_fields lists them.
WITH events AS (
    SELECT
        subject_id,
        log_id,
        event_time,
        lower(trim(purpose)) AS purpose,
        lower(event_type) = 'consent_given' AS gives
    FROM privacy_logs
    WHERE snapshot_date = :snapshot_date
        AND subject_id <> '' AND regexp_like(purpose, '\S') AND event_time IS NOT NULL
        AND (
            lower(event_type) = 'consent_given'
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
        gives,
        -- RANGE, so that a consent at the same instant is within the frame.
        max(CASE WHEN gives THEN event_time END) OVER (
            PARTITION BY subject_id, purpose ORDER BY event_time
            RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS given_at
    FROM events
)

SELECT DISTINCT
    subject_id AS subject,
    log_id AS row_key,
    'processed on consent, but no consent for this purpose was given before' AS reason
FROM history
WHERE NOT gives AND given_at IS NULL
