-- title: Invoice check
-- says: >
--   What a vendor charges against what the ledger charges, by product and day (UTC; work counts on the day on which its
--   request began), and what explains each difference.
-- parameters: {month_start: first day, month_end: first day of the next month}
-- sections:
--   total:
--     title: In all
--     says: >
--       Theirs less ours is the difference. What is explained has a reason below; what is not is a matter to ask the
--       vendor about. Lines that cannot be compared have no known price on our side, and are in no sum.
--     columns: [currency, theirs, ours, difference, explained, unexplained, agreeing_count, differing_count, unknown_count]
--     empty: "No invoice was given: twopass report reconcile --provider NAME --invoice FILE."
--   unknown:
--     title: Products that no rate card knows
--     says: >
--       They belong to the same service. If one of them is yours, write its name as `vendor_sku` into the rate card, or
--       give --sku "NAME ON THE INVOICE=our name". They are in no sum above.
--     columns: [product, vendor_name, their_hours, theirs, lines_count]
--     empty: Every line of this service is known.
--   reason:
--     title: What explains the differences
--     says: All days together. An amount above 0 is what they charge more.
--     columns: [reason, says, amount, hours, days_count, requests_count, example]
--     empty: There are no differences.
--   differing:
--     title: What differs
--     says: >
--       Billed hours and cost on both sides, where they are not the same to the cent and the second. The free allowance
--       is taken off on ours, credits on theirs.
--     columns: [day, product, their_hours, our_hours, theirs, ours, difference, unexplained, reason]
--     empty: Nothing. All lines agree to the cent.
--   line:
--     title: All lines, by product and day
--     says: Those that agree, too, and where they stand in the file.
--     columns: [day, until_day, product, vendor_name, their_hours, our_hours, theirs, ours, difference, unexplained, reason, file_line]
--     page: false
--   other:
--     title: Other services on the invoice
--     says: They are no part of this check.
--     columns: [vendor_name, theirs, lines_count]
--     empty: There are none.
--   part:
--     title: What we charge
--     says: What the billed time was for. "rounding" is what increments and minimum add.
--     columns: [provider, day, sku, feature, what, micros, list_nanos, credit_nanos, requests_count, example]
--     page: false
--   cause:
--     title: What else might be billed
--     says: By how much the billed time would differ if the provider counted otherwise.
--     columns: [provider, day, sku, what, micros, requests_count, example]
--     page: false
-- columns:
--   section: {label: Part, says: Which part of the report the line belongs to.}
--   provider: {label: Provider, says: Who did the work.}
--   day: {label: Day, says: The day (UTC).}
--   until_day: {label: Until, says: "The last day, where the invoice does not tell days apart."}
--   product: {label: Product, says: As the vendor calls it.}
--   vendor_name: {label: Vendor's words, says: What the invoice says of it.}
--   currency: {label: Currency, says: The invoice's.}
--   their_hours: {label: Their hours, says: Billed by the vendor., kind: hours}
--   our_hours: {label: Our hours, says: Billed by the rate card., kind: hours}
--   hours: {label: Hours, says: Billed time that it is about., kind: hours}
--   theirs: {label: Theirs, says: "What the vendor charges, less its credits.", kind: money, currency: currency}
--   ours: {label: Ours, says: "What the ledger charges, less what is free.", kind: money, currency: currency}
--   difference: {label: Difference, says: Theirs less ours., kind: money, currency: currency}
--   explained: {label: Explained, says: The part of the difference that has a reason., kind: money, currency: currency}
--   unexplained: {label: Unexplained, says: The rest of it., kind: money, currency: currency}
--   amount: {label: Amount, says: How much of the difference it explains., kind: money, currency: currency}
--   agreeing_count: {label: Lines that agree, says: To the cent and to the second.}
--   differing_count: {label: Lines that differ, says: "Explained or not."}
--   unknown_count: {label: Without a price, says: Lines that cannot be compared.}
--   reason: {label: Why, says: What explains the difference.}
--   says: {label: That is, says: In words.}
--   days_count: {label: Lines, says: In how many lines it is.}
--   lines_count: {label: Lines, says: Of the file.}
--   file_line: {label: Line in the file, says: Where the first of them stands.}
--   requests_count: {label: Requests, says: How many it is about.}
--   example: {label: For example, says: "One of them, as the ledger names it."}
--   sku: {label: Product, says: As our rate card names it.}
--   feature: {label: Add-on, says: Empty for the product itself.}
--   what:
--     label: What
--     says: >
--       A reason; or "blocks 15", every request rounded up to 15 s; "channels", all of them billed as one; "reported", as the provider itself reported; "late",
--       used after the day on which the request began; "early", used on the first day by requests of the month before;
--       "corrections", entries that put others right.
--   micros: {label: Hours, says: "Billed time, or by how much it would differ."}
--   list_nanos: {label: List, says: What that costs at list price., kind: money, currency: currency}
--   credit_nanos: {label: Free, says: How much of it is free of charge., kind: money, currency: currency}

WITH requests AS MATERIALIZED (
    SELECT provider, request, sku, clock, currency, MIN(day) AS day,
           CAST(SUM(used_micros) AS BIGINT) AS used_micros,
           CAST(SUM(billed_micros) AS BIGINT) AS billed_micros,
           CAST(SUM(CASE WHEN reason = 'rounding' THEN 0 ELSE billed_micros END) AS BIGINT) AS exact_micros
    FROM charges
    WHERE NOT local AND feature = '' AND day >= :month_start AND day < :month_end
    GROUP BY provider, request, sku, clock, currency
),
counted AS MATERIALIZED (  -- how often each used second is billed: once for each channel
    SELECT provider, request, sku, clock, currency, day, used_micros, billed_micros,
           CASE WHEN used_micros > 0 AND exact_micros > used_micros THEN exact_micros / used_micros ELSE 1 END AS times
    FROM requests
),
entries AS MATERIALIZED (
    SELECT counted.provider, usage.request, counted.sku, counted.clock,
           SUM(CASE WHEN usage.clock = counted.clock AND usage.day > counted.day THEN usage.micros * times ELSE 0 END)
               AS late_micros,
           SUM(CASE WHEN usage.clock = counted.clock AND usage.corrects IS NOT NULL THEN usage.micros * times ELSE 0 END)
               AS corrected_micros,
           SUM(CASE WHEN usage.clock = 'vendor_reported' THEN usage.micros END) AS reported_micros
    FROM usage
    JOIN counted ON counted.request = usage.request AND counted.sku = usage.sku AND counted.provider = usage.provider
    WHERE usage.day >= :month_start AND usage.day <= :month_end
    GROUP BY counted.provider, usage.request, counted.sku, counted.clock
),
compared AS MATERIALIZED (
    SELECT counted.provider, counted.day, counted.sku, counted.currency, counted.request, used_micros, billed_micros,
           times, late_micros, corrected_micros, reported_micros
    FROM counted
    LEFT JOIN entries ON entries.request = counted.request AND entries.sku = counted.sku
        AND entries.clock = counted.clock AND entries.provider = counted.provider
),
causes AS (
    SELECT provider, day, sku, currency, request, 'blocks 1' AS what,
           (used_micros + 999999) / 1000000 * 1000000 * times - billed_micros AS micros
    FROM compared
    WHERE used_micros > 0
    UNION ALL
    SELECT provider, day, sku, currency, request, 'blocks 15',
           (used_micros + 14999999) / 15000000 * 15000000 * times - billed_micros
    FROM compared
    WHERE used_micros > 0
    UNION ALL
    SELECT provider, day, sku, currency, request, 'blocks 60',
           (used_micros + 59999999) / 60000000 * 60000000 * times - billed_micros
    FROM compared
    WHERE used_micros > 0
    UNION ALL
    SELECT provider, day, sku, currency, request, 'channels', billed_micros / times - billed_micros
    FROM compared
    UNION ALL
    SELECT provider, day, sku, currency, request, 'reported', reported_micros - billed_micros
    FROM compared
    WHERE reported_micros IS NOT NULL
    UNION ALL
    SELECT provider, day, sku, currency, request, 'late', late_micros
    FROM compared
    UNION ALL
    SELECT provider, day, sku, currency, request, 'corrections', -corrected_micros
    FROM compared
    UNION ALL
    SELECT usage.provider, usage.day, usage.sku, MIN(charges.currency), usage.request, 'early',
           MIN(usage.micros * usage.channels)
    FROM usage
    JOIN charges ON charges.request = usage.request AND charges.sku = usage.sku AND charges.clock = usage.clock
        AND charges.provider = usage.provider
    WHERE usage.day = :month_start AND charges.day < :month_start AND charges.feature = '' AND NOT charges.local
    GROUP BY usage.id, usage.provider, usage.day, usage.sku, usage.request
)
SELECT 'part' AS section, provider, day, sku, feature, currency, reason AS what,
       SUM(billed_micros) AS micros,
       CASE WHEN COUNT(list_nanos) = COUNT(*) THEN SUM(list_nanos) END AS list_nanos,
       CASE WHEN COUNT(credit_nanos) = COUNT(*) THEN SUM(credit_nanos) END AS credit_nanos,
       COUNT(DISTINCT request) AS requests_count,
       MIN(request) AS example
FROM charges
WHERE NOT local AND day >= :month_start AND day < :month_end
GROUP BY provider, day, sku, feature, currency, reason
UNION ALL
SELECT 'cause', provider, day, sku, '', currency, what, SUM(micros), NULL, NULL, COUNT(*), MIN(request)
FROM causes
WHERE micros <> 0
GROUP BY provider, day, sku, currency, what
ORDER BY 2, 3, 4, 5, 6, 1 DESC, 7
