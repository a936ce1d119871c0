package pricing

import (
	"cmp"
	"slices"

	"purser"
)

// typePlace is a type in a region: where spot and on demand are comparable.
type typePlace struct{ provider, region, instanceType string }

// flagPairs flags both sides of each pair in which spot costs more than on demand. Of
// a pair whose on-demand side is known from the market alone, the spot side is flagged.
func flagPairs(held []candidate, market *Market) {
	onDemand := map[typePlace][]int{}
	for i := range held {
		if o := held[i].row.Offer; o.Option == purser.OnDemand {
			k := typePlace{o.Provider, o.Region, o.InstanceType}
			onDemand[k] = append(onDemand[k], i)
		}
	}
	for i := range held {
		spot := held[i].row.Offer
		if spot.Option != purser.Spot {
			continue
		}
		beside := onDemand[typePlace{spot.Provider, spot.Region, spot.InstanceType}]
		if p := market.onDemand(spot); len(beside) == 0 && p > 0 && spot.UnitPrice > p {
			held[i].flag(purser.QuarantineSpotAbove, "spot costs %s, on demand %s", usd(spot.UnitPrice), usd(p))
		}
		j := counterpart(held, beside, spot.Zone)
		if j < 0 || spot.UnitPrice <= held[j].row.Offer.UnitPrice {
			continue
		}
		held[i].flag(purser.QuarantineSpotAbove, "spot costs %s, on demand %s", usd(spot.UnitPrice), usd(held[j].row.Offer.UnitPrice))
		held[j].flag(purser.QuarantineSpotAbove, "on demand costs %s, spot %s", usd(held[j].row.Offer.UnitPrice), usd(spot.UnitPrice))
	}
}

// counterpart picks the on-demand offer that a spot offer in zone is compared
// with: of the same zone; else of the whole region; else, for a spot price of the
// whole region, the dearest of its zones; or -1.
func counterpart(held []candidate, onDemand []int, zone string) int {
	regional, dearest := -1, -1
	for _, i := range onDemand {
		o := held[i].row.Offer
		switch {
		case o.Zone == zone:
			return i
		case o.Zone == "":
			regional = i
		case dearest < 0 || o.UnitPrice > held[dearest].row.Offer.UnitPrice:
			dearest = i
		}
	}
	if regional < 0 && zone == "" {
		return dearest
	}
	return regional
}

// flagOutliers flags prices above medianFactor × the type's median over regions.
func flagOutliers(held []candidate, market *Market) {
	groups := map[typeOption][]int{}
	for i := range held {
		o := held[i].row.Offer
		k := typeOption{o.Provider, o.InstanceType, o.Option}
		groups[k] = append(groups[k], i)
	}
	for k, members := range groups {
		m, ok := medianOverRegions(held, members, market.regions(k.provider, k.instanceType, k.option))
		if !ok {
			continue
		}
		for _, i := range members {
			if p := held[i].row.Offer.UnitPrice; p > medianFactor*m {
				held[i].flag(purser.QuarantineOutlier, "%s is more than %d × %s, the median of this type over regions", usd(p), medianFactor, usd(m))
			}
		}
	}
}

// medianOverRegions is the median of the regions' medians, and false with fewer
// than medianRegions regions. Of a region that the members lie in, only they count;
// of the others, what the market knows.
func medianOverRegions(held []candidate, members []int, known map[string]zones) (purser.USDPerHour, bool) {
	byRegion := map[string][]purser.USDPerHour{}
	for _, i := range members {
		o := held[i].row.Offer
		byRegion[o.Region] = append(byRegion[o.Region], o.UnitPrice)
	}
	if len(byRegion)+len(known) < medianRegions {
		return 0, false
	}
	for region, list := range known {
		if _, ok := byRegion[region]; ok {
			continue
		}
		prices := make([]purser.USDPerHour, len(list))
		for i, z := range list {
			prices[i] = z.price
		}
		byRegion[region] = prices
	}
	if len(byRegion) < medianRegions {
		return 0, false
	}
	medians := make([]purser.USDPerHour, 0, len(byRegion))
	for _, prices := range byRegion {
		medians = append(medians, median(prices))
	}
	return median(medians), true
}

// median sorts p. Of an even number it is the mean of the middle two.
func median(p []purser.USDPerHour) purser.USDPerHour {
	slices.SortFunc(p, cmp.Compare[purser.USDPerHour])
	n := len(p)
	if n%2 == 1 {
		return p[n/2]
	}
	return (p[n/2-1] + p[n/2]) / 2
}
