-- title: Costs over time
-- says: >
--   When the money was spent, and what an hour costs with each provider, in each pass and for each tenant. All days and
--   hours are UTC; work counts on the day and in the hour in which its request began.
-- parameters: {month_start: first day, month_end: first day of the next month}
-- sections:
--   day:
--     title: Day by day
--     says: What each day cost, and what an hour of the audio of that day cost.
--     columns: [day, cost_nanos, audio_micros, cost_per_audio_hour, speech_micros, cost_per_final_hour]
--   hour:
--     title: By the hour of the day
--     says: >
--       All days of the month together, by the hour (UTC) in which work began. Own machines have to be large enough for
--       the busiest hour.
--     columns: [hour, cost_nanos, share, used_micros]
--   provider:
--     title: By provider and pass
--     says: What an hour costs with each provider, by its own clock.
--     columns: [provider, pass, cost_nanos, used_micros, cost_per_used_hour]
--   tenant:
--     title: By tenant and pass
--     says: What each tenant spent on each pass, and what an hour of the tenant's audio cost in it.
--     columns: [tenant, pass, cost_nanos, audio_micros, cost_per_audio_hour]
--   detail:
--     title: All days
--     says: Every day by tenant, provider and pass.
--     columns: [day, tenant, provider, pass, cost_nanos, used_micros, cost_per_used_hour]
--     page: false
-- columns:
--   section: {label: Part, says: Which part of the report the line belongs to.}
--   day: {label: Day, says: ""}
--   hour: {label: Hour, says: "Of the day, UTC: 14 is from 14:00 to 15:00."}
--   tenant: {label: Tenant, says: ""}
--   provider: {label: Provider, says: Who did the work.}
--   pass: {label: Pass, says: "The first shows words while they are spoken, the second corrects them."}
--   cost_nanos: {label: Cost, says: "What has a known price, less what is free of charge."}
--   share: {label: Share, says: Of all known cost., from: cost_nanos / all_nanos}
--   all_nanos: {label: All, says: All known cost of the month.}
--   unpriced_count: {label: Lines without price, says: How many lines of the bill have no known price.}
--   used_micros: {label: Hours used, says: "Hours of the clock that is billed: audio heard, connection open, or processor busy."}
--   cost_per_used_hour: {label: Per hour used, says: Cost of one such hour., from: cost_nanos / used_micros}
--   audio_micros: {label: Audio hours, says: Audio that came in. Each channel counts.}
--   cost_per_audio_hour: {label: Per audio hour, says: Cost of one hour of audio that came in., from: cost_nanos / audio_micros}
--   speech_micros: {label: Speech hours, says: Speech whose words are final. Silence is not in it.}
--   cost_per_final_hour: {label: Per hour of speech, says: Cost of one hour of speech with final words., from: cost_nanos / speech_micros}

WITH work AS MATERIALIZED (  -- own machines count by their busy time; the same time must not count twice
    SELECT day, tenant, provider, pass_,
           SUM(used_micros) AS used_micros,
           SUM(cost_nanos) AS cost_nanos,
           SUM(CASE WHEN cost_nanos IS NULL THEN 1 ELSE 0 END) AS unpriced_count
    FROM charges
    WHERE day >= :month_start AND day < :month_end AND clock <> 'provisioned'
    GROUP BY day, tenant, provider, pass_
),
heard AS MATERIALIZED (
    SELECT day, tenant,
           SUM(CASE WHEN clock = 'received' THEN micros ELSE 0 END) AS audio_micros,
           SUM(CASE WHEN clock = 'finalized' THEN micros ELSE 0 END) AS speech_micros
    FROM usage
    WHERE day >= :month_start AND day < :month_end AND clock IN ('received', 'finalized')
    GROUP BY day, tenant
),
begun AS (
    SELECT request, SUBSTR(CAST(MIN(at) AS VARCHAR(40)), 12, 2) AS hour
    FROM usage
    WHERE day >= :month_start AND day < :month_end AND clock NOT IN ('received', 'finalized', 'vendor_reported', 'provisioned')
    GROUP BY request
),
by_hour AS (
    SELECT begun.hour, SUM(bill.cost_nanos) AS cost_nanos, SUM(bill.unpriced_count) AS unpriced_count,
           SUM(bill.used_micros) AS used_micros
    FROM (
        SELECT request, SUM(cost_nanos) AS cost_nanos, SUM(used_micros) AS used_micros,
               SUM(CASE WHEN cost_nanos IS NULL THEN 1 ELSE 0 END) AS unpriced_count
        FROM charges
        WHERE day >= :month_start AND day < :month_end AND clock <> 'provisioned'
        GROUP BY request
    ) AS bill
    JOIN begun ON begun.request = bill.request
    GROUP BY begun.hour
),
lines AS (
    SELECT 1 AS place, 'day' AS section, days.day AS day, CAST(NULL AS VARCHAR(2)) AS hour,
           CAST(NULL AS VARCHAR(64)) AS tenant, CAST(NULL AS VARCHAR(64)) AS provider, CAST(NULL AS VARCHAR(8)) AS pass,
           CASE WHEN spent.day IS NULL THEN 0 ELSE spent.cost_nanos END AS cost_nanos,
           COALESCE(spent.unpriced_count, 0) AS unpriced_count, spent.used_micros AS used_micros,
           sound.audio_micros AS audio_micros, sound.speech_micros AS speech_micros
    FROM (SELECT day FROM work UNION SELECT day FROM heard) AS days
    LEFT JOIN (
        SELECT day, SUM(cost_nanos) AS cost_nanos, SUM(unpriced_count) AS unpriced_count, SUM(used_micros) AS used_micros
        FROM work
        GROUP BY day
    ) AS spent ON spent.day = days.day
    LEFT JOIN (
        SELECT day, SUM(audio_micros) AS audio_micros, SUM(speech_micros) AS speech_micros FROM heard GROUP BY day
    ) AS sound ON sound.day = days.day
    UNION ALL
    SELECT 2, 'hour', NULL, hour, NULL, NULL, NULL, cost_nanos, unpriced_count, used_micros, NULL, NULL
    FROM by_hour
    UNION ALL
    SELECT 3, 'provider', NULL, NULL, NULL, provider, pass_, SUM(cost_nanos), SUM(unpriced_count), SUM(used_micros), NULL, NULL
    FROM work
    GROUP BY provider, pass_
    UNION ALL
    SELECT 4, 'tenant', NULL, NULL, spent.tenant, NULL, spent.pass_, spent.cost_nanos, spent.unpriced_count,
           spent.used_micros, sound.audio_micros, sound.speech_micros
    FROM (
        SELECT tenant, pass_, SUM(cost_nanos) AS cost_nanos, SUM(unpriced_count) AS unpriced_count,
               SUM(used_micros) AS used_micros
        FROM work
        GROUP BY tenant, pass_
    ) AS spent
    LEFT JOIN (
        SELECT tenant, SUM(audio_micros) AS audio_micros, SUM(speech_micros) AS speech_micros FROM heard GROUP BY tenant
    ) AS sound ON sound.tenant = spent.tenant
    UNION ALL
    SELECT 5, 'detail', day, NULL, tenant, provider, pass_, cost_nanos, unpriced_count, used_micros, NULL, NULL
    FROM work
)
SELECT section, day, hour, tenant, provider, pass, cost_nanos, unpriced_count, used_micros, audio_micros, speech_micros,
       (SELECT SUM(cost_nanos) FROM work) AS all_nanos
FROM lines
ORDER BY place, day, hour, tenant, provider, pass
