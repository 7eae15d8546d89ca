-- title: Forecast
-- says: >
--   What the month will cost if it goes on as in the last days. The method is plain: what is spent on the days that are
--   over, and for each day that is left the average of the last seven complete days (they have each day of the week
--   once; fewer if the ledger is younger). It knows nothing of holidays, of new customers, or of volume discounts that
--   begin later in the month. A month that is over has no forecast but its sum.
-- parameters:
--   window_start: seven days before today
--   today: the first day that is not over
--   month_start: first day
--   month_end: first day of the next month
-- sections:
--   total:
--     title: In all
--     says: What is spent, and what the month will come to.
--     columns: [name, spent, days_left_count, per_day, forecast]
--   tenant:
--     title: By tenant
--     says: The same for each tenant.
--     columns: [name, spent, days_left_count, per_day, forecast]
--   day:
--     title: Day by day
--     says: What each day cost, or is expected to cost.
--     columns: [day, is, amount]
--     page: false
-- columns:
--   section: {label: Part, says: Which part of the report the line belongs to.}
--   name: {label: Tenant, says: ""}
--   spent: {label: Spent, says: On the days of the month that are over., kind: money}
--   days_left_count: {label: Days left, says: Days of the month that are not over.}
--   per_day: {label: Per day, says: Average cost of the last complete days (at most seven)., kind: money}
--   window_count: {label: Days averaged, says: How many days that average is of.}
--   forecast: {label: Forecast, says: "Spent, and the average for each day that is left.", kind: money}
--   day: {label: Day, says: ""}
--   is: {label: Is, says: Spent or expected.}
--   amount: {label: Cost, says: Of the day., kind: money}
--   unpriced_count: {label: Lines without price, says: How many lines of the bill have no known price.}

SELECT day, tenant,
       SUM(cost_nanos) AS cost_nanos,
       SUM(CASE WHEN cost_nanos IS NULL THEN 1 ELSE 0 END) AS unpriced_count,
       (SELECT MIN(day) FROM charges) AS first_day
FROM charges
WHERE clock <> 'provisioned'
  AND day < :today
  AND (day >= :window_start OR (day >= :month_start AND day < :month_end))
GROUP BY day, tenant
ORDER BY day, tenant
