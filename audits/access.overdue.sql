-- ---
-- id: access.overdue
-- title: Access requests not answered in time
-- severity: high
-- regulation: GDPR Art. 12(3), 15; Regulation (EEC, Euratom) 1182/71 Art. 3; CCPA Civ. Code § 1798.130(a)(2), 11 CCR § 7021(b)
-- threshold: 0
-- owner: team:privacy
-- description: >
--   A request for access was answered after its deadline, or is still open past it: one month, or 45 days in
--   California.
-- ---
-- One month from receipt (Art. 12(3)) as Regulation 1182/71 counts it: the day of receipt doesn't count (Art. 3(1)); the
-- period ends with the last hour of the day that has the same date in the next month, or of that month's last day when
-- it has no such date (Art. 3(2)(c)); if that is a Saturday, a Sunday or a public holiday, with the last hour of the
-- following working day (Art. 3(4)). In California 45 calendar days (11 CCR § 7021(b)), which end on whatever day it is.
--
-- The answer is the first disclosure to the subject at or after the request: one whose recipient is empty, "subject",
-- "data_subject" or the subject. What is disclosed to somebody else answers nobody's request.
--
-- Decided: what was done late stays a violation as much as what is still open; the reason tells them apart. One answer
-- serves all requests before it, also one of the same instant. Every jurisdiction but US-CA has the month; its holidays
-- are those of its country, and outside the EEA and the United Kingdom weekends alone move a deadline. UK is GB, and EL is
-- GR. Where the jurisdiction is there and no code that begins with an ISO 3166 country, the latest of all deadlines counts,
-- 45 days; completeness.mandatory_fields lists the row. Days are UTC days. Extensions (Art. 12(3), second sentence) aren't in the log and aren't granted. Events after the snapshot's
-- instant haven't happened yet.
WITH events AS (
    SELECT
        subject_id,
        log_id,
        event_time,
        coalesce(upper(trim(jurisdiction)), '') AS jurisdiction,
        lower(event_type) = 'access_request' AS asks,
        min(
            CASE
                WHEN lower(event_type) = 'disclosure'
                AND (
                    coalesce(trim(recipient), '') = ''
                    OR lower(trim(recipient)) IN ('subject', 'data_subject')
                    OR recipient = subject_id
                ) THEN event_time
            END
        ) OVER (
            PARTITION BY subject_id ORDER BY event_time
            RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
        ) AS answered_at
    FROM privacy_logs
    WHERE snapshot_date = :snapshot_date
        AND subject_id <> '' AND event_time <= :as_of
        AND lower(event_type) IN ('access_request', 'disclosure')
),

requests AS (
    SELECT
        subject_id,
        log_id,
        answered_at,
        CASE substr(jurisdiction, 1, 2) WHEN 'UK' THEN 'GB' WHEN 'EL' THEN 'GR' ELSE substr(jurisdiction, 1, 2) END AS country,
        jurisdiction <> 'US-CA' AND regexp_like(jurisdiction, '^([A-Z]{2}(-[A-Z0-9]{1,3})?)?$') AS rolls,
        CASE
            WHEN jurisdiction = 'US-CA' OR NOT regexp_like(jurisdiction, '^([A-Z]{2}(-[A-Z0-9]{1,3})?)?$') THEN date_add('day', 45, CAST(event_time AS date))
            ELSE date_add('month', 1, CAST(event_time AS date)) -- clamps to the month's end
        END AS ends_on
    FROM events
    WHERE asks
),

-- Weekends and holidays only lengthen a period, so nothing but these can be late.
past_due AS (
    SELECT *
    FROM requests
    WHERE coalesce(answered_at, :as_of) >= CAST(date_add('day', 1, ends_on) AS timestamp)
),

