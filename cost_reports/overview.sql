-- title: Overview
-- says: >
--   What turning speech into text cost in this month, and for whom. What has no known price is listed first: it is in
--   no sum below, so the true cost is higher.
-- parameters: {month_start: first day, month_end: first day of the next month}
-- sections:
--   unknown:
--     title: Without a price
--     says: >
--       Work that was done and will be billed, but whose price is not on any rate card (or is in a currency without an
--       exchange rate). Add the price to your own price list to see its cost. Unknown is not free.
--     columns: [name, detail, used_micros, unpriced_count, cost_nanos]
--     empty: Everything that was used has a price.
--   total:
--     title: In all
--     says: >
--       All costs of the month. Vendors are companies that recognize speech for money. Own machines are computers of
--       your own; "busy" counts only the time they worked, "idle included" all the time that they were kept ready.
--     columns: [name, cost_nanos, audio_micros, cost_per_audio_hour, speech_micros, cost_per_final_hour]
--   fee:
--     title: Commitments
--     says: What is to be paid for this month's commitments, whatever is used. It is in no sum here.
--     columns: [name, fee]
--     empty: No price list has a monthly fee.
--   provider:
--     title: By provider
--     says: Who did the work. Each is billed by its own clock, so the price of an hour is per hour of that clock.
--     columns: [name, cost_nanos, share, used_micros, cost_per_used_hour]
--   pass:
--     title: By pass
--     says: >
--       Every word is recognized twice. The first pass shows words while they are spoken; the second pass hears each
--       utterance again when it has ended, and corrects it.
--     columns: [name, cost_nanos, share, audio_micros, cost_per_audio_hour]
--   tenant:
--     title: By tenant
--     says: A tenant is whoever the work was done for, as the API key says.
--     columns: [name, cost_nanos, share, audio_micros, cost_per_audio_hour, speech_micros, cost_per_final_hour]
-- columns:
--   section: {label: Part, says: Which part of the report the line belongs to.}
--   name: {label: Name, says: ""}
--   detail: {label: What is missing, says: Why there is no price.}
--   cost_nanos: {label: Cost, says: "What has a known price, less what is free of charge."}
--   share: {label: Share, says: Of all known cost., from: cost_nanos / all_nanos}
--   all_nanos: {label: All, says: All known cost of the month.}
--   fee: {label: Fee, says: "Of the month; of its share, if the price holds on some days only.", kind: money, currency: currency}
--   currency: {label: Currency, says: The fee's.}
--   unpriced_count: {label: Lines without price, says: How many lines of the bill have no known price.}
--   used_micros: {label: Hours used, says: "Hours of the clock that is billed: audio heard, connection open, or processor busy."}
--   cost_per_used_hour: {label: Per hour used, says: Cost of one such hour., from: cost_nanos / used_micros}
--   audio_micros: {label: Audio hours, says: Audio that came in. Each channel counts.}
--   cost_per_audio_hour: {label: Per audio hour, says: Cost of one hour of audio that came in., from: cost_nanos / audio_micros}
--   speech_micros: {label: Speech hours, says: Speech whose words are final. Silence is not in it.}
--   cost_per_final_hour: {label: Per hour of speech, says: Cost of one hour of speech with final words., from: cost_nanos / speech_micros}

WITH grouped AS MATERIALIZED (
    SELECT tenant, provider, sku, pass_, clock, local, currency,
           CASE WHEN cost_nanos IS NOT NULL THEN '' WHEN list_nanos IS NULL THEN 'no price' ELSE 'no exchange rate' END AS gap,
           SUM(used_micros) AS used_micros,
           SUM(cost_nanos) AS cost_nanos,
           SUM(CASE WHEN cost_nanos IS NULL THEN 1 ELSE 0 END) AS unpriced_count
    FROM charges
    WHERE day >= :month_start AND day < :month_end
    GROUP BY tenant, provider, sku, pass_, clock, local, currency,
             CASE WHEN cost_nanos IS NOT NULL THEN '' WHEN list_nanos IS NULL THEN 'no price' ELSE 'no exchange rate' END
),
work AS MATERIALIZED (  -- own machines count by their busy time; the same time must not count twice
    SELECT * FROM grouped WHERE clock <> 'provisioned'
),
heard AS MATERIALIZED (
    SELECT tenant,
           SUM(CASE WHEN clock = 'received' THEN micros ELSE 0 END) AS audio_micros,
           SUM(CASE WHEN clock = 'finalized' THEN micros ELSE 0 END) AS speech_micros
    FROM usage
    WHERE day >= :month_start AND day < :month_end AND clock IN ('received', 'finalized')
    GROUP BY tenant
),
lines AS (
    SELECT 1 AS place, 'unknown' AS section, name, detail, CAST(NULL AS BIGINT) AS cost_nanos,
           SUM(unpriced_count) AS unpriced_count, SUM(used_micros) AS used_micros,
           CAST(NULL AS BIGINT) AS audio_micros, CAST(NULL AS BIGINT) AS speech_micros
    FROM (
        SELECT provider || ' ' || sku AS name, unpriced_count, used_micros,
               CASE
                   WHEN gap = 'no exchange rate' THEN 'an exchange rate for ' || currency
                   WHEN clock = 'socket_open' THEN 'the price of an hour of open connection'
                   WHEN clock = 'provisioned' THEN 'what an hour of this machine costs'
                   WHEN local THEN 'what an hour of the machine that did it costs'
                   ELSE 'the price of an hour of audio'
               END AS detail
        FROM grouped
        WHERE gap <> ''
    ) AS gaps
    GROUP BY name, detail
    UNION ALL
    SELECT 2, 'total', 'All work', NULL, CASE WHEN COUNT(*) = 0 THEN 0 ELSE SUM(cost_nanos) END,
           COALESCE(SUM(unpriced_count), 0), NULL,
           (SELECT SUM(audio_micros) FROM heard), (SELECT SUM(speech_micros) FROM heard)
    FROM work
    UNION ALL
    SELECT CASE WHEN local THEN 4 ELSE 3 END, 'total', CASE WHEN local THEN 'Own machines, busy' ELSE 'Vendors' END, NULL,
           SUM(cost_nanos), SUM(unpriced_count), NULL,
           (SELECT SUM(audio_micros) FROM heard), (SELECT SUM(speech_micros) FROM heard)
    FROM work
    GROUP BY local
    UNION ALL
    SELECT 5, 'total', 'Own machines, idle included', NULL, SUM(cost_nanos), SUM(unpriced_count), NULL,
           (SELECT SUM(audio_micros) FROM heard), (SELECT SUM(speech_micros) FROM heard)
    FROM grouped
    WHERE clock = 'provisioned'
    GROUP BY clock
    UNION ALL
    SELECT 6, 'total', 'Vendors and own machines, idle included', NULL, SUM(cost_nanos), SUM(unpriced_count), NULL,
           (SELECT SUM(audio_micros) FROM heard), (SELECT SUM(speech_micros) FROM heard)
    FROM (
        SELECT 'every' AS line, cost_nanos, unpriced_count
        FROM grouped
        WHERE (clock = 'provisioned' OR NOT local) AND EXISTS (SELECT 1 FROM grouped WHERE clock = 'provisioned')
    ) AS loaded
    GROUP BY line
    UNION ALL
    SELECT 7, 'provider', provider, NULL, SUM(cost_nanos), SUM(unpriced_count), SUM(used_micros), NULL, NULL
    FROM work
    GROUP BY provider
    UNION ALL
    SELECT 8, 'pass', pass_, NULL, SUM(cost_nanos), SUM(unpriced_count), NULL,
           (SELECT SUM(audio_micros) FROM heard), (SELECT SUM(speech_micros) FROM heard)
    FROM work
    GROUP BY pass_
    UNION ALL
    SELECT 9, 'tenant', tenants.tenant, NULL,
           CASE WHEN spent.tenant IS NULL THEN 0 ELSE spent.cost_nanos END, COALESCE(spent.unpriced_count, 0), NULL,
           heard.audio_micros, heard.speech_micros
    FROM (SELECT tenant FROM work UNION SELECT tenant FROM heard) AS tenants
    LEFT JOIN (
        SELECT tenant, SUM(cost_nanos) AS cost_nanos, SUM(unpriced_count) AS unpriced_count FROM work GROUP BY tenant
    ) AS spent ON spent.tenant = tenants.tenant
    LEFT JOIN heard ON heard.tenant = tenants.tenant
)
SELECT section, name, detail, cost_nanos, unpriced_count, used_micros, audio_micros, speech_micros,
       (SELECT SUM(cost_nanos) FROM work) AS all_nanos
FROM lines
ORDER BY place, CASE WHEN cost_nanos IS NULL THEN 0 ELSE 1 END, cost_nanos DESC, name
