-- ---
-- id: completeness.mandatory_fields
-- title: Rows without the fields an audit needs
-- severity: medium
-- regulation: GDPR Art. 5(2), 30(1)
-- threshold: 0
-- owner: team:privacy
-- description: >
--   A row lacks a field without which nobody can show that it was lawful, or has a type or time that no audit
--   understands.
-- ---
-- Accountability (Art. 5(2)) and the record of processing (Art. 30(1)) need who, when, what, under which law; for
-- processing its purpose and legal basis; for a consent and its withdrawal the purpose; for data that went to another
-- its recipient and country. The other audits skip what they can't judge and rely on this one to list it.
--
-- Decided: blank text is as good as none. A disclosure without recipient is one to the subject and needs no country.
-- An unknown event_type is listed, as no audit would look at the row, and so is a time after the snapshot's instant. Types
-- are known whatever their case, but not with blanks around them. A jurisdiction or recipient_country is listed that isn't
-- an ISO 3166 code of two letters, which a hyphen and a part of the country may follow (US-CA); UK and EL are known as GB
-- and GR, and EU and XK are codes too. No value is repeated in a reason: it may be anything.
-- One row per event, however much is missing.
WITH codes AS (
    SELECT split(
        concat(
            'UK EL EU XK ',
            'AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV ',
            'BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ',
            'ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE ',
            'IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY ',
            'MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU ',
            'NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM ',
            'SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE ',
            'VG VI VN VU WF WS YE YT ZA ZM ZW'
        ),
        ' '
    ) AS known
),

events AS (
    SELECT
        subject_id,
        log_id,
        event_time,
        lower(event_type) AS event_type,
        NOT coalesce(regexp_like(event_type, '\S'), false) AS no_type,
        NOT coalesce(regexp_like(log_id, '\S'), false) AS no_log_id,
        NOT coalesce(regexp_like(subject_id, '\S'), false) AS no_subject,
        NOT coalesce(regexp_like(jurisdiction, '\S'), false) AS no_jurisdiction,
        NOT coalesce(regexp_like(purpose, '\S'), false) AS no_purpose,
        NOT coalesce(regexp_like(legal_basis, '\S'), false) AS no_legal_basis,
        NOT coalesce(regexp_like(recipient, '\S'), false) AS no_recipient,
        NOT coalesce(regexp_like(recipient_country, '\S'), false) AS no_country,
        regexp_extract(upper(trim(jurisdiction)), '^([A-Z]{2})(?:-[A-Z0-9]{1,3})?$', 1) AS jurisdiction_code,
        regexp_extract(upper(trim(recipient_country)), '^([A-Z]{2})(?:-[A-Z0-9]{1,3})?$', 1) AS country_code,
        lower(trim(recipient)) IN ('subject', 'data_subject') OR recipient = subject_id AS to_subject
    FROM privacy_logs
    WHERE snapshot_date = :snapshot_date
),

lacks AS (
    SELECT
        subject_id,
        log_id,
        no_log_id,
        no_subject,
        no_jurisdiction,
        event_time IS NULL AS no_time,
        coalesce(event_time > :as_of, false) AS in_the_future,
        no_type,
        NOT no_type AND event_type NOT IN (
            'consent_given', 'consent_withdrawn', 'opt_out_sale', 'opt_in_sale', 'gpc_signal', 'processing',
            'sale_or_share', 'access_request', 'disclosure', 'erasure_request', 'erasure_completed'
        ) AS unknown_type,
        no_purpose AND event_type IN ('processing', 'consent_given', 'consent_withdrawn') AS no_purpose,
        no_legal_basis AND event_type = 'processing' AS no_legal_basis,
        no_recipient AND event_type = 'sale_or_share' AS no_recipient,
        no_country AND (
            event_type = 'sale_or_share'
            OR (event_type = 'disclosure' AND NOT no_recipient AND NOT coalesce(to_subject, false))
        ) AS no_country,
        NOT no_jurisdiction AND NOT coalesce(contains(codes.known, jurisdiction_code), false) AS odd_jurisdiction,
        NOT no_country AND NOT coalesce(contains(codes.known, country_code), false) AS odd_country
    FROM events
    CROSS JOIN codes
)

SELECT DISTINCT
    subject_id AS subject,
    coalesce(log_id, '(no log_id)') AS row_key,
    array_join(
        ARRAY[
            concat(
                'missing: ',
                nullif(
                    array_join(
                        ARRAY[
                            CASE WHEN no_log_id THEN 'log_id' END,
                            CASE WHEN no_subject THEN 'subject_id' END,
                            CASE WHEN no_time THEN 'event_time' END,
                            CASE WHEN no_type THEN 'event_type' END,
                            CASE WHEN no_jurisdiction THEN 'jurisdiction' END,
                            CASE WHEN no_purpose THEN 'purpose' END,
                            CASE WHEN no_legal_basis THEN 'legal_basis' END,
                            CASE WHEN no_recipient THEN 'recipient' END,
                            CASE WHEN no_country THEN 'recipient_country' END
                        ],
                        ', '
                    ),
                    ''
                )
            ),
            CASE WHEN in_the_future THEN 'event_time is after the snapshot' END,
            CASE WHEN unknown_type THEN 'event_type is unknown' END,
            CASE WHEN odd_jurisdiction THEN 'jurisdiction is no ISO 3166 code' END,
            CASE WHEN odd_country THEN 'recipient_country is no ISO 3166 code' END
        ],
        '; '
    ) AS reason
FROM lacks
WHERE no_log_id OR no_subject OR no_time OR in_the_future OR no_type OR unknown_type OR no_jurisdiction OR no_purpose
    OR no_legal_basis OR no_recipient OR no_country OR odd_jurisdiction OR odd_country
