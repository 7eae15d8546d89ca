-- title: What vendors report themselves
-- says: >
--   Some vendors say at the end of a stream how much of it they bill. Here that stands beside what was sent and what is
--   charged in the other reports, stream by stream added up. It shows before the invoice comes whether both count alike.
-- parameters: {month_start: first day, month_end: first day of the next month}
-- sections:
--   provider:
--     title: By provider and reason
--     says: Where the vendor's count and ours differ, and why. "unexplained" should have no lines.
--     columns: [provider, sku, reason, why, request_count, sent_micros, charged_micros, reported_micros, more_micros]
--     empty: No vendor that was used this month reports what it bills.
-- columns:
--   section: {label: Part, says: Which part of the report the line belongs to.}
--   provider: {label: Provider, says: Who was sent audio.}
--   sku: {label: Product, says: What was used of it.}
--   reason: {label: Reason, says: Why both counts differ.}
--   why: {label: What that is, says: In words.}
--   request_count: {label: Streams, says: "How many streams (a vendor bills each as one request)."}
--   sent_micros: {label: Hours sent, says: Hours of audio that the streams took.}
--   charged_micros: {label: Hours charged, says: "The same after rounding and minimum: what the other reports rest on."}
--   reported_micros: {label: Hours reported, says: What the vendor said it bills.}
--   more_micros: {label: Reported less charged, says: "Negative: the vendor has said less than is charged here."}

WITH streams AS (
    SELECT request, provider, sku,
           SUM(CASE WHEN clock = 'audio_sent' THEN micros ELSE 0 END) AS sent,
           SUM(CASE WHEN clock = 'vendor_reported' THEN micros ELSE 0 END) AS reported,
           SUM(CASE WHEN clock = 'vendor_reported' THEN 1 ELSE 0 END) AS reports
    FROM usage
    WHERE day >= :month_start AND day < :month_end AND clock IN ('audio_sent', 'vendor_reported')
    GROUP BY request, provider, sku
),
charged AS (
    SELECT request, provider, sku, SUM(CASE WHEN feature = '' THEN billed_micros ELSE 0 END) AS billed
    FROM charges
    WHERE day >= :month_start AND day < :month_end AND clock = 'audio_sent'
    GROUP BY request, provider, sku
),
judged AS (
    SELECT s.provider, s.sku, s.sent, s.reported, COALESCE(c.billed, 0) AS billed,
           CASE
               WHEN s.reports = 0 THEN 'not reported'
               WHEN s.reported = COALESCE(c.billed, 0) THEN 'alike'
               WHEN s.reported BETWEEN s.sent - 10000 AND COALESCE(c.billed, 0) THEN 'not rounded'
               WHEN s.reported < s.sent THEN 'broken off'
               ELSE 'unexplained'
           END AS reason
    FROM streams s
    LEFT JOIN charged c ON c.request = s.request AND c.provider = s.provider AND c.sku = s.sku
    WHERE EXISTS (SELECT 1 FROM streams r WHERE r.provider = s.provider AND r.sku = s.sku AND r.reports > 0)
)
SELECT 'provider' AS section, provider, sku, reason,
       CASE reason
           WHEN 'alike' THEN 'The vendor reported what is charged.'
           WHEN 'not reported' THEN 'The stream broke before the vendor had said anything: all that was sent is charged.'
           WHEN 'not rounded' THEN 'The vendor reports the exact time, and bills it rounded up.'
           WHEN 'broken off' THEN 'The stream ended before the vendor had heard all that was sent: all of it is charged.'
           ELSE 'The vendor counts more than was sent: look at these streams in the ledger.'
       END AS why,
       COUNT(*) AS request_count, SUM(sent) AS sent_micros, SUM(billed) AS charged_micros,
       SUM(reported) AS reported_micros, SUM(reported) - SUM(billed) AS more_micros
FROM judged
GROUP BY provider, sku, reason
ORDER BY provider, sku, CASE reason WHEN 'unexplained' THEN 0 WHEN 'alike' THEN 2 ELSE 1 END, reason
