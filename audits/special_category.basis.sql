-- ---
-- id: special_category.basis
-- title: Special categories without an Article 9 ground
-- severity: critical
-- regulation: GDPR Art. 9(1), 9(2)
-- threshold: 0
-- owner: team:privacy
-- description: >
--   Data of a special category (health, beliefs, biometrics, …) was processed, disclosed, sold or shared, and the row
--   names no ground of Art. 9(2) for it.
-- ---
-- Processing special categories is prohibited (Art. 9(1)) unless a ground of Art. 9(2) applies. A basis of Art. 6 alone,
-- such as consent that isn't explicit, contract or legitimate_interests, doesn't lift the prohibition.
--
-- Decided: a row is of a special category when it says so (special_category is true). No legal_basis is no ground. An
-- answer to the subject needs none (Art. 15). Rows of every jurisdiction are held to it.
SELECT DISTINCT
    subject_id AS subject,
    log_id AS row_key,
    'special category data without a ground of Art. 9(2)' AS reason
FROM privacy_logs
WHERE snapshot_date = :snapshot_date
    AND special_category
    AND (
        lower(event_type) IN ('processing', 'sale_or_share')
        OR (
            lower(event_type) = 'disclosure'
            AND trim(recipient) <> '' AND lower(trim(recipient)) NOT IN ('subject', 'data_subject')
            AND recipient <> coalesce(subject_id, '')
        )
    )
    AND coalesce(lower(trim(legal_basis)), '') NOT IN (
        'explicit_consent', 'explicit_parental_consent', -- (a)
        'employment_and_social_security', -- (b)
        'vital_interests', -- (c)
        'nonprofit_members', -- (d)
        'manifestly_public', -- (e)
        'legal_claims', -- (f)
        'substantial_public_interest', -- (g)
        'health_care', -- (h)
        'public_health', -- (i)
        'research_and_archiving' -- (j)
    )
