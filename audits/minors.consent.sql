-- ---
-- id: minors.consent
-- title: A child's own consent where a parent's is needed
-- severity: critical
-- regulation: GDPR Art. 8; COPPA 15 U.S.C. § 6502, 16 CFR § 312.5
-- threshold: 0
-- owner: team:privacy
-- description: >
--   Data of a child below the age of digital consent was processed on the child's own consent; or, in the United
--   States, data of a child under 13 without a parent's verifiable consent.
-- ---
-- Below the age its country has set between 13 and 16, a child's consent must be given or authorised by the holder of
-- parental responsibility (Art. 8(1)): the row then says legal_basis parental_consent or explicit_parental_consent.
-- In the United States a parent's verifiable consent is needed under 13, on whatever basis (16 CFR § 312.5).
--
-- Decided: where no law sets an age, and where the jurisdiction is missing, the Regulation's own 16 holds. Where the
-- jurisdiction is there and no code that begins with an ISO 3166 country, 13 holds, below which no law goes (Art. 8(1));
-- completeness.mandatory_fields lists the row. UK is GB, and EL is GR. On bases
-- other than consent Art. 8 asks for nothing. The ages are those in force in 2026. The age is the one that the row
-- states; on the birthday itself the child has reached it. Rows without subject_age, and answers to the subject, aren't
-- judged.
WITH ages (country, age) AS (
    VALUES
        ('AT', 14), -- DSG § 4(4)
        ('BE', 13), -- Act of 30 July 2018, Art. 7
        ('BG', 14), -- Personal Data Protection Act, Art. 25c
        ('CY', 14), -- Law 125(I)/2018, s. 8
        ('CZ', 15), -- Act 110/2019, § 7
        ('DE', 16), -- no derogation
        ('DK', 15), -- Databeskyttelsesloven § 6(2), 13 until the end of 2023
        ('EE', 13), -- Personal Data Protection Act, § 8
        ('ES', 14), -- LOPDGDD, Art. 7
        ('FI', 13), -- Data Protection Act 1050/2018, § 5
        ('FR', 15), -- Loi Informatique et Libertés, Art. 45
        ('GR', 15), -- Law 4624/2019, Art. 21
        ('HR', 16), -- Act on the Implementation of the GDPR, Art. 19
        ('HU', 16), -- no derogation
        ('IE', 16), -- Data Protection Act 2018, s. 31
        ('IT', 14), -- Codice Privacy, Art. 2-quinquies
        ('LT', 14), -- Law on Legal Protection of Personal Data, Art. 6
        ('LU', 16), -- no derogation
        ('LV', 13), -- Personal Data Processing Law, s. 33
        ('MT', 13), -- Subsidiary Legislation 586.11
        ('NL', 16), -- UAVG Art. 5
        ('PL', 16), -- no derogation
        ('PT', 13), -- Law 58/2019, Art. 16
        ('RO', 16), -- no derogation
        ('SE', 13), -- Act 2018:218, ch. 2 § 4
        ('SI', 15), -- ZVOP-2, Art. 8
        ('SK', 16), -- Act 18/2018, § 15
        ('IS', 13), -- Act 90/2018, Art. 10
        ('LI', 16), -- no derogation
        ('NO', 13), -- Personopplysningsloven § 5
        ('GB', 13), -- Data Protection Act 2018, s. 9
        ('US', 13) -- COPPA, 15 U.S.C. § 6501(1)
),

uses AS (
    SELECT
        subject_id,
        log_id,
        subject_age,
        coalesce(trim(jurisdiction), '') AS jurisdiction,
        regexp_extract(upper(trim(jurisdiction)), '^([A-Z]{2})(?:-[A-Z0-9]{1,3})?$', 1) AS code,
        coalesce(lower(trim(legal_basis)), '') AS legal_basis
    FROM privacy_logs
    WHERE snapshot_date = :snapshot_date
        AND subject_age < 16
        AND (
            lower(event_type) IN ('processing', 'sale_or_share')
            OR (
                lower(event_type) = 'disclosure'
                AND trim(recipient) <> '' AND lower(trim(recipient)) NOT IN ('subject', 'data_subject')
                AND recipient <> coalesce(subject_id, '')
            )
        )
),

judged AS (
    SELECT
        uses.subject_id,
        uses.log_id,
        uses.subject_age,
        uses.legal_basis,
        coalesce(uses.code, '') = 'US' AS american,
        CASE WHEN uses.code IS NULL AND uses.jurisdiction <> '' THEN 13 ELSE coalesce(ages.age, 16) END AS age
    FROM uses
    LEFT JOIN ages ON CASE uses.code WHEN 'UK' THEN 'GB' WHEN 'EL' THEN 'GR' ELSE uses.code END = ages.country
)

SELECT DISTINCT
    subject_id AS subject,
    log_id AS row_key,
    concat(
        'a child under ', CAST(age AS varchar),
        CASE WHEN american THEN ', without a parent''s consent' ELSE ', on its own consent' END
    ) AS reason
FROM judged
WHERE subject_age < age
    AND (
        legal_basis IN ('consent', 'explicit_consent')
        OR (american AND legal_basis NOT IN ('parental_consent', 'explicit_parental_consent'))
    )