-- The public holidays of the European Economic Area and the United Kingdom that hold in the whole country, as in force
-- in 2026: those on a date (month and day), those counted from Easter Sunday, Western or Orthodox; those on a weekday
-- of a month stand in "working" below. Holidays of a region or decreed for one year aren't known here.
holidays (country, orthodox, on_date, from_easter) AS (
    VALUES
        ('AT', false, ARRAY[101, 106, 501, 815, 1026, 1101, 1208, 1225, 1226], ARRAY[1, 39, 50, 60]),
        ('BE', false, ARRAY[101, 501, 721, 815, 1101, 1111, 1225], ARRAY[1, 39, 50]),
        ('BG', true, ARRAY[101, 303, 501, 506, 524, 906, 922, 1224, 1225, 1226], ARRAY[-2, -1, 0, 1]),
        ('CY', true, ARRAY[101, 106, 325, 401, 501, 815, 1001, 1028, 1225, 1226], ARRAY[-48, -2, 1, 50]),
        ('CZ', false, ARRAY[101, 501, 508, 705, 706, 928, 1028, 1117, 1224, 1225, 1226], ARRAY[-2, 1]),
        ('DE', false, ARRAY[101, 501, 1003, 1225, 1226], ARRAY[-2, 1, 39, 50]),
        ('DK', false, ARRAY[101, 1225, 1226], ARRAY[-3, -2, 1, 39, 50]),
        ('EE', false, ARRAY[101, 224, 501, 623, 624, 820, 1224, 1225, 1226], ARRAY[-2]),
        ('ES', false, ARRAY[101, 106, 501, 815, 1012, 1101, 1206, 1208, 1225], ARRAY[-2]),
        ('FI', false, ARRAY[101, 106, 501, 1206, 1224, 1225, 1226], ARRAY[-2, 1, 39]),
        ('FR', false, ARRAY[101, 501, 508, 714, 815, 1101, 1111, 1225], ARRAY[1, 39, 50]),
        ('GB', false, ARRAY[101, 1225, 1226], ARRAY[-2, 1]),
        ('GR', true, ARRAY[101, 106, 325, 501, 815, 1028, 1225, 1226], ARRAY[-48, -2, 1, 50]),
        ('HR', false, ARRAY[101, 106, 501, 530, 622, 805, 815, 1101, 1118, 1225, 1226], ARRAY[1, 60]),
        ('HU', false, ARRAY[101, 315, 501, 820, 1023, 1101, 1225, 1226], ARRAY[-2, 1, 50]),
        ('IE', false, ARRAY[101, 317, 1225, 1226], ARRAY[1]),
        ('IS', false, ARRAY[101, 501, 617, 1225, 1226], ARRAY[-3, -2, 1, 39, 50]),
        ('IT', false, ARRAY[101, 106, 425, 501, 602, 815, 1004, 1101, 1208, 1225, 1226], ARRAY[1]),
        ('LI', false, ARRAY[101, 106, 501, 815, 908, 1101, 1208, 1225, 1226], ARRAY[1, 39, 50, 60]),
        ('LT', false, ARRAY[101, 216, 311, 501, 624, 706, 815, 1101, 1102, 1224, 1225, 1226], ARRAY[1]),
        ('LU', false, ARRAY[101, 501, 509, 623, 815, 1101, 1225, 1226], ARRAY[1, 39, 50]),
        ('LV', false, ARRAY[101, 501, 504, 623, 624, 1118, 1224, 1225, 1226, 1231], ARRAY[-2, 1]),
        ('MT', false, ARRAY[101, 210, 319, 331, 501, 607, 629, 815, 908, 921, 1208, 1213, 1225], ARRAY[-2]),
        ('NL', false, ARRAY[101, 427, 505, 1225, 1226], ARRAY[-2, 1, 39, 50]),
        ('NO', false, ARRAY[101, 501, 517, 1225, 1226], ARRAY[-3, -2, 1, 39, 50]),
        ('PL', false, ARRAY[101, 106, 501, 503, 815, 1101, 1111, 1224, 1225, 1226], ARRAY[1, 60]),
        ('PT', false, ARRAY[101, 425, 501, 610, 815, 1005, 1101, 1201, 1208, 1225], ARRAY[-2, 60]),
        ('RO', true, ARRAY[101, 102, 106, 107, 124, 501, 601, 815, 1130, 1201, 1225, 1226], ARRAY[-2, 1, 50]),
        ('SE', false, ARRAY[101, 106, 501, 606, 1224, 1225, 1226, 1231], ARRAY[-2, 1, 39]),
        ('SI', false, ARRAY[101, 102, 208, 427, 501, 502, 625, 815, 1031, 1101, 1225, 1226], ARRAY[1]),
        ('SK', false, ARRAY[101, 106, 501, 508, 705, 829, 915, 1101, 1117, 1224, 1225, 1226], ARRAY[-2, 1])
),

