// Package aws collects the prices of Amazon EC2. It has three collectors:
//
//	NewOnDemand  "aws"       on-demand prices by zone, from the Price List API
//	NewBulk      "aws-bulk"  on-demand prices by region, from the public price files
//	NewSpot      "aws-spot"  spot prices by zone, their history, and signals
//
// Prices are of Linux without licensed software, on shared machines or bare metal.
// Use NewOnDemand or NewBulk, not both: they name the same machines with other zones.
//
// # Permissions
//
// NewBulk needs no credentials. The others call, in every region that is read:
//
//	NewOnDemand  pricing:GetProducts, ec2:DescribeInstanceTypes, ec2:DescribeInstanceTypeOfferings
//	NewSpot      ec2:DescribeSpotPriceHistory, ec2:DescribeInstanceTypes, ec2:DescribeInstanceTypeOfferings,
//	             ec2:GetSpotPlacementScores unless ScoresEvery is below 0
//
// and without Options.Regions both call ec2:DescribeRegions. None takes a resource.
//
// # What is an offer
//
// Price lists outlive hardware. A machine is offered on demand where it has a price
// and the zone sells it and it supports that usage class; for spot likewise. p5e and
// trn2 thus have no on-demand offer where they are only sold in capacity blocks. The
// price list has one price for the zones of a region; its Local and Wavelength zones
// cost otherwise and are left out. Spot prices name them and have them.
//
// Zones are ids (use1-az1), since names (us-east-1a) mean another zone in each account.
//
// The price files cannot tell what is sold where. Their offers are of the whole
// region, and families whose hardware is gone are left out by a list (see gone).
// vCPUs, memory and GPU count are theirs; devices come from tables by family and
// size. The regions of the index include those of other partitions, such as GovCloud.
//
// # Devices
//
// A table by family goes before the API, which does not tell the two A100 apart and
// has named an H200 just NVIDIA. Memory of a device is Purser's own. A part of a GPU
// counts as size of the part × parts; Inferentia, which stands in two lists, once.
//
// # History
//
// With Options.Since the spot prices from then on, at most 90 days, become
// Batch.Past: change points, without repeats. They are part of the region: if they
// cannot be had, the region fails, so that no hole stays in the history.
//
// # Signals
//
// Interruption bands come from the public Spot Advisor, for a region and type. A band
// is a share p of machines interrupted within a month; its hazard per hour of
// running is
//
//	λ = -ln(1-p) / 730
//
// The band above 20 % has no upper end, and 95 % is taken. A machine without a band
// has no signal.
//
// Availability is the placement score of a region, 1 to 10, divided by 10, for one
// machine of any type with the same device. AWS limits how many different questions
// an account may ask a day, so one question covers all types with a device and ten
// regions, and its answer is kept for ScoresEvery. Devices with fewer than three
// types are not asked: AWS scores them low in any case.
//
// # Failures
//
// A region that fails is left out and named in the error at the end, a region that
// is not enabled in the account among them (AuthFailure, OptInRequired). Credentials
// that are refused end the collection at once, and so does a permission that the
// first four regions all refuse; one region alone may be forbidden by a policy.
// Missing signals leave prices as they are: batches come without them, and the error
// at the end says so.
//
// A request is tried up to Options.Tries times when it is throttled, not answered,
// not served or cut off. A clock that is wrong is put right by the SDK.
package aws
