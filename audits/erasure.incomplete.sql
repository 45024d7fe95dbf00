-- ---
-- id: erasure.incomplete
-- title: Rows that an erasure left behind
-- severity: critical
-- regulation: GDPR Art. 17(1), 17(3), 5(2)
-- threshold: 0
-- owner: team:privacy
-- description: >
--   A row about a subject was still in the snapshot although it is older than an erasure of that subject that had
--   been completed by then.
-- ---
-- When an erasure is said to be completed, what was known of the subject before it is gone (Art. 17(1)).
--
-- What may stay, and why:
--   * the requests, their answers and the subject's signals (consents, withdrawals, opt-outs, opt-ins, GPC): they prove
--     that the law was kept (Art. 5(2), 7(1)), may be needed for legal claims (Art. 17(3)(e); EDPB Guidelines 05/2020,
--     no. 108), and an opt-out can only be honoured by who remembers it;
--   * rows kept on legal_obligation, public_task, public_interest, public_health, research_and_archiving or
--     legal_claims (Art. 17(3)(b) to (e)).
-- So what must be gone are uses, sales and disclosures to others on every other basis, and rows of a type that nobody
-- knows. An answer to the subject is a disclosure whose recipient is empty, "subject", "data_subject" or the subject.
--
-- Decided: a row at the very instant of the completion isn't older than it. Of several completed erasures the last
-- counts. A completion dated after the snapshot hasn't happened yet. Data collected after the erasure may be there.
WITH events AS (
    SELECT
        subject_id,
        log_id,
        event_time,
        lower(event_type) AS event_type,
        legal_basis,
        recipient,
        max(
            CASE WHEN lower(event_type) = 'erasure_completed' AND event_time <= :as_of THEN event_time END
        ) OVER (PARTITION BY subject_id) AS erased_at
    FROM privacy_logs
    WHERE snapshot_date = :snapshot_date
        AND subject_id <> ''
        AND coalesce(lower(event_type), '') NOT IN (
            'access_request', 'erasure_request', 'consent_given', 'consent_withdrawn', 'opt_out_sale', 'opt_in_sale',
            'gpc_signal'
        )
)

SELECT DISTINCT
    subject_id AS subject,
    log_id AS row_key,
    concat(
        'a row of type ',
        CASE WHEN event_type IN ('processing', 'disclosure', 'sale_or_share') THEN event_type ELSE 'unknown' END,
        ' from before the erasure of ', CAST(CAST(erased_at AS date) AS varchar), ' is still there'
    ) AS reason
FROM events
WHERE event_time < erased_at
    AND coalesce(event_type, '') <> 'erasure_completed'
    AND coalesce(lower(trim(legal_basis)), '') NOT IN (
        'legal_obligation', 'public_task', 'public_interest', 'public_health', 'research_and_archiving', 'legal_claims'
    )
    AND NOT (
        coalesce(event_type, '') = 'disclosure'
        AND (
            coalesce(trim(recipient), '') = ''
            OR lower(trim(recipient)) IN ('subject', 'data_subject')
            OR recipient = subject_id
        )
    )
