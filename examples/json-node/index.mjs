// Statistics of orders: JSON in, JSON out.

const format = (cents) => (cents / 100).toFixed(2);

export const handler = async (event, context) => {
  const { orders } = event;
  if (!Array.isArray(orders) || orders.length === 0) {
    throw new TypeError('the event must have "orders", a list that is not empty');
  }
  const totals = new Map();
  for (const { customer, cents } of orders) totals.set(customer, (totals.get(customer) ?? 0) + cents);
  console.log('%d orders, %d ms left', orders.length, context.getRemainingTimeInMillis());
  const [[best]] = [...totals].sort(([, one], [, other]) => other - one);
  return {
    orders: orders.length,
    total: format(orders.reduce((sum, { cents }) => sum + cents, 0)),
    bestCustomer: best,
    byCustomer: Object.fromEntries([...totals].map(([customer, cents]) => [customer, format(cents)])),
    function: context.functionName,
  };
};
