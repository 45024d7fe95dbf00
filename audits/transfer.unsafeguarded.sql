-- ---
-- id: transfer.unsafeguarded
-- title: Transfer to a third country without a safeguard
-- severity: high
-- regulation: GDPR Chapter V, Art. 44 to 46, 49
-- threshold: 0
-- owner: team:privacy
-- description: >
--   Data went to a recipient in a country outside the European Economic Area that the Commission hadn't found
--   adequate by then, and the row names no safeguard.
-- ---
-- A transfer to a third country needs an adequacy decision (Art. 45), appropriate safeguards (Art. 46) or a derogation
-- (Art. 49). The row's safeguard names which: scc, bcr, dpf, art49_explicit_consent, …; any text counts but one without
-- letters (empty, -, ?) and words that name none: none, no, n/a, null, unknown, tbd and the like.
--
-- Decided: processing by a recipient abroad is a transfer as much as a disclosure or sale. The United States are
-- adequate only for recipients certified under the Data Privacy Framework (Decision (EU) 2023/1795), which the country
-- doesn't tell: the row must name the safeguard dpf. Canada (commercial organisations) and Japan (private sector) are
-- taken as adequate. A recipient in the subject's own country is no transfer, nor is an answer to the subject
-- (EDPB Guidelines 05/2021, no. 11 to 14). Countries are ISO 3166 codes of two letters, whatever follows a hyphen; UK is
-- GB, and EL is GR. A row whose recipient_country is missing, or is no such code, can't be judged, nor one whose
-- jurisdiction is there and no such code; completeness.mandatory_fields lists them. A code that is nobody's counts as a
-- third country.
WITH eea (country) AS (
    VALUES
        ('AT'), ('BE'), ('BG'), ('CY'), ('CZ'), ('DE'), ('DK'), ('EE'), ('ES'), ('FI'), ('FR'), ('GR'), ('HR'), ('HU'),
        ('IE'), ('IT'), ('LT'), ('LU'), ('LV'), ('MT'), ('NL'), ('PL'), ('PT'), ('RO'), ('SE'), ('SI'), ('SK'),
        ('IS'), ('LI'), ('NO'), -- Decision of the EEA Joint Committee 154/2018
        ('AX'), ('GF'), ('GP'), ('MF'), ('MQ'), ('RE'), ('YT'), -- parts of the Union with a code of their own
        ('EU') -- the Union as such
),

-- The Commission's adequacy decisions as of 2026-11 (commission.europa.eu, "Adequacy decisions"), each from its date.
adequate (country, since, until) AS (
    VALUES
        ('CH', DATE '2000-07-26', DATE '9999-12-31'), -- Switzerland, 2000/518/EC
        ('CA', DATE '2001-12-20', DATE '9999-12-31'), -- Canada, commercial organisations, 2002/2/EC
        ('AR', DATE '2003-06-30', DATE '9999-12-31'), -- Argentina, 2003/490/EC
        ('GG', DATE '2003-11-21', DATE '9999-12-31'), -- Guernsey, 2003/821/EC
        ('IM', DATE '2004-04-28', DATE '9999-12-31'), -- Isle of Man, 2004/411/EC
        ('JE', DATE '2008-05-08', DATE '9999-12-31'), -- Jersey, 2008/393/EC
        ('FO', DATE '2010-03-05', DATE '9999-12-31'), -- Faroe Islands, 2010/146/EU
        ('AD', DATE '2010-10-19', DATE '9999-12-31'), -- Andorra, 2010/625/EU
        ('IL', DATE '2011-01-31', DATE '9999-12-31'), -- Israel, 2011/61/EU
        ('UY', DATE '2012-08-21', DATE '9999-12-31'), -- Uruguay, 2012/484/EU
        ('NZ', DATE '2012-12-19', DATE '9999-12-31'), -- New Zealand, 2013/65/EU
        ('JP', DATE '2019-01-23', DATE '9999-12-31'), -- Japan, private sector, (EU) 2019/419
        ('KR', DATE '2021-12-17', DATE '9999-12-31'), -- Republic of Korea, (EU) 2022/254
        ('BR', DATE '2026-01-26', DATE '9999-12-31'), -- Brazil, (EU) 2026/179
        -- United Kingdom: Member State and transition, the bridge of the Trade and Cooperation Agreement,
        -- (EU) 2021/1772, extended in June and renewed on 19 December 2025
        ('GB', DATE '1900-01-01', DATE '2031-12-27')
),

sent AS (
    SELECT
        subject_id,
        log_id,
        CAST(coalesce(event_time, :as_of) AS date) AS sent_on,
        coalesce(trim(jurisdiction), '') AS jurisdiction,
        -- NULL where the text is no code, which is never repeated in a reason
        regexp_extract(upper(trim(jurisdiction)), '^([A-Z]{2})(?:-[A-Z0-9]{1,3})?$', 1) AS sent_from,
        regexp_extract(upper(trim(recipient_country)), '^([A-Z]{2})(?:-[A-Z0-9]{1,3})?$', 1) AS sent_to
    FROM privacy_logs
    WHERE snapshot_date = :snapshot_date
        AND lower(event_type) IN ('processing', 'disclosure', 'sale_or_share')
        AND (
            NOT coalesce(regexp_like(safeguard, '\p{L}'), false)
            OR lower(trim(safeguard)) IN (
                'none', 'no', 'non', 'nil', 'null', 'na', 'n/a', 'n.a.', 'n.a', 'nan', 'unknown', 'undefined', 'false',
                'tbd', 'tba', 'tbc', 'todo', 'pending', 'missing', 'empty', 'x', 'xx', 'xxx', 'not applicable',
                'not available', 'not known', 'no safeguard', 'no safeguards', 'without', '(none)', '<none>', '[none]'
            )
        )
        AND NOT coalesce(lower(trim(recipient)) IN ('subject', 'data_subject') OR recipient = subject_id, false)
),

transfers AS (
    SELECT
        subject_id,
        log_id,
        sent_on,
        CASE sent_to WHEN 'UK' THEN 'GB' WHEN 'EL' THEN 'GR' ELSE sent_to END AS country,
        CASE sent_from WHEN 'UK' THEN 'GB' WHEN 'EL' THEN 'GR' ELSE sent_from END AS home
    FROM sent
    WHERE sent_to IS NOT NULL AND (jurisdiction = '' OR sent_from IS NOT NULL)
)

SELECT DISTINCT
    transfers.subject_id AS subject,
    transfers.log_id AS row_key,
    concat('sent to ', transfers.country, ' without adequacy decision or safeguard') AS reason
FROM transfers
LEFT JOIN eea ON transfers.country = eea.country
LEFT JOIN adequate
    ON transfers.country = adequate.country
    AND transfers.sent_on BETWEEN adequate.since AND adequate.until
WHERE eea.country IS NULL AND adequate.country IS NULL AND transfers.country <> coalesce(transfers.home, '')
