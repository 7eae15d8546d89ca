-- title: Vendors and own machines compared
-- says: >
--   What the audio of this month would have cost with each vendor alone, beside what was paid. The comparison takes the
--   vendor's price for the first hour of a month, without allowances, discounts for volume, rounding and add-ons: it
--   shows the order of size, not the invoice.
-- parameters: {month_start: first day, month_end: first day of the next month}
-- sections:
--   paid:
--     title: What was paid
--     says: >
--       Own machines are counted twice: "busy" is the time that they worked, "idle included" all the time that they were
--       kept ready.
--     columns: [name, cost_nanos, audio_micros, cost_per_audio_hour]
--   card:
--     title: What each vendor alone would have cost
--     says: >
--       One recognizer for all audio that came in, the cheapest first. From how much audio on own machines would be
--       cheaper than each of them: twopass report self-hosting.
--     columns: [name, price_per_hour, would_cost, confidence]
--     order: would_cost
-- columns:
--   section: {label: Part, says: Which part of the report the line belongs to.}
--   name: {label: Name, says: ""}
--   cost_nanos: {label: Cost, says: "What has a known price, less what is free of charge."}
--   unpriced_count: {label: Lines without price, says: How many lines of the bill have no known price.}
--   audio_micros: {label: Audio hours, says: Audio that came in this month. Each channel counts.}
--   cost_per_audio_hour: {label: Per audio hour, says: Cost of one hour of audio that came in., from: cost_nanos / audio_micros}
--   price_nanos: {label: Price of a unit, says: "List price of one unit, first tier, in the vendor's currency.", kind: price, currency: currency}
--   unit: {label: Unit, says: What that price is for one of.}
--   currency: {label: Currency, says: The vendor's.}
--   unit_micros: {label: Unit, says: Its length.}
--   own_nanos: {label: In its currency, says: This month's charges in the vendor's currency.}
--   ledger_nanos: {label: In the ledger's currency, says: The same charges.}
--   price_per_hour:
--     {label: Price per hour, says: "List price of an hour, first tier, in the vendor's currency.", kind: price, currency: currency, from: price_nanos / unit_micros}
--   would_cost:
--     label: This month's audio
--     says: What it would have cost; other currencies at the average rate of this month's charges.
--     kind: money
--     from: price_nanos * audio_micros * ledger_nanos / unit_micros / own_nanos
--   confidence: {label: Price is, says: "How far it can be trusted; see the prices at the end."}

WITH grouped AS MATERIALIZED (
    SELECT clock, local, currency,
           SUM(cost_nanos) AS cost_nanos,
           SUM(CASE WHEN cost_nanos IS NULL THEN 1 ELSE 0 END) AS unpriced_count,
           SUM(CASE WHEN cost_nanos IS NULL THEN NULL ELSE list_nanos - credit_nanos END) AS own_nanos
    FROM charges
    WHERE day >= :month_start AND day < :month_end
    GROUP BY clock, local, currency
),
heard AS MATERIALIZED (
    SELECT SUM(micros) AS audio_micros
    FROM usage
    WHERE day >= :month_start AND day < :month_end AND clock = 'received'
),
exchange AS MATERIALIZED (
    SELECT currency, SUM(own_nanos) AS own_nanos, SUM(cost_nanos) AS ledger_nanos
    FROM grouped
    WHERE currency <> (SELECT value FROM facts WHERE name = 'currency')
    GROUP BY currency
    UNION ALL
    SELECT value, 1, 1 FROM facts WHERE name = 'currency'
),
cards AS MATERIALIZED (  -- of several prices in one month, the latest
    SELECT provider_name, sku, unit, currency, first_price_nanos, confidence
    FROM rates
    WHERE NOT local
      AND clock IN ('audio_sent', 'socket_open')
      AND (effective_from IS NULL OR effective_from < :month_end)
      AND (effective_to IS NULL OR effective_to >= :month_end)
),
lines AS (
    SELECT 1 AS place, 'paid' AS section, 'Vendors' AS name, SUM(cost_nanos) AS cost_nanos,
           SUM(unpriced_count) AS unpriced_count, CAST(NULL AS BIGINT) AS price_nanos, CAST(NULL AS VARCHAR(8)) AS unit,
           CAST(NULL AS VARCHAR(3)) AS currency, CAST(NULL AS VARCHAR(16)) AS confidence
    FROM grouped
    WHERE NOT local AND clock <> 'provisioned'
    GROUP BY local
    UNION ALL
    SELECT 2, 'paid', 'Own machines, busy', SUM(cost_nanos), SUM(unpriced_count), NULL, NULL, NULL, NULL
    FROM grouped
    WHERE local AND clock <> 'provisioned'
    GROUP BY local
    UNION ALL
    SELECT 3, 'paid', 'Own machines, idle included', SUM(cost_nanos), SUM(unpriced_count), NULL, NULL, NULL, NULL
    FROM grouped
    WHERE clock = 'provisioned'
    GROUP BY clock
    UNION ALL
    SELECT 4, 'card', provider_name || ' ' || sku, NULL, 0, first_price_nanos, unit, currency, confidence
    FROM cards
)
SELECT section, name, cost_nanos, unpriced_count, heard.audio_micros, price_nanos, unit, lines.currency, confidence,
       CASE unit WHEN 'second' THEN 1000000 WHEN 'minute' THEN 60000000 WHEN 'hour' THEN 3600000000 END AS unit_micros,
       exchange.own_nanos, exchange.ledger_nanos
FROM lines
CROSS JOIN heard
LEFT JOIN exchange ON exchange.currency = lines.currency
ORDER BY place, CASE WHEN price_nanos IS NULL THEN 0 ELSE 1 END, name
