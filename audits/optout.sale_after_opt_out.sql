-- ---
-- id: optout.sale_after_opt_out
-- title: Sale or sharing after an opt-out
-- severity: high
-- regulation: CCPA Civ. Code § 1798.120(a), (d); 11 CCR § 7026(f)
-- threshold: 0
-- owner: team:privacy
-- description: >
--   Data was sold or shared more than fifteen business days after the subject had opted out, and the subject had not
--   opted in again in between.
-- ---
-- The business stops selling and sharing as soon as feasible, and no later than fifteen business days from the date it
-- receives the request (11 CCR § 7026(f)(1)).
--
-- Decided: a business day is a day from Monday to Friday that is no federal holiday (5 U.S.C. § 6103: a holiday on a
-- Saturday is kept on the Friday before, one on a Sunday on the Monday after); the CCPA doesn't define it. The day of
-- the opt-out doesn't count, and the fifteenth business day is granted to its end (UTC): what is sold on the day after,
-- be it a weekend, is a violation. The first opt-out since the last opt-in starts the clock; asking again doesn't
-- restart it. At one instant, a sale comes before an opt-out and after an opt-in; of an opt-in and an opt-out at one
-- instant the opt-out counts. Subjects of every jurisdiction are treated alike: who was offered an opt-out may rely on it.
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
        AND lower(event_type) IN ('opt_in_sale', 'sale_or_share', 'opt_out_sale')
),

-- An opt-in begins a new era of its subject.
eras AS (
    SELECT
        subject_id,
        log_id,
        event_time,
        turn,
        sum(CASE WHEN turn = 0 THEN 1 ELSE 0 END) OVER (
            PARTITION BY subject_id ORDER BY event_time, turn
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS era
    FROM events
),

sales AS (
    SELECT
        subject_id,
        log_id,
        turn,
        CAST(event_time AS date) AS sold_on,
        CAST(min(CASE WHEN turn = 2 THEN event_time END) OVER (PARTITION BY subject_id, era) AS date) AS opted_out_on
    FROM eras
),

late AS (
    SELECT subject_id, log_id, sold_on, opted_out_on
    FROM sales
    WHERE turn = 1 AND sold_on > date_add('day', 15, opted_out_on)
),

-- Fifteen business days end within 31 days, whatever the holidays.
days AS (
    SELECT opted_out_on, date_add('day', n, opted_out_on) AS a_day
    FROM (SELECT DISTINCT opted_out_on FROM late) AS opt_outs
    CROSS JOIN UNNEST(sequence(1, 31)) AS t (n)
),

calendar AS (
    SELECT
        opted_out_on,
        a_day,
        day_of_week(a_day) AS weekday, -- 1 is Monday
        month(a_day) AS m,
        day(a_day) AS d,
        100 * month(a_day) + day(a_day) AS m_d,
        100 * month(date_add('day', -1, a_day)) + day(date_add('day', -1, a_day)) AS m_d_before,
        100 * month(date_add('day', 1, a_day)) + day(date_add('day', 1, a_day)) AS m_d_after
    FROM days
),

deadlines AS (
    SELECT
        opted_out_on,
        a_day AS last_day,
        row_number() OVER (PARTITION BY opted_out_on ORDER BY a_day) AS business_day
    FROM calendar
    WHERE weekday <= 5
        -- New Year, Juneteenth, Independence Day, Veterans Day, Christmas
        AND m_d NOT IN (101, 619, 704, 1111, 1225)
        AND NOT (weekday = 1 AND m_d_before IN (101, 619, 704, 1111, 1225))
        AND NOT (weekday = 5 AND m_d_after IN (101, 619, 704, 1111, 1225))
        -- Martin Luther King Day, Washington's Birthday: third Monday; Memorial Day: last; Labor Day: first;
        -- Columbus Day: second Monday; Thanksgiving: fourth Thursday
        AND NOT (weekday = 1 AND m IN (1, 2) AND d BETWEEN 15 AND 21)
        AND NOT (weekday = 1 AND m = 5 AND d >= 25)
        AND NOT (weekday = 1 AND m = 9 AND d <= 7)
        AND NOT (weekday = 1 AND m = 10 AND d BETWEEN 8 AND 14)
        AND NOT (weekday = 4 AND m = 11 AND d BETWEEN 22 AND 28)
)

SELECT DISTINCT
    late.subject_id AS subject,
    late.log_id AS row_key,
    concat(
        'sold or shared on ', CAST(late.sold_on AS varchar),
        ', but the opt-out of ', CAST(late.opted_out_on AS varchar),
        ' had to be honoured by ', CAST(deadlines.last_day AS varchar)
    ) AS reason
FROM late
INNER JOIN deadlines ON late.opted_out_on = deadlines.opted_out_on AND deadlines.business_day = 15
WHERE late.sold_on > deadlines.last_day
