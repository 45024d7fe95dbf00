"""Small functions in DuckDB's own SQL that the compiler's rules use."""

_MOMENT = r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z?"

MACROS = (
    # to the nearest millisecond, half upwards; its argument stands once, for the sake of TRY
    "CREATE MACRO round_moment(m) AS (date_trunc('millisecond', m + to_microseconds(500)))",
    # Of the two moments that a clock shows when it is put back, DuckDB takes the later one and Java the
    # earlier; ``u`` is DuckDB's, and the zone's offset hours before it is that of the earlier one
    """CREATE MACRO earlier_moment(u, zone) AS (list_extract(list_transform(
        [struct_pack(u := u, w := timezone(zone, timezone('UTC', u)),
            b := timezone(zone, timezone('UTC', u - INTERVAL 3 HOUR)) - (u - INTERVAL 3 HOUR))],
        lambda z: CASE WHEN timezone(zone, timezone('UTC', z.w - z.b)) = z.w THEN least(z.u, z.w - z.b)
            ELSE z.u END), 1))""",
    "CREATE MACRO json_value_text(j) AS (j ->> '$')",
    """CREATE MACRO json_scalar(j) AS (
        CASE WHEN starts_with(CAST(j AS VARCHAR), '{') OR starts_with(CAST(j AS VARCHAR), '[') THEN NULL
        ELSE j ->> '$' END)""",
    f"""CREATE MACRO iso_moment(t) AS (
        CASE WHEN regexp_full_match(t, '{_MOMENT}') THEN date_trunc('millisecond', TRY_CAST(t AS TIMESTAMP))
        ELSE iso_moment_other(t) END)""",
    r"""CREATE MACRO strict_date(t) AS (
        CASE WHEN t IS NULL THEN NULL
        WHEN regexp_full_match(t, '\d{4}-\d{2}-\d{2}') AND TRY_CAST(t AS DATE) IS NOT NULL
            THEN CAST(t AS DATE)
        WHEN NOT contains(t, 'T') AND iso_moment_other(t) IS NOT NULL THEN CAST(iso_moment_other(t) AS DATE)
        ELSE fail('!INVALID_FUNCTION_ARGUMENT: Invalid format: "' || t || '"') END)""",
    """CREATE MACRO first_of_key(pairs) AS (list_extract(list_transform(
        [struct_pack(p := pairs, k := list_transform(pairs, lambda n: n.k))],
        lambda z: CASE WHEN z.p IS NULL THEN NULL WHEN list_unique(z.k) = len(z.k)
            THEN map(z.k, list_transform(z.p, lambda e: e.v))
            ELSE map_from_entries(list_transform(
                list_filter(z.p, lambda e, i: list_position(z.k, e.k) = i),
                lambda e: struct_pack(key := e.k, value := e.v))) END), 1))""",
    """CREATE MACRO all_of_key(pairs) AS (list_extract(list_transform(
        [struct_pack(p := pairs, k := list_transform(pairs, lambda n: n.k))],
        lambda z: CASE WHEN z.p IS NULL THEN NULL ELSE map_from_entries(list_transform(
            list_filter(z.p, lambda e, i: list_position(z.k, e.k) = i),
            lambda e: struct_pack(key := e.k, value := list_transform(
                list_filter(z.p, lambda n: n.k = e.k), lambda n: n.v)))) END), 1))""",
    "CREATE MACRO utf8_text(b) AS (coalesce(TRY(decode(b)), utf8_replaced(b)))",
    """CREATE MACRO to_base_text(n, radix) AS (
        CASE WHEN n < 0 THEN '-' ELSE '' END || lower(to_base(abs(n), CAST(radix AS INTEGER))))""",
    "CREATE MACRO url_encoded(t) AS (replace(replace(url_encode(t), '%20', '+'), '~', '%7E'))",
    "CREATE MACRO url_decoded(t) AS (url_decode(replace(t, '+', ' ')))",
)
