-- ---
-- id: message.unmasked_personal_data
-- title: Personal data in plain text in a log message
-- severity: high
-- regulation: GDPR Art. 5(1)(c), 5(1)(f), 25(1), 32(1)(a)
-- threshold: 0
-- owner: team:privacy
-- description: >
--   A log message holds an e-mail address, a US social security number, a payment card number or a telephone number
--   in full.
-- ---
-- Who reads logs needn't know whom they are about (minimisation, Art. 5(1)(c); confidentiality, Art. 5(1)(f)).
--
-- What counts:
--   * an e-mail address with a top-level domain, in letters of any script, its @ as it is or as %40;
--   * a social security number as 3-2-4 digits with hyphens or spaces, in the ranges that are issued (not 000, 666, 9xx;
--     group 00; serial 0000);
--   * a card number of the large networks, plain or in groups, whose check digit is right (Luhn, ISO/IEC 7812-1);
--   * a telephone number in international form (+ and 8 to 15 digits; 00 and the same where the country's
--     code is set off) or in US form with separators.
-- Digits and @ of full width count as what they stand for.
-- What doesn't: a word with a mask in it (*, •, ## or xxx), such as j***@example.com, ***-**-6789, **** 1111.
--
-- Decided: the reason names the kinds and never repeats a value. One row per message. The patterns are plain enough for
-- every regular expression engine (no look-around).
WITH messages AS (
    SELECT
        subject_id,
        log_id,
        replace(translate(message, '０１２３４５６７８９＋＠', '0123456789+@'), '%40', '@') AS message
    FROM privacy_logs
    WHERE snapshot_date = :snapshot_date
),

suspects AS (
    SELECT
        subject_id,
        log_id,
        -- Words are cut at what separates values in JSON, URLs and key=value pairs; those with a mask go.
        concat(
            ' ',
            regexp_replace(message, '[^\s"'',;:=<>(){}|\[\]]*(?:\*|•|##|[xX]{3})[^\s"'',;:=<>(){}|\[\]]*', ' '),
            ' '
        ) AS words
    FROM messages
    -- cheap to tell, and most messages have neither
    WHERE regexp_like(message, '[\p{L}0-9._%+-]@[\p{L}0-9]|(?:^|[^0-9A-Za-z])[0-9][-0-9 .()/]{6,}[0-9]')
),

card_like AS (
    SELECT log_id, words, candidate, regexp_replace(candidate, '[^0-9]', '') AS digits
    FROM suspects
    CROSS JOIN UNNEST(regexp_extract_all(
        words,
        '[^0-9A-Za-z.+-]((?:4[0-9]{3}|5[1-5][0-9]{2}|2[2-7][0-9]{2}|6011|65[0-9]{2}|64[4-9][0-9]|35[2-8][0-9])[ -]?[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}|3[47][0-9]{2}[ -]?[0-9]{6}[ -]?[0-9]{5})[^0-9A-Za-z-]',
        1
    )) AS t (candidate)
),

-- Luhn: from the right, every second digit is doubled and its digits are added; the sum of all is a multiple of ten.
cards AS (
    SELECT DISTINCT log_id
    FROM (
        SELECT
            log_id,
            candidate,
            sum(
                CASE
                    WHEN n % 2 = 1 THEN CAST(substr(digits, -n, 1) AS integer)
                    WHEN substr(digits, -n, 1) > '4' THEN 2 * CAST(substr(digits, -n, 1) AS integer) - 9
                    ELSE 2 * CAST(substr(digits, -n, 1) AS integer)
                END
            ) AS checksum
        FROM card_like
        CROSS JOIN UNNEST(sequence(1, length(digits))) AS t (n)
        GROUP BY log_id, candidate
    ) AS sums
    WHERE checksum % 10 = 0
),

judged AS (
    SELECT
        suspects.subject_id,
        suspects.log_id,
        array_join(
            ARRAY[
                CASE
                    WHEN regexp_like(
                        words,
                        '[\p{L}0-9._%+-]@(?:[\p{L}0-9](?:[\p{L}0-9-]*[\p{L}0-9])?\.)+(?:\p{L}{2,}|[Xx][Nn]--[A-Za-z0-9-]+)'
                    ) THEN 'an e-mail address'
                END,
                CASE
                    WHEN regexp_like(
                        words,
                        '[^0-9A-Za-z.+-](?:00[1-9]|0[1-9][0-9]|[1-578][0-9]{2}|6[0-57-9][0-9]|66[0-57-9])[ -](?:0[1-9]|[1-9][0-9])[ -](?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})[^0-9A-Za-z-]'
                    ) THEN 'a social security number'
                END,
                CASE WHEN cards.log_id IS NOT NULL THEN 'a card number' END,
                CASE
                    WHEN regexp_like(
                        words,
                        '[^0-9A-Za-z+]\+[1-9](?:[ .()/-]{0,2}[0-9]){7,14}[^0-9A-Za-z]|[^0-9A-Za-z.+-]00[1-9][0-9]{0,2}[ .()/-]{1,2}[0-9](?:[ .()/-]{0,2}[0-9]){5,12}[^0-9A-Za-z-]|[^0-9A-Za-z.+-](?:1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .-])[2-9][0-9]{2}[ .-][0-9]{4}[^0-9A-Za-z-]'
                    ) THEN 'a telephone number'
                END
            ],
            ', '
        ) AS kinds
    FROM suspects
    LEFT JOIN cards ON suspects.log_id = cards.log_id
)

SELECT DISTINCT
    subject_id AS subject,
    log_id AS row_key,
    concat('the message holds ', kinds) AS reason
FROM judged
WHERE kinds <> ''
