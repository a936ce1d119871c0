// Package pricing turns what price feeds say into offers that can be believed.
//
// A Collector fetches one feed and emits its Rows in Batches. Sift, which is
// pure, splits rows into offers and quarantined rows, each with a reason; nothing
// vanishes:
//
//	rows = offers + quarantined + merged
//
// where merged counts rows that repeat an offer exactly.
//
// # What is refused
//
// A row is judged alone first, and quarantined for the first reason that holds:
//
//   - incomplete: it does not say all that an offer needs.
//   - no_price: the price is missing, zero or negative; only a private machine may
//     cost nothing.
//   - outlier: the price is above MaxPrice.
//   - unknown_accelerator: the device is none that Purser knows.
//   - impossible_shape: no machine looks like this: a size below 0 or beyond any
//     hardware, no vCPU or no memory, devices without name or memory, a name without
//     devices, more than one device and not whole. Below one, any share of a device
//     goes (Azure sells sixths of an A10).
//
// What passes is judged together:
//
//   - conflicting: two rows name the same offer and differ. The newest observation
//     stays, and among equally new ones the dearest, so that no plan promises less
//     than may be billed; the others are quarantined.
//   - spot_above_on_demand: spot > on demand of the same type in the same zone, or
//     of the whole region where the feed has no price for the zone. Both rows are
//     quarantined, since it is often the on-demand price that is wrong.
//   - outlier: price > 3 × m, where m is the type's median of the same option
//     over regions (the median of each region's median, so that a region with many
//     zones weighs as one), known only with three regions or more.
//
// What a feed merely does not offer, such as an empty spot cell, is no row at all,
// so it is neither an offer nor quarantined.
//
// # Ageing
//
// Every offer says where and when its price was seen. Freshness says from when on
// a price is too old to plan with. The bundled list and private machines do not
// age; their age is still shown.
//
// # Failures
//
// Sift never fails. A Collector returns a *purser.Error: invalid where the feed's
// form is broken, unavailable or throttled where it does not answer, unauthorized
// or forbidden where it refuses us.
package pricing
