-- title: Own machines, and when they pay
-- says: >
--   What own machines cost for an hour of audio, and from how much audio a month on they are cheaper than each vendor.
-- parameters: {month_start: first day, month_end: first day of the next month}
-- sections:
--   machine:
--     title: What own machines cost
--     says: >
--       "Busy" is what the work itself cost: the price if no machine ever waited. "Idle included" is what was paid: all
--       the time that machines were kept ready, whether they worked or not.
--     columns: [machine, hour_price, ready_hours, busy_hours, utilisation, audio_hours, busy_per_audio, per_audio_hour_busy, per_audio_hour_ready]
--     empty: No work of own machines was metered in this month.
--   work:
--     title: What the work needs
--     says: How long a machine is busy for an hour of audio that came in. Below 1 it is faster than the audio.
--     columns: [provider, sku, pass, machine, audio_hours, busy_hours, busy_per_audio, per_audio_hour_busy]
--   break_even:
--     title: From when on own machines are cheaper
--     says: >
--       Machines for a number of streams at the same time cost the same however much they hear. They are cheaper from as
--       many audio hours a month on as cost as much with the vendor: its free hours, volume tiers and monthly fee are
--       taken into account, its rounding up of requests and add-ons are not. "Streams at once" assumes that the busiest
--       moment has as many streams as said below, and the month's mean is a fixed share of that.
--     columns: [vendor, product, confidence, machine, vendor_hour_price, machine_month, hours_one_machine, full_one_machine, streams_at_once]
--     empty: No machine has a price; say in the configuration (prices) what an hour of one costs.
--   grid:
--     title: By streams at once
--     says: Machines for so many streams at the same time, and from how many audio hours a month on they are cheaper.
--     columns: [vendor, product, machine, streams_count, machines_count, own_month, break_even_hours, most_hours, pays]
--     page: false
--   curve:
--     title: Cost by audio hours
--     says: "What a month costs, by how much audio it has: each vendor, and own machines for the mean load."
--     columns: [vendor, product, at_hours, month_cost]
--     page: false
--   busy:
--     title: Busy time
--     says: As it was metered.
--     columns: [provider, sku, pass, clock, busy_micros, audio_micros, speech_micros, sessions_count]
--     page: false
--   ready:
--     title: Time kept ready
--     says: As it was metered.
--     columns: [sku, busy_micros]
--     page: false
--   heard:
--     title: Audio of sessions that own machines worked for
--     says: As it was metered.
--     columns: [clock, audio_micros, speech_micros, sessions_count]
--     page: false
-- columns:
--   section: {label: Part, says: Which part of the report the line belongs to.}
--   machine: {label: Machine, says: "As the configuration's prices call it."}
--   hour_price: {label: Price per hour, says: Of one machine., kind: price, currency: currency}
--   currency: {label: Currency, says: "Of the money in the line."}
--   ready_hours: {label: Hours ready, says: "All time that machines were kept ready, added up.", kind: hours}
--   busy_hours: {label: Hours busy, says: "All time that they worked, added up.", kind: hours}
--   utilisation: {label: Utilisation, says: Busy time as a share of the time ready., kind: share}
--   audio_hours: {label: Audio hours, says: Of the sessions that they worked for., kind: hours}
--   busy_per_audio: {label: Busy per audio hour, says: "Hours of machine for an hour of audio, all passes together.", kind: hours}
--   per_audio_hour_busy: {label: Per audio hour (busy), says: Marginal cost of an hour of audio., kind: price, currency: currency}
--   per_audio_hour_ready: {label: Per audio hour (idle included), says: "What an hour of audio cost, idle time included.", kind: price, currency: currency}
--   provider: {label: Provider, says: The software that did the work.}
--   sku: {label: Product, says: As its rate card names it.}
--   pass: {label: Pass, says: "The first shows words while they are spoken, the second corrects them."}
--   vendor: {label: Vendor, says: Whom it is compared with.}
--   product: {label: Product, says: What of the vendor.}
--   confidence: {label: Price is, says: How far the vendor's price can be trusted.}
--   vendor_hour_price: {label: Vendor's hour, says: "List price of an hour, first tier.", kind: price, currency: currency}
--   machine_month: {label: Machine's month, says: "730 hours of one machine, in the vendor's currency.", kind: money, currency: currency}
--   hours_one_machine: {label: One machine pays from, says: Audio hours a month., kind: hours}
--   full_one_machine: {label: Of what it can take, says: "These hours as a share of what one machine can hear in a month.", kind: share}
--   streams_at_once: {label: Pays for streams at once, says: "At how many streams in the busiest moment own machines are cheaper."}
--   streams_count: {label: Streams at once, says: In the busiest moment.}
--   machines_count: {label: Machines, says: Needed for them.}
--   own_month: {label: Their month, says: What they cost in a month., kind: money, currency: currency}
--   break_even_hours: {label: Pays from, says: Audio hours a month., kind: hours}
--   most_hours: {label: At most, says: Audio hours of so many streams all the month., kind: hours}
--   pays: {label: Pays, says: Whether so much audio is possible with so many streams.}
--   at_hours: {label: Audio hours, says: A month., kind: hours}
--   month_cost: {label: Cost, says: Of the month., kind: money, currency: currency}
--   clock: {label: Clock, says: What was metered.}
--   busy_micros: {label: Hours, says: Of the clock.}
--   audio_micros: {label: Audio hours, says: That came in.}
--   speech_micros: {label: Speech hours, says: Speech whose words are final.}
--   sessions_count: {label: Sessions, says: How many.}

WITH busy AS MATERIALIZED (
    SELECT provider, sku, clock, pass_, session, SUM(micros) AS micros
    FROM usage
    WHERE day >= :month_start AND day < :month_end AND clock IN ('cpu_busy', 'gpu_busy')
    GROUP BY provider, sku, clock, pass_, session
),
heard AS MATERIALIZED (
    SELECT session,
           SUM(CASE WHEN clock = 'received' THEN micros ELSE 0 END) AS audio_micros,
           SUM(CASE WHEN clock = 'finalized' THEN micros ELSE 0 END) AS speech_micros
    FROM usage
    WHERE day >= :month_start AND day < :month_end AND clock IN ('received', 'finalized')
    GROUP BY session
)
SELECT 'busy' AS section, provider, sku, clock, pass_ AS pass,
       SUM(busy.micros) AS busy_micros, SUM(audio_micros) AS audio_micros, SUM(speech_micros) AS speech_micros,
       COUNT(*) AS sessions_count
FROM busy
LEFT JOIN heard ON heard.session = busy.session
GROUP BY provider, sku, clock, pass_
UNION ALL
SELECT 'heard', NULL, NULL, clock, NULL, NULL, SUM(audio_micros), SUM(speech_micros), COUNT(*)
FROM (SELECT DISTINCT clock, session FROM busy) AS sessions
JOIN heard ON heard.session = sessions.session
GROUP BY clock
UNION ALL
SELECT 'ready', provider, sku, clock, NULL, SUM(micros), NULL, NULL, NULL
FROM usage
WHERE day >= :month_start AND day < :month_end AND clock = 'provisioned'
GROUP BY provider, sku, clock
ORDER BY 1, 2, 3, 4, 5
