-- title: Prices used, and how far they can be trusted
-- says: >
--   Every figure here rests on these prices: where each was read, when, and what is not sure about it.
-- parameters: {month_start: first day, month_end: first day of the next month}
-- sections:
--   price:
--     title: Prices
--     says: >
--       "contract" is your contracted price, "your own" what your configuration says of your machines; "stated" was read on the vendor's page; "secondhand" was read there by somebody
--       else; "conflict" means that sources disagree; "unknown" is not known or has no source.
--     columns: [provider, sku, price_nanos, unit, confidence, doubt, source, read_day]
-- columns:
--   provider: {label: Provider, says: "The vendor, or the software on your own machines."}
--   sku: {label: Product, says: "What is sold; the vendor's own number for it if there is one."}
--   price_nanos: {label: Price, says: Of one unit in the first tier (before any discount for volume)., kind: price, currency: currency}
--   unit: {label: Per, says: What the price is for one of.}
--   currency: {label: Currency, says: The price's.}
--   confidence: {label: Confidence, says: How far the price can be trusted.}
--   doubt: {label: What is not sure, says: In words., wide: true}
--   source: {label: Source, says: Where it was read., wide: true}
--   read_day: {label: Read on, says: When it was read.}

SELECT 'price' AS section,
       provider_name AS provider,
       sku || CASE WHEN vendor_sku <> '' AND vendor_sku <> sku THEN ' (' || vendor_sku || ')' ELSE '' END AS sku,
       first_price_nanos AS price_nanos, unit, currency,
       CASE WHEN local THEN 'your own' ELSE confidence END AS confidence, doubt, source, read_on AS read_day
FROM rates
WHERE (effective_from IS NULL OR effective_from < :month_end) AND (effective_to IS NULL OR effective_to > :month_start)
ORDER BY CASE WHEN first_price_nanos IS NULL THEN 0 ELSE 1 END, compared_only, provider_name, sku, line
