-- title: Waste
-- says: >
--   Not everything that is paid for is needed. This is what was paid for hearing the same audio again, for work that
--   was thrown away, and for rounding. Some of it buys speed or safety: decide whether it is worth its price.
-- parameters: {month_start: first day, month_end: first day of the next month}
-- sections:
--   reason:
--     title: By reason
--     says: What all cost went to. Everything but "work" could be done without, at some loss of speed or safety.
--     columns: [reason, why, cost_nanos, share, used_micros, billed_micros]
--   provider:
--     title: By provider and reason
--     says: Where it happens.
--     columns: [name, reason, cost_nanos, share, used_micros, billed_micros]
--   tenant:
--     title: By tenant and reason
--     says: For whom it happens.
--     columns: [name, reason, cost_nanos, share, used_micros, billed_micros]
-- columns:
--   section: {label: Part, says: Which part of the report the line belongs to.}
--   name: {label: Name, says: ""}
--   reason: {label: Reason, says: What it was paid for.}
--   why: {label: What that is, says: In words.}
--   cost_nanos: {label: Cost, says: "What has a known price, less what is free of charge."}
--   share: {label: Share, says: Of all known cost of the month., from: cost_nanos / all_nanos}
--   all_nanos: {label: All, says: All known cost of the month.}
--   unpriced_count: {label: Lines without price, says: How many lines of the bill have no known price.}
--   used_micros: {label: Hours used, says: "Hours of the clock that is billed: audio heard, connection open, or processor busy."}
--   billed_micros: {label: Hours billed, says: "The same as the provider counts them: rounded up, and each channel for itself."}

WITH grouped AS MATERIALIZED (
    SELECT tenant, provider, reason,
           SUM(used_micros) AS used_micros,
           SUM(CASE WHEN feature = '' THEN billed_micros ELSE 0 END) AS billed_micros,
           SUM(cost_nanos) AS cost_nanos,
           SUM(CASE WHEN cost_nanos IS NULL THEN 1 ELSE 0 END) AS unpriced_count
    FROM charges
    WHERE day >= :month_start AND day < :month_end AND clock <> 'provisioned'
    GROUP BY tenant, provider, reason
),
lines AS (
    SELECT 1 AS place, 'reason' AS section, CAST(NULL AS VARCHAR(64)) AS name, reason, SUM(used_micros) AS used_micros,
           SUM(billed_micros) AS billed_micros, SUM(cost_nanos) AS cost_nanos, SUM(unpriced_count) AS unpriced_count
    FROM grouped
    GROUP BY reason
    UNION ALL
    SELECT 2, 'provider', provider, reason, SUM(used_micros), SUM(billed_micros), SUM(cost_nanos), SUM(unpriced_count)
    FROM grouped
    WHERE reason <> 'work'
    GROUP BY provider, reason
    UNION ALL
    SELECT 3, 'tenant', tenant, reason, SUM(used_micros), SUM(billed_micros), SUM(cost_nanos), SUM(unpriced_count)
    FROM grouped
    WHERE reason <> 'work'
    GROUP BY tenant, reason
)
SELECT section, name, reason,
       CASE reason
           WHEN 'work' THEN 'Needed for the transcript.'
           WHEN 'replay' THEN 'Audio that had been heard before: after a broken connection, or where a new stream took over.'
           WHEN 'race_loser' THEN 'Two providers heard the same at once; this one was slower.'
           WHEN 'speculation' THEN 'Begun in a short pause, thrown away because the speaker went on.'
           WHEN 'shadow' THEN 'Heard for comparison only.'
           WHEN 'rounding' THEN 'Billed but not used: requests rounded up to the increment or minimum.'
           ELSE reason
       END AS why,
       cost_nanos, unpriced_count, used_micros, billed_micros, (SELECT SUM(cost_nanos) FROM grouped) AS all_nanos
FROM lines
ORDER BY place, CASE WHEN reason = 'work' THEN 0 ELSE 1 END, name, CASE WHEN cost_nanos IS NULL THEN 0 ELSE 1 END,
         cost_nanos DESC, reason
