package pricing

import "purser"

// Market is what is known of prices beside the rows at hand, so that a batch of one
// region can be compared with the other regions, and spot prices with on-demand ones of
// another source. A nil Market knows nothing. It is not for several goroutines at once.
type Market struct {
	types map[typeOption]map[string]zones // by region
}

type typeOption struct {
	provider, instanceType string
	option                 purser.PurchaseOption
}

// zones are the prices of a type in a region.
type zones []zonePrice

type zonePrice struct {
	zone  string
	price purser.USDPerHour
}

// NewMarket makes a Market of offers.
func NewMarket(offers []purser.Offer) *Market {
	m := &Market{map[typeOption]map[string]zones{}}
	m.Put(offers)
	return m
}

// Put makes known what offers cost; it replaces what was known of the same ones.
func (m *Market) Put(offers []purser.Offer) {
	if m == nil {
		return
	}
next:
	for _, o := range offers {
		k := typeOption{o.Provider, o.InstanceType, o.Option}
		regions := m.types[k]
		if regions == nil {
			regions = map[string]zones{}
			m.types[k] = regions
		}
		known := regions[o.Region]
		for i := range known {
			if known[i].zone == o.Zone {
				known[i].price = o.UnitPrice
				continue next
			}
		}
		regions[o.Region] = append(known, zonePrice{o.Zone, o.UnitPrice})
	}
}

// regions are the prices of a type by region; nil when nothing is known.
func (m *Market) regions(provider, instanceType string, option purser.PurchaseOption) map[string]zones {
	if m == nil {
		return nil
	}
	return m.types[typeOption{provider, instanceType, option}]
}

// onDemand is what a spot offer is compared with when its own batch has no on-demand
// price: that of its zone, else of its region, else, for a price of the whole region,
// the dearest of its zones; 0 when nothing is known.
func (m *Market) onDemand(spot purser.Offer) purser.USDPerHour {
	var regional, dearest purser.USDPerHour
	for _, z := range m.regions(spot.Provider, spot.InstanceType, purser.OnDemand)[spot.Region] {
		switch z.zone {
		case spot.Zone:
			return z.price
		case "":
			regional = z.price
		default:
			dearest = max(dearest, z.price)
		}
	}
	if regional == 0 && spot.Zone == "" {
		return dearest
	}
	return regional
}
