package purser

// Exchange is what a site of federated training tells an aggregator: an update a
// round, and as much comes back. Its data stays where it is.
type Exchange struct {
	Provider string  `json:"provider,omitempty"` // where the aggregator is
	Region   string  `json:"region,omitempty"`
	UpdateGB float64 `json:"update_gb,omitempty"` // 10⁹ bytes, each way
	Rounds   int     `json:"rounds,omitempty"`
}

// Egress is what the rounds cost from a machine of the offer: update and model move
// out of one place each, at the same price.
func (e Exchange) Egress(o Offer) Money {
	return Data{Provider: e.Provider, Region: e.Region, SizeGB: 2 * float64(e.Rounds) * e.UpdateGB}.Egress(o)
}

func (e Exchange) check() string {
	switch {
	case e == Exchange{}:
		return ""
	case e.Provider == "":
		return "an aggregator has a provider"
	case e.Rounds < 1 || e.Rounds > 1_000_000:
		return "rounds lie between 1 and 1000000"
	case !(e.UpdateGB >= 0 && 2*float64(e.Rounds)*e.UpdateGB <= maxAmount):
		return "an update is a number of GB, not negative"
	}
	return ""
}
