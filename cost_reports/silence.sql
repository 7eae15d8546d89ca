-- title: Silence
-- says: >
--   A recognizer that listens to everything also listens to silence, and whoever bills by time bills for it. This
--   compares the audio that came in with the speech that was found in it.
-- parameters: {month_start: first day, month_end: first day of the next month}
-- sections:
--   total:
--     title: In all
--     says: >
--       What silence cost is an estimate: the cost of everything that listens all the time, times the share of the
--       audio that has no speech with final words. What could be saved at most is the part of it that vendors bill by
--       the audio they are sent: it need not be sent. The rest is billed for open connections, and would only be saved
--       by closing them.
--     columns: [name, audio_micros, speech_micros, silence_micros, silence_share, listening_nanos, silence_cost, saving]
--   tenant:
--     title: By tenant
--     says: The same for each tenant.
--     columns: [name, audio_micros, speech_micros, silence_share, listening_nanos, silence_cost, saving]
-- columns:
--   section: {label: Part, says: Which part of the report the line belongs to.}
--   name: {label: Tenant, says: ""}
--   audio_micros: {label: Audio hours, says: Audio that came in. Each channel counts.}
--   speech_micros: {label: Speech hours, says: Speech whose words are final.}
--   silence_micros: {label: Silence hours, says: "The rest: pauses, noise, and music."}
--   silence_share: {label: Silence, says: Share of the audio that is not speech., from: silence_micros / audio_micros}
--   listening_nanos: {label: Cost of listening, says: Cost of vendors that hear everything or keep a connection open for it.}
--   sent_nanos: {label: Billed by audio, says: "Of that, what is billed by the audio sent."}
--   unpriced_count: {label: Lines without price, says: How many lines of the bill have no known price.}
--   silence_cost:
--     {label: Silence cost, says: Estimate of what listening to silence cost., kind: money, from: listening_nanos * silence_micros / audio_micros}
--   saving:
--     {label: Could be saved, says: Estimate of what not sending silence would have saved at most., kind: money, from: sent_nanos * silence_micros / audio_micros}

WITH listening AS MATERIALIZED (
    SELECT tenant,
           SUM(cost_nanos) AS listening_nanos,
           CASE WHEN SUM(CASE WHEN clock = 'audio_sent' THEN 1 ELSE 0 END) = 0 THEN 0
                ELSE SUM(CASE WHEN clock = 'audio_sent' THEN cost_nanos END) END AS sent_nanos,
           SUM(CASE WHEN cost_nanos IS NULL THEN 1 ELSE 0 END) AS unpriced_count
    FROM charges
    WHERE day >= :month_start AND day < :month_end AND clock IN ('audio_sent', 'socket_open') AND pass_ = 'first'
    GROUP BY tenant
),
heard AS MATERIALIZED (
    SELECT tenant,
           SUM(CASE WHEN clock = 'received' THEN micros ELSE 0 END) AS audio_micros,
           SUM(CASE WHEN clock = 'finalized' THEN micros ELSE 0 END) AS speech_micros
    FROM usage
    WHERE day >= :month_start AND day < :month_end AND clock IN ('received', 'finalized')
    GROUP BY tenant
),
tenants AS MATERIALIZED (
    SELECT heard.tenant, audio_micros, speech_micros,
           CASE WHEN listening.tenant IS NULL THEN 0 ELSE listening_nanos END AS listening_nanos,
           CASE WHEN listening.tenant IS NULL THEN 0 ELSE sent_nanos END AS sent_nanos,
           COALESCE(unpriced_count, 0) AS unpriced_count
    FROM heard
    LEFT JOIN listening ON listening.tenant = heard.tenant
),
lines AS (
    SELECT 1 AS place, 'total' AS section, every AS name, SUM(audio_micros) AS audio_micros,
           SUM(speech_micros) AS speech_micros, SUM(listening_nanos) AS listening_nanos, SUM(sent_nanos) AS sent_nanos,
           SUM(unpriced_count) AS unpriced_count
    FROM (SELECT 'All' AS every, tenants.* FROM tenants) AS together
    GROUP BY every
    UNION ALL
    SELECT 2, 'tenant', tenant, audio_micros, speech_micros, listening_nanos, sent_nanos, unpriced_count
    FROM tenants
)
SELECT section, name, audio_micros, speech_micros,
       CASE WHEN speech_micros < audio_micros THEN audio_micros - speech_micros ELSE 0 END AS silence_micros,
       listening_nanos, sent_nanos, unpriced_count
FROM lines
ORDER BY place, audio_micros DESC, name
