// Amounts for people. Pure. Where the server knows no price it sends null, and this says "unknown", never 0.

/** "$0.0012": cents, or as many digits as two significant ones take. */
export function amount(value, currency) {
  try {
    return new Intl.NumberFormat("en", {
      style: "currency", currency,
      minimumFractionDigits: 2, maximumFractionDigits: 2, maximumSignificantDigits: 2, roundingPriority: "morePrecision",
    }).format(Number(value));
  } catch {
    return `${value} ${currency}`; // credits and other units that are no currency
  }
}

/** The cost lines of one pass in words. */
export function passCost(lines) {
  if (!lines.length) return "–";
  const sums = new Map();
  for (const { amount: value, currency } of lines.filter((line) => line.amount !== null)) {
    sums.set(currency, (sums.get(currency) ?? 0) + Number(value));
  }
  const known = [...sums].map(([currency, sum]) => amount(sum, currency));
  const unknown = lines.some((line) => line.amount === null) ? ["unknown"] : [];
  return [...known, ...unknown].join(" + ");
}

const LEAST_MS = 10_000; // of sound, before an hour can be foretold from it

/** What an hour of sound like this costs, in words; empty where a part has no price or there is too little sound. */
export function hourly({ totals, lines, unpriced = [], audio_ms: ms }) {
  if (ms < LEAST_MS || unpriced.length || lines.some((line) => line.amount === null)) return "";
  const rates = Object.entries(totals).map(([currency, sum]) => amount((Number(sum) * 3_600_000) / ms, currency));
  return rates.length ? `at this rate ${rates.join(" + ")} for an hour of sound` : "";
}

/** The whole cost of a session in words. */
export function total({ totals, lines, unpriced = [] }) {
  const known = Object.entries(totals).map(([currency, sum]) => amount(sum, currency));
  const unknown = unpriced.length || lines.some((line) => line.amount === null) ? ["unknown"] : [];
  return [...known, ...unknown].join(" + ") || "–";
}
