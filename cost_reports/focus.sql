-- title: FOCUS 1.4
-- says: >
--   The month's costs as FOCUS 1.4 "Cost and Usage" rows, the common format of the FinOps Foundation for cloud bills:
--   one row for each day, tenant, provider, product, price and region, in the currency in which it is billed. What is
--   free of charge is a row of its own with a negative amount (Credit). Own machines are in it with the time that they
--   were busy. Fees of commitments are not in it. What has no known price cannot be expressed in this format and is left out; the overview lists it.
-- parameters: {month_start: first day, month_end: first day of the next month}
-- sections:
--   sum:
--     title: Sums of the FOCUS rows
--     says: "The rows themselves are in the CSV: twopass report focus --format csv."
--     columns: [currency, category, rows_count, billed]
-- columns:
--   currency: {label: Currency, says: In which it is billed.}
--   category: {label: Kind, says: Usage or credit.}
--   rows_count: {label: Rows, says: How many rows there are.}
--   billed: {label: Amount, says: Their sum., kind: money, currency: currency}

WITH names AS MATERIALIZED (
    SELECT provider, sku, clock, MAX(provider_name) AS provider_name, MAX(service) AS service, MAX(vendor_sku) AS vendor_sku
    FROM rates
    GROUP BY provider, sku, clock
)
SELECT charges.day, charges.tenant, charges.provider, charges.sku, charges.clock, charges.feature, charges.region,
       charges.unit, charges.unit_price_nanos, charges.currency, charges.local,
       COALESCE(MAX(names.provider_name), '') AS provider_name,
       COALESCE(MAX(names.service), '') AS service,
       COALESCE(MAX(names.vendor_sku), '') AS vendor_sku,
       SUM(charges.used_micros) AS used_micros,
       SUM(charges.billed_micros) AS billed_micros,
       SUM(charges.list_nanos) AS list_nanos,
       SUM(charges.credit_nanos) AS credit_nanos,
       COUNT(*) AS lines_count
FROM charges
LEFT JOIN names ON names.provider = charges.provider AND names.sku = charges.sku AND names.clock = charges.clock
WHERE charges.day >= :month_start AND charges.day < :month_end AND charges.clock <> 'provisioned'
GROUP BY charges.day, charges.tenant, charges.provider, charges.sku, charges.clock, charges.feature, charges.region,
         charges.unit, charges.unit_price_nanos, charges.currency, charges.local
ORDER BY charges.day, charges.tenant, charges.provider, charges.sku, charges.clock, charges.feature, charges.region,
         charges.unit_price_nanos
