-- title: Budgets
-- says: >
--   How much of each budget is spent. What has no known price is on no budget. Days and months are UTC's.
-- parameters: {month_start: first day, month_end: first day of the next month}
-- sections:
--   budget:
--     title: Budgets
--     says: >
--       A budget for days shows the day of the month on which most was spent, and on how many days it was used up.
--     columns: [tenant, key, period, limit, spent, share, dearest_day, over_count, state]
--     empty: There are no budgets.
-- columns:
--   section: {label: Part, says: Which part of the report the line belongs to.}
--   tenant: {label: Tenant, says: "Whose; \"all\" is everybody's together."}
--   key: {label: API key, says: "The id of the API key; \"all\" is all keys of the tenant."}
--   period: {label: Per, says: Whether the limit is for each day or for the month.}
--   limit: {label: Limit, says: What may be spent., kind: money, complete: true}
--   spent: {label: Spent, says: "In the month, or on the dearest day.", kind: money}
--   share: {label: Used, says: Share of the limit that is spent., kind: share}
--   dearest_day: {label: Dearest day, says: For budgets per day.}
--   over_count: {label: Times used up, says: "On how many days, or in how many months, it was used up."}
--   state: {label: State, says: "well, near (at the share from which a warning is given), or spent."}
--   unpriced_count: {label: Lines without price, says: How many lines of the bill have no known price.}

SELECT day, tenant, key_id,
       SUM(cost_nanos) AS cost_nanos,
       SUM(CASE WHEN cost_nanos IS NULL THEN 1 ELSE 0 END) AS unpriced_count
FROM charges
WHERE day >= :month_start AND day < :month_end AND clock <> 'provisioned'
GROUP BY day, tenant, key_id
ORDER BY day, tenant, key_id