-- The ten days from each date on which a period would end on a weekday-blind calendar.
days AS (
    SELECT ends_on, country, date_add('day', n, ends_on) AS a_day
    FROM (SELECT DISTINCT ends_on, country FROM past_due WHERE rolls) AS ends
    CROSS JOIN UNNEST(sequence(0, 9)) AS t (n)
),

-- Gauss's Easter, for 1900 to 2099, as days from 22 March.
calendar AS (
    SELECT
        ends_on,
        country,
        a_day,
        day_of_week(a_day) AS weekday, -- 1 is Monday
        100 * month(a_day) + day(a_day) AS m_d,
        date_add('day', 21, date_add('month', 2, date_trunc('year', a_day))) AS march_22,
        (19 * (year(a_day) % 19) + 24) % 30 AS west,
        (19 * (year(a_day) % 19) + 15) % 30 AS east,
        2 * (year(a_day) % 4) + 4 * (year(a_day) % 7) AS weeks,
        CASE WHEN year(a_day) IN (1954, 1981, 2049, 2076) THEN 7 ELSE 0 END AS too_late
    FROM days
),

easter AS (
    SELECT
        ends_on,
        country,
        a_day,
        weekday,
        m_d,
        date_diff('day', march_22, a_day) - (west + (weeks + 6 * west + 5) % 7 - too_late) AS from_western,
        date_diff('day', march_22, a_day) - (13 + east + (weeks + 6 * east + 6) % 7) AS from_orthodox
    FROM calendar
),

-- The first working day from then on, for every end of a period and country.
working AS (
    SELECT easter.ends_on, easter.country, min(easter.a_day) AS last_day
    FROM easter
    LEFT JOIN holidays ON easter.country = holidays.country
    WHERE weekday <= 5
        AND NOT coalesce(contains(on_date, m_d), false)
        AND NOT coalesce(contains(from_easter, CASE WHEN orthodox THEN from_orthodox ELSE from_western END), false)
        AND NOT (easter.country = 'BG' AND weekday = 1 -- kept on the Monday after
            AND (contains(on_date, m_d - 1) OR contains(on_date, m_d - 2)))
        AND NOT (easter.country IN ('FI', 'SE') AND weekday = 5 AND m_d BETWEEN 619 AND 625) -- Midsummer Eve
        AND NOT (easter.country = 'GB' AND (
            (weekday = 1 AND (m_d BETWEEN 501 AND 507 OR m_d BETWEEN 525 AND 531 OR m_d BETWEEN 825 AND 831))
            OR (weekday = 1 AND m_d IN (102, 103))
            OR (weekday IN (1, 2) AND m_d IN (1227, 1228))))
        AND NOT (easter.country = 'IE' AND (
            (weekday = 1 AND (m_d BETWEEN 501 AND 507 OR m_d BETWEEN 601 AND 607 OR m_d BETWEEN 801 AND 807))
            OR (weekday = 1 AND (m_d BETWEEN 1025 AND 1031 OR m_d IN (202, 203, 205, 206, 207)))
            OR m_d = 201 AND weekday IN (1, 5)))
        AND NOT (easter.country = 'IS' AND (
            (weekday = 1 AND m_d BETWEEN 801 AND 807) OR (weekday = 4 AND m_d BETWEEN 419 AND 425)))
        AND NOT (easter.country = 'LV' AND weekday = 1 AND m_d IN (505, 506, 1119, 1120))
    GROUP BY easter.ends_on, easter.country
)

SELECT DISTINCT
    past_due.subject_id AS subject,
    past_due.log_id AS row_key,
    concat(
        'the access request was due by ', CAST(coalesce(working.last_day, past_due.ends_on) AS varchar),
        CASE
            WHEN past_due.answered_at IS NULL THEN ' and is still open'
            ELSE concat(' and was answered on ', CAST(CAST(past_due.answered_at AS date) AS varchar))
        END
    ) AS reason
FROM past_due
LEFT JOIN working ON past_due.rolls AND past_due.ends_on = working.ends_on AND past_due.country = working.country
WHERE coalesce(past_due.answered_at, :as_of)
    >= CAST(date_add('day', 1, coalesce(working.last_day, past_due.ends_on)) AS timestamp)
